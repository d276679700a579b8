"""``METRICS``: every metric with unit, formula, better direction, source and function, in one table.

A metric is a number read off the meters of one window that has ended. NaN means *not known*
(no power curve, no price, no clock); it becomes ``null`` in JSON and "not given" in tables,
never 0. ``docs/metrics.md`` has a line for each, held to this table by a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim.state import State, StateArrays
from rlsched.sim.world import FRAG_NONE, L_CPU, L_GPUS, L_MEM, L_N, L_PRICE, O_FRAG, World
from rlsched.units import JOULE_PER_KWH, MCORE_PER_CORE, MGPU_PER_GPU, SECONDS_PER_HOUR

_WENG = "Weng et al., Beware of Fragmentation, USENIX ATC 2023, section 4"


@dataclass(frozen=True)
class Measured:
    """One window that has ended, ready to be read.

    Parameters
    ----------
    world : World
    arrays : StateArrays
        Of one copy, without the leading axis.
    clock : bool
        False where time is only the order of arrival (fill windows): metrics of time are not
        known then.
    g_per_kwh : float
        Carbon intensity of the grid, mean of the window; NaN where not known.
    """

    world: World
    arrays: StateArrays
    clock: bool = True
    g_per_kwh: float = math.nan

    @classmethod
    def of(cls, world: World, state: State, copy: int, *, clock: bool = True, g_per_kwh: float = math.nan) -> Measured:
        """Copy ``copy`` of a state."""
        return cls(world, state.arrays.copy_view(copy), clock, g_per_kwh)

    def count(self, row: int) -> int:
        """A whole-number meter, row ``C_*`` of ``rlsched.sim.state``."""
        return int(self.arrays.counter[row])

    def integral(self, row: int) -> float:
        """An integral over the metered time, row ``F_*``; NaN without a clock."""
        return float(self.arrays.clock[row]) if self.clock else math.nan

    @property
    def span_s(self) -> float:
        """Metered seconds; NaN without a clock."""
        start, stop, now = (float(self.arrays.clock[row]) for row in (st.F_START, st.F_STOP, st.F_NOW))
        end = stop if math.isfinite(stop) else now
        return end - start if self.clock else math.nan

    @property
    def fleet(self) -> int:
        """Row of the world's machine lists."""
        return self.count(st.C_FLEET)

    @property
    def n_machines(self) -> int:
        """Machines of the list."""
        return int(self.world.arrays.fleet_n[self.fleet, L_N])

    def capacity(self, row: int) -> int:
        """Offered millicores, MiB or devices of all machines together, row ``L_*`` of the world."""
        return int(self.world.arrays.fleet_i[self.fleet, row, : self.n_machines].sum())

    @property
    def gpu_capacity(self) -> int:
        """Milli-GPU of all machines together."""
        return self.capacity(L_GPUS) * MGPU_PER_GPU

    def machine(self, row: int) -> npt.NDArray[np.float64]:
        """A column of ``machine_f``, (M,) float64."""
        return self.arrays.machine_f[row, : self.n_machines]

    @property
    def rejected(self) -> npt.NDArray[np.bool_]:
        """True for the metered tasks of the window that were turned away, (K,)."""
        lo, hi = self.count(st.C_LO), self.count(st.C_HI)
        tasks = self.world.arrays.task_f[lo:hi, 0]
        turned_away = self.arrays.task_i[: hi - lo, st.K_STATUS] == st.REJECTED
        out: npt.NDArray[np.bool_] = turned_away & (tasks >= self.arrays.clock[st.F_START])
        return out


@dataclass(frozen=True)
class Metric:
    """One line of the table.

    Parameters
    ----------
    name : str
        With its unit as a suffix.
    label : str
        For headings.
    unit : str
        ``""`` where it has none.
    formula : str
    better : {"down", "up", "none"}
    source : str
        Where the definition is from; ``""``: a plain sum or mean.
    read : callable
        :class:`Measured` → number, NaN where not known.
    percent : bool
        Tables show 100 times the value, with a percent sign.
    """

    name: str
    label: str
    unit: str
    formula: str
    better: Literal["down", "up", "none"]
    source: str
    read: Callable[[Measured], float]
    percent: bool = False


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _rejected_share(column: int, arrived: int) -> Callable[[Measured], float]:
    def read(m: Measured) -> float:
        tasks = m.world.arrays.task_i[m.count(st.C_LO) : m.count(st.C_HI)]
        return _ratio(float(tasks[m.rejected, column].sum()), m.count(arrived))

    return read


def _rejected_from_empty(m: Measured) -> float:
    lo, hi = m.count(st.C_LO), m.count(st.C_HI)
    asked = m.world.arrays.task_i[lo:hi, 0]
    turned_away = m.arrays.task_i[: hi - lo, st.K_STATUS] == st.REJECTED
    return _ratio(float(asked[turned_away].sum()), float(asked.sum()))


def _rejected_gpu_share(m: Measured) -> float:
    tasks = m.world.arrays.task_i[m.count(st.C_LO) : m.count(st.C_HI)][m.rejected]
    return _ratio(float((tasks[:, 2] * tasks[:, 3]).sum()), m.count(st.C_ARRIVED_GPU))


def _reason(name: str) -> Callable[[Measured], float]:
    row = st.C_REASON + st.REASONS.index(name)
    return lambda m: float(m.count(row))


def _mean_share(integral: int, capacity: int) -> Callable[[Measured], float]:
    return lambda m: _ratio(m.integral(integral), m.capacity(capacity) * m.span_s)


def _frag_now(m: Measured) -> float:
    if m.world.arrays.option_i[O_FRAG] == FRAG_NONE:
        return math.nan
    return math.fsum(m.machine(st.M_FRAG))


def _frag_unit(m: Measured) -> tuple[int, int]:
    """Capacity and idle amount, in what fragmentation is measured in."""
    if m.world.arrays.option_i[O_FRAG] == 1:
        return m.gpu_capacity, m.gpu_capacity - m.count(st.C_RUN_GPU)
    return m.capacity(L_CPU), m.capacity(L_CPU) - m.count(st.C_RUN_CPU)


def _energy(m: Measured) -> float:
    if not m.clock or (m.world.arrays.fleet_curve[m.fleet, : m.n_machines] < 0).any():
        return math.nan
    return math.fsum(m.machine(st.M_JOULE)) / JOULE_PER_KWH * m.world.options.pue


def _cost(m: Measured) -> float:
    price = m.world.arrays.fleet_f[m.fleet, L_PRICE, : m.n_machines]
    if m.world.options.empty_machines == "on":
        return float(price.sum()) * m.span_s / SECONDS_PER_HOUR
    if not m.clock:
        return math.nan
    return float((m.machine(st.M_BUSY_S) * price).sum()) / SECONDS_PER_HOUR


def _core_hours(m: Measured) -> float:
    return m.integral(st.F_CPU_S) / MCORE_PER_CORE / SECONDS_PER_HOUR


def _active(m: Measured) -> float:
    return _ratio(m.integral(st.F_ACTIVE_S), m.span_s)


_TABLE = (
    Metric(
        "acceptance_share",
        "accepted",
        "share of tasks",
        "placed_tasks / arrived_tasks",
        "up",
        "",
        lambda m: _ratio(m.count(st.C_PLACED), m.count(st.C_ARRIVED)),
        percent=True,
    ),
    Metric(
        "rejected_cpu_share",
        "rejected CPU",
        "share of millicores",
        "CPU asked for by rejected tasks / CPU asked for by all that arrived",
        "down",
        "",
        _rejected_share(0, st.C_ARRIVED_CPU),
        percent=True,
    ),
    Metric(
        "rejected_cpu_from_empty_share",
        "rejected CPU, warm-up included",
        "share of millicores",
        "CPU asked for by rejected tasks / CPU asked for by all that arrived, from the empty cluster on",
        "down",
        "",
        _rejected_from_empty,
        percent=True,
    ),
    Metric(
        "rejected_mem_share",
        "rejected memory",
        "share of MiB",
        "memory asked for by rejected tasks / memory asked for by all that arrived",
        "down",
        "",
        _rejected_share(1, st.C_ARRIVED_MEM),
        percent=True,
    ),
    Metric(
        "rejected_gpu_share",
        "rejected GPU",
        "share of milli-GPU",
        "GPU asked for by rejected tasks / GPU asked for by all that arrived",
        "down",
        "",
        _rejected_gpu_share,
        percent=True,
    ),
    Metric("arrived_tasks", "arrived", "tasks", "tasks that arrived", "none", "", lambda m: m.count(st.C_ARRIVED)),
    Metric(
        "placed_tasks", "placed", "tasks", "tasks placed for the first time", "up", "", lambda m: m.count(st.C_PLACED)
    ),
    Metric("rejected_tasks", "rejected", "tasks", "tasks turned away", "down", "", lambda m: m.count(st.C_REJECTED)),
    *(
        Metric(f"rejected_for_{reason}_tasks", f"rejected for {label}", "tasks", formula, "none", "", _reason(reason))
        for reason, label, formula in (
            ("cpu", "CPU", "rejected tasks that one machine or more lacked only CPU for"),
            ("mem", "memory", "likewise only memory, and no machine only CPU"),
            ("gpu", "GPU", "likewise only free GPU, and no machine only CPU or memory"),
            ("model", "GPU model", "likewise only an allowed GPU model"),
            ("group", "group", "likewise only the limit of its group"),
            ("several", "several things", "every machine lacked several things"),
            ("too_large", "its size", "no machine, even empty, could hold it"),
            ("refused", "no reason", "a machine could have held it: the policy refused it"),
        )
    ),
    Metric(
        "cpu_alloc_share",
        "CPU allocated",
        "share of millicores",
        "∫ allocated CPU dt / (offered CPU · window)",
        "none",
        "",
        _mean_share(st.F_CPU_S, L_CPU),
        percent=True,
    ),
    Metric(
        "mem_alloc_share",
        "memory allocated",
        "share of MiB",
        "∫ allocated memory dt / (offered memory · window)",
        "none",
        "",
        _mean_share(st.F_MEM_S, L_MEM),
        percent=True,
    ),
    Metric(
        "gpu_alloc_share",
        "GPU allocated (mean)",
        "share of milli-GPU",
        "∫ allocated GPU dt / (GPU · window)",
        "none",
        "",
        lambda m: _ratio(m.integral(st.F_GPU_S), m.gpu_capacity * m.span_s),
        percent=True,
    ),
    Metric(
        "gpu_alloc_pct",
        "GPU allocated",
        "% of milli-GPU",
        "100 · allocated GPU / GPU, when the window ends",
        "up",
        _WENG,
        lambda m: 100.0 * _ratio(m.count(st.C_RUN_GPU), m.gpu_capacity),
    ),
    Metric(
        "frag_pct_of_idle",
        "fragmented of idle",
        "%",
        "100 · fragmentation / idle GPU (or CPU, as simulation.fragmentation says), when the window ends",
        "down",
        _WENG,
        lambda m: 100.0 * _ratio(_frag_now(m), _frag_unit(m)[1]),
    ),
    Metric(
        "frag_pct_of_capacity",
        "fragmented of capacity",
        "%",
        "100 · fragmentation / GPU (or CPU), when the window ends",
        "down",
        _WENG,
        lambda m: 100.0 * _ratio(_frag_now(m), _frag_unit(m)[0]),
    ),
    Metric(
        "frag_mean_pct_of_capacity",
        "fragmented (mean)",
        "%",
        "100 · ∫ fragmentation dt / (GPU (or CPU) · window)",
        "down",
        _WENG + ", averaged over time",
        lambda m: (
            math.nan
            if m.world.arrays.option_i[O_FRAG] == FRAG_NONE
            else 100.0 * _ratio(m.integral(st.F_FRAG_S), _frag_unit(m)[0] * m.span_s)
        ),
    ),
    Metric("active_machines", "used machines", "machines", "∫ machines with a task dt / window", "down", "", _active),
    Metric(
        "empty_machines",
        "empty machines",
        "machines",
        "machines − active_machines",
        "up",
        "",
        lambda m: m.n_machines - _active(m),
    ),
    Metric(
        "empty_machines_end",
        "empty at end",
        "machines",
        "machines without a task when the window ends",
        "up",
        "",
        lambda m: m.n_machines - m.count(st.C_ACTIVE),
    ),
    Metric(
        "energy_kwh",
        "energy",
        "kWh",
        "PUE · Σ over machines of ∫ watts(allocated CPU share) dt / 3.6e6",
        "down",
        "power curves: rlsched.sim.power",
        _energy,
    ),
    Metric(
        "energy_wh_per_core_h",
        "energy a core-hour",
        "Wh per core-hour",
        "1000 · energy_kwh / core-hours allocated",
        "down",
        "power curves: rlsched.sim.power",
        lambda m: 1000.0 * _ratio(_energy(m), _core_hours(m)),
    ),
    Metric(
        "carbon_kg",
        "carbon",
        "kg CO2e",
        "energy_kwh · mean carbon intensity of the window [g/kWh] / 1000",
        "down",
        "intensity: the card's [carbon]",
        lambda m: _energy(m) * m.g_per_kwh / 1000.0,
    ),
    Metric(
        "carbon_g_per_core_h",
        "carbon a core-hour",
        "g CO2e per core-hour",
        "1000 · carbon_kg / core-hours allocated",
        "down",
        "intensity: the card's [carbon]",
        lambda m: _ratio(_energy(m) * m.g_per_kwh, _core_hours(m)),
    ),
    Metric(
        "cost_usd",
        "cost",
        "USD",
        "Σ over machines of price · hours (in use; all hours where empty machines stay on)",
        "down",
        "",
        _cost,
    ),
    Metric(
        "cost_usd_per_core_h",
        "cost a core-hour",
        "USD per core-hour",
        "cost_usd / core-hours allocated",
        "down",
        "",
        lambda m: _ratio(_cost(m), _core_hours(m)),
    ),
    Metric(
        "mean_wait_s",
        "mean wait",
        "s",
        "Σ waits of first placements / placed_tasks",
        "down",
        "",
        lambda m: _ratio(m.integral(st.F_WAIT_S), m.count(st.C_PLACED)),
    ),
    Metric(
        "interrupted_tasks",
        "interrupted",
        "tasks",
        "interruptions by failing machines",
        "none",
        "",
        lambda m: m.count(st.C_INTERRUPTED),
    ),
    Metric(
        "lost_tasks", "lost", "tasks", "tasks gone with a failing machine", "down", "", lambda m: m.count(st.C_LOST)
    ),
    Metric(
        "waiting_tasks",
        "still waiting",
        "tasks",
        "tasks in the queue when the window ends",
        "down",
        "",
        lambda m: m.count(st.C_WAITING),
    ),
    Metric("window_h", "window", "h", "metered hours", "none", "", lambda m: m.span_s / SECONDS_PER_HOUR),
)

#: Name → metric of a placement window, in the order of rows and of ``docs/metrics.md``.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


#: Modules with a table ``METRICS`` of name → :class:`Metric`. A kind with metrics of its own adds a line.
TABLES = (
    "rlsched.evaluate.metrics",
    "rlsched.evaluate.consolidation_metrics",
    "rlsched.evaluate.scaling_metrics",
)


@cache
def find_metric(name: str) -> Metric | None:
    """The metric of that name, of whichever kind; None where no table has it."""
    for module in TABLES:
        found: Metric | None = import_module(module).METRICS.get(name)
        if found is not None:
            return found
    return None


def read_metrics(measured: Measured) -> dict[str, float]:
    """Every metric of one window: name → number, NaN where not known."""
    return {name: float(metric.read(measured)) for name, metric in METRICS.items()}

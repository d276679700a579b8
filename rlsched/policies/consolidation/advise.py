"""Asking a learned consolidation policy by itself: machines and their last ticks in, thresholds and reasons out.

Plain numpy (and pandas where frames come in), without the simulator and its compiler; a test holds
it equal to what the policy does in the compiled one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.observe.consolidation_features import HISTOGRAM_BINS, LOOK_BACK
from rlsched.policies.consolidation.residual import FIELDS, NUMBERS
from rlsched.sim.consolidation.policy import TREND_SAMPLES, trend_weights
from rlsched.sim.semantics import Semantics
from rlsched.units import SECONDS_PER_DAY

if TYPE_CHECKING:
    from rlsched.policies.consolidation.learned import LearnedConsolidation

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """One column of a frame: name, unit, meaning, and whether it may be left out."""

    name: str
    unit: str
    meaning: str
    optional: bool = False


#: One row a machine, now. Other columns are left alone.
MACHINE_COLUMNS: dict[str, Column] = {
    one.name: one
    for one in (
        Column("cpu_mcore", "millicores", "capacity, > 0"),
        Column("mem_mib", "MiB", "capacity, > 0"),
        Column("on", "bool", "switched on"),
        Column("asked_mcore", "millicores", "CPU that the VMs on it ask for now; 0 where it is off"),
        Column("mem_used_mib", "MiB", "memory of the VMs on it, at most mem_mib; 0 where it is off"),
        Column("full_w", "watts", "power at full load, > 0"),
        Column("given_mcore", "millicores", "CPU that they get now; by default all they ask for, up to its CPU", True),
    )
}
#: One row a tick that has ended, oldest first, the newest last. Other columns are left alone.
TICK_COLUMNS: dict[str, Column] = {
    one.name: one
    for one in (
        Column("asked_mcore", "millicores", "CPU that all VMs ask for at its end"),
        Column("requested_mcore_s", "millicore seconds", "CPU asked for during the tick"),
        Column("unmet_mcore_s", "millicore seconds", "of that, not given"),
        Column("on_machine_s", "machine seconds", "machines were on"),
        Column("short_machine_s", "machine seconds", "of that, with less CPU given than asked for"),
        Column("moves", "moves", "VMs that began to move"),
        Column("switched", "machines", "shut down or woken"),
        Column("energy_kwh", "kWh", "all machines"),
    )
}


@dataclass(frozen=True)
class Thresholds:
    """What a policy says for the coming tick.

    Parameters
    ----------
    parameter : float
        Of the detection of overload: see ``rlsched.sim.consolidation.policy``.
    placement_cap : float
        A machine receives VMs only up to this share of its CPU.
    evacuate_below : float
        Machines loaded below this share are emptied, when their VMs fit elsewhere.
    detection, selection : str
        How overload is seen, and which VM leaves: ``mad`` and ``mmt``, for example.
    base : dict of str to float
        The same three numbers of the tuned policy that is moved.
    assumed : tuple of str
        What was not given, and what was taken instead.
    """

    parameter: float
    placement_cap: float
    evacuate_below: float
    detection: str
    selection: str
    base: dict[str, float]
    assumed: tuple[str, ...] = ()


def thresholds(
    policy: LearnedConsolidation, machines: Any, ticks: Any, *, vms: int, time_s: float | None = None
) -> Thresholds:
    """See :meth:`rlsched.policies.consolidation.learned.LearnedConsolidation.thresholds`."""
    assumed: list[str] = []
    if isinstance(vms, bool) or not isinstance(vms, (int, np.integer)) or vms < 1:
        raise PolicyError(f"vms must be the number of VMs in the cluster, a whole number >= 1: got {vms!r}.")
    if time_s is None:
        assumed.append("time_s = 0 (midnight)")
    clock = 0.0 if time_s is None else _clock(time_s)
    now = _Frame("machines", machines, MACHINE_COLUMNS)
    past = _Frame("ticks", ticks, TICK_COLUMNS)
    weighted = policy.metadata.get("lr_weighted", Semantics.named("default").lr_weighted)
    step_s = float(policy.metadata["step_s"])
    seen = _observation(now, past, int(vms), clock, step_s, bool(weighted), assumed)
    numbers = policy.residual.numbers(policy.actions(seen[None]))[0]
    base = policy.residual.base
    tuned = {name: float(getattr(base, name)) for name in NUMBERS}
    moved = {name: float(value) for name, value in zip(NUMBERS, numbers, strict=True)}
    return Thresholds(
        moved["parameter"],
        moved["placement_cap"],
        moved["evacuate_below"],
        base.detection,
        base.selection,
        tuned,
        tuple(assumed),
    )


def _clock(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise PolicyError(f"time_s must be a number of seconds: got {value!r}.")
    if not math.isfinite(value):
        raise PolicyError(f"time_s must be finite: got {value!r}.")
    return float(value) % SECONDS_PER_DAY


def _observation(
    now: _Frame, past: _Frame, vms: int, clock: float, step_s: float, weighted: bool, assumed: list[str]
) -> npt.NDArray[np.float32]:
    """The fields of ``consolidation_features``, in their order."""
    cpu, mem, full = (now.read(name, positive=True) for name in ("cpu_mcore", "mem_mib", "full_w"))
    on, asked, used = now.flag("on"), now.read("asked_mcore"), now.read("mem_used_mib")
    now.refuse("asked_mcore", (asked > 0) & ~on, "0 where the machine is off")
    now.refuse("mem_used_mib", used > mem, "at most mem_mib")
    now.refuse("mem_used_mib", (used > 0) & ~on, "0 where the machine is off")
    given = np.minimum(asked, cpu)
    if "given_mcore" in now.columns:
        given = now.read("given_mcore")
        now.refuse("given_mcore", given > np.minimum(asked, cpu) * (1 + 1e-9), "at most asked_mcore and cpu_mcore")
    else:
        assumed.append("given_mcore = min(asked_mcore, cpu_mcore)")
    told = {name: past.read(name) for name in TICK_COLUMNS}
    past.refuse("unmet_mcore_s", told["unmet_mcore_s"] > told["requested_mcore_s"], "at most requested_mcore_s")
    past.refuse("short_machine_s", told["short_machine_s"] > told["on_machine_s"], "at most on_machine_s")
    lasted = len(cpu) * step_s * (1 + 1e-9)
    past.refuse("on_machine_s", told["on_machine_s"] > lasted, f"at most {len(cpu)} machines for {step_s:g} s")
    if past.n < TREND_SAMPLES:
        assumed.append(
            f"asked_mcore before the first of {past.n} ticks = as at that tick (10 are looked at, and sums of 6)"
        )

    # What is asked for now is told machine by machine; VMs that are not on any machine do not count.
    total = float(asked.sum())
    levels = np.concatenate([told["asked_mcore"][:-1], [total]]) if past.n else np.array([total])
    newest_first = levels[::-1][:TREND_SAMPLES]
    held = np.concatenate([newest_first, np.full(TREND_SAMPLES - len(newest_first), newest_first[-1])])
    line = float(trend_weights(weighted) @ held)
    n_on, cpu_on = int(on.sum()), float(cpu[on].sum())
    bins = np.minimum((HISTOGRAM_BINS * (asked[on] / cpu[on])).astype(np.int64), HISTOGRAM_BINS)
    loads = np.bincount(bins, minlength=HISTOGRAM_BINS + 1) / max(n_on, 1)
    back = min(past.n, LOOK_BACK)
    before = float(levels[-2]) if len(levels) > 1 else total
    long_before = float(levels[-1 - min(LOOK_BACK, len(levels) - 1)])

    def newest(name: str) -> float:
        return float(told[name][-1]) if past.n else 0.0

    def recent(name: str) -> float:
        return float(told[name][past.n - back :].sum())

    angle = 2.0 * math.pi * clock / SECONDS_PER_DAY
    values = {
        "time_sin": math.sin(angle),
        "time_cos": math.cos(angle),
        "on": n_on / len(cpu),
        **{("load_full" if i == HISTOGRAM_BINS else f"load_{i}0"): float(share) for i, share in enumerate(loads)},
        "short": _share(int((given[on] < asked[on] * (1 - 1e-9)).sum()), n_on),
        "demand": _squash(total / float(cpu.sum())),
        "demand_on": _squash(_share(total, cpu_on)),
        "memory_on": _squash(_share(float(used.sum()), float(mem[on].sum()))),
        "trend": _change(total, before),
        "trend_slow": _change(total, long_before),
        "line": _change(line, total),
        "moves": _squash(newest("moves") / vms),
        "moves_slow": _squash(recent("moves") / vms / max(back, 1)),
        "unmet": _share(newest("unmet_mcore_s"), newest("requested_mcore_s")),
        "unmet_slow": _share(recent("unmet_mcore_s"), recent("requested_mcore_s")),
        "violation": _share(newest("short_machine_s"), newest("on_machine_s")),
        "violation_slow": _share(recent("short_machine_s"), recent("on_machine_s")),
        "switched": _squash(newest("switched") / len(cpu)),
        "power": _squash(newest("energy_kwh") * 3.6e6 / (float(full.sum()) * step_s)),
    }
    return np.array([values[name] for name in FIELDS], np.float32)


def _squash(x: float) -> float:
    return x / (1.0 + x)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _change(a: float, b: float) -> float:
    whole = abs(a) + b
    return (a - b) / whole if whole > 0.0 else 0.0


class _Frame:
    """Columns of a frame or a dict of arrays, checked one by one."""

    def __init__(self, what: str, given: Any, known: Mapping[str, Column]) -> None:
        self.what = what
        if hasattr(given, "columns") and hasattr(given, "iloc"):  # a DataFrame, without importing pandas
            names = [str(name) for name in given.columns]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise PolicyError(f"column {twice[0]!r} of the {what} is there twice. Keep one.")
            self.columns = {name: given[name].to_numpy() for name in names}
        elif isinstance(given, Mapping):
            self.columns = {str(name): value for name, value in given.items()}
        else:
            raise PolicyError(
                f"{what} must be a pandas DataFrame or a dict of arrays: got {type(given).__name__}. Columns: "
                f"{', '.join(known)}."
            )
        missing = [name for name, column in known.items() if not column.optional and name not in self.columns]
        if missing:
            near = difflib.get_close_matches(missing[0], [name for name in self.columns if name not in known], n=1)
            meant = f" Rename {near[0]!r}, if it is that." if near else ""
            units = "; ".join(f"{name} ({known[name].unit}: {known[name].meaning})" for name in missing)
            raise PolicyError(f"the {what} have no column {units}. Add what is missing.{meant}")
        self.n = -1
        for name in known:
            if name in self.columns:
                array = np.asarray(self.columns[name])
                if array.ndim != 1:
                    raise PolicyError(f"{name} of the {what} must hold one value a row: got shape {array.shape}.")
                self.n = len(array) if self.n < 0 else self.n
                if len(array) != self.n:
                    raise PolicyError(f"{name} of the {what} has {len(array)} rows, the columns before it {self.n}.")
        if self.what == "machines" and self.n == 0:
            raise PolicyError("there is no machine: got 0 rows. Pass all of the cluster, those that are off included.")

    def read(self, name: str, *, positive: bool = False) -> F64:
        """Numbers, >= 0 and finite, or > 0."""
        array = np.asarray(self.columns[name])
        if array.dtype.kind not in "iuf":
            raise PolicyError(f"{name} of the {self.what} must be numbers: got {array.dtype}.")
        out: F64 = array.astype(np.float64)
        bad = ~(np.isfinite(out) & ((out > 0) if positive else (out >= 0)))
        self.refuse(name, bad, f"finite and {'> 0' if positive else '>= 0'}")
        return out

    def flag(self, name: str) -> npt.NDArray[np.bool_]:
        """Truth values."""
        array = np.asarray(self.columns[name])
        if array.dtype.kind != "b":
            raise PolicyError(f"{name} of the {self.what} must be True or False: got {array.dtype} values.")
        return array

    def refuse(self, name: str, bad: npt.NDArray[np.bool_], rule: str) -> None:
        """One clear error naming the first row that breaks a rule."""
        rows = np.flatnonzero(bad)
        if rows.size:
            value = self.columns[name][rows[0]]
            more = f" (and {rows.size - 1} more)" if rows.size > 1 else ""
            raise PolicyError(f"{name} of the {self.what} must be {rule}: got {value} in row {rows[0]}{more}.")

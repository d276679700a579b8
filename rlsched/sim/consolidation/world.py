"""What does not change during a run: machines, virtual machines and the load they will ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched import rng
from rlsched.errors import SpecError, TraceError
from rlsched.sim.consolidation.policy import HISTORY, TREND_SAMPLES, trend_weights
from rlsched.sim.power import POWER_CURVES, PowerCurve, curve_arrays
from rlsched.sim.semantics import Semantics
from rlsched.traces.columns import Machines, Usage

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

PLANETLAB_SAMPLES = 288
PLANETLAB_STEP_S = 300
#: Machine types of the PlanetLab scenario, alternating: MIPS of the machine, of one core, memory, curve.
PLANETLAB_HOSTS = ((3720.0, 1860.0, 4096, "hp_ml110_g4"), (5320.0, 2660.0, 4096, "hp_ml110_g5"))
#: VM types of the PlanetLab scenario, a quarter of the VMs each: MIPS and memory.
PLANETLAB_VMS = ((2500.0, 870), (2000.0, 1740), (1000.0, 1740), (500.0, 613))
#: Half of a 1 Gbit/s link in the units of CloudSim: 1 000 000 / (2 * 8000).
MIGRATION_MIB_PER_S = 62.5


class WorldCode(NamedTuple):
    """:class:`World` as the arrays a compiled kernel takes."""

    host_cpu: F64
    host_core: F64
    host_mem: I64
    host_curve: I64
    curve_kind: I64
    curve_table: F64
    class_start: I64
    class_host: I64
    vm_cpu: F64
    vm_mem: I64
    vm_hash: I64
    load: F64
    past: F64  # (K, V) load at the ticks, as VMs remember it: the first, the second, ...
    trend: F64  # (K, V) CPU that a VM's own fitted line expects one tick later
    reach: I64  # (K, V) ticks since its first load above 0 among the last 30
    step_s: float
    migration_mib_per_s: float


@dataclass(frozen=True, eq=False)
class World:
    """Machines, VMs and their load; shared by all copies of a simulation and never written to.

    Parameters
    ----------
    host_cpu, host_core : (M,) float64
        CPU of the machine and of one core, ``0 < core <= cpu``, in one unit throughout (MIPS in
        the PlanetLab scenario, millicores elsewhere). A VM gets at most one core at a time; a
        machine whose VMs may use all of it has ``core == cpu``.
    host_mem : (M,) int64, MiB
    host_curve : (M,) int64
        Row of ``curves``.
    curves : tuple of PowerCurve
    vm_cpu : (V,) float64
        Nominal size, ``> 0``, in the unit of ``host_cpu``.
    vm_mem : (V,) int64, MiB
        Nominal size, ``> 0``; also what a migration copies.
    load : (T, V) float64, share of ``vm_cpu``
        Sample ``k`` is the load at second ``k * step_s``, linear between samples and constant
        after the last.
    step_s : float, seconds
        Between samples, and between ticks.
    migration_mib_per_s : float
        Speed of one live migration.
    vm_id : tuple of str
        Labels, for people.
    source : str
        Where the load is from.
    forecast : (K, V) float64, share of ``vm_cpu``, optional
        What is expected of each VM one tick after each of the K :meth:`tick_times`. ``lr`` then adds
        these up instead of the lines it fits itself (unweighted ``lrr`` too, which is the same rule).
    """

    host_cpu: F64
    host_core: F64
    host_mem: I64
    host_curve: I64
    curves: tuple[PowerCurve, ...]
    vm_cpu: F64
    vm_mem: I64
    load: F64
    step_s: float = float(PLANETLAB_STEP_S)
    migration_mib_per_s: float = MIGRATION_MIB_PER_S
    vm_id: tuple[str, ...] = ()
    source: str = ""
    forecast: F64 | None = None

    def __post_init__(self) -> None:
        for name, dtype in (
            ("host_cpu", np.float64),
            ("host_core", np.float64),
            ("host_mem", np.int64),
            ("host_curve", np.int64),
            ("vm_cpu", np.float64),
            ("vm_mem", np.int64),
            ("load", np.float64),
        ):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.forecast is not None:
            object.__setattr__(self, "forecast", np.ascontiguousarray(self.forecast, dtype=np.float64))

    @property
    def n_hosts(self) -> int:
        """Machines."""
        return int(self.host_cpu.shape[0])

    @property
    def n_vms(self) -> int:
        """Virtual machines."""
        return int(self.vm_cpu.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of each VM's load."""
        return int(self.load.shape[0])

    def validate(self, semantics: Semantics) -> World:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            Names the column, the rule and the first offending value.
        SpecError
            When a migration (with the waking of its target) could outlast a tick.
        """
        where = self.source or "this world"
        m, v = self.n_hosts, self.n_vms
        if m == 0 or v == 0 or self.n_samples < 2:
            raise TraceError(
                f"a consolidation run needs machines, VMs and at least 2 samples: got {m}, {v} and "
                f"{self.n_samples} in {where}. Give it data."
            )
        if self.load.shape != (self.n_samples, v) or self.vm_mem.shape != (v,):
            raise TraceError(f"load must have shape (samples, {v}) and vm_mem ({v},): got {self.load.shape}.")
        for name, value in (("step_s", self.step_s), ("migration_mib_per_s", self.migration_mib_per_s)):
            if not (math.isfinite(value) and value > 0):
                raise TraceError(f"{name} must be > 0: got {value} in {where}.")
        for name, good in (
            ("host_cpu", np.isfinite(self.host_cpu) & (self.host_cpu > 0)),
            ("host_core", (self.host_core > 0) & (self.host_core <= self.host_cpu)),
            ("host_mem", self.host_mem > 0),
            ("host_curve", (self.host_curve >= 0) & (self.host_curve < len(self.curves))),
            ("vm_cpu", np.isfinite(self.vm_cpu) & (self.vm_cpu > 0)),
            ("vm_mem", self.vm_mem > 0),
        ):
            bad = np.flatnonzero(~good)
            if bad.size:
                value = getattr(self, name)[bad[0]]
                raise TraceError(f"{name} of row {bad[0]} of {where} is out of range: got {value}. Correct the row.")
        bad_load = np.argwhere(~(np.isfinite(self.load) & (self.load >= 0)))
        if bad_load.size:
            k, row = bad_load[0]
            label = self.vm_id[row] if self.vm_id else str(row)
            raise TraceError(
                f"load must be >= 0 and known at every tick: got {self.load[k, row]} in sample {k} of VM {label!r} of "
                f"{where}. Fill the gap before replaying it."
            )
        ticks = len(self.tick_times(semantics))
        if self.forecast is not None and (
            self.forecast.shape != (ticks, v) or not bool((np.isfinite(self.forecast) & (self.forecast >= 0)).all())
        ):
            raise TraceError(
                f"forecast must be one known share >= 0 for each of {ticks} ticks and {v} VMs: got shape "
                f"{self.forecast.shape} in {where}, or a value below 0 or missing. Make it for this world."
            )
        longest = float(self.vm_mem.max()) / self.migration_mib_per_s + semantics.wake_s
        if longest + semantics.tick_offset_s >= self.step_s:
            raise SpecError(
                f"a move must end before the next tick: copying {self.vm_mem.max()} MiB at {self.migration_mib_per_s} "
                f"MiB/s with {semantics.wake_s} s of waking takes {longest:.1f} s, and a tick is {self.step_s} s. "
                "Raise migration_mib_per_s, or lower wake_s."
            )
        return self

    def tick_times(self, semantics: Semantics) -> list[float]:
        """Seconds at which VMs remember their load, as the simulator counts them."""
        times = [] if semantics.first_interval_free else [0.0]
        limit_s, tick_s = self.n_samples * self.step_s, semantics.tick_offset_s + self.step_s
        while tick_s < limit_s:
            times.append(tick_s)
            tick_s += self.step_s
        return times

    def load_at(self, t: float) -> F64:
        """Load of every VM at a moment, (V,) float64; linear between samples, constant after the last."""
        low, high, last = math.floor(t / self.step_s), math.ceil(t / self.step_s), self.n_samples - 1
        before: F64 = self.load[min(low, last)]
        if low == high:
            return before
        out: F64 = before + (self.load[min(high, last)] - before) / self.step_s * (t - low * self.step_s)
        return out

    def memories(self, semantics: Semantics) -> tuple[F64, F64, I64]:
        """``past``, ``trend``, ``reach`` of :class:`WorldCode`; load comes from outside: no policy changes them."""
        times = self.tick_times(semantics)
        past = np.stack([self.load_at(t) for t in times]) if times else np.zeros((0, self.n_vms))
        weights = trend_weights(semantics.lr_weighted)
        trend, reach = np.zeros_like(past), np.zeros(past.shape, np.int64)
        for k in range(len(times)):
            for i in range(min(k + 1, TREND_SAMPLES)):  # in this order: sums agree with the reference to the last bit
                trend[k] += weights[i] * past[k - i]
            if self.forecast is not None:
                trend[k] = self.forecast[k]
            trend[k] *= self.vm_cpu
            begin = max(0, k + 1 - HISTORY)
            busy = past[begin : k + 1] > 0.0
            reach[k] = np.where(busy.any(axis=0), k + 1 - begin - busy.argmax(axis=0), 0)
        return past, trend, reach

    def code(self, semantics: Semantics) -> WorldCode:
        """The arrays a compiled kernel takes; machines in equal shape are one class."""
        kind, table = curve_arrays(self.curves)
        columns = (self.host_cpu, self.host_core, self.host_mem, self.host_curve)
        shapes = list(zip(*(column.tolist() for column in columns), strict=True))
        first = {shape: row for row, shape in reversed(list(enumerate(shapes)))}
        rows = sorted(first.values())
        number = {shapes[row]: i for i, row in enumerate(rows)}
        which = np.array([number[shape] for shape in shapes], dtype=np.int64)
        order = np.argsort(which, kind="stable").astype(np.int64)
        vm_hash = np.array([java_hash(f"2-{row}") for row in range(self.n_vms)], dtype=np.int64)
        start = np.searchsorted(which[order], np.arange(len(rows) + 1)).astype(np.int64)
        return WorldCode(
            self.host_cpu, self.host_core, self.host_mem, self.host_curve, kind, table, start, order,
            self.vm_cpu, self.vm_mem, vm_hash, self.load, *self.memories(semantics),
            float(self.step_s), float(self.migration_mib_per_s),
        )  # fmt: skip

    @classmethod
    def from_columns(
        cls,
        machines: Machines,
        usage: Usage,
        *,
        vm_cpu_mcore: I64 | None = None,
        vm_mem_mib: I64 | None = None,
        migration_mib_per_s: float = MIGRATION_MIB_PER_S,
        curves: dict[str, PowerCurve] | None = None,
    ) -> World:
        """Make a world of measured usage; a VM may use every core of its machine.

        Parameters
        ----------
        machines : Machines
            Each needs a power curve.
        usage : Usage
            Series of equal length and start, without gaps; one series a VM.
        vm_cpu_mcore, vm_mem_mib : (V,) int64, optional
            Sizes of the VMs where ``usage`` does not know them.
        migration_mib_per_s : float
        curves : dict, optional
            Own curves by name, before those of :data:`rlsched.sim.power.POWER_CURVES`.

        Raises
        ------
        TraceError
            When series differ in length, or sizes or curves are unknown.
        """
        from rlsched.sim.power import find_curve

        cpu = usage.cpu_mcore if vm_cpu_mcore is None else vm_cpu_mcore
        mem = usage.mem_mib if vm_mem_mib is None else vm_mem_mib
        if bool((np.asarray(cpu) <= 0).any() or (np.asarray(mem) <= 0).any()):
            raise TraceError(f"{usage.source}: the sizes of some VMs are unknown. Pass vm_cpu_mcore and vm_mem_mib.")
        if bool((machines.power_curve < 0).any()):
            row = int(np.flatnonzero(machines.power_curve < 0)[0])
            raise TraceError(
                f"machine {machines.machine_id[row]!r} of {machines.source} has no power curve. Give it one."
            )
        return cls(
            host_cpu=machines.cpu_mcore.astype(np.float64),
            host_core=machines.cpu_mcore.astype(np.float64),
            host_mem=machines.mem_mib,
            host_curve=machines.power_curve,
            curves=tuple(find_curve(name, curves) for name in machines.power_curves),
            vm_cpu=np.asarray(cpu, dtype=np.float64),
            vm_mem=np.asarray(mem, dtype=np.int64),
            load=_rectangle(usage),
            step_s=float(usage.step_s),
            migration_mib_per_s=migration_mib_per_s,
            vm_id=tuple(str(label) for label in usage.series_id),
            source=usage.source,
        )


def java_hash(text: str) -> int:
    """Hash of an ASCII string as ``java.util.HashMap`` (Java 8 and later) spreads it, 32 bits.

    CloudSim keeps the requests of a machine's VMs in such a map under the names ``2-<row>``; the
    order it gives them in decides the last bit of sums (``Semantics.java_hash_order``).
    """
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value ^ (value >> 16)


def _rectangle(usage: Usage) -> F64:
    """The samples as ``(T, V)``."""
    lengths = np.diff(usage.offset)
    if np.unique(lengths).size != 1 or np.unique(usage.start_s).size != 1:
        raise TraceError(
            f"VMs must all have the same samples: got {lengths.min()} to {lengths.max()} samples a series in "
            f"{usage.source}. Cut or drop series until they agree."
        )
    return usage.cpu_share.reshape(len(usage), int(lengths[0])).T.copy()


def planetlab_world(
    usage: Usage,
    semantics: Semantics,
    *,
    seed: int = 0,
    n_hosts: int = 800,
    host_mem_mib: int | None = None,
    rows: npt.NDArray[np.integer[Any]] | None = None,
) -> World:
    """Build the PlanetLab scenario of CloudSim from one day of usage.

    Parameters
    ----------
    usage : Usage
        One day, series in ascending order of file names.
    semantics : Semantics
        ``vm_order`` decides which series gets which VM type.
    seed : int
        Root seed, for ``vm_order = "shuffled"``.
    n_hosts : int
        Machines; even rows are HP ML110 G4, odd ones G5.
    host_mem_mib : int, optional
        Memory of every machine instead of the scenario's 4 GiB. With those, memory and not CPU
        decides how many machines are needed wherever ``memory_counts``.
    rows : (n,) whole numbers, optional
        Series of the day that are the VMs; all by default.

    Raises
    ------
    TraceError
        When the samples are not those of a day.

    Returns
    -------
    World
        VM ``i`` of ``n`` is of type ``i // ceil(n / 4)`` of :data:`PLANETLAB_VMS`.

    References
    ----------
    CloudSim 3.0.3, ``examples.power.planetlab`` and ``examples.power.Constants``.
    """
    load = _rectangle(usage)  # (T, V)
    if load.shape[0] != PLANETLAB_SAMPLES or usage.step_s != PLANETLAB_STEP_S:
        raise TraceError(
            f"a PlanetLab day has {PLANETLAB_SAMPLES} samples of {PLANETLAB_STEP_S} s: got {load.shape[0]} of "
            f"{usage.step_s} s in {usage.source}. Use World.from_columns for other series."
        )
    order = np.arange(load.shape[1]) if rows is None else np.asarray(rows)
    n = len(order)
    if semantics.vm_order == "shuffled":
        order = order[rng.stream(seed, "vm_order").permutation(n)]
    host = [PLANETLAB_HOSTS[row % 2] for row in range(n_hosts)]
    vm = [PLANETLAB_VMS[row // math.ceil(n / 4)] for row in range(n)]
    names = [name for *_, name in PLANETLAB_HOSTS]
    return World(
        host_cpu=np.array([cpu for cpu, *_ in host]),
        host_core=np.array([core for _, core, *_ in host]),
        host_mem=np.array([mem if host_mem_mib is None else host_mem_mib for *_, mem, _ in host]),
        host_curve=np.array([names.index(name) for *_, name in host]),
        curves=tuple(POWER_CURVES[name] for name in names),
        vm_cpu=np.array([cpu for cpu, _ in vm]),
        vm_mem=np.array([mem for _, mem in vm]),
        load=load[:, order],
        vm_id=_labels(usage.series_id, order),
        source=usage.source,
    )


def _labels(ids: npt.NDArray[np.object_], order: Sequence[int] | npt.NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(str(ids[i]) for i in order)

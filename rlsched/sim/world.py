"""``World``: a trace, machines and options, prepared once, shared and read-only.

``World.build`` turns columns into the packed arrays the compiled core reads; ``World.start``
opens ``N`` copies of the state on windows of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.sim import state as st
from rlsched.sim.events import MachineEvents
from rlsched.sim.options import PlacementOptions
from rlsched.sim.power import POWER_CURVES, PowerCurve, curve_arrays
from rlsched.traces.columns import ANY_MODEL, MAX_GPU_MODELS, UNKNOWN, Machines, Trace
from rlsched.units import CALENDAR_S

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

# --- task_i (K, N) int64, task_f (K, 3) float64 ------------------------------------------------------
T_CPU, T_MEM, T_GPUS, T_MGPU, T_MODELS, T_PRIORITY, T_GROUP, T_LIMIT, T_TYPE = range(9)
T_ARRIVE, T_RUN, T_EXPECTED = range(3)
# --- fleet_i (F, 4, M) int64, fleet_f (F, 5, M) float64, fleet_n (F, 3) int64 -----------------------
L_CPU, L_MEM, L_GPUS, L_MODEL = range(4)
L_INV_CPU, L_INV_MEM, L_INV_GPU, L_INV_PHYSICAL, L_PRICE = range(5)
L_N, L_MAX_CPU, L_MAX_GPU = range(3)
# --- option_i, option_f -----------------------------------------------------------------------------
O_QUEUE, O_STRICT, O_REQUEUE, O_EMPTY_ON, O_LIFETIME, O_FRAG, O_RESIDENTS = range(7)
O_CHECKPOINT, O_UNKNOWN_S, O_ORIGIN_S = range(3)  # O_ORIGIN_S: second 0 of the trace, s since 1970; NaN unknown
FRAG_NONE, FRAG_GPU, FRAG_CPU = range(3)
#: What the vocabulary of GPU models calls a GPU whose model is not known; no trace can ask for it.
UNKNOWN_MODEL = "\0unknown"
LIFETIMES = ("known", "predicted", "unknown")


class WorldArrays(NamedTuple):
    """What the compiled core reads."""

    task_i: I64  # (K, 9)
    task_f: F64  # (K, 3) arrival, run, life span that rules may see (NaN unknown)
    type_i: I64  # (T, 5) the different requests: cpu, mem, devices, share of each, models
    fleet_i: I64  # (F, 4, M) offered cpu, mem; devices; model
    fleet_f: F64  # (F, 5, M) reciprocals (0 where capacity is 0), price
    fleet_n: I64  # (F, 3) machines, largest cpu, largest GPU capacity
    fleet_curve: I64  # (F, M) row of curve_*; -1 unknown
    curve_kind: I64  # (C,)
    curve_table: F64  # (C, 11)
    typical_i: I64  # (J, 5) typical requests, as type_i
    typical_p: F64  # (J,) their shares, sum 1
    event_t: F64  # (E,)
    event_i: I64  # (E, 2) kind, machine
    option_i: I64
    option_f: F64


@dataclass(frozen=True)
class Window:
    """A stretch of the trace to replay.

    Parameters
    ----------
    lo, hi : int
        Task rows that arrive in it, warm-up included.
    start_s : float
        Metering starts here; what happens before warms the cluster up.
    stop_s : float
        The window ends here; ``inf``: when the last task has arrived and everything known to
        end has ended.
    fleet : int
        Which of the world's machine lists it runs on.
    name : str
        For tables.
    """

    lo: int
    hi: int
    start_s: float = -math.inf
    stop_s: float = math.inf
    fleet: int = 0
    name: str = ""


@dataclass(frozen=True)
class Typical:
    """Typical requests, in whose terms fragmentation is measured.

    Parameters
    ----------
    requests : (J, 5) int64
        ``cpu_mcore, mem_mib, gpu_count, gpu_mgpu, gpu_model_mask`` (over ``gpu_models``).
    share : (J,) float64
        How often each is asked for; sums to 1.
    gpu_models : tuple of str
        Names behind the bits of the mask.
    """

    requests: I64
    share: F64
    gpu_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """See the module docstring; build with :meth:`build`."""

    arrays: WorldArrays
    trace: Trace
    fleets: tuple[Machines, ...]
    options: PlacementOptions
    n_groups: int
    curve_names: tuple[str, ...]

    @classmethod
    def build(
        cls,
        trace: Trace,
        machines: Machines | Sequence[Machines],
        options: PlacementOptions | None = None,
        *,
        typical: Typical | None = None,
        events: MachineEvents | None = None,
        curves: dict[str, PowerCurve] | None = None,
        residents: bool = True,
    ) -> World:
        """Prepare a trace and machines.

        Parameters
        ----------
        trace : Trace
            Validated here.
        machines : Machines or sequence of Machines
            One list, or several that windows choose from.
        options : PlacementOptions, optional
        typical : Typical, optional
            Needed where ``options.fragmentation`` is not ``"none"``.
        events : MachineEvents, optional
            Failures and repairs; rows refer to the machine list.
        curves : dict of str to PowerCurve, optional
            Besides the built-in ones.
        residents : bool
            Keep the list of tasks on each machine. Only failures and lifetime-aware rules
            need it; without it a replay is a little faster.

        Raises
        ------
        TraceError
            A column breaks its rule, or no machine could ever hold any task.
        SpecError
            A power curve is not known, or a needed argument is missing.
        """
        options = options or PlacementOptions()
        fleets = (machines,) if isinstance(machines, Machines) else tuple(machines)
        trace.validate()
        for fleet in fleets:
            fleet.validate()
        known = {**POWER_CURVES, **(curves or {})}
        curve_names = tuple(sorted({name for fleet in fleets for name in fleet.power_curves}))
        for name in curve_names:
            if name not in known:
                raise SpecError(f"unknown power curve {name!r}.{did_you_mean(name, known)}")
        kind, table = curve_arrays([known[name] for name in curve_names])
        models = tuple(dict.fromkeys(name for fleet in fleets for name in fleet.gpu_models))
        models = (*models, UNKNOWN_MODEL)  # a GPU of unknown model serves those who take any
        if len(models) > MAX_GPU_MODELS:
            raise TraceError(f"at most {MAX_GPU_MODELS} GPU models can take part: got {len(models)}.")
        if options.fragmentation != "none" and typical is None:
            raise SpecError(
                f"fragmentation={options.fragmentation!r} needs typical requests. "
                "Pass typical=typical_requests(trace), computed on training data."
            )
        if events is not None and len(events.time_s) and not residents:
            raise SpecError("machine failures need residents=True.")

        fleet_i, fleet_f, fleet_n, fleet_curve = _pack_fleets(fleets, options, models, curve_names)
        task_i, task_f, type_i, n_groups = _pack_tasks(trace, options, models)
        _check_servable(trace, type_i, fleet_i, fleet_n)
        if typical is None:
            typical_i, typical_p = np.empty((0, 5), np.int64), np.empty(0, np.float64)
        else:
            typical_i = np.array(typical.requests, dtype=np.int64).reshape(-1, 5)
            typical_i[:, T_MODELS] = translate_mask(typical_i[:, T_MODELS], typical.gpu_models, models)
            typical_p = np.array(typical.share, dtype=np.float64)
        if events is None:
            events = MachineEvents.none()
        option_i = np.array(
            [
                options.admission == "queue",
                options.queue_order == "strict",
                options.interrupted == "requeue",
                options.empty_machines == "on",
                LIFETIMES.index(options.lifetime),
                ("none", "gpu", "cpu").index(options.fragmentation),
                residents,
            ],
            dtype=np.int64,
        )
        option_f = np.array(
            [options.checkpoint_interval_s, options.unknown_lifetime_s, _calendar_origin(trace)], dtype=np.float64
        )
        arrays = WorldArrays(
            task_i,
            task_f,
            type_i,
            fleet_i,
            fleet_f,
            fleet_n,
            fleet_curve,
            kind,
            table,
            typical_i,
            typical_p,
            np.array(events.time_s, dtype=np.float64),
            np.stack([events.kind, events.machine], axis=1).astype(np.int64),
            option_i,
            option_f,
        )
        for array in arrays:
            array.flags.writeable = False
        return cls(arrays, trace, fleets, options, n_groups, curve_names)

    @property
    def whole(self) -> Window:
        """The window of everything: all tasks, metered from the first arrival to the last event."""
        return Window(0, len(self.trace), name="all")

    def start(self, windows: Sequence[Window], seeds: Sequence[int] | None = None) -> st.State:
        """Open one copy of the state per window, at its beginning.

        Parameters
        ----------
        windows : sequence of Window
        seeds : sequence of int, optional
            Seed of each copy (random policies draw from it); 0 by default.

        Returns
        -------
        State
            ``N = len(windows)``; nothing has happened yet.

        Raises
        ------
        SpecError
            When a window reaches outside the trace or names an unknown fleet.
        """
        seeds = list(seeds) if seeds is not None else [0] * len(windows)
        if len(seeds) != len(windows):
            raise SpecError(f"need one seed a window: got {len(seeds)} seeds for {len(windows)} windows.")
        self.check(windows)
        w = self.arrays
        n_machines = w.fleet_i.shape[2]
        n = len(windows)
        k = max(window.hi - window.lo for window in windows)
        g = max(1, int(w.fleet_i[:, L_GPUS].max())) if w.fleet_i[:, L_GPUS].max() > 0 else 0
        queue = k if (w.option_i[O_QUEUE] or w.event_t.size) else 0
        groups = self.n_groups
        arrays = st.StateArrays(
            counter=np.zeros((n, st.N_COUNT), np.int64),
            clock=np.zeros((n, st.N_CLOCK), np.float64),
            machine_i=np.zeros((n, st.N_MACHINE_I, n_machines), np.int64),
            machine_f=np.zeros((n, st.N_MACHINE_F, n_machines), np.float64),
            gpu=np.full((n, n_machines, g), -1, np.int64),
            kinds=np.zeros((n, n_machines if g else 0, st.N_KINDS), np.int32),
            task_i=np.zeros((n, k, st.N_TASK_I), np.int32),
            task_f=np.zeros((n, k, st.N_TASK_F), np.float64),
            heap_t=np.zeros((n, k), np.float64),
            heap_k=np.zeros((n, k), np.int32),
            queue=np.full((n, queue), -1, np.int32),
            group_link=np.full((n, k if groups else 0, 2), -1, np.int32),
            group_head=np.full((n, groups), -1, np.int32),
        )
        for i, (window, seed) in enumerate(zip(windows, seeds, strict=True)):
            self.open(arrays.copy_view(i), window, int(seed))
        return st.State(arrays)

    def check(self, windows: Sequence[Window]) -> None:
        """Refuse windows that reach outside the trace or name an unknown fleet.

        Raises
        ------
        SpecError
        """
        n_tasks, n_fleets = self.arrays.task_i.shape[0], self.arrays.fleet_i.shape[0]
        for window in windows:
            if not (0 <= window.lo < window.hi <= n_tasks):
                raise SpecError(
                    f"window {window.name or (window.lo, window.hi)} must lie in task rows 0..{n_tasks} and hold at "
                    f"least one task: got {window.lo}..{window.hi}."
                )
            if not 0 <= window.fleet < n_fleets:
                raise SpecError(f"window {window.name!r}: fleet must be in 0..{n_fleets - 1}: got {window.fleet}.")
            if not window.stop_s > window.start_s:
                raise SpecError(f"window {window.name!r}: stop_s must be after start_s: got {window.stop_s}.")

    def open(self, c: st.StateArrays, window: Window, seed: int) -> None:
        """Put one copy, whose arrays are fresh, at the beginning of a window."""
        from rlsched.sim.kernel import open_copy

        w = self.arrays
        times = w.task_f[window.lo : window.hi]
        start = times[0, T_ARRIVE] if math.isinf(window.start_s) else window.start_s
        open_copy(w, c, window.lo, window.hi, start, window.stop_s, window.fleet, seed)
        # Where a task runs from its arrival or never, and nothing interrupts it, all departures
        # are known now: sorted once, they need no heap. (A life of 0 s would leave before it came.)
        if not w.option_i[O_QUEUE] and not w.event_t.size and bool((times[:, T_RUN] > 0).all()):
            end = times[:, T_ARRIVE] + times[:, T_RUN]
            order = np.argsort(end, kind="stable")[: int(np.isfinite(end).sum())]
            c.heap_t[: len(order)] = end[order]
            c.heap_k[: len(order)] = order
            c.counter[st.C_HEAP] = len(order)
            c.counter[st.C_PLANNED] = 1


def translate_mask(mask: I64, names: tuple[str, ...], vocabulary: tuple[str, ...]) -> I64:
    """Bits over ``names`` → bits over ``vocabulary``.

    A model that no machine has keeps no bit; a mask left without bits becomes one that fits
    no machine (the first bit beyond the vocabulary).
    """
    out = np.zeros_like(mask)
    for bit, name in enumerate(names):
        if name in vocabulary:
            out |= ((mask >> bit) & 1) << vocabulary.index(name)
    out[out == 0] = np.int64(1) << len(vocabulary)
    out[mask == ANY_MODEL] = ANY_MODEL
    return out


def _reciprocal(capacity: I64) -> F64:
    out = np.zeros(capacity.shape, np.float64)
    np.divide(1.0, capacity, out=out, where=capacity > 0)
    return out


def _pack_fleets(
    fleets: tuple[Machines, ...],
    options: PlacementOptions,
    models: tuple[str, ...],
    curve_names: tuple[str, ...],
) -> tuple[I64, F64, I64, I64]:
    f, m = len(fleets), max(len(fleet) for fleet in fleets)
    fleet_i = np.zeros((f, 4, m), np.int64)
    fleet_i[:, L_MODEL] = -1
    fleet_f = np.zeros((f, 5, m), np.float64)
    fleet_n = np.zeros((f, 3), np.int64)
    fleet_curve = np.full((f, m), -1, np.int64)
    for i, fleet in enumerate(fleets):
        n = len(fleet)
        fleet_i[i, L_CPU, :n] = np.floor(fleet.cpu_mcore * options.cpu_ratio).astype(np.int64)
        fleet_i[i, L_MEM, :n] = np.floor(fleet.mem_mib * options.mem_ratio).astype(np.int64)
        fleet_i[i, L_GPUS, :n] = fleet.gpu_count
        position = np.array([models.index(name) for name in fleet.gpu_models] or [-1], dtype=np.int64)
        unknown = np.where(fleet.gpu_count > 0, models.index(UNKNOWN_MODEL), -1)
        fleet_i[i, L_MODEL, :n] = np.where(fleet.gpu_model >= 0, position[fleet.gpu_model], unknown)
        fleet_f[i, L_INV_CPU, :n] = _reciprocal(fleet_i[i, L_CPU, :n])
        fleet_f[i, L_INV_MEM, :n] = _reciprocal(fleet_i[i, L_MEM, :n])
        fleet_f[i, L_INV_GPU, :n] = _reciprocal(fleet_i[i, L_GPUS, :n] * 1000)
        fleet_f[i, L_INV_PHYSICAL, :n] = _reciprocal(fleet.cpu_mcore)
        fleet_f[i, L_PRICE, :n] = fleet.price_per_h
        fleet_n[i] = n, fleet_i[i, L_CPU, :n].max(), fleet_i[i, L_GPUS, :n].max() * 1000
        where = np.array([curve_names.index(name) for name in fleet.power_curves] or [-1], dtype=np.int64)
        fleet_curve[i, :n] = np.where(fleet.power_curve >= 0, where[fleet.power_curve], -1)
    return fleet_i, fleet_f, fleet_n, fleet_curve


def _pack_tasks(trace: Trace, options: PlacementOptions, models: tuple[str, ...]) -> tuple[I64, F64, I64, int]:
    import pandas as pd

    k = len(trace)
    mask = trace.gpu_model_mask
    mask = np.where(trace.gpu_count > 0, translate_mask(mask, trace.gpu_models, models), ANY_MODEL)
    parts = (trace.cpu_mcore, trace.mem_mib, trace.gpu_count, trace.gpu_mgpu, mask)
    code = np.zeros(k, np.int64)
    for part in parts:
        inner, names = pd.factorize(part)
        code, _ = pd.factorize(code * max(1, len(names)) + inner)
    _, first = np.unique(code, return_index=True)
    type_i = np.stack([part[first] for part in parts], axis=1).astype(np.int64)
    limited = trace.group_limit > 0
    group = np.full(k, -1, np.int64)
    n_groups = 0
    if limited.any():
        members = np.isin(trace.group, np.unique(trace.group[limited])) & (trace.group >= 0)
        group_code, names = pd.factorize(trace.group[members])
        group[members] = group_code
        n_groups = len(names)
    task_i = np.empty((k, 9), np.int64)
    for column, value in enumerate((*parts, trace.priority, group, trace.group_limit, code)):
        task_i[:, column] = value
    arrive = trace.arrive_s.astype(np.float64)
    run = np.where(trace.depart_s == UNKNOWN, np.inf, trace.depart_s.astype(np.float64) - arrive)
    seen = {"known": np.where(np.isinf(run), np.nan, run), "predicted": trace.expected_s}.get(options.lifetime)
    task_f = np.stack([arrive, run, np.full(k, np.nan) if seen is None else seen], axis=1)
    return task_i, task_f, type_i, n_groups


def _check_servable(trace: Trace, type_i: I64, fleet_i: I64, fleet_n: I64) -> None:
    """Refuse a trace of which no machine could hold a single task."""
    for request in type_i:
        fits = (fleet_i[:, L_CPU] >= request[T_CPU]) & (fleet_i[:, L_MEM] >= request[T_MEM])
        if request[T_GPUS] > 0:
            allowed = (request[T_MODELS] >> np.maximum(fleet_i[:, L_MODEL], 0)) & 1
            fits &= (fleet_i[:, L_GPUS] >= request[T_GPUS]) & (allowed == 1) & (fleet_i[:, L_MODEL] >= 0)
        fits &= np.arange(fleet_i.shape[2])[None, :] < fleet_n[:, L_N, None]
        if fits.any():
            return
    smallest = type_i[np.lexsort((type_i[:, T_MEM], type_i[:, T_CPU], type_i[:, T_GPUS]))[0]]
    raise TraceError(
        f"no machine can hold any task of {trace.source or 'the trace'}: the smallest request is "
        f"{smallest[T_CPU]} mcore, {smallest[T_MEM]} MiB, {smallest[T_GPUS]} GPUs, and the largest machine offers "
        f"{fleet_i[:, L_CPU].max()} mcore, {fleet_i[:, L_MEM].max()} MiB, {fleet_i[:, L_GPUS].max()} GPUs. "
        "Check the units of both files, or give larger machines."
    )


def _calendar_origin(trace: Trace) -> float:
    """Second 0 of the trace in seconds since 1970; NaN where its clock has no calendar."""
    origin = trace.meta.get("time_origin_s")
    return float(origin) if isinstance(origin, int | float) and origin >= CALENDAR_S else math.nan


def describe_reason(counts: Any) -> dict[str, int]:
    """Reasons of rejection by name, from the seven meters of a copy."""
    return {name: int(value) for name, value in zip(st.REASONS, counts, strict=True)}

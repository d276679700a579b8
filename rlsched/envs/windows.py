"""Windows to learn from: many short, varied episodes cut or drawn from a training split.

Evaluation replays fixed windows (``rlsched.evaluate``); learning wants variety, so these are
drawn on clusters of different sizes. Everything follows from one seed.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.problem import PlacementProblem
from rlsched.errors import SpecError
from rlsched.rng import stream
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Typical, Window, World
from rlsched.traces.columns import UNKNOWN, Machines, Trace
from rlsched.units import MGPU_PER_GPU, SECONDS_PER_WEEK


def fill_problem(
    trace: Trace,
    machines: Machines,
    options: PlacementOptions,
    typical: Typical | None,
    *,
    n_windows: int,
    n_machines: tuple[int, int],
    target_pct: float,
    seed: int,
    tilt: float = 0.0,
    **world: Any,
) -> PlacementProblem:
    """Windows that fill a sampled cluster with tasks that stay.

    Parameters
    ----------
    trace : Trace
        Tasks of the training split.
    machines : Machines
        Those that each window's cluster is sampled from, without replacement.
    options, typical
        As ``World.build`` takes them.
    n_windows : int
    n_machines : (int, int)
        Smallest and largest cluster; drawn uniformly, both ends included.
    target_pct : float
        Requests add up to this percentage of the cluster's GPUs (of its CPU without GPUs).
    seed : int
    tilt : float
        Windows differ in their mix of tasks: each draws a number ``t`` uniformly from
        ``-tilt..tilt``, and its tasks, with replacement, with weights ``exp(t z)``; ``z`` is the
        logarithm of a task's CPU request, to mean 0 and standard deviation 1. 0: every task once,
        in random order, before any comes twice.
    **world
        Further arguments of ``World.build``.

    Raises
    ------
    SpecError
        When a cluster is to have more machines than there are, or the tasks ask for nothing.
    """
    _check_clusters(n_machines, len(machines))
    low, high = n_machines
    with_gpu = int(machines.gpu_count.sum()) > 0
    asked = trace.gpu_count * trace.gpu_mgpu if with_gpu else trace.cpu_mcore
    if int(asked.sum()) == 0:
        raise SpecError(f"the training tasks must ask for {'GPUs' if with_gpu else 'CPU'}: none does.")
    heavy = np.log1p(trace.cpu_mcore.astype(np.float64))
    heavy = (heavy - heavy.mean()) / max(float(heavy.std()), 1e-9)  # all alike: no tilt
    fleets, lists, windows, at = [], [], [], 0
    for i in range(n_windows):
        draw = stream(seed, "fill", i)
        rows = np.sort(draw.choice(len(machines), size=int(draw.integers(low, high + 1)), replace=False))
        fleet = machines.take(rows)
        capacity = int(fleet.gpu_count.sum()) * MGPU_PER_GPU if with_gpu else int(fleet.cpu_mcore.sum())
        if capacity == 0:
            raise SpecError(f"training cluster {i} of {len(rows)} machines has no GPU: enlarge machines per window.")
        target = capacity * target_pct / 100.0
        picked = (
            draw_tilted(asked, target, draw, heavy * draw.uniform(-tilt, tilt))
            if tilt
            else draw_tasks(asked, target, draw)
        )
        fleets.append(fleet)
        lists.append(picked)
        windows.append(Window(at, at + len(picked), fleet=i, name=f"fill-{i:03d}"))
        at += len(picked)
    drawn = line_up(trace, np.concatenate(lists))
    return PlacementProblem(World.build(drawn, fleets, options, typical=typical, **world), tuple(windows))


def draw_tasks(asked: npt.NDArray[np.int64], target: float, draw: np.random.Generator) -> npt.NDArray[np.intp]:
    """Rows in random order until they ask for ``target``; drawn again with replacement where they do not suffice."""
    picked = draw.permutation(len(asked))
    total = np.cumsum(asked[picked])
    while total[-1] < target:
        picked = np.concatenate([picked, draw.choice(len(asked), size=len(asked), replace=True)])
        total = np.cumsum(asked[picked])
    return picked[: int(np.searchsorted(total, target)) + 1]


def draw_tilted(
    asked: npt.NDArray[np.int64], target: float, draw: np.random.Generator, log_weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Rows drawn with replacement by weight until they ask for ``target``."""
    weight = np.exp(log_weight - log_weight.max())
    share = weight / weight.sum()
    picked = draw.choice(len(asked), size=len(asked), p=share)
    total = np.cumsum(asked[picked])
    while total[-1] < target:
        picked = np.concatenate([picked, draw.choice(len(asked), size=len(asked), p=share)])
        total = np.cumsum(asked[picked])
    return picked[: int(np.searchsorted(total, target)) + 1]


def line_up(trace: Trace, rows: npt.NDArray[np.intp]) -> Trace:
    """The given tasks one after the other, one a second, without an end."""
    unknown = np.full(len(rows), UNKNOWN, np.int64)
    return dataclasses.replace(
        trace.take(rows),
        task_id=np.array([f"{k}/{trace.task_id[row]}" for k, row in enumerate(rows)], dtype=object),
        arrive_s=np.arange(len(rows), dtype=np.int64),
        depart_s=unknown,
        last_seen_s=unknown,
        expected_s=np.full(len(rows), np.nan),
        meta={key: value for key, value in trace.meta.items() if key != "time_origin_s"},  # the times are no times now
    )


def time_problem(
    trace: Trace,
    machines: Machines,
    options: PlacementOptions,
    typical: Typical | None,
    *,
    length_s: float,
    warmup_s: float,
    until_s: float,
    n_windows: int,
    seed: int,
    n_machines: tuple[int, int] | None = None,
    load: tuple[float, float] = (1.0, 1.0),
    **world: Any,
) -> PlacementProblem:
    """Windows cut out of the trace as it happened, beginning at random moments.

    Parameters
    ----------
    trace : Trace
        Up to the end of the training split.
    machines, options, typical
        As ``World.build`` takes them.
    length_s, warmup_s : float
        Of the metered part, and of the stretch before it that is replayed unmetered.
    until_s : float
        End of the training split: no window reaches beyond it.
    n_windows : int
    seed : int
    n_machines : (int, int), optional
        Smallest and largest cluster. Each window then has machines of its own, sampled without
        replacement, and each of its tasks is kept with the probability that a machine was: the
        load stays what it was, in the mean. All machines and all tasks by default.
    load : (float, float)
        Smallest and largest load of a window, as a multiple of the trace's own: each window draws
        one uniformly, and keeps so many times more of its tasks. Needs ``n_machines``, few enough
        that no task would have to come twice.
    **world
        Further arguments of ``World.build``.

    Raises
    ------
    SpecError
        When the split is shorter than one window, a cluster is to have more machines than there are,
        or the load asks for more tasks than there are.
    """
    first = float(trace.arrive_s[0])
    room = until_s - first - warmup_s - length_s
    if not room >= 0:
        raise SpecError(
            f"a training window needs {warmup_s + length_s:g} s: the training split has {until_s - first:g} s. "
            "Shorten it."
        )
    draw = stream(seed, "time windows")
    begins = [first + float(draw.uniform(0.0, room)) if room > 0 else first for _ in range(n_windows)]
    whole = warmup_s + length_s
    if n_machines is None:
        if load != (1.0, 1.0):
            raise SpecError(
                f"load {list(load)} needs clusters of a sampled size: name cluster = [smallest, largest] too."
            )
        windows = []
        for i, begin in enumerate(begins):
            lo, hi = (int(at) for at in np.searchsorted(trace.arrive_s, [begin, begin + whole], side="left"))
            if lo < hi:
                start = begin + warmup_s
                windows.append(Window(lo, hi, start, start + length_s, 0, f"time-{i:03d}"))
        return PlacementProblem(World.build(trace, machines, options, typical=typical, **world), tuple(windows))
    _check_clusters(n_machines, len(machines))
    if n_machines[1] * load[1] > len(machines):
        raise SpecError(
            f"a cluster of {n_machines[1]} of {len(machines)} machines at {load[1]:g} times the load would need tasks "
            f"twice: at most {len(machines) / load[1]:.0f} machines at that load. Lower cluster or load."
        )
    return _thinned(trace, machines, options, typical, begins, (warmup_s, whole), n_machines, load, seed, world)


def _thinned(
    trace: Trace,
    machines: Machines,
    options: PlacementOptions,
    typical: Typical | None,
    begins: list[float],
    lengths: tuple[float, float],
    n_machines: tuple[int, int],
    load: tuple[float, float],
    seed: int,
    world: dict[str, Any],
) -> PlacementProblem:
    """Time windows on sampled machines: the windows' tasks one after the other, on one long clock."""
    warmup_s, whole = lengths
    fleets: list[Machines] = []
    lists, shifts, windows, at, free = [], [], [], 0, 0.0
    for i, begin in enumerate(begins):
        pick = stream(seed, "thinned", i)
        size = int(pick.integers(n_machines[0], n_machines[1] + 1))
        share = size / len(machines) * (load[0] if load[0] == load[1] else float(pick.uniform(*load)))
        lo, hi = (int(row) for row in np.searchsorted(trace.arrive_s, [begin, begin + whole], side="left"))
        kept = lo + np.flatnonzero(pick.random(hi - lo) < share)
        chosen = np.sort(pick.choice(len(machines), size=size, replace=False))
        if kept.size == 0:
            continue
        # On a common clock, moved by whole weeks: hour and day of the week stay what they were.
        shift = SECONDS_PER_WEEK * math.ceil((free - begin) / SECONDS_PER_WEEK)
        free = begin + shift + whole + 1
        start = begin + shift + warmup_s
        windows.append(Window(at, at + len(kept), start, start + whole - warmup_s, len(fleets), f"time-{i:03d}"))
        fleets.append(machines.take(chosen))
        lists.append(kept)
        shifts.append(np.full(len(kept), shift, np.int64))
        at += len(kept)
    if not windows:
        raise SpecError("no training window holds a task: enlarge the clusters or the windows.")
    drawn = _moved(trace, np.concatenate(lists), np.concatenate(shifts))
    return PlacementProblem(World.build(drawn, fleets, options, typical=typical, **world), tuple(windows))


def _moved(trace: Trace, rows: npt.NDArray[np.intp], shift: npt.NDArray[np.int64]) -> Trace:
    """The given tasks, each moved in time by its shift; ends that are not known stay unknown."""
    taken = trace.take(rows)

    def move(times: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(times == UNKNOWN, times, times + shift)

    return dataclasses.replace(
        taken,
        task_id=np.array([f"{k}/{name}" for k, name in enumerate(taken.task_id)], dtype=object),
        arrive_s=taken.arrive_s + shift,
        depart_s=move(taken.depart_s),
        last_seen_s=move(taken.last_seen_s),
    )


def _check_clusters(n_machines: tuple[int, int], known: int) -> None:
    low, high = n_machines
    if not 1 <= low <= high <= known:
        raise SpecError(f"machines per window must lie in 1..{known}, smallest first: got {low}..{high}.")

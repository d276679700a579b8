"""What is replayed: windows of a split, by time or by filling the machines.

By time, the metered parts of the windows of all splits never overlap; warm-up may reach back
over them. By filling, the splits share no task, so neither do their windows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug, SpecError
from rlsched.evaluate.experiment import SplitsSpec, WindowsSpec
from rlsched.rng import stream
from rlsched.sim.world import Window
from rlsched.traces.columns import UNKNOWN, Machines, Trace
from rlsched.units import MGPU_PER_GPU, format_duration

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Instances:
    """A trace and machine lists, cut into windows.

    Parameters
    ----------
    trace : Trace
        What the windows' rows refer to; for fill windows the drawn tasks, one window after the
        other.
    fleets : tuple of Machines
        What the windows' ``fleet`` refers to.
    windows : tuple of Window
    clock : bool
        False where time is only the order of arrival.
    """

    trace: Trace
    fleets: tuple[Machines, ...]
    windows: tuple[Window, ...]
    clock: bool


def make_instances(
    spec: WindowsSpec,
    splits: SplitsSpec,
    split: SplitName,
    trace: Trace,
    machines: Machines,
    *,
    sample: int | None = None,
    count: int | None = None,
) -> Instances:
    """Cut the windows of one split.

    Parameters
    ----------
    spec, splits, split
        As in the card.
    trace : Trace
        The whole trace, all splits.
    machines : Machines
    sample : int, optional
        Machines drawn for each window; all of them by default.
    count : int, optional
        So many windows, of time windows spread evenly over the split; what ``spec.count`` says by
        default.

    Raises
    ------
    SpecError
        When the split holds no window, no task, or fewer windows or machines than asked for.
    """
    lo, hi = getattr(splits, split)
    if spec.kind == "time":
        windows = time_windows(spec, split, lo, hi, trace)
        if count is not None:
            windows = _spread(windows, count, split)
        drawn, clock = trace, True
    else:
        rows = np.flatnonzero((trace.arrive_s >= lo) & (trace.arrive_s < hi))
        if spec.tasks == "gpu":
            rows = rows[trace.gpu_count[rows] > 0]
        if rows.size == 0:
            what = "GPU tasks" if spec.tasks == "gpu" else "tasks"
            raise SpecError(
                f"the {split} split must hold {what}: none arrives in [{lo:g}, {hi:g}) s of {_source(trace)}. "
                "Correct [splits] in the card."
            )
        windows, drawn, clock = (), trace, False
    n = len(windows) if spec.kind == "time" else (count or spec.count or 0)
    fleets = _fleets(machines, sample, spec.seed, split, n)
    if spec.kind == "fill":
        drawn, windows = fill_windows(spec, split, trace, rows, fleets, n)
    elif sample is not None:
        windows = tuple(dataclasses.replace(one, fleet=i) for i, one in enumerate(windows))
    return Instances(drawn, fleets, windows, clock)


def time_windows(spec: WindowsSpec, split: str, lo: float, hi: float, trace: Trace) -> tuple[Window, ...]:
    """Metered stretches of ``spec.length`` inside ``[lo, hi)``, one after the other.

    A window whose warm-up would begin before the trace does is not one; the first begins as
    soon as the warm-up is whole.

    Returns
    -------
    tuple of Window
        Named ``test-00``, ``test-01``, ...; metered on ``[start_s, stop_s)``.
    """
    if spec.length is None or spec.warmup is None:
        raise OurBug("time windows without length or warm-up passed validation.")
    first = float(trace.arrive_s[0])
    begin = lo if spec.warmup == "all" else max(lo, first + spec.warmup)
    n = int((hi - begin) // spec.length) if hi > begin else 0
    wanted = n if spec.count is None else spec.count
    if n < max(1, wanted):
        raise SpecError(
            f"the {split} split [{lo:g}, {hi:g}) s must hold {max(1, wanted)} windows of "
            f"{format_duration(spec.length)} after a warm-up: it holds {n}. Shorten windows.length or windows.warmup, "
            "or lower windows.count."
        )
    out = []
    for i in range(wanted):
        start = begin + i * spec.length
        stop = start + spec.length
        warm = first if spec.warmup == "all" else start - spec.warmup
        a, metered, b = np.searchsorted(trace.arrive_s, [warm, start, stop], side="left")
        if metered == b:
            raise SpecError(
                f"window {split}-{i:02d} must hold a task: none arrives in [{start:g}, {stop:g}) s of "
                f"{_source(trace)}. Lengthen windows.length."
            )
        out.append(Window(int(a), int(b), start, stop, 0, f"{split}-{i:02d}"))
    for earlier, later in pairwise(out):
        if later.start_s < earlier.stop_s:
            raise OurBug(f"windows {earlier.name} and {later.name} overlap.")
    return tuple(out)


def _spread(windows: tuple[Window, ...], count: int, split: str) -> tuple[Window, ...]:
    if count > len(windows):
        raise SpecError(f"the {split} split holds {len(windows)} windows: {count} were asked for. Lower the number.")
    picked = np.linspace(0, len(windows) - 1, count).round().astype(int)
    return tuple(windows[i] for i in picked)


def fill_windows(
    spec: WindowsSpec, split: str, trace: Trace, rows: npt.NDArray[np.intp], fleets: tuple[Machines, ...], n: int
) -> tuple[Trace, tuple[Window, ...]]:
    """Draw ``n`` lists of tasks that ask for more than the machines have.

    Each list is the split's tasks in random order, followed, where they ask for too little, by
    tasks drawn with replacement; it ends with the task that reaches the target. Task ``i`` of
    a list arrives at second ``i`` and stays.

    Returns
    -------
    (Trace, tuple of Window)
        The lists one after the other; tasks are called ``window/position/id``.
    """
    if spec.target_pct is None:
        raise OurBug("fill windows without target_pct passed validation.")
    with_gpu = any(int(fleet.gpu_count.sum()) for fleet in fleets)
    asked = trace.gpu_count * trace.gpu_mgpu if with_gpu else trace.cpu_mcore
    if int(asked[rows].sum()) == 0:
        raise SpecError(
            f"the tasks of the {split} split must ask for {'GPUs' if with_gpu else 'CPU'} to fill the machines with: "
            f"none of {len(rows)} does. Use time windows, or machines without GPUs."
        )
    lists, windows, at = [], [], 0
    for i in range(n):
        fleet = fleets[i if len(fleets) > 1 else 0]
        capacity = int(fleet.gpu_count.sum()) * MGPU_PER_GPU if with_gpu else int(fleet.cpu_mcore.sum())
        picked = _draw(rows, asked, capacity * spec.target_pct / 100.0, stream(spec.seed, "fill", split, i))
        lists.append(picked)
        name = f"{split}-{i:02d}"
        windows.append(Window(at, at + len(picked), fleet=i if len(fleets) > 1 else 0, name=name))
        at += len(picked)
    return _lined_up(trace, lists, windows), tuple(windows)


def _draw(
    rows: npt.NDArray[np.intp], asked: npt.NDArray[np.int64], target: float, draw: np.random.Generator
) -> npt.NDArray[np.intp]:
    picked = draw.permutation(rows)
    total = np.cumsum(asked[picked])
    while total[-1] < target:
        more = draw.choice(rows, size=len(rows), replace=True)
        picked = np.concatenate([picked, more])
        total = np.cumsum(asked[picked])
    return picked[: int(np.searchsorted(total, target)) + 1]


def _lined_up(trace: Trace, lists: list[npt.NDArray[np.intp]], windows: list[Window]) -> Trace:
    rows = np.concatenate(lists)
    drawn = trace.take(rows)
    ids = [
        f"{window.name}/{k}/{trace.task_id[row]}"
        for window, picked in zip(windows, lists, strict=True)
        for k, row in enumerate(picked)
    ]
    unknown = np.full(len(rows), UNKNOWN, np.int64)
    return dataclasses.replace(
        drawn,
        task_id=np.array(ids, dtype=object),
        arrive_s=np.arange(len(rows), dtype=np.int64),
        depart_s=unknown,
        last_seen_s=unknown,
        expected_s=np.full(len(rows), np.nan),
        meta={key: value for key, value in drawn.meta.items() if key != "time_origin_s"},  # the times are no times now
    )


def _fleets(machines: Machines, sample: int | None, seed: int, split: str, n: int) -> tuple[Machines, ...]:
    if sample is None:
        return (machines,)
    if sample > len(machines):
        raise SpecError(f"machines.sample must be at most the {len(machines)} machines there are: got {sample}.")
    out = []
    for i in range(n):
        rows = stream(seed, "machines", split, i).choice(len(machines), size=sample, replace=False)
        out.append(machines.take(np.sort(rows)))
    return tuple(out)


def train_tasks(splits: SplitsSpec, trace: Trace, *, tasks: Literal["all", "gpu"] = "all") -> Trace:
    """The tasks of the train split: all that typical requests and tuning may see.

    Parameters
    ----------
    splits, trace
    tasks : {"all", "gpu"}
        Only those that take part in the windows.

    Raises
    ------
    SpecError
        When there are none.
    """
    lo, hi = splits.train
    rows = np.flatnonzero((trace.arrive_s >= lo) & (trace.arrive_s < hi) & ((tasks == "all") | (trace.gpu_count > 0)))
    if rows.size == 0:
        raise SpecError(f"the train split must hold tasks: none arrives in [{lo:g}, {hi:g}) s of {_source(trace)}.")
    return trace.take(rows)


def _source(trace: Trace) -> str:
    return str(trace.meta.get("dataset") or trace.source or "the trace")

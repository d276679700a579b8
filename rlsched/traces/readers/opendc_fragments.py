"""OpenDC workload traces (Parquet), the table of fragments: CPU load of the tasks beside it.

A fragment is a stretch of one task with constant load: ``id``, ``duration`` (ms), ``cpu_usage``
(MHz). It has no time stamp: the fragments of a task follow each other from its submission, which
``tasks.parquet`` beside the file has, as it has the capacity (MHz) the share refers to.

**Grid.** A series starts at the submission of its task; a sample is the time-weighted average of
the load over ``step_s`` (the most frequent duration of the file by default), the last one over
what is covered of it. A fragment longer than a step is held, as OpenDC does it; the report counts
them, because in the Bitbrains traces such a fragment bridges a gap of the original (up to 15
days). ``bridge="missing"`` keeps its first step and marks the rest missing.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.traces.columns import F64, I64, Drop, DropReport, Usage
from rlsched.traces.readers.opendc_tasks import read_tasks
from rlsched.traces.readers.parquet_table import parquet_names, read_parquet
from rlsched.traces.readers.source import hash_file, quote
from rlsched.traces.readers.table import Column, check_choice
from rlsched.traces.store import PARQUET_MAGIC
from rlsched.units import MCORE_PER_CORE

_MS = 1000
_SLACK = 105_120  # steps beyond 100 a fragment: more is a broken clock, not a gap


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a Parquet file with the columns of a fragment table."""
    if not head.startswith(PARQUET_MAGIC):
        return False
    names = set(parquet_names(path))
    return {"id", "duration", "cpu_usage"} <= names and "submission_time" not in names


def read(path: Path, *, tasks: str = "auto", step_s: int = 0, bridge: str = "hold", mem_unit: str = "kib") -> Usage:
    """Read ``fragments.parquet`` with the ``tasks.parquet`` beside it.

    Parameters
    ----------
    path : Path
    tasks : str
        The table of tasks; ``"auto"`` takes ``tasks.parquet`` beside the file.
    step_s : int
        Grid; 0 takes the most frequent duration of a fragment, rounded to a second.
    bridge : {"hold", "missing"}
        What a fragment longer than a step means; see the module.
    mem_unit : {"kib", "mib", "bytes"}
        Of ``mem_capacity`` in the table of tasks.

    Returns
    -------
    Usage
        A series a task that has fragments, in the order of the trace; ``start_s`` is on the
        clock of the trace. ``cpu_share`` is of the task's capacity.

    Raises
    ------
    TraceError
        A fragment of no task, or one that breaks a rule.
    MissingDataError
        No table of tasks.
    """
    check_choice("bridge", bridge, ("hold", "missing"))
    fragments = read_parquet(path, (Column("id", "text"), Column("duration"), Column("cpu_usage", "float")))
    fragments.require("duration", fragments["duration"] > 0, "> 0")
    fragments.require("cpu_usage", fragments["cpu_usage"] >= 0, ">= 0")
    task_path = path.parent / "tasks.parquet" if tasks == "auto" else Path(tasks)
    if not task_path.is_file():
        raise MissingDataError(
            f"fragments need the table of their tasks: there is no {task_path}. Copy tasks.parquet there, or name it "
            "with tasks=."
        )
    table, meta = read_tasks(task_path, mem_unit, "error")
    duration = fragments["duration"].astype(np.int64)
    step_ms = _step(duration, step_s) * _MS
    steps = float(duration.astype(np.float64).sum()) / step_ms
    if steps > 100 * duration.size + _SLACK:
        raise TraceError(
            f"durations must be milliseconds of one measurement: {path} spans {steps:,.0f} steps of {step_ms // _MS} s "
            f"with {duration.size:,} fragments. Check the unit of duration, or read with a larger step_s."
        )

    import pandas as pd

    row = pd.Index(table["id"]).get_indexer(pd.Index(fragments["id"]))
    if bool((row < 0).any()):
        strange = int(np.flatnonzero(row < 0)[0])
        raise TraceError(
            f"a fragment must be of a task of {task_path}: got id {quote(fragments['id'][strange])} in "
            f"{fragments.place(strange)}. Name the right table with tasks=."
        )
    order = np.argsort(row, kind="stable")
    share = fragments["cpu_usage"][order] / table["cpu_capacity"][row[order]]
    duration = duration[order]
    owner, first = np.unique(row[order], return_index=True)
    bounds = [*first.tolist(), len(order)]
    series = [_resample(duration[a:b], share[a:b], step_ms, bridge) for a, b in itertools.pairwise(bounds)]
    start = table["ours.arrive_s"][owner]
    drops = [*_drops(table.drops, duration, step_ms, bridge, len(table) - owner.size)]
    broken = int((start != np.floor(start)).sum())
    if broken:
        drops.append(Drop("a task submitted between two seconds", "with start_s rounded down", broken))
    return Usage(
        series_id=table["id"][owner],
        offset=np.concatenate([[0], np.cumsum([one.size for one in series])]),
        start_s=np.floor(start).astype(np.int64),
        step_s=step_ms // _MS,
        cpu_share=np.concatenate(series),
        cpu_mcore=(table["cpu_count"][owner] * MCORE_PER_CORE).astype(np.int64),
        mem_mib=table["ours.mem_mib"][owner],
        source=str(path),
        meta={
            "files": {str(path): hash_file(path), **meta["files"]},
            "time_origin_s": meta["time_origin_s"],
            "memory_unit": meta["memory_unit"],
        },
        report=DropReport(fragments.rows_read, len(fragments), tuple(drops)),
    )


def _step(duration_ms: I64, given: int) -> int:
    if given < 0:
        raise SpecError(f"step_s must be > 0, or 0 for the most frequent duration: got {given}.")
    if given:
        return given
    values, counts = np.unique(np.rint(duration_ms / _MS).astype(np.int64), return_counts=True)
    return max(1, int(values[counts.argmax()]))


def _drops(of_tasks: list[Drop], duration: I64, step_ms: int, bridge: str, without: int) -> list[Drop]:
    out = [Drop(f"in the table of tasks: {drop.rule}", drop.action, drop.count) for drop in of_tasks]
    long = int((duration > 1.5 * step_ms).sum())
    if long:
        what = "held" if bridge == "hold" else "kept for one step, the rest missing"
        out.append(Drop(f"a fragment longer than 1.5 steps of {step_ms // _MS} s", what, long))
    uneven = int((duration % step_ms != 0).sum())
    if uneven:
        out.append(Drop(f"a fragment that is not whole steps of {step_ms // _MS} s", "averaged over time", uneven))
    if without:
        out.append(Drop("a task without fragments", "left without a series", without))
    return out


def _resample(duration_ms: I64, value: F64, step_ms: int, bridge: str) -> F64:
    """Time-weighted average over each step, ``(n,)``; NaN where nothing is known of a step."""
    if bool((duration_ms % step_ms == 0).all()):  # exact, without sums
        steps = duration_ms // step_ms
        out: F64 = np.repeat(value, steps)
        if bridge == "missing":
            out[_later(steps)] = np.nan
        return out
    if bridge == "missing":
        duration_ms, value = _cut(duration_ms, value, step_ms)
    end = np.cumsum(duration_ms)
    edges = np.minimum(np.arange(0, int(end[-1]) + step_ms, step_ms), end[-1])
    known = ~np.isnan(value)
    knots = np.concatenate([[0], end])
    integral = np.concatenate([[0.0], np.cumsum(np.where(known, value, 0.0) * duration_ms)])
    covered = np.concatenate([[0.0], np.cumsum(known * duration_ms.astype(np.float64))])
    weight = np.diff(np.interp(edges, knots, covered))
    out = np.full(weight.size, np.nan)
    np.divide(np.diff(np.interp(edges, knots, integral)), weight, out=out, where=weight > 0)
    return np.maximum(out, 0.0)  # the difference of two sums of shares >= 0 may be -1e-18


def _later(steps: I64) -> npt.NDArray[np.bool_]:
    """True at every step of a fragment but its first."""
    later = np.ones(int(steps.sum()), bool)
    later[np.concatenate([[0], np.cumsum(steps)[:-1]])] = False
    return later


def _cut(duration_ms: I64, value: F64, step_ms: int) -> tuple[I64, F64]:
    """Split fragments longer than 1.5 steps into one step that is known and a rest that is not."""
    long = duration_ms > 1.5 * step_ms
    pieces = np.where(long, 2, 1)
    out = np.repeat(duration_ms, pieces)
    values = np.repeat(value, pieces)
    first = np.cumsum(pieces) - pieces
    out[first[long]] = step_ms
    out[first[long] + 1] = duration_ms[long] - step_ms
    values[first[long] + 1] = np.nan
    return out, values

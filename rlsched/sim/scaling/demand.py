"""Real series → demand of services: groups of VMs, jobs that run, requests that arrive.

Everything missing is bridged here, once, and said so: the report of the Demand counts what was filled.
A simulated service needs a number for every interval.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.rng import stream
from rlsched.traces.columns import F64, UNKNOWN, Demand, Drop, DropReport, Trace, Usage
from rlsched.units import MCORE_PER_CORE, SECONDS_PER_HOUR

#: A gap in a VM's samples up to this long keeps its last value; in a longer one it is off.
HOLD_S = SECONDS_PER_HOUR


def usage_groups(usage: Usage, groups: int, *, seed: int = 0, cores: float = 1.0, hold_s: float = HOLD_S) -> Demand:
    """CPU that groups of VMs use together.

    Parameters
    ----------
    usage : Usage
    groups : int
        The VMs are dealt out at random, so that groups differ by at most one VM.
    seed : int
        Of the dealing.
    cores : float
        Of a VM whose size the source does not say.
    hold_s : float, seconds
        A gap up to this long keeps the last value before it; what is longer, before the first sample
        and after the last counts as no load: the VM is off.

    Returns
    -------
    Demand
        In cores, (groups, T); services ``group-00``, ... ``report`` counts samples held and left at 0.

    Raises
    ------
    SpecError
        When there are fewer VMs than groups, or ``groups < 1``.
    """
    n = len(usage.start_s)
    if not 1 <= groups <= n:
        raise SpecError(f"groups must lie in 1..{n}, the series there are: got {groups}.")
    _whole("the starts of the series", usage.start_s, usage.step_s)
    lengths = np.diff(usage.offset)
    first = int(usage.start_s.min())
    begin = (usage.start_s - first) // usage.step_s
    rate = np.zeros((groups, int((begin + lengths).max())))
    dealt = stream(seed, "groups").permutation(n)
    longest = int(hold_s // usage.step_s)
    held = off = 0
    for place, row in enumerate(dealt.tolist()):
        size = cores if usage.cpu_mcore[row] == UNKNOWN else usage.cpu_mcore[row] / MCORE_PER_CORE
        load, kept, empty = _bridge(usage.series(row), longest)
        held, off = held + kept, off + empty
        at = int(begin[row])
        rate[place % groups, at : at + len(load)] += size * load
    report = _said(usage.report, held, off)
    return Demand(_names("group", groups), first, usage.step_s, rate, "cores", usage.source, dict(usage.meta), report)


def running_jobs(trace: Trace, step_s: int, groups: int = 1, *, seed: int = 0, until_s: float | None = None) -> Demand:
    """CPU of the jobs that run, mean over each interval, as if each ran the moment it arrives.

    Parameters
    ----------
    trace : Trace
        Every job with a known end.
    step_s : int, seconds
    groups : int
        Jobs are dealt out at random.
    seed : int
    until_s : float, seconds, optional
        The last interval ends here at the latest; by default at the last arrival, after which only
        leftovers run.

    Returns
    -------
    Demand
        In cores, (groups, T).

    Raises
    ------
    TraceError
        When a job's end is not known.
    SpecError
        When ``groups`` or ``step_s`` is < 1, or the time is shorter than an interval.
    """
    if groups < 1 or step_s < 1:
        raise SpecError(f"groups and step_s must be >= 1: got {groups} and {step_s}.")
    unknown = np.flatnonzero(trace.depart_s == UNKNOWN)
    if unknown.size:
        raise TraceError(
            f"every job must have a known end to say what runs: task {str(trace.task_id[unknown[0]])!r} of "
            f"{trace.source or 'these columns'} has none (and {unknown.size - 1} more). Drop them first."
        )
    end = float(trace.arrive_s[-1]) if until_s is None else float(until_s)
    steps = int(end // step_s)
    if steps < 1:
        raise SpecError(f"the trace must last an interval of {step_s} s: it lasts {end:g} s. Shorten step_s.")
    group = stream(seed, "groups").integers(0, groups, len(trace.arrive_s))
    cpu = trace.cpu_mcore / MCORE_PER_CORE
    edges = np.arange(steps + 1, dtype=np.float64) * step_s
    rate = np.empty((groups, steps))
    for g in range(groups):
        mine = group == g
        # Work done until each edge: every job contributes its overlap with [0, edge).
        work = _work_until(edges, trace.arrive_s[mine], cpu[mine]) - _work_until(edges, trace.depart_s[mine], cpu[mine])
        rate[g] = np.maximum(np.diff(work), 0.0) / step_s  # rounding may leave -1e-12 where nothing runs
    return Demand(_names("group", groups), 0, step_s, rate, "cores", trace.source, dict(trace.meta), trace.report)


def resampled(demand: Demand, step_s: int, *, hold_s: float = HOLD_S) -> Demand:
    """The same demand on longer intervals, without missing values.

    Parameters
    ----------
    demand : Demand
    step_s : int, seconds
        A multiple of the demand's own. An interval is the mean of what was measured in it; an
        incomplete last one is left out.
    hold_s : float, seconds
        As :func:`usage_groups`.

    Raises
    ------
    SpecError
        When ``step_s`` is no multiple, or longer than everything.
    """
    many = step_s // demand.step_s
    steps = demand.rate.shape[1] // max(many, 1)
    if many < 1 or step_s % demand.step_s or steps < 1:
        raise SpecError(
            f"step_s must be a multiple of the {demand.step_s} s of {demand.source or 'the demand'} and fit into it: "
            f"got {step_s}."
        )
    parts = demand.rate[:, : steps * many].reshape(len(demand.service_id), steps, many)
    known = ~np.isnan(parts)
    count = known.sum(axis=2)
    mean = np.where(count > 0, np.where(known, parts, 0.0).sum(axis=2) / np.maximum(count, 1), np.nan)
    held = off = 0
    rate = np.empty_like(mean)
    for s in range(len(mean)):
        rate[s], kept, empty = _bridge(mean[s], int(hold_s // step_s))
        held, off = held + kept, off + empty
    return dataclasses.replace(demand, step_s=step_s, rate=rate, report=_said(demand.report, held, off))


def _bridge(values: F64, longest: int) -> tuple[F64, int, int]:
    """Gaps up to ``longest`` samples keep the value before them, the rest is 0; how many of each."""
    known = ~np.isnan(values)
    if known.all():
        return values, 0, 0
    place = np.arange(len(values))
    last = np.maximum.accumulate(np.where(known, place, -1))
    following = np.minimum.accumulate(np.where(known, place, len(values) + longest)[::-1])[::-1]
    # The whole gap is judged by its length, so that nothing is held at the head of a long one.
    keep = ~known & (last >= 0) & (following - last - 1 <= longest)
    out = np.where(known, values, np.where(keep, values[np.maximum(last, 0)], 0.0))
    return out, int(keep.sum()), int((~known & ~keep).sum())


def _work_until(edges: F64, times: npt.NDArray[Any], cpu: F64) -> F64:
    """``sum over i of cpu[i] * max(0, edge - times[i])`` for each edge."""
    order = np.argsort(times, kind="stable")
    at, size = times[order].astype(np.float64), cpu[order]
    n = np.searchsorted(at, edges, side="right")
    many = np.concatenate([[0.0], np.cumsum(size)])
    moment = np.concatenate([[0.0], np.cumsum(size * at)])
    out: F64 = edges * many[n] - moment[n]
    return out


def _said(report: DropReport, held: int, off: int) -> DropReport:
    """The report with what was bridged added."""
    drops = [
        Drop("a sample is missing in a short gap", "kept the value before it", held),
        Drop("a sample is missing in a long gap, or at an end", "counted as no load", off),
    ]
    return dataclasses.replace(report, drops=(*report.drops, *(drop for drop in drops if drop.count)))


def _names(word: str, n: int) -> npt.NDArray[Any]:
    width = max(2, len(str(n - 1)))
    return np.array([f"{word}-{i:0{width}d}" for i in range(n)], dtype=object)


def _whole(what: str, values: npt.NDArray[np.int64], step_s: int) -> None:
    off = np.flatnonzero((values - values.min()) % step_s)
    if off.size:
        raise TraceError(f"{what} must lie whole steps of {step_s} s apart: row {off[0]} does not. Resample first.")

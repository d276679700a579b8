"""The part of a trace in which something happens: the clock of a profile."""

from __future__ import annotations

import dataclasses

import numpy as np

from rlsched.traces.columns import F64, UNKNOWN, Trace
from rlsched.traces.synthetic.arrivals import STEP_S
from rlsched.units import SECONDS_PER_DAY

BUSY_SHARE = 0.99  # of the tasks; where they fit into half the time, that part is the clock


def busy_part(trace: Trace, observed_s: float | None = None) -> tuple[F64, float, int]:
    """Times on a profile's clock.

    The clock starts with the trace, unless 99 % of the tasks arrive within less than half of
    its length; then it starts at the day (counted from the trace's start) in which they begin.

    Parameters
    ----------
    trace : Trace
    observed_s : float, optional
        Length of the observation, seconds; up to the last arrival by default.

    Returns
    -------
    when_s : (K,) float64, seconds
        Arrivals on that clock; negative before its start.
    length_s : float
        Seconds it covers.
    outside : int
        Tasks that arrive before or after.
    """
    when = trace.arrive_s.astype(np.float64)
    when = when - when[0] // STEP_S * STEP_S
    total = observed_s if observed_s is not None else (float(when[-1]) // STEP_S + 1) * STEP_S
    tail = (1 - BUSY_SHARE) / 2
    first, last = np.quantile(when, [tail, 1 - tail])
    first = first // SECONDS_PER_DAY * SECONDS_PER_DAY
    last = (last // STEP_S + 1) * STEP_S
    if last - first >= total / 2:
        return when, total, int((when >= total).sum())
    when = when - first
    return when, float(last - first), int(((when < 0) | (when >= last - first)).sum())


def busy_trace(trace: Trace) -> tuple[Trace, float]:
    """The tasks of the busy part, with its clock, and its length in seconds."""
    when, length_s, _ = busy_part(trace)
    rows = np.flatnonzero((when >= 0) & (when < length_s))
    shift = trace.arrive_s[rows[0]] - when[rows[0]]
    return shifted(trace.take(rows), float(shift)), length_s


def shifted(trace: Trace, by_s: float) -> Trace:
    """The same tasks with time 0 moved to ``by_s``; unknown ends stay unknown."""
    moved = {}
    for name in ("depart_s", "last_seen_s"):
        value = getattr(trace, name)
        moved[name] = np.where(value == UNKNOWN, UNKNOWN, value - by_s).astype(value.dtype)
    arrive = (trace.arrive_s - by_s).astype(trace.arrive_s.dtype)
    return dataclasses.replace(trace, arrive_s=arrive, depart_s=moved["depart_s"], last_seen_s=moved["last_seen_s"])

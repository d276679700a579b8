"""Times and values of zones or markets → one `Signal` on a clock that starts at 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import F64, Drop, DropReport, Signal
from rlsched.traces.readers.slots import label_order, merge_reports
from rlsched.traces.readers.times import whole_number, whole_times


@dataclass(frozen=True)
class Piece:
    """Values of one zone from one file.

    Parameters
    ----------
    name : str
        Of the zone or market; pieces of one name are joined.
    time_s : (n,) float64, seconds
    value : (n,) float64
    where : str
        The file, for messages.
    report : DropReport
    """

    name: str
    time_s: F64
    value: F64
    where: str
    report: DropReport


def join(
    pieces: Sequence[Piece], unit: str, source: str, meta: dict[str, Any], *, hold_s: float, last_s: float | None
) -> Signal:
    """Join pieces by name, shift the clock, and mark where a value has held too long.

    Parameters
    ----------
    pieces : sequence of Piece
    unit, source : str
    meta : dict
        Gets ``time_origin_s`` (seconds since 1970 of time 0) and ``hold_s``.
    hold_s : float, seconds
        A value holds at most so long; after that, until the next, nothing is known (NaN).
        Infinite for events, whose value holds until the next one.
    last_s : float, optional
        How long the last value holds; the signal's median step by default.

    Raises
    ------
    TraceError
        Two values of one moment.
    """
    names = sorted({piece.name for piece in pieces}, key=label_order)
    origin = float(min(piece.time_s.min() for piece in pieces))
    times: list[F64] = []
    values: list[F64] = []
    ends: list[float] = []
    late = gaps = 0
    for name in names:
        own = [piece for piece in pieces if piece.name == name]
        time = np.concatenate([piece.time_s for piece in own]) - origin
        value = np.concatenate([piece.value for piece in own])
        order = np.argsort(time, kind="stable")
        if len(own) == 1:
            late += int((time < np.maximum.accumulate(time)).sum())
        time, value = time[order], value[order]
        step = np.diff(time)
        if bool((step == 0).any()):
            moment = whole_number(float(time[:-1][step == 0][0]) + origin)
            raise TraceError(
                f"a moment must have one value: {own[-1].where} (or a file read with it) has two for {name!r} at "
                f"second {moment} since 1970. Keep one."
            )
        long = np.flatnonzero(step > hold_s)
        gaps += long.size
        times.append(np.insert(time, long + 1, time[long] + hold_s))
        values.append(np.insert(value, long + 1, np.nan))
        tail = float(np.median(step)) if last_s is None and step.size else last_s or 3600.0
        ends.append(float(time[-1]) + tail)
    report = merge_reports([piece.report for piece in pieces], len(pieces) > 1)
    drops = list(report.drops)
    if late:
        drops.append(Drop("time before that of an earlier row", "sorted into place", late))
    if gaps:
        drops.append(Drop(f"more than {hold_s:g} s without a value", "added as missing after that", gaps))
    offset = np.concatenate([[0], np.cumsum([one.size for one in times])])
    all_times, end_s = _whole(np.concatenate(times), np.array(ends))
    return Signal(
        signal_id=np.array(names, object),
        offset=offset,
        time_s=all_times,
        value=np.concatenate(values),
        end_s=end_s,
        unit=unit,
        source=source,
        meta={**meta, "time_origin_s": whole_number(origin), **({"hold_s": hold_s} if np.isfinite(hold_s) else {})},
        report=DropReport(report.rows_read, report.rows_kept, tuple(drops)),
    )


def _whole(time: F64, end: F64) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    both = whole_times(time, end)
    return both[0], both[1]

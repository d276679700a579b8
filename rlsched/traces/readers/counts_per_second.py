"""Requests per second on one line: NASA 1995 and the Twitter stream of 2021.

One line of whole numbers with blanks between them; number ``i`` counts the requests of second
``i``. The file says nothing else, so options say what is known of it:

- ``start``: the moment of the first number (ISO 8601), kept in ``meta["time_origin_s"]``;
- ``cut_at, cut_s``: before number ``cut_at`` (from 0), ``cut_s`` seconds were cut out without a
  mark: they come back as missing. NASA's two logs are glued together at 2,381,544, with 296,856
  seconds (3.4 days) between them;
- ``zero_run_missing_s``: a run of at least so many zeros is no demand of zero but a server or a
  collector that was off: missing. NASA's longest (135,851 zeros) is a hurricane, its next 2,732 a
  quiet night; Twitter's of 1,739 zeros at the end of most days are missing files;
- ``step_s``: seconds a step; the rate is the mean over the seconds of the step that are known.

Source: Arlitt, Williamson, "Web Server Workload Characterization", SIGMETRICS 1996 (NASA).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import SpecError, TraceError
from rlsched.traces.advice import option
from rlsched.traces.columns import F64, I64, Demand, Drop, DropReport
from rlsched.traces.readers.source import Source, quote, read_source
from rlsched.traces.readers.times import whole_number

_LONGEST_CUT_S = 366 * 86_400
_HEAD = re.compile(rb"\s*(\d{1,9} +){10,}\d*\s*")
_WRONG = re.compile(rb"[^\d\s]|\d{10,}")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the content begins with one long line of whole numbers."""
    return bool(_HEAD.fullmatch(head.rstrip(b"\r\n")))


def read(
    path: Path,
    *,
    start: str | None = None,
    step_s: int = 1,
    cut_at: int = 0,
    cut_s: int = 0,
    zero_run_missing_s: int = 0,
    service: str = "requests",
) -> Demand:
    """Read one line of counts, plain or gzip.

    Parameters
    ----------
    path : Path
    start : str, optional
        Moment of the first number; not known by default.
    step_s : int
        Seconds a step.
    cut_at, cut_s : int
        Where seconds are cut out of the file, and how many; 0 for nowhere.
    zero_run_missing_s : int
        Shortest run of zeros that is marked missing; 0 for none.
    service : str
        Name of the one row.

    Returns
    -------
    Demand
        In requests/s, from second 0.

    Raises
    ------
    TraceError
        Something that is not a whole number: says which and where.
    SpecError
        An option that cannot be.
    """
    for name, value in (("step_s", step_s - 1), ("cut_at", cut_at), ("cut_s", cut_s), ("zero_run", zero_run_missing_s)):
        if value < 0:
            raise SpecError(f"{name} must not be negative, and step_s at least 1.")
    source = read_source(path)
    counts = _counts(source)
    n = counts.size
    drops: list[Drop] = []
    rate = counts.astype(np.float64)
    if zero_run_missing_s:
        off = _long_runs(counts == 0, zero_run_missing_s)
        rate[off] = np.nan
        if off.any():
            what = f"in a run of at least {zero_run_missing_s} zeros (off, not idle)"
            drops.append(
                Drop(what, "marked missing", int(off.sum()), tuple(int(i) + 1 for i in np.flatnonzero(off)[:5]))
            )
    if cut_s:
        if not 0 < cut_at < n or cut_s > _LONGEST_CUT_S:
            raise SpecError(
                f"cut_at must be in 1..{n - 1} and cut_s at most a year: got {cut_at} and {cut_s} for {path}."
            )
        rate = np.concatenate([rate[:cut_at], np.full(cut_s, np.nan), rate[cut_at:]])
        drops.append(Drop(f"second cut out of the file before number {cut_at}", "added as missing", cut_s))
    meta: dict[str, Any] = {"files": {source.name: source.sha256}}
    if start is not None:
        meta["time_origin_s"] = _moment(start)
    return Demand(
        service_id=np.array([service], object),
        start_s=0,
        step_s=step_s,
        rate=_mean_of_steps(rate, step_s)[None, :],
        unit="requests/s",
        source=source.name,
        meta=meta,
        report=DropReport(n, n, tuple(drops)),
    )


def _counts(source: Source) -> I64:
    wrong = _WRONG.search(source.data)
    if wrong is not None:
        number = len(source.data[: wrong.start()].split()) + (source.data[: wrong.start()][-1:].isspace() or 0)
        token = source.data[wrong.start() : wrong.start() + 20].split()[0].decode("utf-8", "replace")
        raise TraceError(
            f"a count must be a whole number of at most nine digits: got {quote(token)} near number {max(number, 1)} "
            f"of {source.name}. Fix the file, or name another {option('format')}."
        )
    return np.array(source.data.split(), np.int64)


def _long_runs(flag: Any, at_least: int) -> Any:
    """Where a run of True is at least so long, ``(n,)`` bool."""
    edge = np.diff(np.concatenate([[0], flag.astype(np.int8), [0]]))
    begin, end = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    out = np.zeros(flag.size, bool)
    for a, b in zip(begin, end, strict=True):
        out[a:b] = b - a >= at_least
    return out


def _mean_of_steps(rate: F64, step_s: int) -> F64:
    if step_s == 1:
        return rate
    step = np.arange(rate.size) // step_s
    known = ~np.isnan(rate)
    seconds = np.bincount(step[known], minlength=step[-1] + 1)
    total = np.bincount(step[known], rate[known], step[-1] + 1)
    out = np.full(seconds.size, np.nan)
    np.divide(total, seconds, out=out, where=seconds > 0)
    return out


def _moment(text: str) -> int | float:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"start must be an ISO 8601 date and time: got {text!r}.") from None
    return whole_number((stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp())

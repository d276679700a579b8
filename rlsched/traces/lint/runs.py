"""Runs of equal or missing samples in ragged series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import F64, I64

Mask = npt.NDArray[np.bool_]


def runs_of(flag: Mask, offset: I64) -> tuple[I64, I64]:
    """Begin and end (exclusive) of each run of True; a run does not pass from one series to the next.

    Parameters
    ----------
    flag : (n,) bool
    offset : (S + 1,) int64
        Series ``i`` owns ``offset[i]:offset[i+1]``.

    Returns
    -------
    (r,) int64, (r,) int64
    """
    if flag.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    border = np.zeros(flag.size + 1, bool)
    border[offset] = True
    inner = flag[1:] & flag[:-1] & ~border[1:-1]
    begin = flag & ~np.concatenate([[False], inner])
    end = flag & ~np.concatenate([inner, [False]])
    return np.flatnonzero(begin), np.flatnonzero(end) + 1


def series_at(sample: int | I64, offset: I64) -> I64:
    """The series that owns each sample."""
    return np.searchsorted(offset, sample, side="right") - 1


def repeats(value: F64, offset: I64) -> Mask:
    """Where a sample equals the one before it in its series; never where one is missing."""
    out = np.zeros(value.size, bool)
    out[1:] = value[1:] == value[:-1]
    return out & ~series_starts(offset, value.size)


def series_starts(offset: I64, n: int) -> Mask:
    """Where a sample is the first of its series, ``(n,)`` bool."""
    out = np.zeros(n, bool)
    first = offset[:-1]
    out[first[first < n]] = True
    return out


def distinct_share(value: F64, offset: I64) -> F64:
    """Different values over known values of each series, ``(S,)``; NaN for a series without any."""
    series = np.repeat(np.arange(offset.size - 1), np.diff(offset))
    known = ~np.isnan(value)
    value, series = value[known], series[known]
    order = np.lexsort((value, series))
    value, series = value[order], series[order]
    fresh = np.ones(value.size, bool)
    fresh[1:] = (value[1:] != value[:-1]) | (series[1:] != series[:-1])
    n = offset.size - 1
    counts = np.bincount(series, minlength=n)
    out = np.full(n, np.nan)
    np.divide(np.bincount(series[fresh], minlength=n), counts, out=out, where=counts > 0)
    return out

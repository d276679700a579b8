"""Samples at any times → series on a grid, by one stated rule, with counts of what it did.

The rule: a time is floored to the start of its slot, ``step_s * floor(time / step_s)``; the
samples of one slot are averaged (or added up); a slot without a sample is NaN. Blocks of a large
file are added one after the other: what is kept is one cell for each slot that has samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import F64, I64, Drop, DropReport

_COMPACT = 1 << 20  # cells that may wait to be merged
_SPAN = 1 << 40  # slots a series may lie in: key = series * span + slot
_SLACK = 105_120  # slots beyond 100 a sample: a year of 5 minutes; more is a broken clock, not a gap


class Slots:
    """Sums and counts of samples by series and slot.

    Parameters
    ----------
    step_s : int
        Seconds a slot, ``> 0``.
    names : sequence of str
        The measured columns.
    """

    def __init__(self, step_s: int, names: Sequence[str]) -> None:
        if not isinstance(step_s, int) or isinstance(step_s, bool) or step_s <= 0:
            raise SpecError(f"step_s must be a whole number of seconds > 0: got {step_s!r}.")
        self.step_s = step_s
        self.names = tuple(names)
        self.rows = 0
        self.no_time: Any = None
        self.code: dict[Any, int] = {}
        self._waiting: list[tuple[I64, I64, dict[str, F64], dict[str, I64]]] = []

    def add(self, series: npt.NDArray[Any], time_s: npt.NDArray[Any], values: Mapping[str, F64]) -> None:
        """Add samples.

        Parameters
        ----------
        series : (n,) object or int64
            Label of the series of each sample.
        time_s : (n,) int64 or float64, seconds
        values : mapping of str to (n,) float64
            A column a name; NaN values do not count.
        """
        import pandas as pd

        if len(series) == 0:
            return
        code, labels = pd.factorize(series)
        known = np.array([self.code.setdefault(label, len(self.code)) for label in labels.tolist()], np.int64)
        slot = np.floor_divide(time_s, self.step_s)
        if bool((np.abs(slot) >= _SPAN // 2).any()):
            self.no_time = time_s[int(np.abs(slot).argmax())]  # refused where the file's name is known
            return
        slot = slot.astype(np.int64)
        key, cell = np.unique(known[code] * _SPAN + slot + _SPAN // 2, return_inverse=True)
        n = key.size
        total: dict[str, F64] = {}
        count: dict[str, I64] = {}
        for name in self.names:
            value = np.asarray(values[name], np.float64)
            given = ~np.isnan(value)
            total[name] = np.bincount(cell[given], value[given], n).astype(np.float64)
            count[name] = np.bincount(cell[given], minlength=n).astype(np.int64)
        self.rows += len(series)
        self._waiting.append((key, np.bincount(cell, minlength=n).astype(np.int64), total, count))
        if len(self._waiting) > 1 and sum(one[0].size for one in self._waiting[1:]) > _COMPACT:
            self._compact()

    def _compact(self) -> None:
        if len(self._waiting) < 2:
            return
        key, cell = np.unique(np.concatenate([one[0] for one in self._waiting]), return_inverse=True)
        n = key.size

        def added(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
            return np.bincount(cell, np.concatenate(parts), n)

        rows = added([one[1] for one in self._waiting]).astype(np.int64)
        total = {name: added([one[2][name] for one in self._waiting]) for name in self.names}
        count = {name: added([one[3][name] for one in self._waiting]).astype(np.int64) for name in self.names}
        self._waiting = [(key, rows, total, count)]

    def ragged(self, where: str) -> Series:
        """Averages, each series on its own stretch from its first slot to its last.

        Parameters
        ----------
        where : str
            The file, for messages.

        Returns
        -------
        Series
            In order of the labels: numbers before names, numbers by value.

        Raises
        ------
        TraceError
            No sample at all, or a clock that cannot be right.
        """
        key, _, total, count = self._cells(where)
        series, slot = key // _SPAN, key % _SPAN - _SPAN // 2
        labels = list(self.code)
        order = sorted(range(len(labels)), key=lambda code: label_order(labels[code]))
        first = np.searchsorted(series, np.arange(len(labels)), side="left")
        last = np.searchsorted(series, np.arange(len(labels)), side="right") - 1
        start, length = slot[first], slot[last] - slot[first] + 1
        self._check_clock(int(length.max()), int((last - first + 1).max()), where)
        offset = np.zeros(len(labels) + 1, np.int64)
        offset[1:] = np.cumsum(length[order])
        begin = np.empty(len(labels), np.int64)
        begin[order] = offset[:-1]
        target = begin[series] + slot - start[series]
        values: dict[str, F64] = {}
        for name in self.names:
            mean = np.full(key.size, np.nan)
            np.divide(total[name], count[name], out=mean, where=count[name] > 0)
            values[name] = np.full(int(offset[-1]), np.nan)
            values[name][target] = mean
        ids = np.empty(len(labels), object)
        ids[:] = [labels[code] for code in order]
        if all(isinstance(label, int) for label in labels):
            ids = ids.astype(np.int64)
        return Series(ids, offset, start[order] * self.step_s, values, self.rows - key.size, int(offset[-1]) - key.size)

    def dense(self, where: str, *, add_up: bool = False, empty: float = np.nan) -> Dense:
        """All series on one grid, from the first slot of any to the last of any.

        Parameters
        ----------
        where : str
            The file, for messages.
        add_up : bool
            Sums of the slots instead of averages.
        empty : float
            Value of a slot without a sample: NaN, or 0 where no event means none.

        Raises
        ------
        TraceError
            No sample at all, or a clock that cannot be right.
        """
        key, rows, total, count = self._cells(where)
        series, slot = key // _SPAN, key % _SPAN - _SPAN // 2
        labels = list(self.code)
        order = sorted(range(len(labels)), key=lambda code: label_order(labels[code]))
        rank = np.empty(len(labels), np.int64)
        rank[order] = np.arange(len(labels))
        start = int(slot.min())
        steps = int(slot.max()) - start + 1
        self._check_clock(steps, key.size, where)
        values: dict[str, F64] = {}
        for name in self.names:
            cell = total[name].copy()
            if not add_up:
                np.divide(cell, count[name], out=cell, where=count[name] > 0)
            cell[count[name] == 0] = np.nan
            values[name] = np.full((len(labels), steps), empty)
            values[name][rank[series], slot - start] = cell
        n_rows = np.zeros((len(labels), steps), np.int64)
        n_rows[rank[series], slot - start] = rows
        ids = np.empty(len(labels), object)
        ids[:] = [labels[code] for code in order]
        if all(isinstance(label, int) for label in labels):
            ids = ids.astype(np.int64)
        gaps = len(labels) * steps - key.size
        return Dense(ids, start * self.step_s, values, n_rows, self.rows - key.size, gaps)

    def _cells(self, where: str) -> tuple[I64, I64, dict[str, F64], dict[str, I64]]:
        if self.no_time is not None:
            raise TraceError(
                f"a time must be seconds: got {self.no_time} in {where}, which is no time. Check the column's unit."
            )
        self._compact()
        if not self._waiting:
            raise TraceError(f"a trace must have at least one good row: {where} has none. See the rows' faults.")
        return self._waiting[0]

    def _check_clock(self, slots: int, samples: int, where: str) -> None:
        if slots > 100 * samples + _SLACK:
            raise TraceError(
                f"times must be of one measurement: {where} spans {slots:,} slots of {self.step_s} s with "
                f"{samples:,} samples. Check the unit of the time column."
            )


@dataclass(frozen=True)
class Series:
    """Ragged result: what a `Usage` needs, and what the rule did.

    Parameters
    ----------
    ids : (S,) object or int64
    offset : (S + 1,) int64
    start_s : (S,) int64, seconds
    values : dict of str to (n,) float64
    merged : int
        Samples that shared a slot with an earlier one.
    gaps : int
        Slots without a sample.
    """

    ids: npt.NDArray[Any]
    offset: I64
    start_s: I64
    values: dict[str, F64]
    merged: int
    gaps: int


@dataclass(frozen=True)
class Dense:
    """Result on one grid: what a `Demand` needs, and what the rule did.

    Parameters
    ----------
    ids : (S,) object or int64
    start_s : int
        Seconds.
    values : dict of str to (S, T) float64
    rows : (S, T) int64
        Samples in each slot.
    merged, gaps : int
        As `Series`.
    """

    ids: npt.NDArray[Any]
    start_s: int
    values: dict[str, F64]
    rows: I64
    merged: int
    gaps: int


def label_order(label: Any) -> tuple[int, int, str]:
    """Numbers before names, numbers by value."""
    text = str(label)
    return (0, int(text), text) if text.isdecimal() and text.isascii() else (1, 0, text)


def gridded(
    report: DropReport, step_s: int, merged: int, gaps: int, done: str = "averaged into it", gap: str = "missing"
) -> DropReport:
    """Add to an account what the grid did: rows merged into the slot of another, slots left empty."""
    drops = list(report.drops)
    if merged:
        drops.append(Drop(f"in the {step_s} s slot of another row", f"merged: {done}", merged))
    if gaps:
        drops.append(Drop(f"{step_s} s slot without a row", f"added as {gap}", gaps))
    return DropReport(report.rows_read, report.rows_kept - merged, tuple(drops))


def outside_missing(grid: Dense, rate: F64, report: DropReport) -> tuple[F64, DropReport]:
    """Mark what lies before a series' first sample and after its last as missing, and count it.

    For binned events: between two events an empty slot means none; outside nothing was recorded.
    """
    seen = grid.rows > 0
    before = np.cumsum(seen, axis=1) == 0
    after = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1] == 0
    outside = before | after
    if not outside.any():
        return rate, report
    drop = Drop("step before the first or after the last row of a series", "marked missing", int(outside.sum()))
    return np.where(outside, np.nan, rate), DropReport(report.rows_read, report.rows_kept, (*report.drops, drop))


def merge_reports(reports: Sequence[DropReport], several: bool) -> DropReport:
    """Add accounts of many files or blocks.

    Row numbers are left out where ``several`` files count their own; the blocks of one file keep
    the first of them.
    """
    counts: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], tuple[int, ...]] = {}
    for report in reports:
        for drop in report.drops:
            key = (drop.rule, drop.action)
            counts[key] = counts.get(key, 0) + drop.count
            first.setdefault(key, () if several else drop.rows)
    return DropReport(
        sum(report.rows_read for report in reports),
        sum(report.rows_kept for report in reports),
        tuple(Drop(rule, action, count, first[rule, action]) for (rule, action), count in counts.items()),
    )

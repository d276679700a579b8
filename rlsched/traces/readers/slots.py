"""Samples at any times → series on a grid, by one stated rule, with counts of what it did.

The rule: a time is floored to the start of its slot, ``step_s * floor(time / step_s)``; the
samples of one slot are averaged (or added up); a slot without a sample is NaN. Blocks of a large
file are added one after the other: what is kept is pages of slots, so that the memory is that of
the result and not of the file, whatever the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import F64, I64, Drop, DropReport
from rlsched.traces.readers.table import FIRST_ROWS

_SPAN = 1 << 40  # slots a series may lie in
_PAGE = 64  # slots a page; a stretch of a series wastes less than two of them
# Pages that are allocated together: 32 MiB a column, from where on the C library gives memory back at once.
_SLAB = 1 << 16
_AT_ONCE = 1 << 12  # pages that are turned into results together
_SLACK = 105_120  # slots beyond 100 a sample: a year of 5 minutes; more is a broken clock, not a gap


class _Slab:
    """Sums and counts of pages that were allocated together; cell ``page * _PAGE + slot``."""

    def __init__(self, names: Sequence[str]) -> None:
        size = _SLAB * _PAGE
        self.rows = np.zeros(size, np.uint32)
        self.total: dict[str, F64] = {name: np.zeros(size) for name in names}
        self.missing: dict[str, npt.NDArray[np.uint32]] = {}  # of names that some row lacks

    def add(self, cell: I64, values: Mapping[str, F64]) -> None:
        """Add rows to their cells, in the order of the rows."""
        np.add.at(self.rows, cell, np.uint32(1))
        for name, total in self.total.items():
            given = ~np.isnan(values[name])
            if given.all():
                np.add.at(total, cell, values[name])
                continue
            np.add.at(total, cell[given], values[name][given])
            missing = self.missing.setdefault(name, np.zeros(self.rows.size, np.uint32))
            np.add.at(missing, cell[~given], np.uint32(1))

    def take(self, name: str, cell: npt.NDArray[np.intp], *, add_up: bool) -> F64:
        """Averages or sums of cells that have rows; NaN where every row lacks the value."""
        count = self.rows[cell]
        if name in self.missing:
            count = count - self.missing[name][cell]
        out = self.total[name][cell]
        if not add_up:
            np.divide(out, count, out=out, where=count > 0)
        out[count == 0] = np.nan
        return out


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
        self._page: dict[int, int] = {}  # series * (_SPAN // _PAGE) + page of the series -> page as stored
        self._slabs: list[_Slab] = []

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
        shifted = slot.astype(np.int64) + _SPAN // 2
        code, keys = pd.factorize(known[code] * (_SPAN // _PAGE) + shifted // _PAGE)
        page = np.array([self._page.setdefault(key, len(self._page)) for key in keys.tolist()], np.int64)[code]
        while len(self._slabs) * _SLAB < len(self._page):
            self._slabs.append(_Slab(self.names))
        cell = page % _SLAB * _PAGE + shifted % _PAGE
        own = {name: np.asarray(values[name], np.float64) for name in self.names}
        slab = page // _SLAB
        for number in np.unique(slab):
            here = slab == number
            if here.all():
                self._slabs[number].add(cell, own)
            else:
                self._slabs[number].add(cell[here], {name: value[here] for name, value in own.items()})
        self.rows += len(series)

    def ragged(self, where: str) -> Series:
        """Averages, each series on its own stretch from its first slot to its last; to be asked once.

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
        series, page = self._pages(where)
        labels, order = self._labels()
        begin, start, length, cells = self._stretches(series, page)
        self._check_clock(int(length.max()), int(cells.max()), where)
        offset = np.zeros(len(labels) + 1, np.int64)
        offset[1:] = np.cumsum(length[order])
        begin[order] = offset[:-1]
        # Where the first slot of each page lies; of a series' first page it may lie before the series.
        target = begin[series] + page * _PAGE - start[series]
        values = {name: self._filled(name, np.full(int(offset[-1]), np.nan), target) for name in self.names}
        filled = int(cells.sum())
        merged, gaps = self.rows - filled, int(offset[-1]) - filled
        return Series(self._ids(labels, order), offset, start[order] * self.step_s, values, merged, gaps)

    def dense(self, where: str, *, add_up: bool = False, empty: float = np.nan) -> Dense:
        """All series on one grid, from the first slot of any to the last of any; to be asked once.

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
        series, page = self._pages(where)
        labels, order = self._labels()
        rank = np.empty(len(labels), np.int64)
        rank[order] = np.arange(len(labels))
        _, begins, length, cells = self._stretches(series, page)
        start = int(begins.min())
        steps = int((begins + length).max()) - start
        filled = int(cells.sum())
        self._check_clock(steps, filled, where)
        target = rank[series] * steps + page * _PAGE - start
        shape = (len(labels), steps)
        n_rows = np.zeros(len(labels) * steps, np.int64)
        for slab, cell, at in self._cells(target):
            n_rows[at] = slab.rows[cell]
        values = {
            name: self._filled(name, np.full(len(labels) * steps, empty), target, add_up=add_up).reshape(shape)
            for name in self.names
        }
        ids = self._ids(labels, order)
        gaps = len(labels) * steps - filled
        return Dense(ids, start * self.step_s, values, n_rows.reshape(shape), self.rows - filled, gaps)

    def _pages(self, where: str) -> tuple[I64, I64]:
        """Series and first slot / _PAGE of each page as stored."""
        if self.no_time is not None:
            raise TraceError(
                f"a time must be seconds: got {self.no_time} in {where}, which is no time. Check the column's unit."
            )
        if not self._page:
            raise TraceError(f"a trace must have at least one good row: {where} has none. See the rows' faults.")
        key = np.fromiter(self._page, np.int64, len(self._page))
        return key // (_SPAN // _PAGE), key % (_SPAN // _PAGE) - _SPAN // 2 // _PAGE

    def _stretches(self, series: I64, page: I64) -> tuple[I64, I64, I64, I64]:
        """Of each series: room for its place, its first slot, its slots from first to last, its cells with rows."""
        first = np.empty(series.size, np.int64)  # of each page
        last, cells = first.copy(), first.copy()
        for number, slab in enumerate(self._slabs):
            own = slice(number * _SLAB, min((number + 1) * _SLAB, series.size))
            there = slab.rows[: (own.stop - own.start) * _PAGE].reshape(-1, _PAGE) > 0
            first[own] = there.argmax(axis=1)
            last[own] = _PAGE - 1 - there[:, ::-1].argmax(axis=1)
            cells[own] = there.sum(axis=1)
        n = len(self.code)
        start, end, many = np.full(n, _SPAN), np.full(n, -_SPAN), np.zeros(n, np.int64)
        np.minimum.at(start, series, page * _PAGE + first)
        np.maximum.at(end, series, page * _PAGE + last)
        np.add.at(many, series, cells)
        return np.empty(n, np.int64), start, end - start + 1, many

    def _cells(self, target: I64) -> Iterator[tuple[_Slab, npt.NDArray[np.intp], I64]]:
        """The cells that have rows, some pages at a time, their slab, and where they go."""
        for number, slab in enumerate(self._slabs):
            pages = min(len(self._page) - number * _SLAB, _SLAB)
            for first in range(0, pages, _AT_ONCE):
                some = slab.rows[first * _PAGE : min(first + _AT_ONCE, pages) * _PAGE]
                cell = np.flatnonzero(some) + first * _PAGE
                yield slab, cell, target[number * _SLAB + cell // _PAGE] + cell % _PAGE

    def _filled(self, name: str, out: F64, target: I64, *, add_up: bool = False) -> F64:
        """Write a column to where it goes; its sums are let go, so that there is never a third copy."""
        before: _Slab | None = None
        for slab, cell, at in self._cells(target):
            if before is not None and before is not slab:
                del before.total[name]
            out[at] = slab.take(name, cell, add_up=add_up)
            before = slab
        assert before is not None  # there is a page
        del before.total[name]
        return out

    def _labels(self) -> tuple[list[Any], list[int]]:
        labels = list(self.code)
        return labels, sorted(range(len(labels)), key=lambda code: label_order(labels[code]))

    def _ids(self, labels: list[Any], order: list[int]) -> npt.NDArray[Any]:
        ids = np.empty(len(labels), object)
        ids[:] = [labels[code] for code in order]
        return ids.astype(np.int64) if all(isinstance(label, int) for label in labels) else ids

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
            first[key] = () if several else (*first.get(key, ()), *drop.rows)[:FIRST_ROWS]
    return DropReport(
        sum(report.rows_read for report in reports),
        sum(report.rows_kept for report in reports),
        tuple(Drop(rule, action, count, first[rule, action]) for (rule, action), count in counts.items()),
    )

"""Measured load of tasks over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.nouns.base import (
    ABSENT,
    F64,
    I64,
    UNKNOWN,
    ColumnsBase,
    DropReport,
    check_unique,
    column,
)


@dataclass(frozen=True, eq=False)
class Usage(ColumnsBase):
    """Measured load of tasks over time, ragged: series ``i`` owns ``offset[i]:offset[i+1]``.

    Parameters
    ----------
    series_id : (S,) object of str, or int64
        The task or machine measured, unique.
    offset : (S + 1,) int64
        Ascending from 0 to the number of samples.
    start_s : (S,) int64, seconds
        Time of the first sample of each series.
    step_s : int
        Seconds between samples, ``> 0``, the same for all.
    cpu_share, mem_share : (n,) float64
        Share of the request, 0..1 or more when bursting; NaN where missing, never 0 for missing.
        ``mem_share`` is all NaN where memory was not measured.
    extra : dict of str to (n,) float64
        Other measured columns by unit-suffixed name (``net_in_kib_s``, ``gpu_share``, ...).
    cpu_mcore, mem_mib : (S,) int64
        The request the shares refer to; -1 where the source does not say.
    """

    series_id: npt.NDArray[Any]
    offset: I64
    start_s: I64
    step_s: int
    cpu_share: F64
    mem_share: F64 = ABSENT
    extra: dict[str, F64] = field(default_factory=dict)
    cpu_mcore: I64 = ABSENT
    mem_mib: I64 = ABSENT
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = ("series_id", "start_s", "cpu_mcore", "mem_mib")
    SAMPLE_COLUMNS: ClassVar[tuple[str, ...]] = ("cpu_share", "mem_share")

    def __post_init__(self) -> None:
        ids = np.asarray(self.series_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        s = ids.shape[0]
        put = object.__setattr__
        put(self, "series_id", column("series_id", ids, None, s))
        put(self, "offset", column("offset", self.offset, np.int64, s + 1))
        put(self, "start_s", column("start_s", self.start_s, np.int64, s))
        n = int(self.offset[-1]) if self.offset.size else 0
        put(self, "cpu_share", column("cpu_share", self.cpu_share, np.float64, n))
        mem = np.full(n, np.nan) if self.mem_share is None else self.mem_share
        put(self, "mem_share", column("mem_share", mem, np.float64, n))
        put(self, "extra", {k: column(k, v, np.float64, n) for k, v in self.extra.items()})
        for name in ("cpu_mcore", "mem_mib"):
            value = getattr(self, name)
            value = np.full(s, UNKNOWN, np.int64) if value is None else value
            put(self, name, column(name, value, np.int64, s))

    def validate(self) -> Usage:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            As :meth:`Trace.validate`.
        """
        where = self.source or "these columns"
        if len(self) == 0:
            raise TraceError(f"usage must have at least one series: {where} has none.")
        if self.step_s <= 0:
            raise TraceError(f"step_s must be > 0: got {self.step_s} in {where}.")
        if self.offset[0] != 0 or bool((np.diff(self.offset) < 0).any()):
            raise TraceError(f"offset must ascend from 0 in {where}. Build it with np.cumsum of the lengths.")
        for name in (*self.SAMPLE_COLUMNS, *self.extra):
            value = self.extra[name] if name in self.extra else getattr(self, name)
            bad = np.flatnonzero(np.isinf(value) | (value < 0))
            if bad.size:
                series = int(np.searchsorted(self.offset, bad[0], side="right") - 1)
                raise TraceError(
                    f"{name} must be >= 0 and finite, or NaN for missing: got {value[bad[0]]} in sample "
                    f"{bad[0] - self.offset[series]} of series {str(self.series_id[series])!r} of {where} "
                    f"(and {bad.size - 1} more). Fix the sample or mark it missing."
                )
        check_unique(self.series_id, "series_id", self.source)
        return self

    def series(self, row: int, column: str = "cpu_share") -> F64:
        """The samples of one series, ``(n,)`` float64."""
        value = self.extra[column] if column in self.extra else getattr(self, column)
        out: F64 = value[self.offset[row] : self.offset[row + 1]]
        return out

"""What the outside world does over time: carbon intensity, prices, spot availability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.nouns.base import F64, I64, ColumnsBase, DropReport, check_unique, column


@dataclass(frozen=True, eq=False)
class Signal(ColumnsBase):
    """Values that hold until the next one, ragged: signal ``i`` owns ``offset[i]:offset[i+1]``.

    A carbon intensity by the hour, an electricity price, a spot price that changes at any second
    and a number of available instances are all of this kind. Unlike a `Demand`, a value may be
    negative, and no grid is needed.

    Parameters
    ----------
    signal_id : (S,) object of str, or int64
        The zone or market, unique.
    offset : (S + 1,) int64
        Ascending from 0 to the number of values; every signal has at least one.
    time_s : (n,) int64 or float64, seconds
        When a value begins to hold, strictly ascending within a signal.
    value : (n,) float64
        In ``unit``; may be negative. NaN from a moment on which nothing is known.
    end_s : (S,) same dtype as ``time_s``, seconds
        When the last value ceases to hold, later than its ``time_s``.
    unit : str
        ``"g/kWh"``, ``"USD/MWh"``, ``"USD/h"``, ``"instances"``, ...
    """

    signal_id: npt.NDArray[Any]
    offset: I64
    time_s: npt.NDArray[Any]
    value: F64
    end_s: npt.NDArray[Any]
    unit: str
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = ("signal_id", "end_s")
    SAMPLE_COLUMNS: ClassVar[tuple[str, ...]] = ("time_s", "value")

    def __post_init__(self) -> None:
        ids = np.asarray(self.signal_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        s = ids.shape[0]
        put = object.__setattr__
        put(self, "signal_id", column("signal_id", ids, None, s))
        put(self, "offset", column("offset", self.offset, np.int64, s + 1))
        n = int(self.offset[-1]) if self.offset.size else 0
        both = np.result_type(np.asarray(self.time_s), np.asarray(self.end_s))
        time_type: type = np.int64 if both.kind in "iu" else np.float64
        put(self, "time_s", column("time_s", self.time_s, time_type, n))
        put(self, "value", column("value", self.value, np.float64, n))
        put(self, "end_s", column("end_s", self.end_s, time_type, s))

    def validate(self) -> Signal:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            As :meth:`Trace.validate`.
        """
        where = self.source or "these columns"
        if len(self) == 0:
            raise TraceError(f"a signal list must have at least one signal: {where} has none.")
        if self.offset[0] != 0 or bool((np.diff(self.offset) < 1).any()):
            raise TraceError(
                f"offset must ascend from 0 by at least 1 in {where}. Build it with np.cumsum of the lengths, and "
                "leave out signals without values."
            )
        self._check_times(where)
        bad = np.flatnonzero(np.isinf(self.value))
        if bad.size:
            raise TraceError(
                f"value must be finite, or NaN for missing: got {self.value[bad[0]]} in {self._where(int(bad[0]))} "
                f"of {where} (and {bad.size - 1} more). Fix the value or mark it missing."
            )
        last = self.time_s[self.offset[1:] - 1]
        self._fail("end_s", "later than the last time_s", np.flatnonzero(~(self.end_s > last)), "Fix the end.")
        check_unique(self.signal_id, "signal_id", self.source)
        return self

    def series(self, row: int) -> tuple[npt.NDArray[Any], F64]:
        """The times and values of one signal, ``(n,)`` each."""
        own = slice(self.offset[row], self.offset[row + 1])
        return self.time_s[own], self.value[own]

    def at(self, row: int, time_s: npt.NDArray[Any]) -> F64:
        """The value of a signal that holds at each time.

        Parameters
        ----------
        row : int
        time_s : (n,) int64 or float64, seconds

        Returns
        -------
        (n,) float64
            NaN before the first value, from ``end_s`` on, and where the value is missing.
        """
        times, values = self.series(row)
        at = np.searchsorted(times, time_s, side="right") - 1
        inside = (at >= 0) & (np.asarray(time_s) < self.end_s[row])
        return np.where(inside, values[np.maximum(at, 0)], np.nan)

    def _where(self, sample: int) -> str:
        row = int(np.searchsorted(self.offset, sample, side="right") - 1)
        return f"value {sample - self.offset[row]} of signal {str(self.signal_id[row])!r}"

    def _check_times(self, where: str) -> None:
        bad = np.flatnonzero(~np.isfinite(self.time_s))
        rule = "finite"
        if bad.size == 0:
            first = np.zeros(self.time_s.size, bool)
            first[self.offset[:-1]] = True
            late = np.concatenate([[False], np.diff(self.time_s) <= 0])
            bad, rule = np.flatnonzero(late & ~first), "strictly ascending within a signal"
        if bad.size:
            raise TraceError(
                f"time_s must be {rule}: got {self.time_s[bad[0]]} in {self._where(int(bad[0]))} of {where} "
                f"(and {bad.size - 1} more). Sort the values and merge those of one time."
            )

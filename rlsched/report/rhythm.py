"""Time as a picture shows it: bins of a round width, hours of the day, days of the week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.units import CALENDAR_S, SECONDS_PER_DAY, SECONDS_PER_HOUR, format_duration

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_WIDTHS = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 7 * 86_400)
_BINS = 300  # at most, in a picture 3.9 inches wide
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_THURSDAY = 3  # 1970-01-01


@dataclass(frozen=True)
class Clock:
    """What second 0 of a trace was.

    Parameters
    ----------
    origin_s : float
        Seconds since 1970 where the source tells; otherwise 0, and hours count from the trace's own 0.
    known : bool
    """

    origin_s: float
    known: bool

    @classmethod
    def of(cls, meta: dict[str, Any]) -> Clock:
        """The clock of columns, from their ``meta["time_origin_s"]``."""
        origin = meta.get("time_origin_s")
        known = isinstance(origin, int | float) and origin >= CALENDAR_S
        return cls(float(origin) if known and origin is not None else 0.0, known)

    def hour(self, time_s: npt.NDArray[Any]) -> I64:
        """Hour of the day, 0..23."""
        return ((np.asarray(time_s) + self.origin_s) % SECONDS_PER_DAY // SECONDS_PER_HOUR).astype(np.int64)

    def weekday(self, time_s: npt.NDArray[Any]) -> I64:
        """Day of the week, 0 = Monday; where the calendar is not known, the day since 0 modulo 7."""
        day = (np.asarray(time_s) + self.origin_s) // SECONDS_PER_DAY
        return ((day + (_THURSDAY if self.known else 0)) % 7).astype(np.int64)

    @property
    def hours(self) -> str:
        """Label of an axis of hours."""
        return "hour of the day, as the source's clock" if self.known else "hour since the trace began, modulo 24"

    @property
    def days(self) -> str:
        """Label of an axis of days."""
        return "day of the week" if self.known else "day since the trace began, modulo 7"

    @property
    def day_names(self) -> Sequence[str]:
        """Labels of the seven days."""
        return WEEKDAYS if self.known else tuple(map(str, range(7)))


def width_for(span_s: float, step_s: float = 1.0) -> float:
    """Width of a bin, seconds: the smallest round one, or multiple of ``step_s``, that makes few bins."""
    wanted = max(span_s / _BINS, step_s)
    width = next((float(one) for one in _WIDTHS if one >= wanted), float(np.ceil(wanted / 604_800) * 604_800))
    return width if step_s <= 1 else float(np.ceil(width / step_s) * step_s)


def unit_for(span_s: float) -> tuple[float, str]:
    """Seconds and name of the unit that a time axis of this length is told in."""
    for size, name in ((SECONDS_PER_DAY, "days"), (SECONDS_PER_HOUR, "hours"), (60, "minutes")):
        if span_s >= 3 * size:
            return float(size), name
    return 1.0, "seconds"


@dataclass(frozen=True)
class Counts:
    """Events in bins of equal width that were seen whole.

    Parameters
    ----------
    begin_s : (B,) float64
    per_hour : (B,) float64
    width_s : float
    """

    begin_s: F64
    per_hour: F64
    width_s: float

    @property
    def width(self) -> str:
        """The width as text."""
        return format_duration(self.width_s)


def counts(time_s: npt.NDArray[Any], width_s: float, first_s: float, last_s: float, phase_s: float = 0.0) -> Counts:
    """Count events; bins begin at multiples of the width after ``phase_s``.

    Bins that reach over ``first_s`` or ``last_s`` are left out unless there is no other.
    """
    lowest = np.floor((first_s + phase_s) / width_s)
    number = ((np.asarray(time_s, np.float64) + phase_s) // width_s - lowest).astype(np.int64)
    size = int((last_s + phase_s) // width_s - lowest) + 1
    many = np.bincount(number, minlength=size)[:size]
    begin = (lowest + np.arange(size)) * width_s - phase_s
    whole = (begin >= first_s) & (begin + width_s <= last_s)
    if not whole.any():
        whole[:] = True
    return Counts(begin[whole], many[whole] * (SECONDS_PER_HOUR / width_s), width_s)


@dataclass(frozen=True)
class Spread:
    """Mean and 10 % and 90 % quantiles (linear) of values that fall into slots; NaN in an empty slot."""

    mean: F64
    low: F64
    high: F64


def by_slot(slot: I64, value: F64, n_slots: int) -> Spread:
    """Mean and spread of values by slot; missing values do not count."""
    mean, low, high = (np.full(n_slots, np.nan) for _ in range(3))
    there = ~np.isnan(value)
    slot, value = slot[there], value[there]
    order = np.argsort(slot, kind="stable")
    slot, value = slot[order], value[order]
    bounds = np.searchsorted(slot, np.arange(n_slots + 1))
    for i in range(n_slots):
        own = value[bounds[i] : bounds[i + 1]]
        if own.size:
            mean[i] = own.mean()
            low[i], high[i] = np.quantile(own, (0.1, 0.9))
    return Spread(mean, low, high)

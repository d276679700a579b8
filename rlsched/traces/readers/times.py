"""Times of a file → seconds on the clock of a trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import MAX_QUANTITY


def whole_times(*times: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """The given times as int64 where every one of them is whole and at most 2**53, otherwise as float64."""
    if all(bool(((np.asarray(time) == np.rint(time)) & (np.abs(time) <= MAX_QUANTITY)).all()) for time in times):
        return tuple(np.asarray(time).astype(np.int64) for time in times)
    return tuple(np.asarray(time, np.float64) for time in times)


def whole_number(value: float) -> int | float:
    """An int where the value is whole, for provenance."""
    return int(value) if value == int(value) else float(value)

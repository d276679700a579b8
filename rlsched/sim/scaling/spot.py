"""Spot prices and availability from signals, on the grid of a world."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand, Signal

F64 = npt.NDArray[np.float64]


def on_grid(signal: Signal, row: int, demand: Demand, shift_s: float = 0.0) -> F64:
    """The value that holds at the beginning of each interval of a demand, (T,) float64.

    Parameters
    ----------
    signal : Signal
        Spot prices in USD/h, or instances available.
    row : int
        Market.
    demand : Demand
        Whose intervals are meant.
    shift_s : float, seconds
        Added to the demand's clock: two traces rarely begin on the same day.

    Raises
    ------
    TraceError
        When nothing is known at some interval.
    """
    times = demand.start_s + shift_s + demand.step_s * np.arange(demand.rate.shape[1])
    values = signal.at(row, times)
    unknown = np.flatnonzero(np.isnan(values))
    if unknown.size:
        known, _ = signal.series(row)
        raise TraceError(
            f"signal {str(signal.signal_id[row])!r} must be known in every interval: it is not at "
            f"{times[unknown[0]]:g} s (and {unknown.size - 1} more). It holds from {known[0]:g} to "
            f"{signal.end_s[row]:g} s: set shift_s, or cut the demand."
        )
    return values

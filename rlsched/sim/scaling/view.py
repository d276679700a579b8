"""``View``: what a rule sees of one service when it decides; nothing of the coming interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class View(NamedTuple):
    """Everything measured up to the end of the last interval.

    A rule is a function ``rule(view, params, memory) -> wanted``: how many instances there should
    be, booting ones included, as float64. The simulator rounds up to a whole number and holds the
    answer within ``min_instances..max_instances``, counting in ``held`` how often it had to.
    """

    history: npt.NDArray[np.float64]  # (t,) demand of every interval so far, units; the last is history[-1]
    forecast: npt.NDArray[np.float32]  # (H, Q) units, made before the coming interval; (0, 0) without forecasts
    horizons: npt.NDArray[np.int64]  # (H,) intervals ahead; 0: the coming one
    quantiles: npt.NDArray[np.float64]  # (Q,)
    booting: npt.NDArray[np.int64]  # (B,) instances that begin to serve 1, 2, ... intervals after the coming one
    t: int  # number of the coming interval in the series; len(history)
    step: int  # the same, counted from the beginning of the window
    time_s: int  # its beginning, seconds on the trace's clock: time of day and of week follow
    step_s: float  # seconds
    capacity: float  # units that one instance of the chosen type serves
    boot_steps: int  # intervals from an order to the first work served
    ready: int  # instances that serve in the coming interval
    n_booting: int  # instances ordered that do not yet
    backlog: float  # work waiting, units times intervals
    served: float  # units, last interval
    lost: float  # units, last interval
    utilisation: float  # served / capacity of the last interval, 0 where there was none
    wait_s: float  # mean waiting time of the last interval, seconds
    price: float  # USD for an instance for an interval on demand
    spot_price: float  # the same on the spot market, in the last interval; NaN without one
    unmet_usd: float  # USD for a unit lost over an interval
    late_usd: float  # USD for a unit that waits over an interval
    start_usd: float  # USD for an order
    min_instances: int
    max_instances: int

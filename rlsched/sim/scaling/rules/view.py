"""What a scaling rule sees at a decision, and what it keeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Numbers a rule may keep between decisions, a copy and service; zeroed at reset.
MEMORY = 256
#: Numbers a rule can be tuned with; a rule reads the first few.
PARAMS = 16


class View(NamedTuple):
    """One service at the decision of interval ``now``; nothing in it was measured later than ``now - 1``.

    Parameters
    ----------
    demand : (T,) float64, units/s
        ``demand[first:now]`` is measured; NaN where the measurement is missing. Entries from ``now``
        on are the future: a rule may not read them, and a test scrambles them.
    first, now : int
        Interval indices. The first decision of a window may already have a history.
    step_s : float
        Length of an interval.
    capacity : float, units/s
        Of one instance at full utilisation.
    boot_steps : int
        An order at this decision is ready for interval ``now + boot_steps``.
    ready : float
        Instances that serve in interval ``now`` if nothing is stopped.
    booting : (B,) float64
        ``booting[i]`` instances become ready for interval ``now + i``; ``booting[0]`` is 0, and so is
        everything from ``boot_steps`` on.
    backlog : float, units
        Work that waits.
    utilisation : float
        Mean of the ready instances in interval ``now - 1``, 0..1; NaN where there was none.
    time_s : float
        Start of interval ``now`` on the trace's clock.
    forecast : (H, Q) float32, units/s
        ``forecast[h, q]`` speaks of interval ``now + horizons[h]``, made from measurements before
        ``now``; H = 0 where there is no forecast, NaN where it does not know.
    horizons : (H,) int64
    quantiles : (Q,) float64
    price, spot_price : float, USD/h
        Of one instance now; NaN where there is no spot market.
    unmet_usd : float
        Penalty of one unit of work that is not served.
    start_usd : float
        Of one start.
    lowest, highest : float
        Instances there must and may be.
    """

    demand: F64
    first: int
    now: int
    step_s: float
    capacity: float
    boot_steps: int
    ready: float
    booting: F64
    backlog: float
    utilisation: float
    time_s: float
    forecast: F32
    horizons: I64
    quantiles: F64
    price: float
    spot_price: float
    unmet_usd: float
    start_usd: float
    lowest: float
    highest: float

"""``band``: hold while the number of instances lies in a band around the forecast.

``L = f + k_low sigma``, ``U = L + k_width sigma``, both over capacity: order up to L, go down to U,
else hold. A start costs, and a forecast errs, so a count that is nearly right should stay. f is the
level of an exponentially weighted mean, or the median of the forecast table with ``use_table`` 1; sigma
as in :mod:`ewma`; what waits is asked for on top.

Source: the two-sided form of the (s, S) inventory rule (Scarf, in Mathematical Methods in the Social
Sciences, 1960), which is optimal for known distributions with a start cost; the form around a
forecast is ours.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, M_POINT, M_SIGMA, committed, inner, look_ahead
from rlsched.sim.scaling.view import View


@inner
def band(view: View, params: F64, memory: F64) -> float:
    """alpha, beta, k_low, k_width, use_table."""
    look_ahead(view, memory, params[0], params[1], params[4] > 0.5)
    low = memory[M_POINT] + params[2] * memory[M_SIGMA] + view.backlog
    high = low + params[3] * memory[M_SIGMA]
    current = committed(view)
    least = math.ceil(round(low / view.capacity, 9))
    most = max(least, math.ceil(round(high / view.capacity, 9)))
    return float(min(max(current, least), most))

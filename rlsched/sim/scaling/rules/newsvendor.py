"""``newsvendor``: capacity at the quantile of the forecast where one more instance just pays.

One more instance costs its price for an interval; without it, ``capacity`` units are not served where demand
is higher. So the quantile is ``1 - price / penalty``, both for an interval; ``shift`` moves it in log-odds, because
instances stay longer than an interval and forecasts are not exact (0: as the formula says). Where the forecast
does not know, the newest demand stands in.

Source: Arrow, Harris, Marschak, Econometrica 19(3), 1951, as taught as the newsvendor problem.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, foreseen, inner, newest
from rlsched.sim.scaling.view import View


@inner
def newsvendor(view: View, params: F64, memory: F64) -> float:
    """shift."""
    penalty = view.unmet_usd * view.capacity
    share = 1.0 - view.price / penalty if penalty > view.price else 0.01
    share = min(max(share, 0.01), 0.999)
    odds = math.log(share / (1.0 - share)) + params[0]
    told = foreseen(view, 1.0 / (1.0 + math.exp(-odds)))
    if math.isnan(told):
        told = newest(view)
    return (told + view.backlog) / view.capacity

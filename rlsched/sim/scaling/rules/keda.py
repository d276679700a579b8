"""``keda``: instances in proportion to an external metric, here demand and what waits.

``ceil((newest demand + backlog / drain time) / (target * capacity))``, handed to the HPA's behaviour: no
change within a tolerance of 0.1, and down only to the largest answer of the last ``down_window_s``
(three hours at most, at five minutes).
Unlike utilisation, the metric is not capped when the service is overloaded.

Source: KEDA documentation, scaling deployments (v2.16): a trigger's ``AverageValue`` target feeds an HPA, whose
defaults hold; the stabilisation window down is 300 s.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, OWN, committed, inner, newest
from rlsched.sim.scaling.view import View

SEEN = OWN
PAST = OWN + 1
KEPT = 36
TOLERANCE = 0.1


@inner
def keda(view: View, params: F64, memory: F64) -> float:
    """target, drain_s, down_window_s."""
    current = committed(view)
    metric = newest(view) + view.backlog * view.step_s / params[1]
    desired = metric / (params[0] * view.capacity)
    raw = current if current > 0.0 and abs(desired / current - 1.0) <= TOLERANCE else math.ceil(round(desired, 9))
    number = int(memory[SEEN])
    memory[SEEN] += 1.0
    memory[PAST + number % KEPT] = raw
    highest = raw
    for i in range(1, min(int(params[2] // view.step_s), number, KEPT - 1) + 1):
        highest = max(highest, memory[PAST + (number - i) % KEPT])
    return raw if raw >= current else min(current, highest)

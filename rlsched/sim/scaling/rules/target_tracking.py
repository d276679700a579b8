"""``target_tracking``: keep utilisation at a target, quick up and reluctant down.

``ceil(capacity in use / target)`` at once when the utilisation passes the target; down only after it
has stayed below ``low_share`` of the target for ``low_steps`` intervals, and ``cooldown_s`` after
the last change.
At least one instance stays: at none, utilisation would never ask for one.

Source: AWS Application Auto Scaling user guide, target tracking: the high alarm needs 3 minutes
above the target (one interval of five here), the low alarm 15 minutes (3 intervals) at least 10 %
below it; scale-in waits for the cooldown of 300 s, scale-out does not wait for scale-in.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, OWN, committed, inner
from rlsched.sim.scaling.view import View

LOW = OWN  # intervals in a row below
CHANGED = OWN + 1  # time of the last change, plus 1


@inner
def target_tracking(view: View, params: F64, memory: F64) -> float:
    """target, low_share, low_steps, cooldown_s."""
    current = committed(view)
    if view.step == 0 or view.ready == 0:
        return max(current, 1.0)
    target = params[0]
    low = view.utilisation < target * params[1]
    memory[LOW] = memory[LOW] + 1.0 if low else 0.0
    desired = math.ceil(round(view.served / (view.capacity * target), 9))
    if view.utilisation > target and desired > current:
        memory[CHANGED] = view.time_s + 1.0
        return float(max(desired, 1.0))
    waited = memory[CHANGED] == 0.0 or view.time_s + 1.0 - memory[CHANGED] >= params[3]
    if memory[LOW] >= params[2] and waited and desired < current:
        memory[CHANGED] = view.time_s + 1.0
        memory[LOW] = 0.0
        return float(max(desired, 1.0))
    return current

"""``step_scaling``: add or remove a percentage by how far utilisation has left its band.

Above ``high`` by less than ``width``: ``small`` percent more, at least one; beyond that ``large`` percent.
Below ``low``: ``small`` percent fewer, at least one, ``cooldown_s`` after the last change. New instances are
not asked for again while they boot: the percentage is of all that are committed, and counts from what is ready
(the warm-up of the source).
At least one instance stays: at none, utilisation would never ask for one.

Source: AWS EC2 Auto Scaling user guide, step and simple scaling policies, with its example: +10 % from
60 to 70 % of CPU, +30 % beyond, -10 % from 40 down to 30 %, -30 % beyond.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, OWN, committed, inner
from rlsched.sim.scaling.view import View

CHANGED = OWN  # time of the last change, plus 1


@inner
def step_scaling(view: View, params: F64, memory: F64) -> float:
    """low, high, width, small_percent, large_percent, cooldown_s."""
    current = committed(view)
    if view.step == 0 or view.ready == 0:
        return max(current, 1.0)
    # Of those that serve now: what has just begun to serve is not in the last interval's mean.
    load = view.served / (view.capacity * view.ready)
    if load > params[1]:
        percent = params[3] if load <= params[1] + params[2] else params[4]
        wanted = view.ready + max(1.0, math.floor(view.ready * percent / 100.0))
        if wanted > current:
            memory[CHANGED] = view.time_s + 1.0
        return float(max(current, wanted))
    waited = memory[CHANGED] == 0.0 or view.time_s + 1.0 - memory[CHANGED] >= params[5]
    if load < params[0] and waited:
        percent = params[3] if load >= params[0] - params[2] else params[4]
        memory[CHANGED] = view.time_s + 1.0
        return float(max(1.0, current - max(1.0, math.floor(current * percent / 100.0))))
    return current

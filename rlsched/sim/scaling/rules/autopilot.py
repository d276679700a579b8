"""``autopilot``: a high percentile of the recent past with older samples fading, plus a margin.

A histogram of demand whose weights halve every ``half_life_s``; its ``percentile`` (upper end of the bucket), times
``1 + margin``. Upwards at once; downwards at most ``down_share`` of what is committed a decision, the slow decay of
the source.

Source: Rzadca et al., Autopilot: workload autoscaling at Google, EuroSys 2020, sections 3.2.1 (moving window
recommenders: exponentially decaying samples, percentile, safety margin) and 3.4 (horizontal: percentile of
the load, deferred and slow downscaling). The buckets are ours: a ratio of 1.08 from a quarter of an instance.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, LONGEST, OWN, committed, inner
from rlsched.sim.scaling.view import View

NEXT = OWN
COUNT = OWN + 1
BUCKETS = 86
RATIO = 1.08
SMALLEST = 0.25  # upper end of the first bucket, instances


@inner
def autopilot(view: View, params: F64, memory: F64) -> float:
    """percentile, half_life_s, margin, down_share."""
    if memory[NEXT] == 0.0:
        memory[NEXT] = max(0, view.t - LONGEST) + 1.0
    fade = 0.5 ** (view.step_s / params[1])
    for t in range(int(memory[NEXT]) - 1, view.t):
        for b in range(BUCKETS):
            memory[COUNT + b] *= fade
        memory[COUNT + _bucket(view.history[t] / view.capacity)] += 1.0
    memory[NEXT] = view.t + 1.0
    current = committed(view)
    total = 0.0
    for b in range(BUCKETS):
        total += memory[COUNT + b]
    if total == 0.0:
        return current
    below = 0.0
    b = 0
    while b < BUCKETS - 1:
        below += memory[COUNT + b]
        if below >= params[0] * total:
            break
        b += 1
    wanted = math.ceil(round(SMALLEST * RATIO**b * (1.0 + params[2]), 9))
    return float(max(wanted, current - max(1.0, math.floor(current * params[3]))))


@inner
def _bucket(instances: float) -> int:
    if instances <= SMALLEST:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(instances / SMALLEST) / math.log(RATIO) - 1e-9))

"""``reactive_max``: the largest demand of the last ``window_s`` with headroom, plus what waits.

``ceil(max demand * (1 + headroom) / capacity)``: the usual home-made autoscaler, and hard to beat on bursts.
Work that waits is asked for on top, spread over an interval.

Source: no single one; the "max" baseline of many autoscaling comparisons, e.g. Gandhi et al., AutoScale, ACM TOCS
30(4), 2012, section 4 ("Reactive with extra capacity").
"""

from __future__ import annotations

from rlsched.sim.scaling.rules.memory import F64, committed, inner
from rlsched.sim.scaling.view import View


@inner
def reactive_max(view: View, params: F64, memory: F64) -> float:
    """window_s, headroom."""
    steps = max(1, round(params[0] / view.step_s))
    if view.t == 0:
        return committed(view)
    top = view.history[view.t - 1]
    for t in range(max(0, view.t - steps), view.t - 1):
        top = max(top, view.history[t])
    return float((top * (1.0 + params[1]) + view.backlog) / view.capacity)

"""``static``: always the same number of instances.

What a reservation or a fixed auto-scaling group does; the number is tuned on training data, so it is
the price of not scaling at all.
"""

from __future__ import annotations

from rlsched.sim.scaling.rules.memory import F64, inner
from rlsched.sim.scaling.view import View


@inner
def static(view: View, params: F64, memory: F64) -> float:
    """``params[0]`` instances, whatever happens."""
    return float(params[0])

"""``ewma``: an exponentially weighted mean plus ``k`` standard deviations of its own error.

``(level + k sigma) / capacity``; sigma is the root of the exponentially weighted squared error of the level told
``boot_steps`` before. The seasoned operator's rule in two numbers.

Source: Roberts, Technometrics 1(3), 1959 (the mean); as provisioning rule ours, after what `rlsched` measured.
"""

from __future__ import annotations

from rlsched.sim.scaling.rules.memory import F64, M_POINT, M_SIGMA, inner, look_ahead
from rlsched.sim.scaling.view import View


@inner
def ewma(view: View, params: F64, memory: F64) -> float:
    """alpha, beta, k."""
    look_ahead(view, memory, params[0], params[1], False)
    return float((memory[M_POINT] + params[2] * memory[M_SIGMA] + view.backlog) / view.capacity)

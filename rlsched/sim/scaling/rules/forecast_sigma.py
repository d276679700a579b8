"""``forecast_sigma``: the forecast table's median plus ``k`` standard deviations of its error.

``(f + k sigma) / capacity`` with f the largest median of the intervals until an order is ready, and
sigma the root of the exponentially weighted squared error it has made so far. On a linear
autoregression's table this is "AR + k sigma". Without a table it falls back on the level of :mod:`ewma`.
"""

from __future__ import annotations

from rlsched.sim.scaling.rules.memory import F64, M_POINT, M_SIGMA, inner, look_ahead
from rlsched.sim.scaling.view import View


@inner
def forecast_sigma(view: View, params: F64, memory: F64) -> float:
    """alpha, beta, k."""
    look_ahead(view, memory, params[0], params[1], True)
    return float((memory[M_POINT] + params[2] * memory[M_SIGMA] + view.backlog) / view.capacity)

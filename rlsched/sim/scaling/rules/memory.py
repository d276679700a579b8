"""Where rules keep numbers between decisions, and the forecast several of them share.

Slots 0 to 39 belong to :func:`look_ahead`; a rule's own begin at :data:`OWN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling.view import View

F64 = npt.NDArray[np.float64]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def inner(function: FunctionT) -> FunctionT:
    """Compile a function that only compiled code calls; typed as what it was."""
    compiled: FunctionT = bare_njit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return compiled


M_NEXT = 0  # the interval whose measurement is consumed next, plus 1; 0 before the first decision
M_LEVEL = 1  # exponentially weighted mean of demand
M_VARIANCE = 2  # exponentially weighted mean of squared errors of the forecast
M_ERRORS = 3  # errors seen
M_POINT = 4  # the last forecast
M_SIGMA = 5
M_RING = 8  # forecasts issued for the next RING intervals, by interval modulo RING
RING = 32
OWN = 40
#: Of the history before a window, so many intervals are taken in: a week of five minutes.
LONGEST = 2016
#: Until so many errors are seen, the spread is a share of the level.
FEW_ERRORS = 3
#: That share: a guess that matters in the first quarter of an hour only.
FIRST_SPREAD = 0.25


@inner
def committed(view: View) -> float:
    """Instances that serve or will serve: ready and booting."""
    return float(view.ready + view.n_booting)


@inner
def newest(view: View) -> float:
    """The newest measured demand, units; 0 where nothing was measured yet."""
    return view.history[view.t - 1] if view.t > 0 else 0.0


@inner
def quantile_at(view: View, h: int, share: float) -> float:
    """The forecast of row ``h`` at a quantile, straight lines between those there are.

    Outside the outermost quantiles the outermost is taken.
    """
    n = view.quantiles.size
    if share <= view.quantiles[0]:
        return float(view.forecast[h, 0])
    for q in range(1, n):
        if share <= view.quantiles[q]:
            part = (share - view.quantiles[q - 1]) / (view.quantiles[q] - view.quantiles[q - 1])
            return float(view.forecast[h, q - 1] + part * (view.forecast[h, q] - view.forecast[h, q - 1]))
    return float(view.forecast[h, n - 1])


@inner
def foreseen(view: View, share: float) -> float:
    """The largest forecast at a quantile among the intervals from the coming one until an order is ready.

    NaN where there is no forecast, or none for these intervals.
    """
    top = math.nan
    for h in range(view.horizons.size):
        if view.horizons[h] <= view.boot_steps:
            value = quantile_at(view, h, share)
            if not value <= top:  # also where top is NaN
                top = value
    return top


@inner
def look_ahead(view: View, memory: F64, alpha: float, beta: float, use_table: bool) -> None:
    """Bring level, forecast and spread up to date; the result is in ``M_POINT`` and ``M_SIGMA``.

    The forecast is the level, or the median of the forecast table where ``use_table`` and it
    knows. The spread is the root of the exponentially weighted squared error of the forecast
    made ``boot_steps`` before the interval it spoke of.

    Parameters
    ----------
    alpha, beta : float
        Weight of the newest measurement in the level, and of the newest squared error, in (0, 1].
    """
    lead = min(view.boot_steps, RING - 1)
    if memory[M_NEXT] == 0.0:
        memory[M_NEXT] = max(0, view.t - LONGEST) + 1.0
        memory[M_LEVEL] = math.nan
        for i in range(RING):
            memory[M_RING + i] = math.nan
    for t in range(int(memory[M_NEXT]) - 1, view.t):
        sample = view.history[t]
        told = memory[M_RING + t % RING]
        memory[M_RING + t % RING] = math.nan
        if not math.isnan(told):
            error = sample - told
            memory[M_ERRORS] += 1.0
            weight = max(beta, 1.0 / memory[M_ERRORS])
            memory[M_VARIANCE] += weight * (error * error - memory[M_VARIANCE])
        if math.isnan(memory[M_LEVEL]):
            memory[M_LEVEL] = sample
        else:
            memory[M_LEVEL] += alpha * (sample - memory[M_LEVEL])
        # What the level says now about the interval `lead` after the coming one.
        memory[M_RING + (t + 1 + lead) % RING] = memory[M_LEVEL]
    memory[M_NEXT] = view.t + 1.0
    level = memory[M_LEVEL]
    if math.isnan(level):
        level = 0.0
    point = level
    if use_table:
        told = foreseen(view, 0.5)
        if not math.isnan(told):
            point = told
            memory[M_RING + (view.t + lead) % RING] = told
    memory[M_POINT] = point
    memory[M_SIGMA] = FIRST_SPREAD * level if memory[M_ERRORS] < FEW_ERRORS else np.sqrt(memory[M_VARIANCE])

"""``mpc``: plan the next intervals on the forecast quantiles, do the first step, plan again.

A dynamic programme over the number of ready instances at the table's horizons. An interval costs the
instances' price, and the penalty of demand above their capacity, averaged over the forecast's
quantiles, each for its share of probability; each start costs ``start_weight`` times its price and its
boot time. Orders made now are ready ``boot_steps`` later, so the plan begins there; ``penalty_weight``
scales the penalty. Where there is no forecast, the newest demand decides alone.

Counts planned with lie between what is committed, or the smallest forecast, and the largest forecast, in
steps that make at most :data:`GRID` of them; going beyond the largest forecast never pays in the plan.

Source: receding-horizon provisioning as in Roy, Dubey, Gokhale, Efficient Autoscaling in the Cloud
using Predictive Models for Workload Forecasting, IEEE CLOUD 2011; the stochastic one-dimensional
programme is ours.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, OWN, committed, inner, newest
from rlsched.sim.scaling.view import View

GRID = 42
COST = OWN  # cost to go, by count
NEXT = OWN + GRID + 1


@inner
def mpc(view: View, params: F64, memory: F64) -> float:
    """start_weight, penalty_weight."""
    rows = view.horizons.size
    first = 0
    while first < rows and view.horizons[first] < view.boot_steps:
        first += 1
    # Told quantiles never descend, so the ends of the rows are the ends of everything.
    low, high = math.inf, -math.inf
    for h in range(first, rows):
        low = min(low, view.forecast[h, 0])
        high = max(high, view.forecast[h, view.quantiles.size - 1])
    if not low <= high:  # no rows, or all NaN
        return newest(view) / view.capacity
    current = committed(view)
    least = min(math.floor(low / view.capacity), int(current))
    unit = max(1, math.ceil((math.ceil(high / view.capacity) - least) / GRID))
    counts = min(GRID, math.ceil((math.ceil(high / view.capacity) - least) / unit))
    penalty = params[1] * view.unmet_usd
    start = params[0] * (view.start_usd + view.boot_steps * view.price)
    for n in range(counts + 1):
        memory[COST + n] = 0.0
    for h in range(rows - 1, first - 1, -1):
        # A row stands for the intervals until the next row.
        span = view.horizons[h + 1] - view.horizons[h] if h + 1 < rows else 1
        for n in range(counts + 1):
            here = least + n * unit
            stay = here * view.price + penalty * _unmet(view, h, here * view.capacity)
            memory[NEXT + n] = memory[COST + n] + span * stay
        # Cheapest way into this row from each count: stops are free, starts are not.
        best = math.inf
        for n in range(counts + 1):
            best = min(best, memory[NEXT + n])
            memory[COST + n] = best
        best = math.inf
        for n in range(counts, -1, -1):
            best = min(best + start * unit, memory[NEXT + n])
            memory[COST + n] = min(memory[COST + n], best)
    best, found = math.inf, current
    for n in range(counts + 1):
        here = least + n * unit
        value = memory[NEXT + n] + start * max(0.0, here - current)
        if value < best:
            best, found = value, float(here)
    return found


@inner
def _unmet(view: View, h: int, capacity: float) -> float:
    """Mean demand above a capacity, each quantile for the probability nearest to it, units."""
    n = view.quantiles.size
    total, before = 0.0, 0.0
    for q in range(n):
        after = 1.0 if q == n - 1 else (view.quantiles[q] + view.quantiles[q + 1]) / 2.0
        total += (after - before) * max(0.0, view.forecast[h, q] - capacity)
        before = after
    return total

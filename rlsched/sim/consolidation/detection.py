"""Compiled: which machine is overloaded (twin of ``reference_rules.overloaded``)."""

from __future__ import annotations

import math

from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.policy import (
    FALLBACK_THRESHOLD,
    HISTORY,
    IQR,
    LRR,
    MAD,
    SPREAD_SAMPLES,
    THR,
    TREND_SAMPLES,
    PolicyCode,
)
from rlsched.sim.consolidation.state import F64, I64, Scratch, StateCode
from rlsched.sim.consolidation.world import WorldCode
from rlsched.sim.semantics import SemanticsCode

NOBODY = -1


@inner
def needs_past(detection: int, lr_weighted: bool) -> bool:
    """Does the detection look at single samples of a machine's history?"""
    return detection == IQR or detection == MAD or (detection == LRR and lr_weighted)


@inner
def add_past(row: F64, past: F64, remembered: int, vm: int, cpu: float, capacity: float) -> None:
    """Add one VM's history to a machine's, newest first."""
    for i in range(min(remembered, HISTORY)):
        row[i] += past[remembered - 1 - i, vm] * cpu / capacity


@inner
def overloaded(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, host: int, guest: int
) -> bool:
    """Is ``host`` overloaded by the plan, with ``guest`` too (``NOBODY`` for nobody)?"""
    detection: int = p.detection[n]
    parameter: float = p.parameter[n]
    capacity: float = w.host_cpu[host]
    asked: float = x.asked[host]
    reach: int = x.reach[host]
    if guest != NOBODY:
        asked += s.vm_request[n, guest]
        reach = max(reach, w.reach[s.remembered[n] - 1, guest])
    requested = asked / capacity
    if detection == THR:
        return requested > parameter
    reach = max(reach, 1)
    if detection == IQR or detection == MAD:
        if reach < SPREAD_SAMPLES:
            return requested > FALLBACK_THRESHOLD
        if requested > 1.0:
            return True  # the threshold is never above 1
        for i in range(HISTORY):
            x.values[i] = x.past[host, i]
        if guest != NOBODY:
            add_past(x.values, w.past, s.remembered[n], guest, w.vm_cpu[guest], capacity)
        spread: float = _iqr(x.values, reach) if detection == IQR else _mad(x.values, reach)
        return requested > 1.0 - parameter * spread
    if reach < TREND_SAMPLES:
        return requested > FALLBACK_THRESHOLD
    if needs_past(p.detection[n], q.lr_weighted):
        for i in range(HISTORY):
            x.values[i] = x.past[host, i]
        if guest != NOBODY:
            add_past(x.values, w.past, s.remembered[n], guest, w.vm_cpu[guest], capacity)
        forecast: float = _robust_forecast(x.values, x.tricube, x.fit[0], x.fit[1])
        return forecast * parameter >= 1.0
    trend: float = x.trend[host]
    if guest != NOBODY:
        trend += w.trend[s.remembered[n] - 1, guest]
    return trend / capacity * parameter >= 1.0


@inner
def sort(values: F64, n: int) -> None:
    """Sort the first ``n`` values, ascending, in place."""
    for i in range(1, n):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@inner
def _median(ordered: F64, n: int) -> float:
    middle = n // 2
    high: float = ordered[middle]
    low: float = ordered[middle - 1]
    return high if n % 2 == 1 else (low + high) / 2.0


@inner
def _mad(values: F64, n: int) -> float:
    sort(values, n)
    middle = _median(values, n)
    for i in range(n):
        values[i] = abs(middle - values[i])
    sort(values, n)
    deviation: float = _median(values, n)
    return deviation


@inner
def _iqr(values: F64, n: int) -> float:
    sort(values, n)
    low = math.floor(0.25 * (n + 1) + 0.5) - 1
    high = math.floor(0.75 * (n + 1) + 0.5) - 1
    spread: float = values[high] - values[low]
    return spread


@inner
def _robust_forecast(newest_first: F64, near: F64, residuals: F64, weights: F64) -> float:
    top = TREND_SAMPLES - 1
    a, b = _line(newest_first, near)
    for i in range(TREND_SAMPLES):
        residuals[i] = abs(newest_first[top - i] - (a + b * (i + 1)))
        weights[i] = residuals[i]
    sort(weights, TREND_SAMPLES)
    reach = 6.0 * _median(weights, TREND_SAMPLES)
    if reach > 0.0:
        for i in range(TREND_SAMPLES):
            part = residuals[i] / reach
            rest = 1.0 - part * part
            weights[i] = near[i] * (rest * rest) if part < 1.0 else 0.0
        a, b = _line(newest_first, weights)
    ahead: float = a + b * (TREND_SAMPLES + 1)
    return ahead


@inner
def _line(newest_first: F64, weights: F64) -> tuple[float, float]:
    top = TREND_SAMPLES - 1
    total, sum_x, sum_y = 0.0, 0.0, 0.0
    for i in range(TREND_SAMPLES):
        total += weights[i]
        sum_x += weights[i] * (i + 1)
        sum_y += weights[i] * newest_first[top - i]
    mean_x, mean_y = sum_x / total, sum_y / total
    spread, common = 0.0, 0.0
    for i in range(TREND_SAMPLES):
        spread += weights[i] * (i + 1 - mean_x) * (i + 1 - mean_x)
        common += weights[i] * (i + 1 - mean_x) * (newest_first[top - i] - mean_y)
    slope = common / spread if spread > 0.0 else 0.0
    return mean_y - slope * mean_x, slope


@inner
def sort_hosts(rows: I64, n: int, share: F64) -> None:
    """Sort the first ``n`` machine rows by share, then row; they come in ascending order of rows."""
    for i in range(1, n):
        row = rows[i]
        j = i
        while j > 0 and share[rows[j - 1]] > share[row]:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = row


@inner
def sort_vms(rows: I64, n: int, request: F64) -> None:
    """Sort the first ``n`` VM rows by request, largest first; equal ones keep their order."""
    for i in range(1, n):
        row = rows[i]
        j = i
        while j > 0 and request[rows[j - 1]] < request[row]:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = row

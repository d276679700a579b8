"""Compiled: which VM leaves an overloaded machine (twin of ``reference_rules.select``)."""

from __future__ import annotations

import math

import numpy as np

from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.policy import HISTORY, MC, MU, RS, PolicyCode
from rlsched.sim.consolidation.state import F64, U64, Scratch, StateCode
from rlsched.sim.consolidation.world import WorldCode


@inner
def select(w: WorldCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, count: int) -> int:
    """Pick one of the first ``count`` VMs of ``x.candidates``; the earliest guest wins ties."""
    rule = p.selection[n]
    if rule == RS:
        drawn: int = x.candidates[int(uniform(s.random, n) * count)]
        return drawn
    if rule == MC:
        best = most_explained(w, s, n, x, count)
        if best >= 0:
            explained: int = x.candidates[best]
            return explained
    chosen: int = x.candidates[0]
    for i in range(1, count):
        vm = x.candidates[i]
        if rule == MU:
            if s.vm_request[n, vm] / w.vm_cpu[vm] < s.vm_request[n, chosen] / w.vm_cpu[chosen]:
                chosen = vm
        elif w.vm_mem[vm] < w.vm_mem[chosen]:
            chosen = vm
    return chosen


@inner
def uniform(random: U64, n: int) -> float:
    """Next uniform number in [0, 1): splitmix64 (Steele et al., OOPSLA 2014)."""
    random[n] = random[n] + np.uint64(0x9E3779B97F4A7C15)
    z = random[n]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@inner
def most_explained(w: WorldCode, s: StateCode, n: int, x: Scratch, count: int) -> int:
    """Index of the VM best explained by the others; -1 where the regression is impossible."""
    known = min(s.remembered[n], HISTORY)
    if count < 2 or known < count:
        return -1
    best, most = 0, 0.0
    for i in range(count):
        _fill(w, s, n, x, count, i, known)
        y = x.fit[0]
        newest = s.remembered[n] - 1
        for row in range(known):
            y[row] = w.past[newest - row, x.candidates[i]]
        if not _solve(x.columns, count, known, y, x.fit[1], x.fit[2], x.fit[3]):
            return -1
        _fill(w, s, n, x, count, i, known)
        value = _r_squared(x.columns, count, known, y, x.fit[3])
        if value > most:
            best, most = i, value
    return best


@inner
def _fill(w: WorldCode, s: StateCode, n: int, x: Scratch, count: int, skip: int, known: int) -> None:
    """Columns of the regression: ones, then the histories of the others."""
    newest = s.remembered[n] - 1
    for row in range(known):
        x.columns[0, row] = 1.0
    k = 1
    for j in range(count):
        if j != skip:
            for row in range(known):
                x.columns[k, row] = w.past[newest - row, x.candidates[j]]
            k += 1


@inner
def _solve(q: F64, n: int, m: int, y: F64, diagonal: F64, rest: F64, beta: F64) -> bool:
    """Least squares by Householder QR of the columns ``q``; False for an exactly singular matrix."""
    for k in range(n):
        norm = 0.0
        for row in range(k, m):
            norm += q[k, row] * q[k, row]
        a = -math.sqrt(norm) if q[k, k] > 0.0 else math.sqrt(norm)
        diagonal[k] = a
        if a == 0.0:
            return False
        q[k, k] -= a
        for column in range(k + 1, n):
            alpha = 0.0
            for row in range(k, m):
                alpha -= q[column, row] * q[k, row]
            alpha /= a * q[k, k]
            for row in range(k, m):
                q[column, row] -= alpha * q[k, row]
    for row in range(m):
        rest[row] = y[row]
    for k in range(n):
        dot = 0.0
        for row in range(k, m):
            dot += rest[row] * q[k, row]
        dot /= diagonal[k] * q[k, k]
        for row in range(k, m):
            rest[row] += dot * q[k, row]
    for k in range(n - 1, -1, -1):
        beta[k] = rest[k] / diagonal[k]
        for row in range(k):
            rest[row] -= beta[k] * q[k, row]
    return True


@inner
def _r_squared(columns: F64, n: int, m: int, y: F64, beta: F64) -> float:
    unexplained = 0.0
    for row in range(m):
        fitted = 0.0
        for k in range(n):
            fitted += columns[k, row] * beta[k]
        unexplained += (y[row] - fitted) * (y[row] - fitted)
    total, mean = 0.0, 0.0
    for i in range(m):
        step = (y[i] - mean) / (i + 1)
        total += i * (y[i] - mean) * step
        mean += step
    return math.nan if total == 0.0 else 1.0 - unexplained / total

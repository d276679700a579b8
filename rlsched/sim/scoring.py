"""Scoring rules: one compiled function a rule, numbered in the table of ``rules.py``.

A rule gives every machine of a range a number; larger is better, and the lowest row wins
ties. Rules are functions of the machine and the request (and, for lifetime alignment, of the
clock), so they run inside the compiled loop, can be cached per request, and can be blended:
the score of a policy is the weighted sum of its rules. ``rlsched.policies`` names, documents
and tunes them; ``reference.py`` states each again in plain Python.

Every rule has the signature ``rule(out, weight, lo, hi, r, m)``: it adds ``weight * score``
to ``out[lo:hi]``. Entries that are ``-inf`` cannot hold the request and may be left alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.fragmentation import fragment, fragment_cpu
from rlsched.sim.rules import LIFETIME_STEPS as LIFETIME_STEPS  # read from here by others
from rlsched.sim.rules import (
    R_BALANCED,
    R_BEST_FIT,
    R_COSINE,
    R_DOT_PRODUCT,
    R_FGD,
    R_FGD_BEST_FIT,
    R_FGD_DOT_PRODUCT,
    R_FRAGMENTATION,
    R_GPU_CLUSTERING,
    R_GPU_PACKING,
    R_LEAST,
    R_LIFETIME,
    R_MOST,
    R_NORM_L2,
    R_REQUESTED,
)

NEG = -math.inf


class Request(NamedTuple):
    """What is to be placed, and the moment."""

    cpu: int
    mem: int
    gpus: int
    mgpu: int
    models: int
    end: float  # when it is expected to end, s
    now: float


class MachineArrays(NamedTuple):
    """One copy's machines and what scores are measured in."""

    i: npt.NDArray[np.int64]  # (6, M)
    f: npt.NDArray[np.float64]  # (7, M)
    gpu: npt.NDArray[np.int64]  # (M, G)
    kinds: npt.NDArray[np.int32]  # (M, 5)
    cap: npt.NDArray[np.int64]  # (4, M)
    inv: npt.NDArray[np.float64]  # (5, M)
    max_cpu: int
    max_gpu: int
    typical_i: npt.NDArray[np.int64]
    typical_p: npt.NDArray[np.float64]
    lifetime: int
    frag: int
    device: npt.NDArray[np.int64]  # (G,) scratch
    shape: npt.NDArray[np.float64]  # (2, P) requested_to_capacity points: percent, score


# The compiled functions below take numba's view of the two tuples; mypy sees Any.
_Any = Any


@bare_njit
def devices_fit(device: _Any, n_devices: _Any, gpus: _Any, mgpu: _Any) -> _Any:
    """True when at least ``gpus`` devices have ``mgpu`` free."""
    found = 0
    for k in range(n_devices):
        if device[k] >= mgpu:
            found += 1
    return found >= gpus


@bare_njit(inline="always")
def _feasible_range(out: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    """0 where the machine can hold the request now, -inf elsewhere."""
    for i in range(lo, hi):
        ok = (m.i[st.M_CPU, i] >= r.cpu) & (m.i[st.M_MEM, i] >= r.mem) & (m.i[st.M_UP, i] == 1)
        out[i] = 0.0 if ok else NEG
    if r.gpus > 0:
        for i in range(lo, hi):
            if out[i] == 0.0:
                model = m.cap[wd.L_MODEL, i]
                if (
                    model < 0
                    or (r.models >> model) & 1 == 0
                    or not devices_fit(m.gpu[i], m.cap[wd.L_GPUS, i], r.gpus, r.mgpu)
                ):
                    out[i] = NEG


@bare_njit(inline="always")
def _best_fit(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    need = r.gpus * r.mgpu
    # What is not asked for must not be the tightest: infinity is added to its share.
    no_cpu = math.inf if r.cpu == 0 else 0.0
    no_mem = math.inf if r.mem == 0 else 0.0
    for i in range(lo, hi):
        x = (m.i[st.M_CPU, i] - r.cpu) * m.inv[wd.L_INV_CPU, i] + no_cpu
        y = (m.i[st.M_MEM, i] - r.mem) * m.inv[wd.L_INV_MEM, i] + no_mem
        left = y if y < x else x
        if need > 0:
            z = (m.i[st.M_GPU, i] - need) * m.inv[wd.L_INV_GPU, i]
            left = z if z < left else left
        out[i] += weight * -left


@bare_njit(inline="always")
def _shares(i: _Any, r: _Any, m: _Any) -> _Any:
    """Request and free of one machine as shares of its capacity: six numbers."""
    a = r.cpu * m.inv[wd.L_INV_CPU, i]
    b = r.mem * m.inv[wd.L_INV_MEM, i]
    c = (r.gpus * r.mgpu) * m.inv[wd.L_INV_GPU, i]
    x = m.i[st.M_CPU, i] * m.inv[wd.L_INV_CPU, i]
    y = m.i[st.M_MEM, i] * m.inv[wd.L_INV_MEM, i]
    z = m.i[st.M_GPU, i] * m.inv[wd.L_INV_GPU, i]
    return a, b, c, x, y, z


@bare_njit(inline="always")
def _dot_product(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        a, b, c, x, y, z = _shares(i, r, m)
        out[i] += weight * (a * x + b * y + c * z)


@bare_njit(inline="always")
def _norm_l2(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        a, b, c, x, y, z = _shares(i, r, m)
        out[i] += weight * -((x - a) * (x - a) + (y - b) * (y - b) + (z - c) * (z - c))


@bare_njit(inline="always")
def _cosine(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        a, b, c, x, y, z = _shares(i, r, m)
        length = math.sqrt((a * a + b * b + c * c) * (x * x + y * y + z * z))
        out[i] += weight * ((a * x + b * y + c * z) / length if length > 0.0 else 0.0)


@bare_njit
def pick_devices(device: _Any, n_devices: _Any, gpus: _Any, mgpu: _Any) -> _Any:
    """Bits of the devices a request gets: smallest sufficient share first, lowest index on ties."""
    bits = 0
    for _ in range(gpus):
        best = -1
        for k in range(n_devices):
            if (bits >> k) & 1 == 0 and device[k] >= mgpu and (best < 0 or device[k] < device[best]):
                best = k
        bits |= 1 << best
    return bits


@bare_njit(inline="always")
def _gpu_packing(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    if r.gpus == 0:
        return
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        n = m.cap[wd.L_GPUS, i]
        whole = 0
        for k in range(n):
            if m.gpu[i, k] == 1000:
                whole += 1
        if whole == n:
            score = max(33 - whole, whole)
        else:
            bits = pick_devices(m.gpu[i], n, r.gpus, r.mgpu)
            opened = 0
            percent = 0
            for k in range(n):
                if (bits >> k) & 1:
                    opened += m.gpu[i, k] == 1000
                    percent += m.gpu[i, k] * 100 // 1000
            score = max(50 - opened, 33) if opened > 0 else max(100 - percent // 10, 50)
        out[i] += weight * float(score)


@bare_njit(inline="always")
def gpu_kind(gpus: _Any, mgpu: _Any) -> _Any:
    """Kind of a GPU task: 0 share, 1..4 for 1, 2, 4, 8 devices (the next larger in between)."""
    if mgpu < 1000 and gpus == 1:
        return 0
    if gpus <= 1:
        return 1
    if gpus <= 2:
        return 2
    if gpus <= 4:
        return 3
    return 4


@bare_njit(inline="always")
def _gpu_clustering(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    if r.gpus == 0:
        return
    kind = gpu_kind(r.gpus, r.mgpu)
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        mine = m.kinds[i, kind] > 0
        others = 0
        for k in range(5):
            if k != kind and m.kinds[i, k] > 0:
                others += 1
        score = 25 * (m.max_gpu - m.i[st.M_GPU, i]) // m.max_gpu
        if mine:
            score += 75 if others == 0 else 50
        elif others == 0:
            score += 25
        out[i] += weight * float(score)


@bare_njit
def fragment_after(i: _Any, r: _Any, m: _Any, device: _Any, only: _Any) -> _Any:
    """Fragmentation of machine ``i`` with the request placed.

    ``only >= 0`` puts a shared request on that device; otherwise devices are picked as usual.
    """
    n = m.cap[wd.L_GPUS, i]
    if m.frag == wd.FRAG_GPU or r.gpus > 0:
        for k in range(n):
            device[k] = m.gpu[i, k]
        if r.gpus > 0:
            bits = (1 << only) if only >= 0 else pick_devices(device, n, r.gpus, r.mgpu)
            for k in range(n):
                if (bits >> k) & 1:
                    device[k] -= r.mgpu
    return fragment(
        m.frag,
        m.i[st.M_CPU, i] - r.cpu,
        m.i[st.M_MEM, i] - r.mem,
        m.cap[wd.L_MODEL, i],
        device,
        n,
        m.typical_i,
        m.typical_p,
    )


@bare_njit
def published_fgd(before: _Any, after: _Any) -> _Any:
    """FGD's score as published: a sigmoid of the gain in GPUs, in whole percents."""
    return math.floor(100.0 * (1.0 / (1.0 + math.exp(-(before - after) / 1000.0))))


@bare_njit
def best_fragment_device(i: _Any, r: _Any, m: _Any, published: _Any) -> _Any:
    """Best score of a shared request over the devices of machine ``i``, and the lowest device that reaches it."""
    before = m.f[st.M_FRAG, i]
    best, chosen = NEG, -1
    for k in range(m.cap[wd.L_GPUS, i]):
        if m.gpu[i, k] < r.mgpu:
            continue
        seen = False
        for earlier in range(k):  # an equal device scores the same
            if m.gpu[i, earlier] == m.gpu[i, k]:
                seen = True
                break
        if seen:
            continue
        after = fragment_after(i, r, m, m.device, k)
        score = float(published_fgd(before, after)) if published else (before - after) / 1000.0
        if score > best:
            best, chosen = score, k
    return best, chosen


@bare_njit
def fragment_score(i: _Any, r: _Any, m: _Any, published: _Any) -> _Any:
    """Fragmentation gradient of one machine, published (whole percents) or real-valued (GPUs, or cores)."""
    if r.gpus == 1 and r.mgpu < 1000 and m.frag == wd.FRAG_GPU:
        best, _ = best_fragment_device(i, r, m, published)
        return best
    before = m.f[st.M_FRAG, i]
    after = fragment_after(i, r, m, m.device, -1)
    if published:
        return float(published_fgd(before, after))
    return (before - after) / 1000.0


@bare_njit(inline="always")
def _fragmentation(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any, published: _Any) -> None:
    if m.frag == wd.FRAG_CPU:
        # Devices do not matter: no need to hand over all arrays for every machine.
        for i in range(lo, hi):
            if out[i] > NEG:
                cpu, mem = m.i[st.M_CPU, i] - r.cpu, m.i[st.M_MEM, i] - r.mem
                before, after = m.f[st.M_FRAG, i], fragment_cpu(cpu, mem, m.typical_i, m.typical_p)
                out[i] += weight * (float(published_fgd(before, after)) if published else (before - after) / 1000.0)
        return
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        out[i] += weight * fragment_score(i, r, m, published)


@bare_njit(inline="always")
def _fgd_best_fit(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    need = r.gpus * r.mgpu
    for i in range(lo, hi):
        s = 0.5 * ((m.i[st.M_CPU, i] - r.cpu) / m.max_cpu)
        if m.max_gpu > 0:
            s += 0.5 * ((m.i[st.M_GPU, i] - need) / m.max_gpu)
        out[i] += weight * float(math.floor(100.0 * (1.0 - s)))


@bare_njit(inline="always")
def _fgd_dot_product(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    need = r.gpus * r.mgpu
    for i in range(lo, hi):
        v = (m.i[st.M_CPU, i] / m.max_cpu) * (r.cpu / m.max_cpu)
        if m.max_gpu > 0:
            v += (m.i[st.M_GPU, i] / m.max_gpu) * (need / m.max_gpu)
        out[i] += weight * float(math.floor(100.0 * (1.0 - v / 2.0)))


@bare_njit(inline="always")
def _lifetime(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        end = r.now
        if m.i[st.M_TASKS, i] > 0:
            # lifetime == 2: only ages are known, st.M_EXIT is the earliest start of a resident
            end = r.now + (r.now - m.f[st.M_EXIT, i]) if m.lifetime == 2 else max(m.f[st.M_EXIT, i], r.now)
        longer = r.end - end
        step = 0
        for k in range(LIFETIME_STEPS.shape[0]):
            step += longer > LIFETIME_STEPS[k]
        out[i] += weight * -float(step)


@bare_njit(inline="always")
def _allocated(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any, most: _Any) -> None:
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        cpu, mem = m.cap[wd.L_CPU, i], m.cap[wd.L_MEM, i]
        a = (m.i[st.M_CPU, i] - r.cpu) * 100 // cpu if cpu > 0 else 0
        b = (m.i[st.M_MEM, i] - r.mem) * 100 // mem if mem > 0 else 0
        if most:
            a = (cpu - m.i[st.M_CPU, i] + r.cpu) * 100 // cpu if cpu > 0 else 0
            b = (mem - m.i[st.M_MEM, i] + r.mem) * 100 // mem if mem > 0 else 0
        out[i] += weight * float((a + b) // 2)


@bare_njit
def _shape_at(shape: _Any, percent: _Any) -> _Any:
    """The piecewise-linear function through the points, constant outside them, truncated."""
    n = shape.shape[1]
    for k in range(n):
        if percent <= shape[0, k]:
            if k == 0:
                return math.floor(shape[1, 0])
            x0, x1, y0, y1 = shape[0, k - 1], shape[0, k], shape[1, k - 1], shape[1, k]
            return math.floor(y0 + (y1 - y0) * (percent - x0) / (x1 - x0))
    return math.floor(shape[1, n - 1])


@bare_njit(inline="always")
def _requested(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        cpu, mem = m.cap[wd.L_CPU, i], m.cap[wd.L_MEM, i]
        a = (cpu - m.i[st.M_CPU, i] + r.cpu) * 100 // cpu if cpu > 0 else 100
        b = (mem - m.i[st.M_MEM, i] + r.mem) * 100 // mem if mem > 0 else 100
        out[i] += weight * float(math.floor((_shape_at(m.shape, a) + _shape_at(m.shape, b)) / 2.0 + 0.5))


@bare_njit(inline="always")
def _balanced(out: _Any, weight: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    for i in range(lo, hi):
        if out[i] == NEG:
            continue
        a = (m.cap[wd.L_CPU, i] - m.i[st.M_CPU, i] + r.cpu) * m.inv[wd.L_INV_CPU, i]
        b = (m.cap[wd.L_MEM, i] - m.i[st.M_MEM, i] + r.mem) * m.inv[wd.L_INV_MEM, i]
        out[i] += weight * float(math.floor((1.0 - abs(a - b) / 2.0) * 100.0))


@bare_njit
def score_parts(out: _Any, parts: _Any, n_parts: _Any, rules: _Any, weights: _Any, r: _Any, m: _Any) -> None:
    """Score some machines for a request: ``-inf`` where it does not fit, else the weighted sum.

    Parameters
    ----------
    out : (M,) float64
        Written in the parts only.
    parts : (>= n_parts, 2) int64
        First machine of each part and one past its last.
    rules, weights : (A,) int64 and float64
        Rows of :data:`RULES` and their weights, added in this order.
    r : Request
    m : MachineArrays
    """
    for part in range(n_parts):
        # Unsigned rows: no test for negative indices, so that the loops below vectorise.
        lo, hi = np.uint64(parts[part, 0]), np.uint64(parts[part, 1])
        _feasible_range(out, lo, hi, r, m)
        for a in range(rules.shape[0]):
            _add_rule(out, rules[a], weights[a], lo, hi, r, m)


@bare_njit
def score_blends(out: _Any, fit: _Any, n: _Any, rules: _Any, weights: _Any, length: _Any, r: _Any, m: _Any) -> None:
    """Score the first ``n`` machines by several heuristics at once, each as :func:`score_parts` would.

    Parameters
    ----------
    out : (B, >= n) float64
        Row of each heuristic; written where its length is not 0.
    fit : (>= n,) float64
        Filled: 0 where the request fits, ``-inf`` elsewhere.
    n : int
    rules, weights : (B, A) int64 and float64
    length : (B,) int64
        Rules of each heuristic; 0 leaves it out.
    r : Request
    m : MachineArrays
    """
    lo, hi = np.uint64(0), np.uint64(n)
    _feasible_range(fit, lo, hi, r, m)
    for b in range(length.shape[0]):
        if length[b] > 0:
            row = out[b]
            for i in range(lo, hi):
                row[i] = fit[i]
            for a in range(length[b]):
                _add_rule(row, rules[b, a], weights[b, a], lo, hi, r, m)


@bare_njit(forceinline=True)
def _add_rule(out: _Any, rule: _Any, w: _Any, lo: _Any, hi: _Any, r: _Any, m: _Any) -> None:
    """Add one rule; every rule is a branch."""
    if rule == R_BEST_FIT:
        _best_fit(out, w, lo, hi, r, m)
    elif rule == R_DOT_PRODUCT:
        _dot_product(out, w, lo, hi, r, m)
    elif rule == R_NORM_L2:
        _norm_l2(out, w, lo, hi, r, m)
    elif rule == R_COSINE:
        _cosine(out, w, lo, hi, r, m)
    elif rule == R_GPU_PACKING:
        _gpu_packing(out, w, lo, hi, r, m)
    elif rule == R_GPU_CLUSTERING:
        _gpu_clustering(out, w, lo, hi, r, m)
    elif rule == R_FGD or rule == R_FRAGMENTATION:
        _fragmentation(out, w, lo, hi, r, m, rule == R_FGD)
    elif rule == R_FGD_BEST_FIT:
        _fgd_best_fit(out, w, lo, hi, r, m)
    elif rule == R_FGD_DOT_PRODUCT:
        _fgd_dot_product(out, w, lo, hi, r, m)
    elif rule == R_LIFETIME:
        _lifetime(out, w, lo, hi, r, m)
    elif rule == R_LEAST or rule == R_MOST:
        _allocated(out, w, lo, hi, r, m, rule == R_MOST)
    elif rule == R_REQUESTED:
        _requested(out, w, lo, hi, r, m)
    elif rule == R_BALANCED:
        _balanced(out, w, lo, hi, r, m)

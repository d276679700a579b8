"""The fields of ``features.py``, measured. Compiled.

Candidates are read from the desk, where the shortlist put them side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.observe import features as ft
from rlsched.observe.alike import (
    E_EXIT,
    E_FRAG,
    E_FROM,
    E_TASKS,
    E_WATT,
    V_CPU_SIZE,
    V_CURVE,
    V_GPU_SIZE,
    V_INV_FULL_WATT,
    V_INV_PHYSICAL,
    V_MEM_SIZE,
    V_MODEL_SHARE,
    V_PRICE_SHARE,
)
from rlsched.observe.shortlist import steps_of
from rlsched.sim import rules as ru
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.power import watts
from rlsched.sim.scoring import LIFETIME_STEPS, pick_devices, score_parts
from rlsched.sim.world import WorldArrays
from rlsched.traces.columns import ANY_MODEL
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_WEEK

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

(
    X_CPU_FREE,
    X_MEM_FREE,
    X_GPU_FREE,
    X_CPU_LEFT,
    X_MEM_LEFT,
    X_GPU_LEFT,
    X_CPU_SIZE,
    X_MEM_SIZE,
    X_GPU_SIZE,
    X_MODEL_SHARE,
    X_WHOLE_FREE,
    X_WHOLE_LEFT,
    X_DEVICE_LEFT,
    X_FRAG_BEFORE,
    X_FRAG_AFTER,
    X_FRAG_GAIN,
    X_BEST_FIT,
    X_DOT_PRODUCT,
    X_COSINE,
    X_NORM_L2,
    X_LEAST_ALLOCATED,
    X_BALANCED_ALLOCATION,
    X_GPU_PACKING,
    X_GPU_CLUSTERING,
    X_LIFETIME,
    X_LIFETIME_GAP,
    X_RESIDENTS,
    X_EMPTY,
    X_AGE,
    X_SAME_STATE,
    X_PRICE,
    X_POWER_RISE,
    X_PRIOR,
) = range(len(ft.CANDIDATE_FEATURES))
(
    G_CPU,
    G_MEM,
    G_GPU,
    G_SHARE,
    G_SHARED,
    G_LIFE,
    G_WAITED,
    G_CHOOSY,
    G_MODELS,
    G_FITS,
    G_QUEUED,
    G_USED_CPU,
    G_USED_MEM,
    G_USED_GPU,
    G_FRAG,
    G_FRAG_IDLE,
    G_ACTIVE,
    G_RUNNING,
    G_WAITING,
    G_ARRIVED_CPU,
    G_ARRIVED_GPU,
    G_DAY_SIN,
    G_DAY_COS,
    G_WEEK_SIN,
    G_WEEK_COS,
) = range(len(ft.GLOBAL_FEATURES))
#: Rules that say something of GPUs only: (rule, column); their scores are divided by 100.
_GPU_RULES = np.array([[ru.R_GPU_PACKING, X_GPU_PACKING], [ru.R_GPU_CLUSTERING, X_GPU_CLUSTERING]], dtype=np.int64)
S_CPU, S_MEM, S_GPU, S_TOTAL_CPU, S_TOTAL_MEM, S_TOTAL_GPU = range(6)


def scales_of(w: WorldArrays) -> F64:
    """Per machine list: largest cpu, mem, GPUs (milli), the cluster's sums. (F, 6)"""
    out = np.zeros((w.fleet_i.shape[0], 6))
    for f, row in enumerate(out):
        n = int(w.fleet_n[f, wd.L_N])
        for at, column, unit in ((S_CPU, wd.L_CPU, 1), (S_MEM, wd.L_MEM, 1), (S_GPU, wd.L_GPUS, 1000)):
            row[at] = w.fleet_i[f, column, :n].max() * unit
            row[at + 3] = w.fleet_i[f, column, :n].sum() * unit
    return out


def carriers_of(w: WorldArrays) -> I64:
    """Machines of each GPU model, (F, models), a row a machine list."""
    n_models = int(w.fleet_i[:, wd.L_MODEL].max()) + 1
    out = np.zeros((w.fleet_i.shape[0], n_models), np.int64)
    for f, row in enumerate(out):
        model = w.fleet_i[f, wd.L_MODEL, : int(w.fleet_n[f, wd.L_N])]
        row[:] = np.bincount(model[model >= 0], minlength=n_models)
    return out


# The compiled functions below take numba's view of the tuples; mypy sees Any.
@bare_njit(inline="always")
def _ratio(a: Any, b: Any) -> Any:
    return a / b if b > 0 else 0.0


@bare_njit(forceinline=True)
def measure_candidates(
    option_i: Any,
    curve_kind: Any,
    curve_table: Any,
    lifetime: Any,
    q: Any,
    r: Any,
    fixed: Any,
    kind: Any,
    rec: Any,
    d: Any,
    found: Any,
    fits: Any,
    out: Any,
) -> None:
    """Fill ``out`` (K, F) for the candidates on the desk, best of the prior first."""
    d.parts[0, 0], d.parts[0, 1] = 0, found
    if option_i[wd.O_FRAG] != wd.FRAG_NONE:
        d.one_rule[0] = ru.R_FRAGMENTATION
        score_parts(d.score, d.parts, 1, d.one_rule, d.one_weight, r, q)
    # Shares are amounts times reciprocals of capacities: c · (1 / c) is never above 1 in float64, and no division is
    # waited for. A reciprocal of nothing is 0.
    same = 1.0 / fits if found > 0 else 0.0
    inv_capacity = wd.L_INV_GPU if option_i[wd.O_FRAG] == wd.FRAG_GPU else wd.L_INV_CPU
    for slot in range(found):
        j, f = d.order[slot], out[slot]
        i = d.rows[j]
        fixed_i, rec_i = fixed[kind[i]], rec[i]
        _share_features(j, r, q, f)
        f[X_CPU_SIZE], f[X_MEM_SIZE] = fixed_i[V_CPU_SIZE], fixed_i[V_MEM_SIZE]
        if q.cap[wd.L_GPUS, j] > 0:
            f[X_GPU_SIZE], f[X_MODEL_SHARE] = fixed_i[V_GPU_SIZE], fixed_i[V_MODEL_SHARE]
            _device_features(j, r, q, f)
        if option_i[wd.O_FRAG] != wd.FRAG_NONE:
            inv = q.inv[inv_capacity, j]
            before = rec_i[E_FRAG]
            after = max(0.0, before - d.score[j] * 1000.0)  # the difference can be -1e-13 where it is 0
            f[X_FRAG_BEFORE] = before * inv
            f[X_FRAG_AFTER] = after * inv
            f[X_FRAG_GAIN] = (before - after) * inv
        tasks = rec_i[E_TASKS]
        f[X_RESIDENTS] = tasks / (tasks + ft.HALF_RESIDENTS)
        f[X_EMPTY] = 1.0 if tasks == 0.0 else 0.0
        if tasks > 0.0:
            age = r.now - rec_i[E_FROM]
            f[X_AGE] = age / (age + ft.HALF_LIFE_S)
        f[X_SAME_STATE] = d.equal[j] * same
        f[X_PRICE] = fixed_i[V_PRICE_SHARE]
        if fixed_i[V_CURVE] >= 0.0:
            used = q.cap[wd.L_CPU, j] - q.i[st.M_CPU, j]
            f[X_POWER_RISE] = _power_rise(curve_kind, curve_table, r, fixed_i, rec_i, used)
        if option_i[wd.O_RESIDENTS] == 1:
            f[X_LIFETIME_GAP] = _lifetime_gap(r, lifetime, rec_i[E_EXIT], tasks)
        behind = d.prior[d.order[0]] - d.prior[j]
        f[X_PRIOR] = 0.0 - behind / (1.0 + behind)  # 0, not -0, at the best
        steps = steps_of(r.now, r.end, lifetime, rec_i[E_EXIT], tasks > 0.0)
        f[X_LIFETIME] = 0.0 - steps * (1.0 / LIFETIME_STEPS.shape[0])
    if r.gpus > 0:
        for column in range(_GPU_RULES.shape[0]):
            d.one_rule[0] = _GPU_RULES[column, 0]
            score_parts(d.score, d.parts, 1, d.one_rule, d.one_weight, r, q)
            for slot in range(found):
                out[slot, _GPU_RULES[column, 1]] = d.score[d.order[slot]] / 100


@bare_njit(inline="always")
def _share_features(j: Any, r: Any, q: Any, f: Any) -> None:
    """Shares free before and after, and the rules that compare them with what is asked for."""
    cpu, mem = q.cap[wd.L_CPU, j], q.cap[wd.L_MEM, j]
    inv_cpu, inv_mem, inv_gpu = q.inv[wd.L_INV_CPU, j], q.inv[wd.L_INV_MEM, j], q.inv[wd.L_INV_GPU, j]
    need = r.gpus * r.mgpu
    left_cpu, left_mem = q.i[st.M_CPU, j] - r.cpu, q.i[st.M_MEM, j] - r.mem
    a, b, c = r.cpu * inv_cpu, r.mem * inv_mem, need * inv_gpu
    x, y, z = q.i[st.M_CPU, j] * inv_cpu, q.i[st.M_MEM, j] * inv_mem, q.i[st.M_GPU, j] * inv_gpu
    u, v, t = left_cpu * inv_cpu, left_mem * inv_mem, (q.i[st.M_GPU, j] - need) * inv_gpu
    f[X_CPU_FREE], f[X_MEM_FREE], f[X_GPU_FREE] = x, y, z
    f[X_CPU_LEFT], f[X_MEM_LEFT], f[X_GPU_LEFT] = u, v, t
    left = math.inf
    if r.cpu > 0:
        left = min(left, u)
    if r.mem > 0:
        left = min(left, v)
    if need > 0:
        left = min(left, t)
    f[X_BEST_FIT] = 0.0 - left
    dot = a * x + b * y + c * z
    f[X_DOT_PRODUCT] = dot * (1.0 / 3.0)
    f[X_NORM_L2] = 0.0 - ((x - a) * (x - a) + (y - b) * (y - b) + (z - c) * (z - c)) * (1.0 / 3.0)
    length = math.sqrt((a * a + b * b + c * c) * (x * x + y * y + z * z))
    f[X_COSINE] = dot / length if length > 0.0 else 0.0
    # In float64: whole parts are those of the rule, which divides whole numbers, up to capacities of 2**46.
    least = np.int64(100.0 * left_cpu / cpu) if cpu > 0 else 0
    least += np.int64(100.0 * left_mem / mem) if mem > 0 else 0
    f[X_LEAST_ALLOCATED] = (least >> 1) * 0.01
    apart = abs((cpu - left_cpu) * inv_cpu - (mem - left_mem) * inv_mem)
    f[X_BALANCED_ALLOCATION] = np.int64((1.0 - apart * 0.5) * 100.0) * 0.01


@bare_njit
def _device_features(j: Any, r: Any, q: Any, f: Any) -> None:
    n = q.cap[wd.L_GPUS, j]
    bits = pick_devices(q.gpu[j], n, r.gpus, r.mgpu) if r.gpus > 0 else 0
    free, left, least = 0, 0, 1000
    for device in range(n):
        used = (bits >> device) & 1
        if q.gpu[j, device] == 1000:
            free += 1
            left += 1 - used
        if used:
            least = min(least, q.gpu[j, device] - r.mgpu)
    f[X_WHOLE_FREE] = free / n
    f[X_WHOLE_LEFT] = left / n
    f[X_DEVICE_LEFT] = least / 1000 if r.gpus > 0 else 0.0


@bare_njit(forceinline=True)
def _power_rise(curve_kind: Any, curve_table: Any, r: Any, fixed: Any, rec: Any, used: Any) -> Any:
    curve = np.int64(fixed[V_CURVE])
    load = (used + r.cpu) * fixed[V_INV_PHYSICAL]
    rise = watts(curve_kind[curve], curve_table[curve], min(load, 1.0)) - rec[E_WATT]
    return rise * fixed[V_INV_FULL_WATT]


@bare_njit(forceinline=True)
def _lifetime_gap(r: Any, lifetime: Any, exit_s: Any, tasks: Any) -> Any:
    task = max(0.0, r.end - r.now)
    others = 0.0
    if tasks > 0.0:
        # Where only ages are known, what has run for long is expected to run as long again.
        others = r.now - exit_s if lifetime == 2 else max(0.0, exit_s - r.now)
    both = task + others
    return (task - others) / both if both > 0.0 else 0.0


@bare_njit(inline="always")
def measure_globals(
    w: Any, c: Any, r: Any, k: Any, n: Any, task: Any, fits: Any, scale: Any, carriers: Any, out: Any
) -> None:
    """Fill ``out`` (G,); ``task`` is -1 where the window has ended, and ``r`` is not read then."""
    count = c.counter
    fleet = count[st.C_FLEET]
    size = w.fleet_n[fleet, wd.L_N]
    out[:] = 0.0
    if task >= 0:
        gpus, mgpu = r.gpus, r.mgpu
        out[G_CPU] = _ratio(r.cpu, scale[S_CPU])
        out[G_MEM] = _ratio(r.mem, scale[S_MEM])
        out[G_GPU] = _ratio(gpus * mgpu, scale[S_GPU])
        out[G_SHARE] = mgpu / 1000
        out[G_SHARED] = 1.0 if gpus == 1 and mgpu < 1000 else 0.0
        life = max(0.0, r.end - r.now)
        out[G_LIFE] = life / (life + ft.HALF_LIFE_S)
        waited = r.now - w.task_f[count[st.C_LO] + task, wd.T_ARRIVE]
        out[G_WAITED] = waited / (waited + ft.HALF_LIFE_S)
        if gpus > 0:
            out[G_CHOOSY] = 0.0 if r.models == ANY_MODEL else 1.0
            carry = 0
            for model in range(carriers.shape[0]):
                carry += carriers[model] * ((r.models >> model) & 1)
            out[G_MODELS] = carry / size
        out[G_FITS] = fits / size
        out[G_QUEUED] = count[st.C_SOURCE]
    out[G_USED_CPU] = _ratio(count[st.C_RUN_CPU], scale[S_TOTAL_CPU])
    out[G_USED_MEM] = _ratio(count[st.C_RUN_MEM], scale[S_TOTAL_MEM])
    out[G_USED_GPU] = _ratio(count[st.C_RUN_GPU], scale[S_TOTAL_GPU])
    if w.option_i[wd.O_FRAG] != wd.FRAG_NONE:
        gpu = w.option_i[wd.O_FRAG] == wd.FRAG_GPU
        total = 0.0  # of sums made afresh: the running sum of the clock drifts by rounding
        for block in range(k.frag.shape[1]):
            total += k.frag[n, block]
        capacity = scale[S_TOTAL_GPU] if gpu else scale[S_TOTAL_CPU]
        used = count[st.C_RUN_GPU] if gpu else count[st.C_RUN_CPU]
        out[G_FRAG] = _ratio(total, capacity)
        out[G_FRAG_IDLE] = _ratio(total, capacity - used)
    out[G_ACTIVE] = count[st.C_ACTIVE] / size
    out[G_RUNNING] = count[st.C_RUNNING] / (count[st.C_RUNNING] + size)
    out[G_WAITING] = count[st.C_WAITING] / (count[st.C_WAITING] + ft.HALF_WAITING)
    arrived_cpu = _ratio(count[st.C_ARRIVED_CPU], scale[S_TOTAL_CPU])
    arrived_gpu = _ratio(count[st.C_ARRIVED_GPU], scale[S_TOTAL_GPU])
    out[G_ARRIVED_CPU] = arrived_cpu / (1.0 + arrived_cpu)
    out[G_ARRIVED_GPU] = arrived_gpu / (1.0 + arrived_gpu)
    origin = w.option_f[wd.O_ORIGIN_S]
    if not math.isnan(origin):
        day, week = phases_of(origin + c.clock[st.F_NOW])
        out[G_DAY_SIN], out[G_DAY_COS] = math.sin(day), math.cos(day)
        out[G_WEEK_SIN], out[G_WEEK_COS] = math.sin(week), math.cos(week)


@bare_njit(inline="always")
def phases_of(time_s: Any) -> Any:
    """Time of the day and time of the week, from Monday 0:00, in radians; ``time_s`` counts from 1970."""
    turn = 2.0 * math.pi
    monday = time_s - 4 * SECONDS_PER_DAY  # 1970 began on a Thursday
    day, week = time_s / SECONDS_PER_DAY, monday / SECONDS_PER_WEEK
    return turn * (day - math.floor(day)), turn * (week - math.floor(week))

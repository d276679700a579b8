"""What a policy sees of a placement: ``candidates (N, K, F)``, ``globals (N, G)``, ``action_mask (N, K)``.

Compiled; one call serves all copies. The fields are those of ``features.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.observe import features as ft
from rlsched.observe.settings import ObservationSettings
from rlsched.observe.shortlist import (
    BlendArrays,
    Scratch,
    make_blends,
    make_scratch,
    note_changes,
    pick_rows,
    score_blends,
)
from rlsched.sim import rules as ru
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.accounting import watts_of
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import copy_of
from rlsched.sim.power import watts
from rlsched.sim.scoring import LIFETIME_STEPS, pick_devices, score_parts
from rlsched.sim.select import GPU_SCORE, PolicyArrays, machines_of, request_of
from rlsched.sim.simulate import default_devices
from rlsched.sim.state import State
from rlsched.sim.world import World, WorldArrays

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

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
    X_GPU_PACKING,
    X_GPU_CLUSTERING,
    X_LIFETIME,
    X_LIFETIME_GAP,
    X_RESIDENTS,
    X_EMPTY,
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
) = range(len(ft.GLOBAL_FEATURES))
#: Rules that are features themselves: (rule, column, what its score is divided by).
_RULE_COLUMN = np.array(
    [
        [ru.R_BEST_FIT, X_BEST_FIT, 1],
        [ru.R_DOT_PRODUCT, X_DOT_PRODUCT, 3],
        [ru.R_COSINE, X_COSINE, 1],
        [ru.R_NORM_L2, X_NORM_L2, 3],
        [ru.R_GPU_PACKING, X_GPU_PACKING, 100],
        [ru.R_GPU_CLUSTERING, X_GPU_CLUSTERING, 100],
        [ru.R_LIFETIME, X_LIFETIME, LIFETIME_STEPS.shape[0]],
    ],
    dtype=np.int64,
)
_S_CPU, _S_MEM, _S_GPU, _S_TOTAL_CPU, _S_TOTAL_MEM, _S_TOTAL_GPU, _S_PRICE = range(7)


class ObservationArrays(NamedTuple):
    """Buffers of one observation of ``N`` copies."""

    candidates: F32  # (N, K, F)
    globals: F32  # (N, G)
    action_mask: npt.NDArray[np.int8]  # (N, K) 1: allowed
    rows: I64  # (N, K) machine behind each candidate, -1 none
    equal: I64  # (N, K) machines in equal state

    def as_dict(self) -> dict[str, npt.NDArray[Any]]:
        """The three fields a policy sees, by name; the same memory."""
        return {"candidates": self.candidates, "globals": self.globals, "action_mask": self.action_mask}


class Observer:
    """Turns states of one world into observations.

    Parameters
    ----------
    world : World
    n_copies : int
        Copies the scratch memory is for.
    settings : ObservationSettings
        ``candidates``, ``prior``, ``shortlist`` and ``best`` of it.
    budget_mib : int
        See :func:`rlsched.observe.shortlist.make_scratch`.

    Raises
    ------
    SpecError
        A weight that is not finite, or a rule that needs fragmentation in a world without.
    """

    def __init__(self, world: World, n_copies: int, settings: ObservationSettings, *, budget_mib: int = 256) -> None:
        prior, shortlist, best = settings.prior, settings.shortlist, settings.best
        w = world.arrays
        check_blends([prior, *shortlist], world.options.fragmentation)
        self.n_candidates = w.fleet_i.shape[2] if settings.candidates == "all" else settings.candidates
        self.world = world
        self.n_copies = n_copies
        extra = () if world.options.fragmentation == "none" else ("fragmentation",)
        self._blends: BlendArrays = make_blends(dict(prior), [dict(blend) for blend in shortlist], best, extra)
        self._scratch: Scratch = make_scratch(w, self._blends, n_copies, budget_mib)
        self._scale = _scales(w)
        self._devices = default_devices()
        n, k = n_copies, self.n_candidates
        self.out = ObservationArrays(
            np.zeros((n, k, len(ft.CANDIDATE_FEATURES)), np.float32),
            np.zeros((n, len(ft.GLOBAL_FEATURES)), np.float32),
            np.zeros((n, k), np.int8),
            np.full((n, k), -1, np.int64),
            np.zeros((n, k), np.int64),
        )

    def observe(
        self, state: State, copies: I64 | None = None, out: ObservationArrays | None = None
    ) -> ObservationArrays:
        """Observe the copies of a state, each stopped where somebody must decide, or at its end.

        Parameters
        ----------
        state : State
            Of this world, with ``n_copies`` copies.
        copies : (C,) int64, optional
            Which copies to renew; all by default. The others keep what was there.
        out : ObservationArrays, optional
            Filled and returned; the observer's own buffers by default.

        Returns
        -------
        ObservationArrays
            Where a window has ended: no candidate, a mask of zeros, and the globals of the end.
        """
        out = out or self.out
        copies = np.arange(self.n_copies) if copies is None else copies
        _observe_copies(
            self.world.arrays, state.arrays, self._devices, self._blends, self._scratch, self._scale, copies, out
        )
        return out


def check_blends(blends: Sequence[Mapping[str, float]], fragmentation: str) -> None:
    """Refuse unknown rules, weights that are not finite, and rules this world cannot score.

    Raises
    ------
    SpecError
    """
    for blend in blends:
        for rule, weight in blend.items():
            if rule not in ru.RULES:
                raise SpecError(f"unknown rule {rule!r} in the shortlist.{did_you_mean(rule, ru.RULES)}")
            if not math.isfinite(weight):
                raise SpecError(f"the weight of {rule} must be finite: got {weight}.")
            if ru.RULES.index(rule) in ru.NEEDS_TYPICAL and fragmentation == "none":
                raise SpecError(
                    f"rule {rule!r} measures fragmentation, and this world has fragmentation='none'. "
                    "Set it to 'gpu' or 'cpu', or leave the rule out."
                )


def device_choice(settings: ObservationSettings, world: World) -> PolicyArrays:
    """How the GPU inside a chosen machine is picked, as :func:`rlsched.sim.simulate.decide_all` takes it.

    ``devices = "best"``: the smallest sufficient share. ``"score"``: the device best for
    fragmentation, in published whole percents where the prior has the rule ``fgd`` and in real
    values otherwise, exactly as the prior would choose by itself.

    Raises
    ------
    SpecError
        For ``"score"`` in a world that does not measure GPU fragmentation.
    """
    plain = default_devices()
    if settings.devices == "best":
        return plain
    if world.options.fragmentation != "gpu":
        raise SpecError("devices='score' picks GPUs by fragmentation: set fragmentation to 'gpu', or devices='best'.")
    rule = ru.R_FGD if "fgd" in settings.prior else ru.R_FRAGMENTATION
    return plain._replace(gpu_choice=GPU_SCORE, rules=np.array([rule], np.int64))


def _scales(w: WorldArrays) -> F64:
    """Per machine list: largest cpu, mem, GPUs (milli), the cluster's sums, largest price. (F, 7)"""
    out = np.zeros((w.fleet_i.shape[0], 7))
    for f, row in enumerate(out):
        n = int(w.fleet_n[f, wd.L_N])
        for at, column, unit in ((_S_CPU, wd.L_CPU, 1), (_S_MEM, wd.L_MEM, 1), (_S_GPU, wd.L_GPUS, 1000)):
            row[at] = w.fleet_i[f, column, :n].max() * unit
            row[at + 3] = w.fleet_i[f, column, :n].sum() * unit
        price = w.fleet_f[f, wd.L_PRICE, :n]
        row[_S_PRICE] = max(0.0, np.nanmax(price)) if np.isfinite(price).any() else 0.0
    return out


# The compiled functions below take numba's view of the tuples; mypy sees Any.
@bare_njit(inline="always")
def _ratio(a: Any, b: Any) -> Any:
    return a / b if b > 0 else 0.0


@bare_njit
def _observe_copies(w: Any, s: Any, p: Any, b: Any, x: Any, scale: Any, copies: Any, out: Any) -> None:
    for at in range(copies.shape[0]):
        n = copies[at]
        c = copy_of(s, n)
        fleet = c.counter[st.C_FLEET]
        size = w.fleet_n[fleet, wd.L_N]
        m = machines_of(w, c, p, x.device)
        out.candidates[n, :, :] = 0.0
        out.action_mask[n, :] = 0
        found, fits = 0, 0
        k = c.counter[st.C_TASK]
        if k >= 0:
            r = request_of(w, c, k)
            note_changes(m, x, n, size)
            fits = score_blends(w, c, k, r, m, b, x, n, size)
            curve = w.fleet_curve[fleet]
            residents = w.option_i[wd.O_RESIDENTS]
            found = pick_rows(m, b, x, n, fits, curve, residents, out.rows[n], out.equal[n])
            _candidates(w, c, r, m, b, x, scale[fleet], out.rows[n], out.equal[n], found, fits, out.candidates[n])
            for slot in range(found):
                out.action_mask[n, slot] = 1
        else:
            out.rows[n, :] = -1
            out.equal[n, :] = 0
        _globals(w, c, k, fits, scale[fleet], out.globals[n])


@bare_njit
def _candidates(
    w: Any, c: Any, r: Any, m: Any, b: Any, x: Any, scale: Any, rows: Any, equal: Any, found: Any, fits: Any, out: Any
) -> None:
    need = r.gpus * r.mgpu
    for slot in range(found):
        i, f = rows[slot], out[slot]
        cpu, mem, gpu = m.cap[wd.L_CPU, i], m.cap[wd.L_MEM, i], m.cap[wd.L_GPUS, i] * 1000
        f[X_CPU_FREE] = _ratio(m.i[st.M_CPU, i], cpu)
        f[X_MEM_FREE] = _ratio(m.i[st.M_MEM, i], mem)
        f[X_GPU_FREE] = _ratio(m.i[st.M_GPU, i], gpu)
        f[X_CPU_LEFT] = _ratio(m.i[st.M_CPU, i] - r.cpu, cpu)
        f[X_MEM_LEFT] = _ratio(m.i[st.M_MEM, i] - r.mem, mem)
        f[X_GPU_LEFT] = _ratio(m.i[st.M_GPU, i] - need, gpu)
        f[X_CPU_SIZE] = _ratio(cpu, scale[_S_CPU])
        f[X_MEM_SIZE] = _ratio(mem, scale[_S_MEM])
        f[X_GPU_SIZE] = _ratio(gpu, scale[_S_GPU])
        _device_features(i, r, m, f)
        _fragment_features(w, m, b, x, i, f)
        tasks = m.i[st.M_TASKS, i]
        f[X_RESIDENTS] = tasks / (tasks + ft.HALF_RESIDENTS)
        f[X_EMPTY] = 1.0 if tasks == 0 else 0.0
        f[X_SAME_STATE] = equal[slot] / fits
        price = m.inv[wd.L_PRICE, i]
        f[X_PRICE] = 0.0 if math.isnan(price) else _ratio(price, scale[_S_PRICE])
        f[X_POWER_RISE] = _power_rise(w, c, r, m, i)
        f[X_LIFETIME_GAP] = _lifetime_gap(w, r, m, i)
        behind = x.total[0, rows[0]] - x.total[0, i]
        f[X_PRIOR] = 0.0 - behind / (1.0 + behind)  # 0, not -0, at the best
    for slot in range(found):
        x.parts[slot, 0], x.parts[slot, 1] = rows[slot], rows[slot] + 1
    for column in range(_RULE_COLUMN.shape[0]):
        x.one_rule[0] = _RULE_COLUMN[column, 0]
        score_parts(x.row, x.parts, found, x.one_rule, x.one_weight, r, m)
        for slot in range(found):
            out[slot, _RULE_COLUMN[column, 1]] = x.row[rows[slot]] / _RULE_COLUMN[column, 2]


@bare_njit
def _device_features(i: Any, r: Any, m: Any, f: Any) -> None:
    n = m.cap[wd.L_GPUS, i]
    if n == 0:
        return
    bits = pick_devices(m.gpu[i], n, r.gpus, r.mgpu) if r.gpus > 0 else 0
    free, left, least = 0, 0, 1000
    for d in range(n):
        used = (bits >> d) & 1
        if m.gpu[i, d] == 1000:
            free += 1
            left += 1 - used
        if used:
            least = min(least, m.gpu[i, d] - r.mgpu)
    f[X_WHOLE_FREE] = free / n
    f[X_WHOLE_LEFT] = left / n
    f[X_DEVICE_LEFT] = least / 1000 if r.gpus > 0 else 0.0


@bare_njit
def _fragment_features(w: Any, m: Any, b: Any, x: Any, i: Any, f: Any) -> None:
    if w.option_i[wd.O_FRAG] == wd.FRAG_NONE:
        return
    capacity = m.cap[wd.L_GPUS, i] * 1000 if w.option_i[wd.O_FRAG] == wd.FRAG_GPU else m.cap[wd.L_CPU, i]
    if capacity == 0:
        return
    before = m.f[st.M_FRAG, i]
    after = max(0.0, before - x.total[b.term.shape[0], i] * 1000.0)  # the difference can be -1e-13 where it is 0
    f[X_FRAG_BEFORE] = before / capacity
    f[X_FRAG_AFTER] = after / capacity
    f[X_FRAG_GAIN] = (before - after) / capacity


@bare_njit
def _power_rise(w: Any, c: Any, r: Any, m: Any, i: Any) -> Any:
    fleet = c.counter[st.C_FLEET]
    curve = w.fleet_curve[fleet, i]
    if curve < 0:
        return 0.0
    kind, table = w.curve_kind[curve], w.curve_table[curve]
    full = watts(kind, table, 1.0)
    used = (m.cap[wd.L_CPU, i] - m.i[st.M_CPU, i] + r.cpu) * m.inv[wd.L_INV_PHYSICAL, i]
    rise = watts(kind, table, min(used, 1.0)) - watts_of(w, c.machine_i, fleet, i)
    return rise / full if full > 0.0 else 0.0


@bare_njit
def _lifetime_gap(w: Any, r: Any, m: Any, i: Any) -> Any:
    if w.option_i[wd.O_RESIDENTS] == 0:
        return 0.0
    task = max(0.0, r.end - r.now)
    others = 0.0
    if m.i[st.M_TASKS, i] > 0:
        # Where only ages are known, what has run for long is expected to run as long again.
        others = r.now - m.f[st.M_EXIT, i] if m.lifetime == 2 else max(0.0, m.f[st.M_EXIT, i] - r.now)
    both = task + others
    return (task - others) / both if both > 0.0 else 0.0


@bare_njit
def _globals(w: Any, c: Any, k: Any, fits: Any, scale: Any, out: Any) -> None:
    count = c.counter
    fleet = count[st.C_FLEET]
    size = w.fleet_n[fleet, wd.L_N]
    out[:] = 0.0
    if k >= 0:
        row = count[st.C_LO] + k
        gpus, mgpu = w.task_i[row, wd.T_GPUS], w.task_i[row, wd.T_MGPU]
        r = request_of(w, c, k)
        out[G_CPU] = _ratio(r.cpu, scale[_S_CPU])
        out[G_MEM] = _ratio(r.mem, scale[_S_MEM])
        out[G_GPU] = _ratio(gpus * mgpu, scale[_S_GPU])
        out[G_SHARE] = mgpu / 1000
        out[G_SHARED] = 1.0 if gpus == 1 and mgpu < 1000 else 0.0
        life = max(0.0, r.end - r.now)
        out[G_LIFE] = life / (life + ft.HALF_LIFE_S)
        out[G_FITS] = fits / size
        out[G_QUEUED] = count[st.C_SOURCE]
    out[G_USED_CPU] = _ratio(count[st.C_RUN_CPU], scale[_S_TOTAL_CPU])
    out[G_USED_MEM] = _ratio(count[st.C_RUN_MEM], scale[_S_TOTAL_MEM])
    out[G_USED_GPU] = _ratio(count[st.C_RUN_GPU], scale[_S_TOTAL_GPU])
    if w.option_i[wd.O_FRAG] != wd.FRAG_NONE:
        gpu = w.option_i[wd.O_FRAG] == wd.FRAG_GPU
        total = 0.0  # summed afresh: the running sum of the clock drifts by rounding
        for i in range(size):
            total += c.machine_f[st.M_FRAG, i]
        capacity = scale[_S_TOTAL_GPU] if gpu else scale[_S_TOTAL_CPU]
        used = count[st.C_RUN_GPU] if gpu else count[st.C_RUN_CPU]
        out[G_FRAG] = _ratio(total, capacity)
        out[G_FRAG_IDLE] = _ratio(total, capacity - used)
    out[G_ACTIVE] = count[st.C_ACTIVE] / size
    out[G_RUNNING] = count[st.C_RUNNING] / (count[st.C_RUNNING] + size)
    out[G_WAITING] = count[st.C_WAITING] / (count[st.C_WAITING] + ft.HALF_WAITING)
    arrived_cpu = _ratio(count[st.C_ARRIVED_CPU], scale[_S_TOTAL_CPU])
    arrived_gpu = _ratio(count[st.C_ARRIVED_GPU], scale[_S_TOTAL_GPU])
    out[G_ARRIVED_CPU] = arrived_cpu / (1.0 + arrived_cpu)
    out[G_ARRIVED_GPU] = arrived_gpu / (1.0 + arrived_gpu)

"""The desk: some machines side by side, as the scoring rules read them, and the working memory of a decision."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.observe.alike import (
    E_CPU,
    E_EXIT,
    E_FRAG,
    E_GPU,
    E_MEM,
    E_TASKS,
    V_CPU,
    V_GPUS,
    V_INV_CPU,
    V_INV_GPU,
    V_INV_MEM,
    V_MEM,
    V_MODEL,
)
from rlsched.observe.blends import BlendArrays
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.scoring import MachineArrays
from rlsched.sim.world import WorldArrays

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]


class Desk(NamedTuple):
    """Working memory of one thread; nothing in it lasts beyond a decision."""

    whole: I64  # (6, C) some machines side by side, as score_parts reads them
    real: F64  # (6, C)
    gpu: I64  # (C, G)
    kinds: I32  # (C, 5)
    cap: I64  # (4, C) read-only view of cap_w, the type of the world's own
    inv: F64  # (5, C)
    cap_w: I64
    inv_w: F64
    device: I64  # (G,)
    score: F64  # (max(M, C),)
    parts: I64  # (1, 2)
    one_rule: I64  # (1,)
    one_weight: F64  # (1,) holds 1
    stale: I64  # (C,) machines that changed
    leads: I64  # (C,) 1: it stands for its class
    coming: I64  # (C,) those of them that may come on a list
    total: F64  # (B, max(M, C)) scores by each heuristic
    alive: I64  # (M,) machines not yet named, nor in equal state to one
    mark: I64  # (M,) number of the decision that last named the machine, or counted its class
    stamp: I64  # (1,) number of the decision
    place: I64  # (B,) where to go on in each list
    prior: F64  # (K,) the prior's score of each candidate
    order: I64  # (K,) the candidates, best of the prior first
    rows: I64  # (K,) candidates as they were found
    equal: I64  # (K,)


def make_desk(w: WorldArrays, blends: BlendArrays, candidates: int, ring: int) -> Desk:
    """Allocate the working memory of one thread."""
    size, g = w.fleet_i.shape[2], int(w.fleet_i[:, wd.L_GPUS].max())
    c = max(candidates, ring)
    cap, inv = np.zeros((4, c), np.int64), np.zeros((5, c))
    cap_seen, inv_seen = cap.view(), inv.view()
    cap_seen.flags.writeable = inv_seen.flags.writeable = False
    return Desk(
        np.zeros((6, c), np.int64),
        np.zeros((6, c)),
        np.zeros((c, g), np.int64),
        np.zeros((c if g else 0, st.N_KINDS), np.int32),
        cap_seen,
        inv_seen,
        cap,
        inv,
        np.zeros(max(1, g), np.int64),
        np.zeros(max(size, c)),
        np.zeros((1, 2), np.int64),
        np.zeros(1, np.int64),
        np.ones(1),
        np.zeros(c, np.int64),
        np.zeros(c, np.int64),
        np.zeros(c, np.int64),
        np.zeros((len(blends.kind), max(size, c))),
        np.zeros(size, np.int64),
        np.full(size, -1, np.int64),
        np.zeros(1, np.int64),
        np.zeros(len(blends.kind), np.int64),
        np.zeros(candidates),
        np.zeros(candidates, np.int64),
        np.zeros(candidates, np.int64),
        np.zeros(candidates, np.int64),
    )


@bare_njit(forceinline=True)
def side_by_side(m: Any, d: Any) -> Any:
    """The machines that :func:`fetch` put on the desk, as the scoring rules read them."""
    return MachineArrays(
        d.whole,
        d.real,
        d.gpu,
        d.kinds,
        d.cap,
        d.inv,
        m.max_cpu,
        m.max_gpu,
        m.typical_i,
        m.typical_p,
        m.lifetime,
        m.frag,
        d.device,
        m.shape,
    )


@bare_njit(inline="always")
def fetch(m: Any, k: Any, d: Any, n: Any, i: Any, j: Any) -> None:
    """Put machine ``i`` on the desk at place ``j``."""
    rec, fixed = k.rec[n, i], k.fixed[k.kind[k.fleet[n], i]]
    whole, real, cap, inv = d.whole, d.real, d.cap_w, d.inv_w
    whole[st.M_CPU, j], whole[st.M_MEM, j] = np.int64(rec[E_CPU]), np.int64(rec[E_MEM])
    whole[st.M_GPU, j], whole[st.M_TASKS, j] = np.int64(rec[E_GPU]), max(np.int64(rec[E_TASKS]), 0)
    whole[st.M_UP, j] = np.int64(rec[E_TASKS] >= 0.0)
    real[st.M_EXIT, j], real[st.M_FRAG, j] = rec[E_EXIT], rec[E_FRAG]
    cap[wd.L_CPU, j], cap[wd.L_MEM, j] = np.int64(fixed[V_CPU]), np.int64(fixed[V_MEM])
    cap[wd.L_GPUS, j], cap[wd.L_MODEL, j] = np.int64(fixed[V_GPUS]), np.int64(fixed[V_MODEL])
    inv[wd.L_INV_CPU, j], inv[wd.L_INV_MEM, j] = fixed[V_INV_CPU], fixed[V_INV_MEM]
    inv[wd.L_INV_GPU, j] = fixed[V_INV_GPU]
    if m.gpu.shape[1] > 0:
        for device in range(cap[wd.L_GPUS, j]):
            d.gpu[j, device] = m.gpu[i, device]
        for kind in range(st.N_KINDS):
            d.kinds[j, kind] = m.kinds[i, kind]

"""Machines as an observer keeps them: what it needs of each in one place, and which are in equal state.

Machines in equal state are told apart by nobody, so a shortlist shows one of them: the lowest
row stands for its class. Classes follow the machines that change; what changed is read from
the simulator's log. All of it is scratch: derived from the state, rebuilt from nothing, so a
restored state gives the same observation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.select import mix64
from rlsched.sim.world import WorldArrays

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

BLOCK = 64
#: Columns of `rec`: what changes of a machine. Whole numbers below 2**53 are exact in float64. Tasks are −1 on a
#: machine that is down, which holds none: so one row stays one cache line.
E_CPU, E_MEM, E_GPU, E_TASKS, E_FROM, E_EXIT, E_FRAG, E_WATT = range(8)
#: Columns of `fixed`: what does not.
(
    V_CPU,
    V_MEM,
    V_GPUS,
    V_MODEL,
    V_INV_CPU,
    V_INV_MEM,
    V_INV_GPU,
    V_INV_PHYSICAL,
    V_PRICE_SHARE,
    V_CURVE,
    V_KIND,
    V_INV_FULL_WATT,
    V_MODEL_SHARE,
    V_CPU_SIZE,
    V_MEM_SIZE,
    V_GPU_SIZE,
) = range(16)
N_FIXED = 16


class Kept(NamedTuple):
    """Scratch of every copy ``N``; one row a machine is one cache line."""

    fixed: F64  # (kinds, 16) over all machine lists
    kind: I32  # (F, M) row of each machine in it
    taken: I64  # (N,) changes taken in from the log; -1: nothing is known
    fleet: I64  # (N,) the machine list it is known of
    rec: F64  # (N, M, 8)
    cls: I32  # (N, M) class of each machine; -1 none
    rep: I32  # (N, C) lowest row of each class
    members: I32  # (N, C)
    lead: I64  # (N, blocks) a bit a machine: it stands for its class
    key: I64  # (N, C) hash of its state
    chain: I32  # (N, C) next class in the same bucket
    bucket: I32  # (N, H) first class of each
    spare: I32  # (N, C) numbers of classes not in use
    n_spare: I64  # (N,)
    ring: I32  # (N, R) machines whose scores are out of date, in the order they became so
    head: I64  # (N,) entries ever made in it
    tail: F64  # (N, blocks) latest expected end in each block (earliest start where only ages are known)
    frag: F64  # (N, blocks) fragmentation of each block


#: Every word of six bits occurs in it once: where the one set bit of a word is follows from their product (Leiserson
#: et al., "Using de Bruijn sequences to index a 1 in a computer word", 1998).
_DE_BRUIJN = 0x03F79D71B4CB0A89
_PLACE = np.zeros(64, np.int64)
for _bit in range(64):
    _PLACE[((_DE_BRUIJN << _bit) & (2**64 - 1)) >> 58] = _bit


@bare_njit(inline="always")
def lowest_bit(bits: Any) -> Any:
    """Which is the lowest bit set of a word that is not 0."""
    return _PLACE[(np.uint64(bits & -bits) * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]


def kinds_of(w: WorldArrays) -> tuple[F64, I32]:
    """What does not change of a machine: a row (16,) a kind, and the kind of each machine, (F, M).

    A decision reads the rows of many machines; there are few kinds, so their rows stay close by.
    """
    columns = _fixed_columns(w)
    rows, kind = np.unique(columns.reshape(-1, N_FIXED), axis=0, return_inverse=True)
    return rows, kind.reshape(columns.shape[:2]).astype(np.int32)


def _fixed_columns(w: WorldArrays) -> F64:
    """What does not change of each machine, and which kind it is of, (F, M, 16)."""
    from rlsched.sim.power import watts

    f, _, m = w.fleet_i.shape
    out = np.zeros((f, m, N_FIXED))
    for list_, n in enumerate(w.fleet_n[:, wd.L_N]):
        out[list_, :, V_CPU : V_MODEL + 1] = w.fleet_i[list_].T
        out[list_, :, V_INV_CPU : V_PRICE_SHARE + 1] = w.fleet_f[list_].T
        out[list_, :, V_CURVE] = w.fleet_curve[list_]
        known = np.nan_to_num(out[list_, :n, : V_CURVE + 1], nan=-1.0)
        out[list_, :n, V_KIND] = np.unique(known, axis=0, return_inverse=True)[1].reshape(-1)
        price = w.fleet_f[list_, wd.L_PRICE, :n]
        out[list_, :n, V_PRICE_SHARE] = _share_of_largest(np.where(np.isnan(price), 0.0, price))
        for size, amount in ((V_CPU_SIZE, wd.L_CPU), (V_MEM_SIZE, wd.L_MEM), (V_GPU_SIZE, wd.L_GPUS)):
            out[list_, :n, size] = _share_of_largest(w.fleet_i[list_, amount, :n])
        devices, model = w.fleet_i[list_, wd.L_GPUS, :n], w.fleet_i[list_, wd.L_MODEL, :n]
        if devices.any():  # those without a device are of model −1
            share = np.bincount(model + 1, weights=devices) / devices.sum()
            out[list_, :n, V_MODEL_SHARE] = np.where(devices > 0, share[model + 1], 0.0)
        for curve in np.unique(w.fleet_curve[list_, :n]):
            if curve >= 0:
                full = watts(w.curve_kind[curve], w.curve_table[curve], 1.0)
                out[list_, :n, V_INV_FULL_WATT][w.fleet_curve[list_, :n] == curve] = 1.0 / full if full > 0.0 else 0.0
    return out


def _share_of_largest(amount: npt.NDArray[Any]) -> F64:
    largest = float(amount.max())
    out: F64 = amount / largest if largest > 0 else np.zeros(amount.shape)
    return out


def make_kept(w: WorldArrays, n_copies: int) -> Kept:
    """Allocate the scratch of ``n_copies`` copies."""
    size = w.fleet_i.shape[2]
    buckets, ring = 1 << max(4, (2 * size - 1).bit_length()), 1 << max(6, (size - 1).bit_length())
    blocks = math.ceil(size / BLOCK)
    whole = [np.full((n_copies, size), -1, np.int32) for _ in range(5)]
    return Kept(
        *kinds_of(w),
        np.full(n_copies, -1, np.int64),
        np.full(n_copies, -1, np.int64),
        np.zeros((n_copies, size, 8)),
        whole[0],
        whole[1],
        whole[2],
        np.zeros((n_copies, blocks), np.int64),
        np.zeros((n_copies, size), np.int64),
        whole[3],
        np.full((n_copies, buckets), -1, np.int32),
        whole[4],
        np.zeros(n_copies, np.int64),
        np.zeros((n_copies, ring), np.int32),
        np.zeros(n_copies, np.int64),
        np.zeros((n_copies, blocks)),
        np.zeros((n_copies, blocks)),
    )


@bare_njit(forceinline=True)
def take_in(m: Any, k: Any, n: Any, fleet: Any, size: Any, residents: Any, by_kind: Any, log: Any) -> Any:
    """Bring records and classes of copy ``n`` up to date.

    What is called at every decision is copied into its caller: handing over some forty arrays
    costs more than what most of it does.

    Returns
    -------
    bool
        True when everything was made anew, and no score kept from before holds.
    """
    head, taken, ring = log.head[0], k.taken[n], log.ring
    k.taken[n] = head
    if taken < 0 or k.fleet[n] != fleet or head - taken > ring.shape[0]:
        k.fleet[n] = fleet
        _start(m, k, n, size, residents, by_kind)
        return True
    around = ring.shape[0] - 1
    # Everybody who changed leaves before anybody joins: a class then holds what it says.
    for at in range(taken, head):
        if k.cls[n, ring[at & around]] >= 0:
            _leave(k, n, ring[at & around], size)
    for at in range(taken, head):
        i = ring[at & around]
        if k.cls[n, i] < 0:
            _record(m, k, n, i)
            _join(m, k, n, i, residents, by_kind)
            _note(k, n, i)
            _block(m, k, n, i // BLOCK, size)
    return False


@bare_njit
def _start(m: Any, k: Any, n: Any, size: Any, residents: Any, by_kind: Any) -> None:
    for c in range(k.cls.shape[1]):
        k.cls[n, c] = -1
        k.spare[n, c] = c
        k.members[n, c] = 0
    k.n_spare[n] = k.cls.shape[1]
    for block in range(k.lead.shape[1]):
        k.lead[n, block] = 0
    for bucket in range(k.bucket.shape[1]):
        k.bucket[n, bucket] = -1
    for i in range(size):
        _record(m, k, n, i)
        _join(m, k, n, i, residents, by_kind)
    for block in range((size + BLOCK - 1) // BLOCK):
        _block(m, k, n, block, size)


@bare_njit(inline="always")
def _record(m: Any, k: Any, n: Any, i: Any) -> None:
    rec = k.rec[n, i]
    rec[E_CPU], rec[E_MEM], rec[E_GPU] = m.i[st.M_CPU, i], m.i[st.M_MEM, i], m.i[st.M_GPU, i]
    rec[E_TASKS] = m.i[st.M_TASKS, i] if m.i[st.M_UP, i] == 1 else -1
    rec[E_FROM] = m.f[st.M_FROM, i]
    rec[E_EXIT], rec[E_FRAG], rec[E_WATT] = m.f[st.M_EXIT, i], m.f[st.M_FRAG, i], m.f[st.M_WATT, i]


@bare_njit(inline="always")
def _block(m: Any, k: Any, n: Any, block: Any, size: Any) -> None:
    """Sums and bounds of one block, from scratch: they do not depend on what happened before."""
    lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, size)
    ends, frag = m.f[st.M_EXIT], m.f[st.M_FRAG]
    total = 0.0
    for i in range(lo, hi):
        total += frag[i]
    k.frag[n, block] = total
    tail = ends[lo]
    if m.lifetime == 2:
        for i in range(lo, hi):
            tail = ends[i] if ends[i] < tail else tail
    else:
        for i in range(lo, hi):
            tail = ends[i] if ends[i] > tail else tail
    k.tail[n, block] = tail


@bare_njit(inline="always")
def _note(k: Any, n: Any, i: Any) -> None:
    at = k.head[n]
    k.ring[n, at & (k.ring.shape[1] - 1)] = i
    k.head[n] = at + 1


@bare_njit(inline="always")
def _turn(k: Any, n: Any, i: Any) -> None:
    """A machine begins or ends to stand for its class."""
    k.lead[n, i // BLOCK] ^= np.int64(1) << (i % BLOCK)


@bare_njit(inline="always")
def _leave(k: Any, n: Any, i: Any, size: Any) -> None:
    cls, rep = k.cls[n], k.rep[n]
    c = cls[i]
    cls[i] = -1
    k.members[n, c] -= 1
    if rep[c] == i:
        _turn(k, n, i)
    if k.members[n, c] == 0:
        bucket = k.key[n, c] & (k.bucket.shape[1] - 1)
        at = k.bucket[n, bucket]
        if at == c:
            k.bucket[n, bucket] = k.chain[n, c]
        else:
            while k.chain[n, at] != c:
                at = k.chain[n, at]
            k.chain[n, at] = k.chain[n, c]
        k.spare[n, k.n_spare[n]] = c
        k.n_spare[n] += 1
    elif rep[c] == i:
        j = i + 1
        while j < size and cls[j] != c:
            j += 1
        rep[c] = j
        _turn(k, n, j)
        _note(k, n, j)


@bare_njit(inline="always")
def _join(m: Any, k: Any, n: Any, i: Any, residents: Any, by_kind: Any) -> None:
    key = _key(m, k, n, i, residents, by_kind)
    bucket = key & (k.bucket.shape[1] - 1)
    c = k.bucket[n, bucket]
    while c >= 0:
        if k.key[n, c] == key and _same(m, k, n, k.rep[n, c], i, residents, by_kind):
            break
        c = k.chain[n, c]
    if c >= 0:
        k.members[n, c] += 1
        if i < k.rep[n, c]:
            _note(k, n, k.rep[n, c])
            _turn(k, n, k.rep[n, c])
            _turn(k, n, i)
            k.rep[n, c] = i
    else:
        k.n_spare[n] -= 1
        c = k.spare[n, k.n_spare[n]]
        k.rep[n, c], k.members[n, c], k.key[n, c] = i, 1, key
        k.chain[n, c] = k.bucket[n, bucket]
        k.bucket[n, bucket] = c
        _turn(k, n, i)
    k.cls[n, i] = c


@bare_njit(inline="always")
def _key(m: Any, k: Any, n: Any, i: Any, residents: Any, by_kind: Any) -> Any:
    rec = k.rec[n, i]
    h = mix64(
        np.int64(k.kind[k.fleet[n], i]) * 2 + np.int64(rec[E_TASKS] >= 0.0), np.int64(rec[E_CPU]), np.int64(rec[E_MEM])
    )
    end = rec[E_EXIT]
    if residents and end > -math.inf and end < math.inf:
        h = mix64(h, np.int64(end), 0)
    if m.gpu.shape[1] > 0:
        shares = np.int64(0)
        for d in range(m.gpu.shape[1]):
            shares += mix64(m.gpu[i, d], 1, 2) >> 3  # a sum: the order of the devices is nobody's business
        h = mix64(h, shares, 3)
        if by_kind == 1:
            for kind in range(st.N_KINDS):
                h = mix64(h, m.kinds[i, kind], kind)
    return h


@bare_njit(inline="always")
def _same(m: Any, k: Any, n: Any, i: Any, j: Any, residents: Any, by_kind: Any) -> Any:
    """True when two machines are of one kind and hold the same room, device by device."""
    a, b = k.rec[n, i], k.rec[n, j]
    kind = k.kind[k.fleet[n]]
    if kind[i] != kind[j] or (a[E_TASKS] < 0.0) != (b[E_TASKS] < 0.0):
        return False
    if a[E_CPU] != b[E_CPU] or a[E_MEM] != b[E_MEM] or (residents and a[E_EXIT] != b[E_EXIT]):
        return False
    g = m.gpu.shape[1]
    for d in range(g):
        mine = theirs = 0
        for other in range(g):
            mine += m.gpu[i, other] == m.gpu[i, d]
            theirs += m.gpu[j, other] == m.gpu[i, d]
        if mine != theirs:
            return False
    if g > 0 and by_kind == 1:
        for kind in range(st.N_KINDS):
            if m.kinds[i, kind] != m.kinds[j, kind]:
                return False
    return True

"""Choosing a machine inside the compiled loop.

Scores of a machine depend on the machine and the request only (timed rules apart), so they
are kept per request and rescored just where a machine changed since that request was last
seen. The best of every block of 64 machines is kept too: a decision looks at the blocks, not
at the machines. That makes the cost of a decision grow with the number of *changes*, not of
machines. Requests beyond the memory budget, timed rules and group limits are scored afresh.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.accounting import expected_end
from rlsched.sim.allocation import place
from rlsched.sim.changes import Changes
from rlsched.sim.compile import bare_njit
from rlsched.sim.feasible import group_full
from rlsched.sim.index import Index, first_best_indexed, make_index, no_index, refresh_index
from rlsched.sim.kernel import advance, copy_of, refuse
from rlsched.sim.rules import NEEDS_TYPICAL, R_FGD, R_LIFETIME, RULES
from rlsched.sim.scoring import (
    NEG,
    MachineArrays,
    Request,
    best_fragment_device,
    pick_devices,
    score_parts,
)

BY_SCORE, AT_RANDOM, ROUND_ROBIN, NEXT_FIT = range(4)
GPU_BEST, GPU_SCORE, GPU_RANDOM = range(3)
BLOCK = 64


class PolicyArrays(NamedTuple):
    """A heuristic as the compiled loop sees it."""

    choice: int  # BY_SCORE, AT_RANDOM, ROUND_ROBIN, NEXT_FIT
    gpu_choice: int  # GPU_BEST, GPU_SCORE, GPU_RANDOM
    cacheable: bool
    shift: int  # 2**shift machines are rescored together, at most BLOCK
    rules: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    shape: npt.NDArray[np.float64]  # (2, P) points of requested_to_capacity


class Cache(NamedTuple):
    """Scores kept per request. Scratch: derived from the state, rebuilt from nothing."""

    slot: npt.NDArray[np.int32]  # (T,) row of each request type, -1 uncached
    score: npt.NDArray[np.float64]  # (S, M padded)
    best: npt.NDArray[np.float64]  # (S, blocks)
    cursor: npt.NDArray[np.int64]  # (S,) changes seen; -1 never scored
    seen: npt.NDArray[np.int64]  # (S, ranges) change number it was scored at
    row: npt.NDArray[np.float64]  # (M padded,) for requests without a slot
    row_best: npt.NDArray[np.float64]
    parts: npt.NDArray[np.int64]  # (ring, 2)
    indexed: bool  # the index below serves this policy
    tournament: Index


@bare_njit(inline="always")
def mix64(seed: Any, a: Any, b: Any) -> Any:
    """A well-mixed 63-bit number of three (SplitMix64, Steele et al. 2014)."""
    x = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ np.uint64(a)) * np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(29)
    x = (x + np.uint64(b) + np.uint64(0x632BE59BD9B4E019)) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    x ^= x >> np.uint64(31)
    return np.int64(x >> np.uint64(1))


@bare_njit(forceinline=True)
def machines_of(w: Any, c: Any, p: Any, device: Any) -> Any:
    """One copy's machines as the scoring rules read them."""
    fleet = c.counter[st.C_FLEET]
    return MachineArrays(
        c.machine_i,
        c.machine_f,
        c.gpu,
        c.kinds,
        w.fleet_i[fleet],
        w.fleet_f[fleet],
        w.fleet_n[fleet, wd.L_MAX_CPU],
        w.fleet_n[fleet, wd.L_MAX_GPU],
        w.typical_i,
        w.typical_p,
        w.option_i[wd.O_LIFETIME],
        w.option_i[wd.O_FRAG],
        device,
        p.shape,
    )


@bare_njit(inline="always")
def request_of(w: Any, c: Any, k: Any) -> Any:
    """The request of a task that waits for a decision, as the scoring rules read it."""
    row = c.counter[st.C_LO] + k
    now = c.clock[st.F_NOW]
    return Request(
        w.task_i[row, wd.T_CPU],
        w.task_i[row, wd.T_MEM],
        w.task_i[row, wd.T_GPUS],
        w.task_i[row, wd.T_MGPU],
        w.task_i[row, wd.T_MODELS],
        expected_end(w, row, now - c.task_f[k, st.K_DONE]),
        now,
    )


# Comparisons only: telling the compiler that no score is NaN changes no value, and lets it
# take eight at a time.
@bare_njit(fastmath={"nnan", "nsz"})
def _block_best(score: Any, best: Any, block: Any, size: Any) -> None:
    top = NEG
    for i in range(np.uint64(block * BLOCK), np.uint64(min(block * BLOCK + BLOCK, size))):
        top = score[i] if score[i] > top else top
    best[block] = top


@bare_njit
def _refresh(slot: Any, size: Any, r: Any, m: Any, p: Any, cache: Any, log: Any) -> None:
    """Bring one request's scores up to date."""
    score, best, seen, parts = cache.score[slot], cache.best[slot], cache.seen[slot], cache.parts
    head, cursor, ring = log.head[0], cache.cursor[slot], log.ring
    if cursor < 0 or head - cursor > ring.shape[0]:
        parts[0, 0], parts[0, 1] = 0, size
        score_parts(score, parts, 1, p.rules, p.weights, r, m)
        for block in range(best.shape[0]):
            _block_best(score, best, block, size)
        for part in range(seen.shape[0]):
            seen[part] = head
    else:
        n = 0
        for change in range(cursor, head):
            part = ring[change & (ring.shape[0] - 1)] >> p.shift
            if seen[part] < head:
                seen[part] = head
                parts[n, 0] = part << p.shift
                parts[n, 1] = min((part + 1) << p.shift, size)
                n += 1
        score_parts(score, parts, n, p.rules, p.weights, r, m)
        for part in range(n):
            _block_best(score, best, parts[part, 0] // BLOCK, size)
    cache.cursor[slot] = head


@bare_njit
def _first_best(score: Any, best: Any, size: Any) -> Any:
    """Row of the largest score, lowest row on ties; -1 when nothing fits."""
    top, block = NEG, -1
    for b in range(best.shape[0]):
        if best[b] > top:
            top, block = best[b], b
    if block < 0:
        return -1
    for i in range(block * BLOCK, size):
        if score[i] == top:
            return i
    return -1


@bare_njit
def _count_of(score: Any, size: Any) -> Any:
    found = 0
    for i in range(size):
        found += score[i] > NEG
    return found


@bare_njit
def _nth(score: Any, size: Any, nth: Any) -> Any:
    for i in range(size):
        if score[i] > NEG:
            if nth == 0:
                return i
            nth -= 1
    return -1


@bare_njit(inline="always")
def choose(w: Any, c: Any, k: Any, p: Any, m: Any, cache: Any, log: Any) -> Any:
    """Machine row that the heuristic picks for a waiting task; -1 when nothing fits."""
    row = c.counter[st.C_LO] + k
    size = w.fleet_n[c.counter[st.C_FLEET], wd.L_N]
    limited = w.task_i[row, wd.T_LIMIT] > 0
    if cache.indexed and not limited:
        refresh_index(cache.tournament, size, p.rules, p.weights, m, log)
        return first_best_indexed(
            cache.tournament.tree,
            cache.tournament.requests.shape[1],
            cache.tournament.level,
            w.task_i[row, wd.T_TYPE],
        )
    return _choose_scored(w, c, k, p, m, cache, log)


@bare_njit
def _choose_scored(w: Any, c: Any, k: Any, p: Any, m: Any, cache: Any, log: Any) -> Any:
    """:func:`choose` where the index does not serve."""
    row = c.counter[st.C_LO] + k
    size = w.fleet_n[c.counter[st.C_FLEET], wd.L_N]
    limited = w.task_i[row, wd.T_LIMIT] > 0
    r = request_of(w, c, k)
    slot = cache.slot[w.task_i[row, wd.T_TYPE]]
    if p.cacheable and slot >= 0:
        _refresh(slot, size, r, m, p, cache, log)
        if not limited and p.choice == BY_SCORE:
            return _first_best(cache.score[slot], cache.best[slot], size)
        for i in range(size):
            cache.row[i] = cache.score[slot, i]
    else:
        cache.parts[0, 0], cache.parts[0, 1] = 0, size
        score_parts(cache.row, cache.parts, 1, p.rules, p.weights, r, m)
    score = cache.row
    if limited:
        for i in range(size):
            if score[i] > NEG and group_full(w, c, row, i):
                score[i] = NEG
    if p.choice == BY_SCORE:
        for block in range(cache.row_best.shape[0]):
            _block_best(score, cache.row_best, block, size)
        return _first_best(score, cache.row_best, size)
    if p.choice == AT_RANDOM:
        found = _count_of(score, size)
        if found == 0:
            return -1
        return _nth(score, size, mix64(c.counter[st.C_SEED], c.counter[st.C_DECISIONS], 0) % found)
    first = c.counter[st.C_LAST] + (1 if p.choice == ROUND_ROBIN else 0)
    first = max(first, 0) % size
    for step in range(size):
        i = (first + step) % size
        if score[i] > NEG:
            return i
    return -1


@bare_njit
def choose_devices(w: Any, c: Any, k: Any, machine: Any, p: Any, m: Any) -> Any:
    """Bits of the devices a task gets on the chosen machine."""
    row = c.counter[st.C_LO] + k
    gpus, mgpu = w.task_i[row, wd.T_GPUS], w.task_i[row, wd.T_MGPU]
    n_devices = m.cap[wd.L_GPUS, machine]
    if gpus == 1 and mgpu < 1000 and p.gpu_choice == GPU_SCORE:
        published = False
        for rule in p.rules:
            published |= rule == R_FGD
        _, best = best_fragment_device(machine, request_of(w, c, k), m, published)
        return 1 << best
    if gpus == 1 and mgpu < 1000 and p.gpu_choice == GPU_RANDOM:
        found = 0
        for d in range(n_devices):
            found += m.gpu[machine, d] >= mgpu
        nth = mix64(c.counter[st.C_SEED], c.counter[st.C_DECISIONS], 1) % found
        for d in range(n_devices):
            if m.gpu[machine, d] >= mgpu:
                if nth == 0:
                    return 1 << d
                nth -= 1
    return pick_devices(m.gpu[machine], n_devices, gpus, mgpu)


@bare_njit
def run_rule(w: Any, s: Any, n: Any, p: Any, cache: Any, log: Any, device: Any, limit: Any) -> Any:
    """Run copy ``n`` with a heuristic for at most ``limit`` tasks that ask for a machine.

    Returns
    -------
    int
        Tasks that asked; fewer than ``limit`` when the window has ended.
    """
    c = copy_of(s, n)
    m = machines_of(w, c, p, device)
    asked = 0
    while asked < limit:
        k = advance(w, c, log)
        if k < 0:
            break
        asked += 1
        machine = choose(w, c, k, p, m, cache, log)
        if machine < 0:
            refuse(w, c)
        else:
            devices = 0
            if w.task_i[c.counter[st.C_LO] + k, wd.T_GPUS] > 0:
                devices = choose_devices(w, c, k, machine, p, m)
            place(w, c, machine, devices, log)
    return asked


def _check_needs(w: Any, policy: PolicyArrays) -> None:
    """Refuse rules that would score every machine alike for want of what they measure."""
    rules = set(policy.rules.tolist())
    needs = sorted(RULES[rule] for rule in rules & set(NEEDS_TYPICAL))
    if needs and w.option_i[wd.O_FRAG] == wd.FRAG_NONE:
        raise PolicyError(
            f"rule {needs[0]} needs typical requests: got a world with fragmentation='none'. Build it with "
            "PlacementOptions(fragmentation='gpu') (or 'cpu') and typical=typical_requests(trace) of training data."
        )
    if R_LIFETIME in rules and not w.option_i[wd.O_RESIDENTS]:
        raise PolicyError("rule lifetime needs the tasks on each machine: got a world built with residents=False.")


def make_cache(w: Any, policy: PolicyArrays, rows: slice, budget_mib: int = 256) -> tuple[Cache, Changes]:
    """Allocate a score cache for one copy.

    Parameters
    ----------
    w : WorldArrays
    policy : PolicyArrays
    rows : slice
        Task rows of the window: its most frequent requests get the slots.
    budget_mib : int
        Memory the scores may take.

    Raises
    ------
    PolicyError
        When a rule looks at something this world does not keep.
    """
    _check_needs(w, policy)
    index = make_index(w, policy.rules) if policy.cacheable and policy.choice == BY_SCORE else None
    n_types, size = w.type_i.shape[0], w.fleet_i.shape[2]
    blocks = math.ceil(size / BLOCK)
    ranges = (size >> policy.shift) + 1
    slot = np.full(n_types, -1, np.int32)
    n_slots = 0
    if policy.cacheable and index is None:
        counts = np.bincount(w.task_i[rows, wd.T_TYPE], minlength=n_types)
        order = np.argsort(-counts, kind="stable")
        a_slot = 8 * (blocks * BLOCK + blocks + ranges)
        n_slots = int(min((counts > 1).sum(), max(1, budget_mib * 2**20 // a_slot)))
        slot[order[:n_slots]] = np.arange(n_slots)
    # Past this many changes a fresh scan of all machines is cheaper than following them; where a
    # single score is dear, following them pays for as long as some machines have not changed.
    ring = 1 << max(4, (size >> (policy.shift + 3) if policy.shift else 4 * size).bit_length())
    cache = Cache(
        slot,
        np.full((n_slots, blocks * BLOCK), NEG),
        np.full((n_slots, blocks), NEG),
        np.full(n_slots, -1, np.int64),
        np.full((n_slots, ranges), -1, np.int64),
        np.full(blocks * BLOCK, NEG),
        np.full(blocks, NEG),
        np.zeros((ring, 2), np.int64),
        index is not None,
        index or no_index(),
    )
    return cache, Changes(np.zeros(ring, np.int32), np.zeros(1, np.int64))

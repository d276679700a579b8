"""Which machines a policy looks at: the best few of several heuristics, equal machines once.

Scores are kept per request and renewed only on machines that changed since that request was
last seen; what changed is found by comparing the machines with a copy taken at the last look.
All of that is scratch: derived from the state, rebuilt from nothing, so a restored state gives
the same shortlist.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.feasible import group_full
from rlsched.sim.rules import RULES, TIMED
from rlsched.sim.scoring import NEG, score_parts
from rlsched.sim.select import mix64
from rlsched.sim.world import WorldArrays

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


class BlendArrays(NamedTuple):
    """Several heuristics over one list of rules; the first is the prior."""

    rules: I64  # (A,) rows of RULES, each once
    term: I64  # (B, P) positions in `rules`, in the order they are added; -1 ends
    weight: F64  # (B, P)
    kept: npt.NDArray[np.bool_]  # (B,) False: a rule of it changes with the clock
    best: int  # candidates each heuristic names before the prior fills up
    frag: int  # position of "fragmentation" in `rules`, -1


class Scratch(NamedTuple):
    """Memory of the shortlist, per copy ``N``."""

    slot: npt.NDArray[np.int32]  # (T,) place of each request type, -1 not kept
    version: I64  # (N, M) changes seen of each machine
    shadow: I64  # (N, M, 3 + 2 G + 5) what it looked like: free, devices, devices sorted, kinds
    key: I64  # (N, M) hash of type, free and sorted devices
    kept: F64  # (N, S, B + 1, M) sums of the heuristics, and the gain in fragmentation
    seen: I64  # (N, S, M) version they were computed at
    score: F64  # (A, M) of the request at hand
    total: F64  # (B + 1, M)
    alive: I64  # (M,) machines not yet named, nor in equal state to one
    parts: I64  # (M, 2)
    one_rule: I64  # (1,)
    one_weight: F64  # (1,) holds 1
    row: F64  # (M,)
    device: I64  # (G,)


def make_scratch(w: WorldArrays, blends: BlendArrays, n_copies: int, budget_mib: int = 256) -> Scratch:
    """Allocate the memory of ``n_copies`` copies.

    Parameters
    ----------
    w : WorldArrays
    blends : BlendArrays
    n_copies : int
    budget_mib : int
        Memory that kept scores may take, over all copies; the most frequent requests get it.
    """
    size, g = w.fleet_i.shape[2], max(1, int(w.fleet_i[:, wd.L_GPUS].max()))
    a, b = blends.rules.shape[0], blends.term.shape[0]
    n_types = w.type_i.shape[0]
    counts = np.bincount(w.task_i[:, wd.T_TYPE], minlength=n_types)
    order = np.argsort(-counts, kind="stable")
    a_slot = n_copies * size * 8 * (b + 2)
    n_slots = int(min((counts > 1).sum(), budget_mib * 2**20 // a_slot))
    slot = np.full(n_types, -1, np.int32)
    slot[order[:n_slots]] = np.arange(n_slots)
    return Scratch(
        slot,
        np.zeros((n_copies, size), np.int64),
        np.full((n_copies, size, 3 + 2 * g + st.N_KINDS), -2, np.int64),
        np.zeros((n_copies, size), np.int64),
        np.zeros((n_copies, n_slots, b + 1, size)),
        np.full((n_copies, n_slots, size), -1, np.int64),
        np.zeros((a, size)),
        np.zeros((b + 1, size)),
        np.zeros(size, np.int64),
        np.zeros((size, 2), np.int64),
        np.zeros(1, np.int64),
        np.ones(1),
        np.zeros(size),
        np.zeros(g, np.int64),
    )


def make_blends(
    prior: dict[str, float], others: list[dict[str, float]], best: int, extra: tuple[str, ...] = ()
) -> BlendArrays:
    """Number the rules of the prior and of the other heuristics.

    Parameters
    ----------
    prior, others : dict of str to float
        Rule → weight, known rules only (``Heuristic`` checks); the order of the rules is kept,
        as it decides the last bit of a sum.
    best : int
        Candidates each heuristic names.
    extra : tuple of str
        Rules to score besides, because a feature needs them.
    """
    blends = [prior, *others]
    names = list(dict.fromkeys([*(rule for blend in blends for rule in blend), *extra])) or ["first_fit"]
    rules = np.array([RULES.index(name) for name in names], np.int64)
    width = max(1, *(len(blend) for blend in blends))
    term = np.full((len(blends), width), -1, np.int64)
    weight = np.zeros((len(blends), width))
    for b, blend in enumerate(blends):
        for p, (name, value) in enumerate(blend.items()):
            term[b, p], weight[b, p] = names.index(name), value
    kept = np.array([not any(RULES.index(name) in TIMED for name in blend) for blend in blends])
    frag = names.index("fragmentation") if "fragmentation" in names else -1
    return BlendArrays(rules, term, weight, kept, best, frag)


@bare_njit
def note_changes(m: Any, x: Any, n: Any, size: Any) -> None:
    """Find the machines that changed since the last look; renew their version and key."""
    shadow, version, key = x.shadow[n], x.version[n], x.key[n]
    g = m.gpu.shape[1]
    wide = x.device.shape[0]
    for i in range(size):
        old = shadow[i]
        changed = old[0] != m.i[st.M_CPU, i] or old[1] != m.i[st.M_MEM, i] or old[2] != m.i[st.M_UP, i]
        if g > 0:
            for d in range(g):
                changed = changed or old[3 + d] != m.gpu[i, d]
            for k in range(st.N_KINDS):
                changed = changed or old[3 + 2 * wide + k] != m.kinds[i, k]
        if not changed:
            continue
        version[i] += 1
        old[0], old[1], old[2] = m.i[st.M_CPU, i], m.i[st.M_MEM, i], m.i[st.M_UP, i]
        h = mix64(m.cap[wd.L_CPU, i], m.cap[wd.L_MEM, i], m.cap[wd.L_GPUS, i] * 64 + m.cap[wd.L_MODEL, i])
        h = mix64(h, old[0], old[1])
        if g > 0:
            for k in range(st.N_KINDS):
                old[3 + 2 * wide + k] = m.kinds[i, k]
            for d in range(g):
                value = m.gpu[i, d]
                old[3 + d] = value
                at = d  # insertion sort of the copy
                while at > 0 and old[3 + wide + at - 1] > value:
                    old[3 + wide + at] = old[3 + wide + at - 1]
                    at -= 1
                old[3 + wide + at] = value
            for d in range(g):
                h = mix64(h, old[3 + wide + d], d)
        key[i] = h


@bare_njit
def same_state(m: Any, x: Any, n: Any, i: Any, j: Any, curve: Any, residents: Any) -> Any:
    """True when two machines are of one type and hold the same room, device by device."""
    if x.key[n, i] != x.key[n, j]:
        return False
    a, b = x.shadow[n, i], x.shadow[n, j]
    wide = x.device.shape[0]
    for d in range(3):
        if a[d] != b[d]:
            return False
    if m.gpu.shape[1] > 0:
        for d in range(m.gpu.shape[1]):
            if a[3 + wide + d] != b[3 + wide + d]:
                return False
    for c in range(m.cap.shape[0]):
        if m.cap[c, i] != m.cap[c, j]:
            return False
    mine, other = m.inv[wd.L_PRICE, i], m.inv[wd.L_PRICE, j]
    if (mine != other and not (math.isnan(mine) and math.isnan(other))) or curve[i] != curve[j]:
        return False
    return residents == 0 or m.f[st.M_EXIT, i] == m.f[st.M_EXIT, j]


@bare_njit
def _sum_blends(b: Any, x: Any, out: Any, part: Any, n_parts: Any, which: Any) -> None:
    """Sum the rules of every heuristic whose ``kept`` is ``which`` on the machines of the parts."""
    for blend in range(b.term.shape[0]):
        if b.kept[blend] != which:
            continue
        for at in range(n_parts):
            for i in range(part[at, 0], part[at, 1]):
                total = x.score[0, i] if x.score[0, i] == NEG else 0.0
                if total == 0.0:
                    for p in range(b.term.shape[1]):
                        a = b.term[blend, p]
                        if a < 0:
                            break
                        total += b.weight[blend, p] * x.score[a, i]
                out[blend, i] = total
    if which and b.frag >= 0:
        for at in range(n_parts):
            for i in range(part[at, 0], part[at, 1]):
                out[b.term.shape[0], i] = x.score[b.frag, i]


@bare_njit
def _score_rules(b: Any, x: Any, n_parts: Any, r: Any, m: Any, timed: Any) -> None:
    """Score the machines of ``x.parts`` by every rule, or only by the rules of timed heuristics."""
    for a in range(b.rules.shape[0]):
        needed = not timed
        for blend in range(b.term.shape[0]):
            if timed and not b.kept[blend]:
                for p in range(b.term.shape[1]):
                    needed = needed or b.term[blend, p] == a
        if needed or a == 0:
            x.one_rule[0] = b.rules[a]
            score_parts(x.score[a], x.parts, n_parts, x.one_rule, x.one_weight, r, m)


@bare_njit
def score_blends(w: Any, c: Any, k: Any, r: Any, m: Any, b: Any, x: Any, n: Any, size: Any) -> Any:
    """Fill ``x.total`` for a request, ``-inf`` where it does not fit; return how many machines can hold it."""
    row = c.counter[st.C_LO] + k
    slot = x.slot[w.task_i[row, wd.T_TYPE]]
    version = x.version[n]
    timed = False
    for blend in range(b.term.shape[0]):
        timed = timed or not b.kept[blend]
    if slot >= 0:
        stale = 0
        for i in range(size):
            if x.seen[n, slot, i] != version[i]:
                x.seen[n, slot, i] = version[i]
                x.parts[stale, 0], x.parts[stale, 1] = i, i + 1
                stale += 1
        kept = x.kept[n, slot]
        if 2 * stale > size:  # one long stretch is quicker to score than many short ones
            x.parts[0, 0], x.parts[0, 1], stale = 0, size, 1
        if stale > 0:
            _score_rules(b, x, stale, r, m, False)
            _sum_blends(b, x, kept, x.parts, stale, True)
        for blend in range(kept.shape[0]):
            total = x.total[blend]
            for i in range(size):
                total[i] = kept[blend, i]
    x.parts[0, 0], x.parts[0, 1] = 0, size
    if slot < 0:
        _score_rules(b, x, 1, r, m, False)
        _sum_blends(b, x, x.total, x.parts, 1, True)
    if timed:
        if slot >= 0:
            _score_rules(b, x, 1, r, m, True)
        _sum_blends(b, x, x.total, x.parts, 1, False)
    limited = w.task_i[row, wd.T_LIMIT] > 0
    fits = 0
    for i in range(size):
        if x.total[0, i] > NEG and not (limited and group_full(w, c, row, i)):
            x.alive[fits] = i
            fits += 1
    return fits


@bare_njit
def pick_rows(m: Any, b: Any, x: Any, n: Any, fits: Any, curve: Any, residents: Any, rows: Any, equal: Any) -> Any:
    """Choose the candidates of one request after `score_blends`.

    Each heuristic in turn names its best machine that is not in equal state to one already
    named, ``b.best`` times round; then the prior fills up. The result is sorted by the prior's
    score, largest first, lowest row on ties, so candidate 0 is the prior's own choice.

    Parameters
    ----------
    fits : int
        Machines in ``x.alive``, ascending.
    rows : (K,) int64
        Filled with machine rows; -1 beyond the number returned.
    equal : (K,) int64
        Filled with the number of machines in equal state, the candidate included.

    Returns
    -------
    int
        Number of candidates.
    """
    n_blends = b.term.shape[0]
    alive, prior, found, left = x.alive, x.total[0], 0, fits
    for turn in range(rows.shape[0]):
        rows[turn], equal[turn] = -1, 0
    for turn in range(rows.shape[0]):
        if left == 0:
            break
        total = x.total[turn % n_blends if turn < n_blends * b.best else 0]
        at = alive[0]
        top = total[at]
        for j in range(1, left):
            value = total[alive[j]]
            if value > top:
                top, at = value, alive[j]
        key, still = x.key[n, at], 0
        for j in range(left):
            i = alive[j]
            if x.key[n, i] != key or not same_state(m, x, n, i, at, curve, residents):
                alive[still] = i
                still += 1
        alike, left = left - still, still
        place = found
        while place > 0:
            other = rows[place - 1]
            if prior[other] > prior[at] or (prior[other] == prior[at] and other < at):
                break
            rows[place], equal[place] = other, equal[place - 1]
            place -= 1
        rows[place], equal[place] = at, alike
        found += 1
    return found

"""Which machines a policy looks at: the best few of several heuristics, equal machines once.

Where requests repeat and few candidates are asked for, the best machines of every heuristic
are kept in a short list a request. A list is exact down to its *floor*: whoever is not on it is
no better than that. A machine that changed leaves the list and comes back if it beats the floor,
so a decision costs as much as there were changes, not machines; a list that runs out is made anew.
Everything else (group limits, requests beyond the memory budget, rules that move with the
clock, all machines as candidates) scores every machine.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.observe.alike import BLOCK, lowest_bit
from rlsched.observe.blends import BY_END, BY_ROW, LISTED, SCANNED, BlendArrays
from rlsched.observe.desk import fetch
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.feasible import group_full
from rlsched.sim.scoring import LIFETIME_STEPS, NEG, score_blends, score_parts
from rlsched.sim.world import WorldArrays

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

#: Lists pay for up to this many candidates, and where there are several times as many machines.
MAX_LISTED = 64
#: Up to so many candidates are ordered by counting, pair by pair.
COUNTED = 32


class Lists(NamedTuple):
    """The kept lists of every copy ``N`` and kept request ``S``. Scratch."""

    slot: I32  # (T,) place of each request type, -1 not kept
    cursor: I64  # (N, S) entries of the ring taken in; -1 never
    fit: I64  # (N, S, blocks) a bit a machine: can hold the request
    fits: I64  # (N, S) bits set
    listed: I64  # (N, S, B) machines on each list
    score: F64  # (N, S, B, L) falling; lowest row first among equals
    row: I32  # (N, S, B, L)
    floor: F64  # (N, S, B) best score of those left out, -inf none
    floor_row: I64  # (N, S, B)


def make_lists(w: WorldArrays, blends: BlendArrays, n_copies: int, candidates: int, budget_mib: int) -> Lists:
    """Allocate the lists; the most frequent requests get them.

    Parameters
    ----------
    w : WorldArrays
    blends : BlendArrays
    n_copies, candidates : int
    budget_mib : int
        Memory they may take, over all copies.
    """
    size, b = w.fleet_i.shape[2], len(blends.kind)
    blocks, n_types = math.ceil(size / BLOCK), w.type_i.shape[0]
    length = int(blends.room.max())
    slot, n_slots = np.full(n_types, -1, np.int32), 0
    if candidates <= MAX_LISTED and length < size and not (blends.kind == SCANNED).any():
        counts = np.bincount(w.task_i[:, wd.T_TYPE], minlength=n_types)
        a_slot = n_copies * (8 * blocks + 16 + b * (12 * length + 24))
        n_slots = int(min((counts > 1).sum(), budget_mib * 2**20 // a_slot))
        slot[np.argsort(-counts, kind="stable")[:n_slots]] = np.arange(n_slots)
    shape = (n_copies, n_slots)
    return Lists(
        slot,
        np.full(shape, -1, np.int64),
        np.zeros((*shape, blocks), np.int64),
        np.zeros(shape, np.int64),
        np.zeros((*shape, b), np.int64),
        np.zeros((*shape, b, length)),
        np.zeros((*shape, b, length), np.int32),
        np.full((*shape, b), NEG),
        np.zeros((*shape, b), np.int64),
    )


@bare_njit(forceinline=True)
def pick_listed(m: Any, q: Any, r: Any, b: Any, k: Any, x: Any, d: Any, n: Any, slot: Any, size: Any, most: Any) -> Any:
    """Name candidates from the kept lists; fill ``d.rows``, ``d.equal``, ``d.prior``, ``d.order``.

    Each heuristic in turn names its best machine that is not in equal state to one already
    named, ``b.best`` times round; then the prior fills up.

    Returns
    -------
    (int, int)
        Candidates found, and machines that can hold the request.
    """
    _refresh(m, q, r, b, k, x, d, n, slot, size)
    d.stamp[0] += 1
    stamp = d.stamp[0]
    n_blends = b.kind.shape[0]
    for blend in range(n_blends):
        d.place[blend] = 0
    found = 0
    while found < most:
        blend = found % n_blends if found < n_blends * b.best else 0
        if b.kind[blend] == BY_END:
            i = _pick_by_end(m, r, k, x, d, n, slot, stamp)
        elif b.kind[blend] == BY_ROW:
            i = _pick_by_row(k, x, d, n, slot, blend, stamp)
        else:
            i = _next_on_list(x, d, n, slot, blend, stamp)
            if i < 0 and x.floor[n, slot, blend] > NEG:
                # A list made anew is longer than the candidates there can be, or holds all there are.
                _renew(m, r, b, k, x, d, n, slot, blend, size)
                d.place[blend] = 0
                i = _next_on_list(x, d, n, slot, blend, stamp)
        if i < 0:
            break
        d.mark[i] = stamp
        d.rows[found], d.equal[found] = i, k.members[n, k.cls[n, i]]
        fetch(m, k, d, n, i, found)
        found += 1
    d.parts[0, 0], d.parts[0, 1] = 0, found
    score_parts(d.prior, d.parts, 1, b.rules[0, : b.length[0]], b.weights[0, : b.length[0]], r, q)
    _sort(d, found)
    return found, x.fits[n, slot]


@bare_njit
def pick_scanned(w: Any, c: Any, m: Any, row: Any, r: Any, b: Any, k: Any, d: Any, n: Any, size: Any, most: Any) -> Any:
    """Name candidates by scoring every machine; otherwise as :func:`pick_listed`."""
    n_blends = b.kind.shape[0]
    d.parts[0, 0], d.parts[0, 1] = 0, size
    for blend in range(n_blends):
        terms = b.length[blend]
        score_parts(d.total[blend], d.parts, 1, b.rules[blend, :terms], b.weights[blend, :terms], r, m)
    limited = w.task_i[row, wd.T_LIMIT] > 0
    alive, fits = d.alive, 0
    for i in range(size):
        if d.total[0, i] > NEG and not (limited and group_full(w, c, row, i)):
            alive[fits] = i
            fits += 1
    found = _pick_all(k, d, n, fits) if most >= fits else _pick_some(b, k, d, n, fits, most)
    for j in range(found):
        fetch(m, k, d, n, d.rows[j], j)
        d.prior[j] = d.total[0, d.rows[j]]
    _sort(d, found)
    return found, fits


@bare_njit
def _pick_all(k: Any, d: Any, n: Any, fits: Any) -> Any:
    """There is room for all: the lowest row of every class."""
    found = 0
    d.stamp[0] += fits + 1
    first = d.stamp[0] - fits
    for j in range(fits):
        i = d.alive[j]
        c = k.cls[n, i]
        if d.mark[c] >= first:  # seen: `mark` holds the candidate's number behind `first`
            d.equal[d.mark[c] - first] += 1
            continue
        d.mark[c] = first + found
        d.rows[found], d.equal[found] = i, 1
        found += 1
    d.stamp[0] += 1
    return found


@bare_njit
def _pick_some(b: Any, k: Any, d: Any, n: Any, fits: Any, most: Any) -> Any:
    n_blends = b.kind.shape[0]
    alive, left, found = d.alive, fits, 0
    while found < most and left > 0:
        total = d.total[found % n_blends if found < n_blends * b.best else 0]
        at = alive[0]
        top = total[at]
        for j in range(1, left):
            value = total[alive[j]]
            if value > top:
                top, at = value, alive[j]
        c, still = k.cls[n, at], 0
        for j in range(left):
            i = alive[j]
            if k.cls[n, i] != c:
                alive[still] = i
                still += 1
        d.rows[found], d.equal[found] = at, left - still
        left = still
        found += 1
    return found


@bare_njit(inline="always")
def _sort(d: Any, found: Any) -> None:
    """Order the candidates by the prior, largest first, lowest row on ties."""
    if found <= COUNTED:
        # Count who comes before: no branch to guess, and several at a time.
        for one in range(np.uint64(found)):
            value, row, before = d.prior[one], d.rows[one], np.int64(0)
            for other in range(np.uint64(found)):
                ahead = (d.prior[other] > value) | ((d.prior[other] == value) & (d.rows[other] < row))
                before += np.int64(ahead)
            d.order[before] = one
        return
    for j in range(found):  # Shell's sort
        d.order[j] = j
    gap = 1
    while gap < found // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for j in range(gap, found):
            one, at = d.order[j], j
            while at >= gap:
                other = d.order[at - gap]
                if d.prior[other] > d.prior[one] or (d.prior[other] == d.prior[one] and d.rows[other] < d.rows[one]):
                    break
                d.order[at] = other
                at -= gap
            d.order[at] = one
        gap //= 3


@bare_njit(forceinline=True)
def _refresh(m: Any, q: Any, r: Any, b: Any, k: Any, x: Any, d: Any, n: Any, slot: Any, size: Any) -> None:
    """Take in the machines that changed since the request was last seen."""
    cursor, head = x.cursor[n, slot], k.head[n]
    x.cursor[n, slot] = head
    if cursor < 0 or 2 * (head - cursor) > size:
        _begin_slot(m, r, b, k, x, d, n, slot, size)
        return
    ring, cls, rep, mark = k.ring[n], k.cls[n], k.rep[n], d.mark
    around = ring.shape[0] - 1
    d.stamp[0] += 1
    stamp = d.stamp[0]
    stale = 0
    for at in range(cursor, head):
        i = ring[at & around]
        if mark[i] != stamp:
            mark[i] = stamp
            d.stale[stale], d.leads[stale] = i, rep[cls[i]] == i
            fetch(m, k, d, n, i, stale)
            stale += 1
    if stale == 0:
        return
    score_blends(d.total, d.score, stale, b.rules, b.weights, b.listed, r, q)
    fit, fits = x.fit[n, slot], x.fits[n, slot]
    for j in range(stale):
        i = d.stale[j]
        bit = (fit[i // BLOCK] >> (i % BLOCK)) & 1
        now = np.int64(d.score[j] > NEG)
        fits += now - bit
        fit[i // BLOCK] ^= (now ^ bit) << (i % BLOCK)
    x.fits[n, slot] = fits
    for blend in range(b.kind.shape[0]):
        if b.kind[blend] != LISTED:
            continue
        row, score, total = x.row[n, slot, blend], x.score[n, slot, blend], d.total[blend]
        # Who stays and who is to come in nobody can foresee: count instead of branching.
        listed = np.int64(0)
        for at in range(np.uint64(x.listed[n, slot, blend])):  # whoever changed leaves the list
            i = row[at]
            row[listed], score[listed] = i, score[at]
            listed += np.int64(mark[i] != stamp)
        floor, floor_row, room = x.floor[n, slot, blend], x.floor_row[n, slot, blend], b.room[blend]
        coming = np.int64(0)
        for j in range(np.uint64(stale)):
            d.coming[coming] = j
            coming += np.int64((total[j] > NEG) & (total[j] >= floor) & (d.leads[j] == 1))
        for at in range(coming):
            j = d.coming[at]
            listed, floor, floor_row = _put(row, score, listed, room, floor, floor_row, total[j], d.stale[j])
        x.listed[n, slot, blend], x.floor[n, slot, blend], x.floor_row[n, slot, blend] = listed, floor, floor_row


@bare_njit
def _begin_slot(m: Any, r: Any, b: Any, k: Any, x: Any, d: Any, n: Any, slot: Any, size: Any) -> None:
    fit = x.fit[n, slot]
    d.parts[0, 0], d.parts[0, 1] = 0, size
    d.one_rule[0] = 0
    score_parts(d.score, d.parts, 1, d.one_rule, d.one_weight, r, m)
    fits: Any = 0
    for block in range(fit.shape[0]):
        bits = np.int64(0)
        for i in range(block * BLOCK, min(block * BLOCK + BLOCK, size)):
            now = np.int64(d.score[i] > NEG)
            fits += now
            bits |= now << (i % BLOCK)
        fit[block] = bits
    x.fits[n, slot] = fits
    for blend in range(b.kind.shape[0]):
        if b.kind[blend] == LISTED:
            _renew(m, r, b, k, x, d, n, slot, blend, size)


@bare_njit
def _renew(m: Any, r: Any, b: Any, k: Any, x: Any, d: Any, n: Any, slot: Any, blend: Any, size: Any) -> None:
    """Make one list anew from all machines."""
    terms = b.length[blend]
    d.parts[0, 0], d.parts[0, 1] = 0, size
    score_parts(d.score, d.parts, 1, b.rules[blend, :terms], b.weights[blend, :terms], r, m)
    row, score, room = x.row[n, slot, blend], x.score[n, slot, blend], b.room[blend]
    listed, floor, floor_row = np.int64(0), NEG, np.int64(0)
    for i in range(size):
        value = d.score[i]
        if value > NEG and value >= floor and k.rep[n, k.cls[n, i]] == i:
            listed, floor, floor_row = _put(row, score, listed, room, floor, floor_row, value, i)
    x.listed[n, slot, blend], x.floor[n, slot, blend], x.floor_row[n, slot, blend] = listed, floor, floor_row


@bare_njit(inline="always")
def _put(row: Any, score: Any, listed: Any, room: Any, floor: Any, floor_row: Any, value: Any, i: Any) -> Any:
    """Put a machine on a list if it beats the floor; who falls off becomes the floor.

    Returns
    -------
    (int, float, int)
        How many are on the list now, and its floor. In which order machines are put does not matter.
    """
    wanted = value > floor or (value == floor and i < floor_row)
    if wanted and listed == room:
        last, last_row = score[room - 1], np.int64(row[room - 1])
        wanted = value > last or (value == last and i < last_row)
        floor = last if wanted else value
        floor_row = last_row if wanted else np.int64(i)
        listed -= np.int64(wanted)
    if wanted:
        at = listed
        while at > 0 and (value > score[at - 1] or (value == score[at - 1] and i < row[at - 1])):
            score[at], row[at] = score[at - 1], row[at - 1]
            at -= 1
        score[at], row[at] = value, i
        listed += 1
    return listed, floor, floor_row


@bare_njit(inline="always")
def _next_on_list(x: Any, d: Any, n: Any, slot: Any, blend: Any, stamp: Any) -> Any:
    """The best machine of a list that is not named yet; -1 at its end."""
    row, at, listed = x.row[n, slot, blend], d.place[blend], x.listed[n, slot, blend]
    while at < listed and d.mark[row[at]] == stamp:
        at += 1
    d.place[blend] = at
    return np.int64(row[at]) if at < listed else np.int64(-1)


@bare_njit(inline="always")
def _pick_by_row(k: Any, x: Any, d: Any, n: Any, slot: Any, blend: Any, stamp: Any) -> Any:
    """The first machine that can hold the request, stands for its class and is not named yet; -1 when none is left."""
    fit, lead, block = x.fit[n, slot], k.lead[n], d.place[blend]
    while block < fit.shape[0]:
        bits = fit[block] & lead[block]
        while bits != 0:
            i = np.int64(block * BLOCK + lowest_bit(bits))
            if d.mark[i] != stamp:
                d.place[blend] = block
                return i
            bits &= bits - 1
        block += 1
    d.place[blend] = block
    return np.int64(-1)


@bare_njit(inline="always")
def _pick_by_end(m: Any, r: Any, k: Any, x: Any, d: Any, n: Any, slot: Any, stamp: Any) -> Any:
    """The machine that the rule ``lifetime`` scores best and that is not named yet; -1 when none is left."""
    # An empty machine ends now whatever is kept as its end, so nobody asks whether it is empty.
    fit, lead, tail, ends, mark = x.fit[n, slot], k.lead[n], k.tail[n], m.f[st.M_EXIT], d.mark
    best, chosen, limit = LIFETIME_STEPS.shape[0] + 1, np.int64(-1), math.inf
    for block in range(fit.shape[0]):
        bits = fit[block] & lead[block]
        if bits == 0 or steps_of(r.now, r.end, m.lifetime, tail[block], True) >= best:
            continue
        while bits != 0:
            i = np.int64(block * BLOCK + lowest_bit(bits))
            bits &= bits - 1
            longer = r.end - _ends_at(r.now, m.lifetime, ends[i])
            # Written so that what is not a number takes no step, as in `steps_of`.
            if not longer > limit and mark[i] != stamp:
                chosen, best = i, 0
                for step in range(LIFETIME_STEPS.shape[0]):
                    best += longer > LIFETIME_STEPS[step]
                if best == 0:
                    return chosen
                limit = LIFETIME_STEPS[best - 1]
    return chosen


@bare_njit(inline="always")
def _ends_at(now: Any, lifetime: Any, exit_s: Any) -> Any:
    """When the last task of a machine is expected to end: now, where it is empty."""
    if lifetime == 2:
        return now + (now - exit_s) if exit_s < math.inf else now
    return exit_s if exit_s > now else now


@bare_njit(forceinline=True)
def steps_of(now: Any, ends: Any, lifetime: Any, exit_s: Any, busy: Any) -> Any:
    """Steps of the rule ``lifetime``: never fewer for a machine than for the latest end of its block."""
    longer = ends - (_ends_at(now, lifetime, exit_s) if busy else now)
    steps = 0
    for step in range(LIFETIME_STEPS.shape[0]):
        steps += longer > LIFETIME_STEPS[step]
    return steps

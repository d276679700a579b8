"""Compiled: where VMs start, and who moves where at a tick (twin of ``reference_rules.py``).

A plan is kept in the guest lists themselves: a VM planned to visit a machine is linked there
under the entry of its move, one planned to leave is marked ``taken``. Sums over a machine's
guests are kept as running sums, which equal the sums in list order because newcomers are last;
where somebody leaves the sums are made anew.
"""

from __future__ import annotations

import math

from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.detection import (
    NOBODY,
    add_past,
    needs_past,
    overloaded,
    sort_hosts,
    sort_vms,
)
from rlsched.sim.consolidation.measure import append, full, hold, host_watts, unlink
from rlsched.sim.consolidation.policy import FALLBACK_THRESHOLD, HISTORY, MIGRATING, THR, PolicyCode
from rlsched.sim.consolidation.selection import select
from rlsched.sim.consolidation.state import NONE, VM_FITS_NOWHERE, Scratch, StateCode
from rlsched.sim.consolidation.world import WorldCode
from rlsched.sim.semantics import SemanticsCode


@inner
def place_at_start(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch) -> None:
    """Place all VMs at time 0, in order, by their nominal sizes."""
    n_hosts = w.host_cpu.shape[0]
    threshold = p.parameter[n] if p.detection[n] == THR else FALLBACK_THRESHOLD
    for host in range(n_hosts):
        x.granted[host] = 0.0
        x.memory[host] = 0
    for vm in range(w.vm_cpu.shape[0]):
        cpu, memory = w.vm_cpu[vm], w.vm_mem[vm]
        best, least = NONE, math.inf
        for host in range(n_hosts):
            there, capacity = x.granted[host], w.host_cpu[host]
            fits = w.host_core[host] >= cpu and capacity - there >= cpu and w.host_mem[host] - x.memory[host] >= memory
            if not fits:
                continue
            if p.kind[n] != MIGRATING:
                best = host
                break
            if q.spread_at_start and there > 0.0 and cpu / capacity > threshold:
                continue
            before = 0.0
            if not (there == 0.0 and q.idle_power_in_placement):
                before = host_watts(
                    w.host_curve[host], w.curve_kind, w.curve_table, 0.0 if q.spread_at_start else there / capacity
                )
            rise = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, (there + cpu) / capacity) - before
            if rise < least:
                best, least = host, rise
        if best == NONE:
            s.fault[n] = VM_FITS_NOWHERE
            s.fault_row[n] = vm
            return
        x.granted[best] += cpu
        x.memory[best] += memory
        append(s.after[n], s.before[n], s.first[n], s.last[n], best, vm)
        s.vm_host[n, vm] = best


@inner
def replan(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, host: int) -> None:
    """Make the sums over a machine's planned guests anew."""
    n_vms, newest = w.vm_cpu.shape[0], s.remembered[n] - 1
    core = w.host_core[host]
    with_past = needs_past(p.detection[n], q.lr_weighted)
    guests, memory, reach = 0, 0, 0
    granted, asked, trend = 0.0, 0.0, 0.0
    free, short = w.host_cpu[host], False
    if with_past:
        for i in range(HISTORY):
            x.past[host, i] = 0.0
    entry = s.first[n, host]
    while entry != NONE:
        visiting = entry >= n_vms
        vm = x.move_vm[entry - n_vms] if visiting else entry
        if visiting or not x.taken[vm]:
            want = min(s.vm_request[n, vm], core)
            guests += 1
            memory += w.vm_mem[vm]
            reach = max(reach, w.reach[newest, vm])
            granted += want if visiting else s.vm_granted[n, vm]
            asked += s.vm_request[n, vm]
            trend += w.trend[newest, vm]
            if want > free:
                short = True
            if not short:
                free -= want
            if with_past:
                add_past(x.past[host], w.past, newest + 1, vm, w.vm_cpu[vm], w.host_cpu[host])
        entry = s.after[n, entry]
    x.guests[host], x.memory[host], x.reach[host] = guests, memory, reach
    x.granted[host], x.asked[host], x.trend[host] = granted, asked, trend
    x.free[host] = 0.0 if short else free
    _set_base(w, q, s, n, x, host)


@inner
def _set_base(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, host: int) -> None:
    if q.idle_power_in_placement and not s.host_on[n, host] and x.guests[host] == 0:
        x.base_watts[host] = 0.0
    elif q.placement_sees_tentative_load:
        x.base_watts[host] = host_watts(
            w.host_curve[host], w.curve_kind, w.curve_table, full(x.granted[host] / w.host_cpu[host])
        )
    else:
        x.base_watts[host] = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, s.host_share[n, host])


@inner
def visit(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, vm: int, host: int, move: int
) -> None:
    """Plan ``vm`` on ``host`` as its latest guest, under move number ``move``."""
    x.move_vm[move] = vm
    x.move_to[move] = host
    append(s.after[n], s.before[n], s.first[n], s.last[n], host, w.vm_cpu.shape[0] + move)
    newest = s.remembered[n] - 1
    want = min(s.vm_request[n, vm], w.host_core[host])
    x.guests[host] += 1
    hold(s.host_table[n], host, x.guests[host])
    x.memory[host] += w.vm_mem[vm]
    x.reach[host] = max(x.reach[host], w.reach[newest, vm])
    x.granted[host] += want
    x.asked[host] += s.vm_request[n, vm]
    x.trend[host] += w.trend[newest, vm]
    x.free[host] -= want
    if needs_past(p.detection[n], q.lr_weighted):
        add_past(x.past[host], w.past, newest + 1, vm, w.vm_cpu[vm], w.host_cpu[host])
    _set_base(w, q, s, n, x, host)


@inner
def find_host(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, vm: int, n_active: int, dark: bool
) -> int:
    """Machine on which ``vm`` costs the least extra power; lowest row on ties; NONE if none fits.

    Looks at the first ``n_active`` rows of ``x.active`` and, with ``dark``, at machines without
    guests: of those in equal shape only the first matters.
    """
    best, least = NONE, math.inf
    request, memory, cap = s.vm_request[n, vm], w.vm_mem[vm], p.placement_cap[n]
    n_dark = w.class_start.shape[0] - 1 if dark else 0
    for i in range(n_active + n_dark):
        if i < n_active:
            host = x.active[i]
        else:
            shape = i - n_active
            at, end = x.class_at[shape], w.class_start[shape + 1]
            while at < end and (x.guests[w.class_host[at]] > 0 or x.closed[w.class_host[at]]):
                at += 1  # neither opens again while there are machines without guests to look for
            x.class_at[shape] = at
            if at == end:
                continue
            host = w.class_host[at]
        if x.free[host] < request or w.host_core[host] < request:
            continue
        if q.memory_counts and x.memory[host] + memory > w.host_mem[host]:
            continue
        load = (x.granted[host] + request) / w.host_cpu[host]
        if cap < 1.0 and load > cap:
            continue
        if x.granted[host] > 0.0:
            hold(s.host_table[n], host, x.guests[host] + 1)
        rise = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, full(load)) - x.base_watts[host]
        if (rise < least or (rise == least and host < best)) and (
            x.granted[host] == 0.0 or not overloaded(w, q, s, n, p, x, host, vm)
        ):
            best, least = host, rise
    return best


@inner
def relieve(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, n_over: int) -> int:
    """Take VMs off overloaded machines until none is; returns how many, in ``x.order``."""
    count = 0
    for i in range(n_over):
        host = x.over[i]
        while x.guests[host] > 0:
            candidates = 0
            entry = s.first[n, host]
            while entry != NONE:
                if not x.taken[entry]:
                    x.candidates[candidates] = entry
                    candidates += 1
                entry = s.after[n, entry]
            vm = select(w, s, n, p, x, candidates)
            x.taken[vm] = True
            x.order[count] = vm
            count += 1
            replan(w, q, s, n, p, x, host)
            if not overloaded(w, q, s, n, p, x, host, NOBODY):
                break
    return count


@inner
def optimise(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch) -> tuple[int, int]:
    """Relieve overloaded machines, then evacuate little-used ones.

    Returns
    -------
    (int, int)
        Overloaded machines, and moves; the moves are in ``x.move_vm`` and ``x.move_to``.
    """
    n_hosts, n_vms = w.host_cpu.shape[0], w.vm_cpu.shape[0]
    for vm in range(n_vms):
        x.taken[vm] = False
    n_over, n_active = 0, 0
    for host in range(n_hosts):
        x.closed[host] = False
        replan(w, q, s, n, p, x, host)
        if x.guests[host] > 0:
            if overloaded(w, q, s, n, p, x, host, NOBODY):
                x.over[n_over] = host
                n_over += 1
                x.closed[host] = True
            else:
                x.active[n_active] = host
                n_active += 1
    for shape in range(w.class_start.shape[0] - 1):
        x.class_at[shape] = w.class_start[shape]

    moves = 0
    leaving = relieve(w, q, s, n, p, x, n_over)
    sort_vms(x.order, leaving, s.vm_request[n])
    for i in range(leaving):
        vm = x.order[i]
        host = find_host(w, q, s, n, p, x, vm, n_active, True)
        if host != NONE:
            if x.guests[host] == 0:
                x.active[n_active] = host
                n_active += 1
            visit(w, q, s, n, p, x, vm, host, moves)
            moves += 1

    moves = evacuate(w, q, s, n, p, x, moves)
    for move in range(moves):
        unlink(s.after[n], s.before[n], s.first[n], s.last[n], x.move_to[move], n_vms + move)
    return n_over, moves


@inner
def enough_room(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, guests: int, n_active: int
) -> bool:
    """Could the first VMs of ``x.order`` fit on the active machines, all taken together?

    A quick look that spares trying: False only where trying would fail, whatever the order.
    """
    need, most, need_mem = 0.0, 0.0, 0
    for j in range(guests):
        request = s.vm_request[n, x.order[j]]
        need += request
        most = max(most, request)
        need_mem += w.vm_mem[x.order[j]]
    room, largest, room_mem = 0.0, 0.0, 0
    for j in range(n_active):
        host = x.active[j]
        left = min(x.free[host], p.placement_cap[n] * w.host_cpu[host] - x.granted[host])
        if left > 0.0:
            room += left
            largest = max(largest, left)
        room_mem += max(w.host_mem[host] - x.memory[host], 0)
    slack = 1e-6 * (1.0 + need)  # far above what rounding may hide
    return need <= room + slack and most <= largest + slack and (not q.memory_counts or need_mem <= room_mem)


@inner
def evacuate(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, moves: int) -> int:
    """Empty machines, least used first, where all guests find a place; returns the moves in all."""
    n_hosts, n_vms = w.host_cpu.shape[0], w.vm_cpu.shape[0]
    n_active, n_queue = 0, 0
    for host in range(n_hosts):
        if not s.host_on[n, host]:
            x.closed[host] = True
        x.spared[host] = x.closed[host]
        if not x.closed[host]:
            x.active[n_active] = host
            n_active += 1
            share = s.host_share[n, host]
            if x.guests[host] > 0 and share < 1.0 and share < p.evacuate_below[n]:
                x.queue[n_queue] = host
                n_queue += 1
    if q.evacuation_protects_receivers:
        for move in range(moves):
            x.spared[x.move_to[move]] = True
    sort_hosts(x.queue, n_queue, s.host_share[n])
    for i in range(n_queue):
        host = x.queue[i]
        if x.spared[host]:
            continue
        x.spared[host] = True
        for j in range(n_active):
            if x.active[j] == host:
                n_active -= 1
                x.active[j] = x.active[n_active]
                break
        guests = 0
        entry = s.first[n, host]
        while entry != NONE:
            x.order[guests] = x.move_vm[entry - n_vms] if entry >= n_vms else entry
            guests += 1
            entry = s.after[n, entry]
        # Java's maps grow even by asking, so with them every machine is asked.
        if not q.java_hash_order and not enough_room(w, q, s, n, p, x, guests, n_active):
            continue
        sort_vms(x.order, guests, s.vm_request[n])
        found = 0
        for j in range(guests):
            target = find_host(w, q, s, n, p, x, x.order[j], n_active, False)
            if target == NONE:
                break
            visit(w, q, s, n, p, x, x.order[j], target, moves + found)
            found += 1
        if found == guests:
            for j in range(moves, moves + found):
                x.spared[x.move_to[j]] = True
            moves += found
        else:
            for j in range(moves, moves + found):
                unlink(s.after[n], s.before[n], s.first[n], s.last[n], x.move_to[j], n_vms + j)
            for j in range(moves, moves + found):
                replan(w, q, s, n, p, x, x.move_to[j])
    return moves

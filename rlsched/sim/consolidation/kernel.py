"""The compiled consolidation simulator; equals :mod:`~rlsched.sim.consolidation.reference` bit for bit.

:func:`begin` places the VMs of a copy and runs to its first decision; :func:`tick` takes one
decision and runs to the next. :func:`drive` does that for many copies and ticks, so a whole day
is one compiled call, and so is one step of all copies of an environment.
"""

from __future__ import annotations

from rlsched.sim.compile import bare_njit
from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.measure import (
    advance,
    append,
    count_switching,
    remove_without_demand,
    unlink,
    update,
)
from rlsched.sim.consolidation.placement import optimise, place_at_start
from rlsched.sim.consolidation.policy import MIGRATING, PolicyCode
from rlsched.sim.consolidation.state import (
    ENERGY,
    F64,
    FINE,
    MIGRATION,
    MIGRATIONS,
    NONE,
    WAKES,
    Bool,
    Scratch,
    StateCode,
)
from rlsched.sim.consolidation.world import WorldCode
from rlsched.sim.consolidation.worlds import WorldsCode, world_of
from rlsched.sim.semantics import SemanticsCode

WAITING, COPYING, OVER = range(3)


@inner
def clear(s: StateCode, n: int) -> None:
    """Forget what copy ``n`` did before; its world and its random numbers stay."""
    s.now_s[n] = s.next_tick_s[n] = 0.0
    s.remembered[n] = 0
    s.measured[n] = s.done[n] = False
    s.fault[n], s.fault_row[n] = FINE, NONE
    s.sums[n, :] = 0.0
    s.counts[n, :] = 0
    s.last_tick[n, :] = 0.0
    s.vm_host[n, :] = NONE
    s.vm_share[n, :] = s.vm_request[n, :] = s.vm_granted[n, :] = 0.0
    s.after[n, :] = s.before[n, :] = NONE
    s.first[n, :] = s.last[n, :] = NONE
    s.host_used[n, :] = s.host_asked[n, :] = s.host_share[n, :] = s.host_free[n, :] = 0.0
    s.host_table[n, :] = 16
    s.host_on[n, :] = False
    s.host_was_on[n, :] = True
    s.host_on_since_s[n, :] = 0.0


@inner
def tidy(w: WorldCode, x: Scratch) -> None:
    """Nothing is in flight."""
    for vm in range(w.vm_cpu.shape[0]):
        x.copying[vm] = x.bound[vm] = False
    for host in range(w.host_cpu.shape[0]):
        x.waking[host] = x.touched[host] = False


@inner
def begin(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch) -> None:
    """Place the VMs of a new copy and run to its first decision."""
    clear(s, n)
    tidy(w, x)
    place_at_start(w, q, s, n, p, x)
    if s.fault[n] != FINE:
        s.done[n] = True
        return
    if not q.first_interval_free:
        advance(w, q, s, n, p, x, 0.0)
        s.remembered[n] += 1
        remove_without_demand(w, q, s, n, x)
    s.next_tick_s[n] = q.tick_offset_s + w.step_s
    to_next_decision(w, q, s, n, p, x)


@inner
def to_next_decision(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch) -> None:
    """Measure at the next tick, or close the meters where the trace ends."""
    limit_s = w.load.shape[0] * w.step_s
    if s.next_tick_s[n] < limit_s:
        advance(w, q, s, n, p, x, s.next_tick_s[n])
        s.remembered[n] += 1
        remove_without_demand(w, q, s, n, x)
        s.next_tick_s[n] += w.step_s
        return
    if q.last_interval_simulated:
        advance(w, q, s, n, p, x, limit_s)
    count_switching(w, s, n)
    s.done[n] = True


@inner
def tick(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch) -> None:
    """Decide, carry the moves out, and run to the next decision of copy ``n``.

    Fills ``s.last_tick[n]``. A copy that is done stays as it is.
    """
    if s.done[n]:
        return
    tidy(w, x)
    over, moves = 0, 0
    if p.kind[n] == MIGRATING:
        over, moves = optimise(w, q, s, n, p, x)
    carry_out(w, q, s, n, p, x, over, moves)


@inner
def carry_out(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, over: int, moves: int
) -> None:
    """Make the first moves of ``x.move_vm`` and ``x.move_to`` happen, and run to the next decision."""
    s.last_tick[n, 0] = s.now_s[n]
    s.last_tick[n, 2] = count_on(s, n)
    s.last_tick[n, 5] = s.sums[n, ENERGY]
    if moves > 0:
        schedule(w, q, s, n, x, moves)
        start(w, q, s, n, x, moves)
        finish(w, q, s, n, p, x, moves)
    alive = 0
    for vm in range(w.vm_cpu.shape[0]):
        if s.vm_host[n, vm] != NONE:
            alive += 1
    s.last_tick[n, 1] = alive
    s.last_tick[n, 3] = over
    s.last_tick[n, 4] = moves
    s.last_tick[n, 6] = count_on(s, n)
    to_next_decision(w, q, s, n, p, x)


@inner
def count_on(s: StateCode, n: int) -> int:
    """Machines that are on."""
    count = 0
    for host in range(s.host_on.shape[1]):
        if s.host_on[n, host]:
            count += 1
    return count


@inner
def schedule(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, moves: int) -> None:
    """Set start and end of each move, and wake machines that are off."""
    for move in range(moves):
        vm, to = x.move_vm[move], x.move_to[move]
        begins = s.now_s[n] if s.host_on[n, to] else s.now_s[n] + q.wake_s
        x.move_start_s[move] = begins
        x.move_end_s[move] = begins + w.vm_mem[vm] / w.migration_mib_per_s
        x.move_phase[move] = WAITING
        x.bound[vm] = True
    s.counts[n, MIGRATIONS] += moves
    for move in range(moves):
        to = x.move_to[move]
        if not s.host_on[n, to] and not x.waking[to]:
            x.waking[to] = x.touched[to] = True
            s.counts[n, WAKES] += 1
            s.sums[n, ENERGY] += q.wake_energy_wh * 3600.0


@inner
def start(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, moves: int) -> None:
    """Start the moves due now, and share out CPU anew where something changed."""
    n_vms = w.vm_cpu.shape[0]
    for move in range(moves):
        if x.move_phase[move] == WAITING and x.move_start_s[move] == s.now_s[n]:
            vm, to = x.move_vm[move], x.move_to[move]
            x.move_phase[move] = COPYING
            x.copying[vm] = True
            x.waking[to] = False
            append(s.after[n], s.before[n], s.first[n], s.last[n], to, n_vms + move)
            x.touched[to] = True
            x.touched[s.vm_host[n, vm]] = True
    for host in range(w.host_cpu.shape[0]):
        if x.touched[host]:
            update(w, q, s, n, x, host)
            x.touched[host] = False


@inner
def finish(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, moves: int) -> None:
    """Run the moves of a tick to their end: every one is over before the next tick."""
    n_vms = w.vm_cpu.shape[0]
    left = moves
    while left > 0:
        t = 0.0
        found = False
        for move in range(moves):
            if x.move_phase[move] != OVER:
                due = x.move_end_s[move] if x.move_phase[move] == COPYING else x.move_start_s[move]
                if not found or due < t:
                    t, found = due, True
        advance(w, q, s, n, p, x, t)
        remove_without_demand(w, q, s, n, x)
        for move in range(moves):
            if x.move_phase[move] == COPYING and x.move_end_s[move] == t:
                vm, to = x.move_vm[move], x.move_to[move]
                source = s.vm_host[n, vm]
                unlink(s.after[n], s.before[n], s.first[n], s.last[n], source, vm)
                unlink(s.after[n], s.before[n], s.first[n], s.last[n], to, n_vms + move)
                append(s.after[n], s.before[n], s.first[n], s.last[n], to, vm)
                s.vm_host[n, vm] = to
                x.copying[vm] = False
                x.move_phase[move] = OVER
                x.bound[vm] = False
                x.touched[source] = x.touched[to] = True
                s.sums[n, MIGRATION] += x.move_end_s[move] - x.move_start_s[move]
                left -= 1
        for move in range(moves):
            if x.move_phase[move] != OVER:
                x.bound[x.move_vm[move]] = True
        start(w, q, s, n, x, moves)
        remove_without_demand(w, q, s, n, x)


@bare_njit
def drive(
    ws: WorldsCode,
    q: SemanticsCode,
    s: StateCode,
    p: PolicyCode,
    x: Scratch,
    which: Bool,
    fresh: bool,
    ticks: int,
    log: F64,
) -> None:
    """Run some copies: begin them if ``fresh``, then take at most ``ticks`` decisions in each.

    The one entry point, so that there is one thing to compile. ``log`` is ``(N, T, 7)`` and gets
    ``last_tick`` of each decision while it has room.
    """
    for n in range(s.now_s.shape[0]):
        if not which[n]:
            continue
        w = world_of(ws, s.world[n])
        if fresh:
            begin(w, q, s, n, p, x)
        row = 0
        while row < ticks and not s.done[n]:
            tick(w, q, s, n, p, x)
            if row < log.shape[1]:
                for column in range(log.shape[2]):
                    log[n, row, column] = s.last_tick[n, column]
            row += 1

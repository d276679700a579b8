"""Compiled: let time pass, share out CPU, bill what held (twin of ``reference.py``)."""

from __future__ import annotations

import math

from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.policy import NPA, ROUNDING_ABOVE_FULL, PolicyCode
from rlsched.sim.consolidation.state import (
    ACTIVE,
    BEFORE_M2,
    BEFORE_MEAN,
    DEGRADED,
    ENERGY,
    F64,
    I64,
    NONE,
    REMOVED,
    REQUESTED,
    SHORT,
    SHORTFALL_SHARES,
    SHORTFALLS,
    SHUTDOWNS,
    VIOLATION,
    Scratch,
    StateCode,
)
from rlsched.sim.consolidation.world import WorldCode
from rlsched.sim.power import TABLE, watts
from rlsched.sim.semantics import SemanticsCode


@inner
def append(after: I64, before: I64, first: I64, last: I64, host: int, entry: int) -> None:
    """Put an entry at the end of a machine's guest list (rows of one copy, as in the next)."""
    tail = last[host]
    before[entry] = tail
    after[entry] = NONE
    if tail == NONE:
        first[host] = entry
    else:
        after[tail] = entry
    last[host] = entry


@inner
def unlink(after: I64, before: I64, first: I64, last: I64, host: int, entry: int) -> None:
    """Take an entry out of a machine's guest list."""
    left, right = before[entry], after[entry]
    if left == NONE:
        first[host] = right
    else:
        after[left] = right
    if right == NONE:
        last[host] = left
    else:
        before[right] = left
    before[entry] = NONE
    after[entry] = NONE


@inner
def host_watts(curve: int, kinds: I64, tables: F64, share: float) -> float:
    """Power of a machine that is on."""
    power: float = watts(kinds[curve], tables[curve], share)
    return power


@inner
def full(share: float) -> float:
    """A load just above 1 is rounding and counts as 1."""
    return 1.0 if 1.0 < share < ROUNDING_ABOVE_FULL else share


@inner
def settle(q: SemanticsCode, s: StateCode, n: int, x: Scratch, host: int) -> None:
    """Decide whether a machine is on."""
    if q.idle_host_is_off:
        s.host_on[n, host] = s.host_used[n, host] > 0.0 or x.waking[host]
    else:
        s.host_on[n, host] = s.first[n, host] != NONE or x.waking[host]


@inner
def hold(table: I64, host: int, guests: int) -> None:
    """The Java map of requests doubles when more than three quarters full, and never shrinks."""
    while 4 * guests > 3 * table[host]:
        table[host] *= 2


@inner
def total_in_hash_order(w: WorldCode, s: StateCode, n: int, x: Scratch, host: int, overhead: float) -> float:
    """Sum of the guests' costs by buckets of the Java map; in a bucket, in order of arrival."""
    n_vms = w.vm_cpu.shape[0]
    count = 0
    entry = s.first[n, host]
    while entry != NONE:
        arriving = entry >= n_vms
        vm = x.move_vm[entry - n_vms] if arriving else entry
        want = min(s.vm_request[n, vm], w.host_core[host])
        cost = overhead * want if arriving else want
        bucket = w.vm_hash[vm] % s.host_table[n, host]
        at = count
        while at > 0 and x.candidates[at - 1] > bucket:
            x.candidates[at] = x.candidates[at - 1]
            x.costs[at] = x.costs[at - 1]
            at -= 1
        x.candidates[at] = bucket
        x.costs[at] = cost
        count += 1
        entry = s.after[n, entry]
    total = 0.0
    for i in range(count):
        total += x.costs[i]
    return total


@inner
def update(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, host: int) -> None:
    """Share the CPU of a machine among its guests, in order of arrival."""
    n_vms = w.vm_cpu.shape[0]
    overhead = q.migration_overhead_share
    keep = 1.0 - overhead
    capacity, core = w.host_cpu[host], w.host_core[host]
    free, total, short, guests = capacity, 0.0, False, 0
    entry = s.first[n, host]
    while entry != NONE:
        arriving = entry >= n_vms
        vm = x.move_vm[entry - n_vms] if arriving else entry
        want = min(s.vm_request[n, vm], core)
        cost = overhead * want if arriving else want
        total += cost
        guests += 1
        if free >= cost:
            free -= cost
        else:
            short = True
        entry = s.after[n, entry]
    hold(s.host_table[n], host, guests)
    if short and q.java_hash_order:
        total = total_in_hash_order(w, s, n, x, host, overhead)
    scale = capacity / total if short else 1.0
    s.host_free[n, host] = 0.0 if short else free
    used, asked = 0.0, 0.0
    entry = s.first[n, host]
    while entry != NONE:
        arriving = entry >= n_vms
        vm = x.move_vm[entry - n_vms] if arriving else entry
        request = s.vm_request[n, vm]
        want = min(request, core)
        leaving = x.copying[vm] and not arriving
        if leaving:
            given = want * scale * keep if short else keep * want
        elif arriving:
            given = want * overhead * scale if short else overhead * want
        else:
            given = want * scale if short else want
        if short and q.whole_mips:
            given = float(math.floor(given))
        if not arriving:
            s.vm_granted[n, vm] = given
        used += given / keep if leaving else given
        asked += overhead * want if arriving and not q.arriving_vm_counts_full_request else request
        entry = s.after[n, entry]
    s.host_used[n, host] = used
    s.host_asked[n, host] = asked
    s.host_share[n, host] = full(used / capacity)
    settle(q, s, n, x, host)


@inner
def count_service(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, dt: float) -> None:
    """Bill the service of the interval that ends now by what held at its start."""
    active, violation = s.sums[n, ACTIVE], s.sums[n, VIOLATION]
    for host in range(w.host_cpu.shape[0]):
        if s.host_on[n, host]:
            active += dt
            if s.host_used[n, host] + q.sla_tolerance_mips < s.host_asked[n, host]:
                violation += dt
    s.sums[n, ACTIVE] = active
    s.sums[n, VIOLATION] = violation
    requested = s.sums[n, REQUESTED]
    for vm in range(w.vm_cpu.shape[0]):
        if s.vm_host[n, vm] != NONE:
            request, granted = s.vm_request[n, vm], s.vm_granted[n, vm]
            requested += request * dt
            if granted < request:
                s.sums[n, SHORT] += (request - granted) * dt
                s.counts[n, SHORTFALLS] += 1
                s.sums[n, SHORTFALL_SHARES] += (request - granted) / request
                if x.copying[vm]:
                    s.sums[n, DEGRADED] += (request - granted) * dt
    s.sums[n, REQUESTED] = requested


@inner
def count_switching(w: WorldCode, s: StateCode, n: int) -> None:
    """Note machines that were switched on or off at the latest measurement."""
    for host in range(w.host_cpu.shape[0]):
        on, was_on = s.host_on[n, host], s.host_was_on[n, host]
        if was_on and not on:
            seconds_on = s.now_s[n] - s.host_on_since_s[n, host]
            s.counts[n, SHUTDOWNS] += 1
            delta = seconds_on - s.sums[n, BEFORE_MEAN]
            s.sums[n, BEFORE_MEAN] += delta / s.counts[n, SHUTDOWNS]
            s.sums[n, BEFORE_M2] += delta * (seconds_on - s.sums[n, BEFORE_MEAN])
        elif on and not was_on:
            s.host_on_since_s[n, host] = s.now_s[n]
        s.host_was_on[n, host] = on


@inner
def advance(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, t: float) -> None:
    """Let time pass to ``t``: bill what held since, then measure."""
    n_hosts, n_vms, last = w.host_cpu.shape[0], w.vm_cpu.shape[0], w.load.shape[0] - 1
    dt = t - s.now_s[n]
    for host in range(n_hosts):
        x.on_before[host] = s.host_on[n, host]
        if x.on_before[host]:
            x.watts_before[host] = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, s.host_share[n, host])
    if s.measured[n]:
        count_service(w, q, s, n, x, dt)
        count_switching(w, s, n)

    low, high = math.floor(t / w.step_s), math.ceil(t / w.step_s)
    row, next_row = min(low, last), min(high, last)
    for vm in range(n_vms):
        if s.vm_host[n, vm] != NONE:
            share = w.load[row, vm]
            if low != high:
                share = share + (w.load[next_row, vm] - share) / w.step_s * (t - low * w.step_s)
            s.vm_share[n, vm] = share
            s.vm_request[n, vm] = share * w.vm_cpu[vm]
    for host in range(n_hosts):
        if s.first[n, host] != NONE or s.host_used[n, host] != 0.0 or s.host_on[n, host] or not s.measured[n]:
            update(w, q, s, n, x, host)

    interval_ws = 0.0
    for host in range(n_hosts):
        if p.kind[n] == NPA:
            interval_ws += full_load_watts(w, host) * dt
        elif x.on_before[host]:
            before = x.watts_before[host]
            now = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, s.host_share[n, host])
            interval_ws += (before + (now - before) / 2.0) * dt
        elif s.measured[n] or not q.first_interval_free:
            interval_ws += q.off_w * dt
    s.sums[n, ENERGY] += interval_ws
    if not s.measured[n]:
        for host in range(n_hosts):
            s.host_was_on[n, host] = s.host_on[n, host] or q.unused_host_counts_as_shutdown
    s.measured[n] = True
    s.now_s[n] = t


@inner
def full_load_watts(w: WorldCode, host: int) -> float:
    """Power of a machine at full load."""
    curve = w.host_curve[host]
    power: float = w.curve_table[curve, 10 if w.curve_kind[curve] == TABLE else 1]
    return power


@inner
def remove_without_demand(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch) -> None:
    """With ``zero_demand_removes_vm``, destroy VMs that ask for nothing."""
    if not q.zero_demand_removes_vm:
        return
    for vm in range(w.vm_cpu.shape[0]):
        host = s.vm_host[n, vm]
        if host != NONE and s.vm_request[n, vm] == 0.0 and not x.bound[vm]:
            unlink(s.after[n], s.before[n], s.first[n], s.last[n], host, vm)
            s.vm_host[n, vm] = NONE
            s.counts[n, REMOVED] += 1
            settle(q, s, n, x, host)

"""Compiled: choose the moves of a tick one by one, instead of a rule that chooses them all.

Between two choices nothing happens: a plan is a list of (VM, machine), kept outside the state, and
is carried out when the tick ends. A VM moves at most once a tick. A move is possible where the
receiver, with the plan so far, has CPU for all the VM asks for, a core that is fast enough, and
(where it counts) memory.

Offered are moves of some VMs: half of them one from each of the most loaded machines, the one
with least memory (it moves fastest); half all of the least loaded machines, one machine after the
other. Each with the receivers where power rises least, lowest row on ties; of machines in equal
shape that are off only the first. With as many VMs and receivers as there are, every VM and every
receiver that differs from the others is offered.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.sim.compile import bare_njit
from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.kernel import carry_out, tidy
from rlsched.sim.consolidation.measure import full, host_watts, unlink
from rlsched.sim.consolidation.placement import replan, visit
from rlsched.sim.consolidation.policy import PolicyCode
from rlsched.sim.consolidation.state import NONE, Scratch, StateCode
from rlsched.sim.consolidation.world import WorldCode
from rlsched.sim.consolidation.worlds import WorldsCode, world_of
from rlsched.sim.semantics import SemanticsCode

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
N_FEATURES = 13


@inner
def lay_out(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, p: PolicyCode, x: Scratch, plan: I64, count: int
) -> None:
    """Put the first ``count`` planned moves into the scratch, on top of what is; :func:`take_back` undoes it."""
    tidy(w, x)
    for vm in range(w.vm_cpu.shape[0]):
        x.taken[vm] = False
    for i in range(count):
        x.taken[plan[i, 0]] = True
    for host in range(w.host_cpu.shape[0]):
        replan(w, q, s, n, p, x, host)
    for i in range(count):
        visit(w, q, s, n, p, x, plan[i, 0], plan[i, 1], i)


@inner
def take_back(w: WorldCode, s: StateCode, n: int, x: Scratch, count: int) -> None:
    """Unlink the planned moves again."""
    for i in range(count):
        unlink(s.after[n], s.before[n], s.first[n], s.last[n], x.move_to[i], w.vm_cpu.shape[0] + i)


@inner
def pick_vms(w: WorldCode, s: StateCode, n: int, x: Scratch, wanted: int) -> int:
    """Fill ``x.order`` with VMs whose moves are offered; returns how many. See the module docstring."""
    n_hosts, n_vms = w.host_cpu.shape[0], w.vm_cpu.shape[0]
    for vm in range(n_vms):
        x.bound[vm] = x.taken[vm]  # chosen already, or offered already
    n_queue = 0
    for host in range(n_hosts):
        if x.guests[host] > 0:
            j = n_queue
            while j > 0 and x.asked[x.queue[j - 1]] / w.host_cpu[x.queue[j - 1]] < x.asked[host] / w.host_cpu[host]:
                x.queue[j] = x.queue[j - 1]
                j -= 1
            x.queue[j] = host
            n_queue += 1
    found = 0
    hot = (wanted + 1) // 2
    any_found = True
    while found < hot and any_found:
        any_found = False
        for i in range(n_queue):
            if found == hot:
                break
            best = NONE
            entry = s.first[n, x.queue[i]]
            while entry != NONE:
                if entry < n_vms and not x.bound[entry] and (best == NONE or w.vm_mem[entry] < w.vm_mem[best]):
                    best = entry
                entry = s.after[n, entry]
            if best != NONE:
                x.bound[best] = True
                x.order[found] = best
                found += 1
                any_found = True
    for i in range(n_queue - 1, -1, -1):
        entry = s.first[n, x.queue[i]]
        while entry != NONE:
            if found < wanted and entry < n_vms and not x.bound[entry]:
                x.bound[entry] = True
                x.order[found] = entry
                found += 1
            entry = s.after[n, entry]
    return found


@inner
def can_receive(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, vm: int, host: int) -> bool:
    """Has the machine, with the plan so far, room for the VM?"""
    if host == s.vm_host[n, vm]:
        return False
    if x.free[host] < s.vm_request[n, vm] or w.host_core[host] < s.vm_request[n, vm]:
        return False
    return not q.memory_counts or x.memory[host] + w.vm_mem[vm] <= w.host_mem[host]


@inner
def rise_of(w: WorldCode, s: StateCode, n: int, x: Scratch, vm: int, host: int) -> float:
    """Rise of power at a receiver, watts; of one that is off all of its power."""
    load = full((x.granted[host] + s.vm_request[n, vm]) / w.host_cpu[host])
    rise: float = host_watts(w.host_curve[host], w.curve_kind, w.curve_table, load) - x.base_watts[host]
    return rise


@inner
def pick_hosts(
    w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, vm: int, wanted: int, rows: I64
) -> int:
    """Fill ``rows[:, 1]`` with the receivers of a VM where power rises least; returns how many."""
    found = 0
    n_classes = w.class_start.shape[0] - 1
    for shape in range(n_classes):
        x.class_at[shape] = 0  # has one that is dark been offered?
    for shape in range(n_classes):
        for i in range(w.class_start[shape], w.class_start[shape + 1]):
            host = w.class_host[i]
            dark = x.guests[host] == 0 and not s.host_on[n, host]
            if (dark and x.class_at[shape] == 1) or not can_receive(w, q, s, n, x, vm, host):
                continue
            if dark:
                x.class_at[shape] = 1
            rise = rise_of(w, s, n, x, vm, host)
            j = found
            while j > 0 and (x.costs[j - 1] > rise or (x.costs[j - 1] == rise and rows[j - 1, 1] > host)):
                if j < wanted:
                    x.costs[j] = x.costs[j - 1]
                    rows[j, 1] = rows[j - 1, 1]
                j -= 1
            if j < wanted:
                x.costs[j] = rise
                rows[j, 1] = host
                found = min(found + 1, wanted)
    for j in range(found):
        rows[j, 0] = vm
    return found


@inner
def squash(x: float) -> float:
    """``x / (1 + x)``."""
    return x / (1.0 + x)


@inner
def describe(w: WorldCode, q: SemanticsCode, s: StateCode, n: int, x: Scratch, vm: int, host: int, row: F32) -> None:
    """Fill the features of one move; columns as ``rlsched.observe.consolidation_features.MOVE_FEATURES``."""
    source = s.vm_host[n, vm]
    request = s.vm_request[n, vm]
    from_cpu, to_cpu = w.host_cpu[source], w.host_cpu[host]
    trend = w.trend[s.remembered[n] - 1, vm]
    dark = not s.host_on[n, host]
    row[0] = squash(request / from_cpu)
    row[1] = squash(w.vm_mem[vm] / w.host_mem[source])
    row[2] = (w.vm_mem[vm] / w.migration_mib_per_s + (q.wake_s if dark else 0.0)) / w.step_s
    row[3] = squash(x.asked[source] / from_cpu)
    row[4] = squash(max(x.asked[source] - request, 0.0) / from_cpu)
    row[5] = 1.0 / x.guests[source]
    row[6] = squash(max(x.trend[source], 0.0) / from_cpu)
    row[7] = squash(x.asked[host] / to_cpu)
    row[8] = squash((x.asked[host] + request) / to_cpu)
    row[9] = squash((x.memory[host] + w.vm_mem[vm]) / w.host_mem[host])
    row[10] = squash(max(x.trend[host] + trend, 0.0) / to_cpu)
    row[11] = 1.0 if dark and x.guests[host] == 0 else 0.0
    here = min(x.granted[source] / from_cpu, 1.0)
    left = min(max(x.granted[source] - s.vm_granted[n, vm], 0.0) / from_cpu, 1.0)
    kinds, tables, curve = w.curve_kind, w.curve_table, w.host_curve[source]
    fall = host_watts(curve, kinds, tables, here)
    if x.guests[source] > 1:
        fall -= host_watts(curve, kinds, tables, left)
    most = max(host_watts(curve, kinds, tables, 1.0), host_watts(w.host_curve[host], kinds, tables, 1.0))
    row[12] = (rise_of(w, s, n, x, vm, host) - fall) / most


@bare_njit
def offer(
    ws: WorldsCode, q: SemanticsCode, s: StateCode, p: PolicyCode, x: Scratch, which: Bool,
    plan: I64, planned: I64, n_vms: int, n_hosts: int, moves: I64, features: F32, mask: npt.NDArray[np.int8],
) -> None:  # fmt: skip
    """Fill what may be chosen in some copies, with the plan so far.

    Parameters
    ----------
    plan : (N, B, 2) int64
        VM and machine of the moves chosen at this tick.
    planned : (N,) int64
        How many they are.
    n_vms, n_hosts : int
        VMs offered, and receivers of each; ``K`` is their product.
    moves : (N, K, 2) int64
        VM and machine; only where the mask is 1.
    features : (N, K, 13) float32
    mask : (N, K + 1) int8
        0: end the tick, always 1; the moves follow.
    """
    for n in range(which.shape[0]):
        if not which[n]:
            continue
        w = world_of(ws, s.world[n])
        features[n] = 0.0
        mask[n] = 0
        mask[n, 0] = 1
        if s.done[n] or planned[n] == plan.shape[1]:
            continue
        lay_out(w, q, s, n, p, x, plan[n], planned[n])
        several = pick_vms(w, s, n, x, n_vms)
        for i in range(several):
            found = pick_hosts(w, q, s, n, x, x.order[i], n_hosts, moves[n, i * n_hosts : (i + 1) * n_hosts])
            for j in range(found):
                k = i * n_hosts + j
                mask[n, k + 1] = 1
                describe(w, q, s, n, x, moves[n, k, 0], moves[n, k, 1], features[n, k])
        take_back(w, s, n, x, planned[n])


@bare_njit
def carry(
    ws: WorldsCode, q: SemanticsCode, s: StateCode, p: PolicyCode, x: Scratch, which: Bool, plan: I64, planned: I64
) -> None:
    """Carry the plans of some copies out and run to their next decisions; the plans are empty then."""
    for n in range(which.shape[0]):
        if which[n] and not s.done[n]:
            w = world_of(ws, s.world[n])
            tidy(w, x)
            over = 0
            for host in range(w.host_cpu.shape[0]):
                if s.host_asked[n, host] > w.host_cpu[host]:
                    over += 1
            for i in range(planned[n]):
                x.move_vm[i], x.move_to[i] = plan[n, i, 0], plan[n, i, 1]
            carry_out(w, q, s, n, p, x, over, planned[n])
            planned[n] = 0

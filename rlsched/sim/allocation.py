"""Putting a task on a machine and taking it off again, in whole numbers.

Compiled; all functions work on one copy ``c`` and on the read-only world ``w``.
"""

from __future__ import annotations

import math
from typing import Any

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.accounting import after_change, exit_value, settle, walk_exit
from rlsched.sim.compile import bare_njit
from rlsched.sim.heap import push_heap
from rlsched.sim.scoring import gpu_kind


@bare_njit(inline="always")
def place(w: Any, c: Any, machine: Any, devices: Any, log: Any) -> None:
    """Put the task that waits for a decision on a machine, on the devices of a bit set."""
    count, clock, mi, mf = c.counter, c.clock, c.machine_i, c.machine_f
    k = count[st.C_TASK]
    row = count[st.C_LO] + k
    fleet = count[st.C_FLEET]
    now = clock[st.F_NOW]
    kind = w.task_i[row, wd.T_TYPE]
    cpu, mem = w.type_i[kind, wd.T_CPU], w.type_i[kind, wd.T_MEM]
    gpus, mgpu = w.type_i[kind, wd.T_GPUS], w.type_i[kind, wd.T_MGPU]
    settle(mi, mf, machine, now)
    mi[st.M_CPU, machine] -= cpu
    mi[st.M_MEM, machine] -= mem
    if gpus > 0:
        mi[st.M_GPU, machine] -= gpus * mgpu
        for d in range(w.fleet_i[fleet, wd.L_GPUS, machine]):
            if (devices >> d) & 1:
                c.gpu[machine, d] -= mgpu
        c.kinds[machine, gpu_kind(gpus, mgpu)] += 1
    if mi[st.M_TASKS, machine] == 0:
        count[st.C_ACTIVE] += 1
        mf[st.M_FROM, machine] = now
    mi[st.M_TASKS, machine] += 1
    count[st.C_RUN_CPU] += cpu
    count[st.C_RUN_MEM] += mem
    count[st.C_RUN_GPU] += gpus * mgpu
    count[st.C_RUNNING] += 1
    task_i, task_f = c.task_i[k], c.task_f[k]
    if task_i[st.K_RESTARTS] > 0:
        count[st.C_RESTARTED] += 1
    elif w.task_f[row, wd.T_ARRIVE] >= clock[st.F_START]:  # those of the warm-up count nowhere
        count[st.C_PLACED] += 1
        count[st.C_PLACED_CPU] += cpu
        count[st.C_PLACED_MEM] += mem
        count[st.C_PLACED_GPU] += gpus * mgpu
        clock[st.F_WAIT_S] += now - w.task_f[row, wd.T_ARRIVE]
    task_i[st.K_STATUS] = st.RUNNING
    task_i[st.K_MACHINE] = machine
    task_i[st.K_GPUS] = devices
    task_f[st.K_START] = now
    end = now + (w.task_f[row, wd.T_RUN] - task_f[st.K_DONE])
    task_f[st.K_END] = end
    if end < math.inf and count[st.C_PLANNED] == 0:
        count[st.C_HEAP] = push_heap(c.heap_t, c.heap_k, count[st.C_HEAP], end, k)
    if w.option_i[wd.O_RESIDENTS]:
        head = mi[st.M_HEAD, machine]
        task_i[st.K_NEXT] = head
        task_i[st.K_PREV] = -1
        if head >= 0:
            c.task_i[head, st.K_PREV] = k
        mi[st.M_HEAD, machine] = k
        value = exit_value(w, c, k, row)
        old = mf[st.M_EXIT, machine]
        mf[st.M_EXIT, machine] = min(old, value) if w.option_i[wd.O_LIFETIME] == 2 else max(old, value)
    group = w.task_i[row, wd.T_GROUP]
    task_i[st.K_TYPE] = kind
    task_i[st.K_GROUP] = group
    if group >= 0:
        head = c.group_head[group]
        c.group_link[k, st.G_NEXT] = head
        c.group_link[k, st.G_PREV] = -1
        if head >= 0:
            c.group_link[head, st.G_PREV] = k
        c.group_head[group] = k
    after_change(w, c, fleet, machine, log)
    if count[st.C_SOURCE] == 1:
        c.queue[count[st.C_PASS]] = -1
        count[st.C_PASS] += 1
        count[st.C_WAITING] -= 1
    count[st.C_TASK] = -1
    count[st.C_DECISIONS] += 1
    count[st.C_LAST] = machine


@bare_njit(inline="always")
def take_off(w: Any, c: Any, k: Any, log: Any) -> None:
    """Remove a running task from its machine; its status is the caller's business."""
    count, mi, mf = c.counter, c.machine_i, c.machine_f
    row = count[st.C_LO] + k
    fleet = count[st.C_FLEET]
    task_i = c.task_i[k]
    machine = task_i[st.K_MACHINE]
    # Everything needed is in this row and in the small table of request types: a task that
    # leaves came long ago, and each further row of it would be fetched from main memory.
    kind = task_i[st.K_TYPE]
    cpu, mem = w.type_i[kind, wd.T_CPU], w.type_i[kind, wd.T_MEM]
    gpus, mgpu = w.type_i[kind, wd.T_GPUS], w.type_i[kind, wd.T_MGPU]
    settle(mi, mf, machine, c.clock[st.F_NOW])
    mi[st.M_CPU, machine] += cpu
    mi[st.M_MEM, machine] += mem
    if gpus > 0:
        mi[st.M_GPU, machine] += gpus * mgpu
        for d in range(w.fleet_i[fleet, wd.L_GPUS, machine]):
            if (task_i[st.K_GPUS] >> d) & 1:
                c.gpu[machine, d] += mgpu
        c.kinds[machine, gpu_kind(gpus, mgpu)] -= 1
    mi[st.M_TASKS, machine] -= 1
    count[st.C_ACTIVE] -= mi[st.M_TASKS, machine] == 0
    count[st.C_RUN_CPU] -= cpu
    count[st.C_RUN_MEM] -= mem
    count[st.C_RUN_GPU] -= gpus * mgpu
    count[st.C_RUNNING] -= 1
    count[st.C_NEED_PASS] = 1
    if w.option_i[wd.O_RESIDENTS]:
        after, before = task_i[st.K_NEXT], task_i[st.K_PREV]
        if before >= 0:
            c.task_i[before, st.K_NEXT] = after
        else:
            mi[st.M_HEAD, machine] = after
        if after >= 0:
            c.task_i[after, st.K_PREV] = before
        if exit_value(w, c, k, row) == mf[st.M_EXIT, machine]:
            mf[st.M_EXIT, machine] = walk_exit(w, c, machine)
    group = task_i[st.K_GROUP]
    if group >= 0:
        after, before = c.group_link[k, st.G_NEXT], c.group_link[k, st.G_PREV]
        if before >= 0:
            c.group_link[before, st.G_NEXT] = after
        else:
            c.group_head[group] = after
        if after >= 0:
            c.group_link[after, st.G_PREV] = before
    after_change(w, c, fleet, machine, log)

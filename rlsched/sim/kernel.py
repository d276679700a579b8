"""The compiled event loop of placement; ``reference.py`` says the same in plain Python.

``advance`` runs a copy until a task may need a machine; ``place`` and ``refuse`` answer.
``run_rule`` (in ``select.py``) answers with a scoring rule without returning to Python.
All functions work on one copy ``c`` (see ``copy_of``), on the read-only world ``w``, and note
machines that changed in ``log``.
"""

from __future__ import annotations

import math
from typing import Any

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.accounting import (
    fragment_of,
    move_clock,
    no_exit,
    settle,
    settle_all,
    start_metering,
    watts_of,
)
from rlsched.sim.allocation import take_off
from rlsched.sim.changes import note_change
from rlsched.sim.compile import bare_njit
from rlsched.sim.events import FAIL
from rlsched.sim.feasible import any_fits, rejection_reason
from rlsched.sim.heap import pop_heap, rebuild_heap


@bare_njit(forceinline=True)
def copy_of(s: Any, n: Any) -> Any:
    """Copy ``n`` of the state: the same arrays without their leading axis, sharing memory."""
    return st.StateArrays(
        s.counter[n],
        s.clock[n],
        s.machine_i[n],
        s.machine_f[n],
        s.gpu[n],
        s.kinds[n],
        s.task_i[n],
        s.task_f[n],
        s.heap_t[n],
        s.heap_k[n],
        s.queue[n],
        s.group_link[n],
        s.group_head[n],
    )


@bare_njit
def open_copy(w: Any, c: Any, lo: Any, hi: Any, start: Any, stop: Any, fleet: Any, seed: Any) -> None:
    """Put a copy at the beginning of a window; its arrays are fresh."""
    count, clock, mi, mf = c.counter, c.clock, c.machine_i, c.machine_f
    count[st.C_SEED], count[st.C_FLEET], count[st.C_LO], count[st.C_HI] = seed, fleet, lo, hi
    count[st.C_NEXT], count[st.C_PASS], count[st.C_TASK], count[st.C_LAST] = 0, -1, -1, -1
    first = w.task_f[lo, wd.T_ARRIVE]
    now = min(first, start)
    clock[st.F_NOW], clock[st.F_START], clock[st.F_STOP] = now, start, stop
    for i in range(w.fleet_n[fleet, wd.L_N]):
        mi[st.M_CPU, i] = w.fleet_i[fleet, wd.L_CPU, i]
        mi[st.M_MEM, i] = w.fleet_i[fleet, wd.L_MEM, i]
        mi[st.M_GPU, i] = w.fleet_i[fleet, wd.L_GPUS, i] * 1000
        mi[st.M_UP, i] = 1
        for k in range(w.fleet_i[fleet, wd.L_GPUS, i]):
            c.gpu[i, k] = 1000
    for i in range(mi.shape[1]):
        mi[st.M_HEAD, i] = -1
        mf[st.M_SINCE, i] = now
        mf[st.M_EXIT, i] = no_exit(w)
    # Machines that are down when the window begins are down; those events disturb nobody.
    event = 0
    while event < w.event_t.shape[0] and w.event_t[event] < now:
        machine = w.event_i[event, 1]
        if machine < w.fleet_n[fleet, wd.L_N]:
            mi[st.M_UP, machine] = 0 if w.event_i[event, 0] == FAIL else 1
        event += 1
    count[st.C_EVENT], count[st.C_EVENT_HI] = event, w.event_t.shape[0]
    for i in range(w.fleet_n[fleet, wd.L_N]):
        if w.option_i[wd.O_FRAG] != wd.FRAG_NONE:
            mf[st.M_FRAG, i] = fragment_of(w, c, fleet, i)
            clock[st.F_FRAG] += mf[st.M_FRAG, i]
        mf[st.M_WATT, i] = watts_of(w, mi, fleet, i)


@bare_njit
def _enqueue(w: Any, c: Any, k: Any) -> None:
    """Put a task into the queue: larger priority first, then arrival (row)."""
    count, queue = c.counter, c.queue
    lo = count[st.C_LO]
    priority = w.task_i[lo + k, wd.T_PRIORITY]
    size = count[st.C_QUEUE]
    at = size
    while at > 0:
        other = queue[at - 1]
        urgent = w.task_i[lo + other, wd.T_PRIORITY]
        if urgent > priority or (urgent == priority and other < k):
            break
        queue[at] = other
        at -= 1
    queue[at] = k
    count[st.C_QUEUE] = size + 1
    count[st.C_WAITING] += 1
    c.task_i[k, st.K_STATUS] = st.QUEUED


@bare_njit
def _fail(w: Any, c: Any, machine: Any, log: Any) -> None:
    """A machine fails: its tasks are interrupted, newest first."""
    count, clock, mi, mf = c.counter, c.clock, c.machine_i, c.machine_f
    now, lo = clock[st.F_NOW], count[st.C_LO]
    settle(mi, mf, machine, now)
    if mi[st.M_UP, machine] == 0:
        return
    mi[st.M_UP, machine] = 0
    note_change(log, machine)
    touched = False
    k = mi[st.M_HEAD, machine]
    while k >= 0:
        after = c.task_i[k, st.K_NEXT]
        take_off(w, c, k, log)
        ran = now - c.task_f[k, st.K_START]
        interval = w.option_f[wd.O_CHECKPOINT]
        if interval == 0.0:
            kept = ran
        elif interval == math.inf:
            kept = 0.0
        else:
            kept = math.floor(ran / interval) * interval
        count[st.C_INTERRUPTED] += 1
        touched = True
        if w.option_i[wd.O_REQUEUE]:
            clock[st.F_LOST_CPU_S] += w.task_i[lo + k, wd.T_CPU] * (ran - kept)
            c.task_f[k, st.K_DONE] += kept
            c.task_i[k, st.K_RESTARTS] += 1
            _enqueue(w, c, k)
        else:
            clock[st.F_LOST_CPU_S] += w.task_i[lo + k, wd.T_CPU] * (ran + c.task_f[k, st.K_DONE])
            c.task_i[k, st.K_STATUS] = st.LOST
            count[st.C_LOST] += 1
        k = after
    mf[st.M_WATT, machine] = 0.0
    if touched:
        count[st.C_HEAP] = rebuild_heap(c.heap_t, c.heap_k, count[st.C_HEAP], c.task_i)


@bare_njit
def _compact(count: Any, queue: Any) -> None:
    """End of a queue pass: close the gaps."""
    kept = 0
    for position in range(count[st.C_QUEUE]):
        if queue[position] >= 0:
            queue[kept] = queue[position]
            kept += 1
    for position in range(kept, count[st.C_QUEUE]):
        queue[position] = -1
    count[st.C_QUEUE] = kept
    count[st.C_PASS] = -1


@bare_njit
def _finish(c: Any) -> None:
    count, clock = c.counter, c.clock
    if count[st.C_METERED] == 0 and clock[st.F_START] <= clock[st.F_STOP]:
        start_metering(count, clock, c.machine_i, c.machine_f)
    t = clock[st.F_NOW] if clock[st.F_STOP] == math.inf else clock[st.F_STOP]
    settle_all(count, clock, c.machine_i, c.machine_f, t)
    count[st.C_OVER] = 1


@bare_njit(inline="always")
def advance(w: Any, c: Any, log: Any) -> Any:
    """Run a copy to the next task that asks for a machine.

    Returns
    -------
    int
        Its local row, also left in ``st.C_TASK``; -1 when the window has ended. The task may fit
        nowhere: then ``refuse`` is the only answer.
    """
    count, clock = c.counter, c.clock
    while count[st.C_OVER] == 0:
        if count[st.C_PASS] >= 0:
            if count[st.C_PASS] < count[st.C_QUEUE]:
                count[st.C_TASK], count[st.C_SOURCE] = c.queue[count[st.C_PASS]], 1
                return count[st.C_TASK]
            _compact(count, c.queue)
        now, lo = clock[st.F_NOW], count[st.C_LO]
        first = 0
        if count[st.C_PLANNED] == 1:
            first = count[st.C_LEAVE]
            while first < count[st.C_HEAP] and c.task_i[c.heap_k[first], st.K_STATUS] == st.REJECTED:
                first += 1
            count[st.C_LEAVE] = first
        depart = c.heap_t[first] if first < count[st.C_HEAP] else math.inf
        event = w.event_t[count[st.C_EVENT]] if count[st.C_EVENT] < count[st.C_EVENT_HI] else math.inf
        arrive = w.task_f[lo + count[st.C_NEXT], wd.T_ARRIVE] if lo + count[st.C_NEXT] < count[st.C_HI] else math.inf
        if depart == math.inf and arrive == math.inf and count[st.C_WAITING] == 0 and clock[st.F_STOP] == math.inf:
            event = math.inf  # machine events alone do not keep an open-ended window alive
        t = min(depart, event, arrive)
        if count[st.C_NEED_PASS] == 1 and (t > now or (arrive == now and depart > now and event > now)):
            count[st.C_NEED_PASS] = 0
            if count[st.C_WAITING] > 0:
                count[st.C_PASS] = 0
                continue
        if t == math.inf or t > clock[st.F_STOP]:
            _finish(c)
            break
        if count[st.C_METERED] == 0 and t >= clock[st.F_START]:
            start_metering(count, clock, c.machine_i, c.machine_f)
        move_clock(count, clock, t)
        if depart == t:
            k = c.heap_k[first]
            if count[st.C_PLANNED] == 1:
                count[st.C_LEAVE] += 1
            else:
                count[st.C_HEAP] = pop_heap(c.heap_t, c.heap_k, count[st.C_HEAP])
            take_off(w, c, k, log)
            c.task_i[k, st.K_STATUS] = st.DONE
            count[st.C_FINISHED] += 1
        elif event == t:
            machine = w.event_i[count[st.C_EVENT], 1]
            failed = w.event_i[count[st.C_EVENT], 0] == FAIL
            count[st.C_EVENT] += 1
            if machine >= w.fleet_n[count[st.C_FLEET], wd.L_N]:
                continue
            if failed:
                _fail(w, c, machine, log)
            elif c.machine_i[st.M_UP, machine] == 0:
                settle(c.machine_i, c.machine_f, machine, t)
                c.machine_i[st.M_UP, machine] = 1
                note_change(log, machine)
                count[st.C_NEED_PASS] = 1
                c.machine_f[st.M_WATT, machine] = watts_of(w, c.machine_i, count[st.C_FLEET], machine)
        else:
            k = count[st.C_NEXT]
            row = lo + k
            count[st.C_NEXT] += 1
            count[st.C_ARRIVED] += 1
            count[st.C_ARRIVED_CPU] += w.task_i[row, wd.T_CPU]
            count[st.C_ARRIVED_MEM] += w.task_i[row, wd.T_MEM]
            count[st.C_ARRIVED_GPU] += w.task_i[row, wd.T_GPUS] * w.task_i[row, wd.T_MGPU]
            if w.option_i[wd.O_STRICT] and count[st.C_WAITING] > 0:
                _enqueue(w, c, k)
                continue
            count[st.C_TASK], count[st.C_SOURCE] = k, 0
            return k
    count[st.C_TASK] = -1
    return -1


@bare_njit
def refuse(w: Any, c: Any) -> None:
    """Answer "no machine": the task is rejected, or waits (on)."""
    count = c.counter
    k = count[st.C_TASK]
    count[st.C_TASK] = -1
    if count[st.C_SOURCE] == 1:
        count[st.C_PASS] = count[st.C_QUEUE] if w.option_i[wd.O_STRICT] else count[st.C_PASS] + 1
    elif w.option_i[wd.O_QUEUE]:
        _enqueue(w, c, k)
    else:
        c.task_i[k, st.K_STATUS] = st.REJECTED
        count[st.C_REJECTED] += 1
        count[st.C_REASON + rejection_reason(w, c, count[st.C_LO] + k)] += 1


@bare_njit(forceinline=True)
def next_decision(w: Any, c: Any, log: Any) -> Any:
    """Run a copy until somebody must decide: a task that at least one machine can hold.

    Returns
    -------
    int
        Local row of the task; -1 when the window has ended.
    """
    while True:
        k = advance(w, c, log)
        if k < 0 or any_fits(w, c, c.counter[st.C_LO] + k):
            return k
        refuse(w, c)

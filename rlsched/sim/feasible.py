"""Whether a machine can hold a task, and if none can, why.

Compiled; all functions work on one copy ``c`` and on the read-only world ``w``.
"""

from __future__ import annotations

from typing import Any

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.scoring import devices_fit


@bare_njit
def group_full(w: Any, c: Any, row: Any, machine: Any) -> Any:
    """True when a machine already holds as many tasks of the group as the task allows."""
    limit = w.task_i[row, wd.T_LIMIT]
    if limit == 0:
        return False
    held = 0
    k = c.group_head[w.task_i[row, wd.T_GROUP]]
    while k >= 0:
        if c.task_i[k, st.K_MACHINE] == machine:
            held += 1
        k = c.group_link[k, st.G_NEXT]
    return held >= limit


@bare_njit
def fits(w: Any, c: Any, row: Any, i: Any) -> Any:
    """True when machine ``i`` can hold task ``row`` now, group limit included."""
    mi, fleet = c.machine_i, c.counter[st.C_FLEET]
    if mi[st.M_UP, i] == 0 or mi[st.M_CPU, i] < w.task_i[row, wd.T_CPU] or mi[st.M_MEM, i] < w.task_i[row, wd.T_MEM]:
        return False
    gpus = w.task_i[row, wd.T_GPUS]
    if gpus > 0:
        model = w.fleet_i[fleet, wd.L_MODEL, i]
        if model < 0 or (w.task_i[row, wd.T_MODELS] >> model) & 1 == 0:
            return False
        if not devices_fit(c.gpu[i], w.fleet_i[fleet, wd.L_GPUS, i], gpus, w.task_i[row, wd.T_MGPU]):
            return False
    return not group_full(w, c, row, i)


@bare_njit(forceinline=True)
def any_fits(w: Any, c: Any, row: Any) -> Any:
    """True when some machine can hold task ``row`` now."""
    # Room is looked at here: most machines that cannot hold the task lack that.
    mi, cpu, mem = c.machine_i, w.task_i[row, wd.T_CPU], w.task_i[row, wd.T_MEM]
    plain = w.task_i[row, wd.T_GPUS] == 0 and w.task_i[row, wd.T_LIMIT] == 0
    for i in range(w.fleet_n[c.counter[st.C_FLEET], wd.L_N]):
        if mi[st.M_CPU, i] >= cpu and mi[st.M_MEM, i] >= mem and mi[st.M_UP, i] == 1 and (plain or fits(w, c, row, i)):
            return True
    return False


@bare_njit
def rejection_reason(w: Any, c: Any, row: Any) -> Any:
    """Why a task is turned away: the first single thing whose absence would have let it in.

    0 cpu, 1 mem, 2 gpu, 3 model, 4 group: some machine lacks only that · 5 several things
    everywhere · 6 no machine, even empty and up, could ever hold it · 7 nothing: some machine
    could hold it, and the policy refused it all the same.
    """
    mi, fleet = c.machine_i, c.counter[st.C_FLEET]
    gpus, mgpu = w.task_i[row, wd.T_GPUS], w.task_i[row, wd.T_MGPU]
    cpu, mem, models = w.task_i[row, wd.T_CPU], w.task_i[row, wd.T_MEM], w.task_i[row, wd.T_MODELS]
    only_cpu = only_mem = only_gpu = only_model = only_group = possible = False
    for i in range(w.fleet_n[fleet, wd.L_N]):
        model = w.fleet_i[fleet, wd.L_MODEL, i]
        allowed = gpus == 0 or (model >= 0 and (models >> model) & 1 == 1)
        if (
            allowed
            and w.fleet_i[fleet, wd.L_CPU, i] >= cpu
            and w.fleet_i[fleet, wd.L_MEM, i] >= mem
            and w.fleet_i[fleet, wd.L_GPUS, i] >= gpus
        ):
            possible = True
        if mi[st.M_UP, i] == 0:
            continue
        ok_cpu, ok_mem = mi[st.M_CPU, i] >= cpu, mi[st.M_MEM, i] >= mem
        ok_gpu = gpus == 0 or devices_fit(c.gpu[i], w.fleet_i[fleet, wd.L_GPUS, i], gpus, mgpu)
        if ok_cpu + ok_mem + ok_gpu + allowed < 3:
            continue
        room = not group_full(w, c, row, i)
        if ok_cpu and ok_mem and ok_gpu and allowed:
            if room:
                return 7
            only_group = True  # it would fit here, were it not for its group
        elif room:
            only_cpu |= not ok_cpu
            only_mem |= not ok_mem
            only_gpu |= not ok_gpu
            only_model |= not allowed
    if not possible:
        return 6
    if only_cpu:
        return 0
    if only_mem:
        return 1
    if only_gpu:
        return 2
    if only_model:
        return 3
    return 4 if only_group else 5

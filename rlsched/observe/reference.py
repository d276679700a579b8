"""The shortlist once more, in plain Python: what ``shortlist.py`` has to equal exactly.

Slow and without memory: every machine is scored afresh by the rules of
``rlsched.sim.reference_rules``, and the best are picked one after the other.
"""

from __future__ import annotations

import math

from rlsched.observe.settings import ObservationSettings
from rlsched.sim import reference_rules as rules
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.state import State
from rlsched.sim.world import LIFETIMES, World


def candidates_of(world: World, state: State, settings: ObservationSettings, n: int = 0) -> list[tuple[int, int]]:
    """Candidates of the task that waits in copy ``n``.

    Returns
    -------
    list of (int, int)
        Machine row, and machines in equal state that can hold the task; best of the prior first.
        Empty where the window has ended.
    """
    task = int(state.task[n])
    if task < 0:
        return []
    w, fleet = world.arrays, int(state.arrays.counter[n, st.C_FLEET])
    hosts = [_host(world, state, n, fleet, i) for i in range(int(w.fleet_n[fleet, wd.L_N]))]
    request = _request(world, task)
    at = rules.Moment(
        now=float(state.arrays.clock[n, st.F_NOW]),
        max_cpu=int(w.fleet_n[fleet, wd.L_MAX_CPU]),
        max_gpu=int(w.fleet_n[fleet, wd.L_MAX_GPU]),
        typical=[(int(a), int(b), int(c), int(d), int(e)) for a, b, c, d, e in w.typical_i],
        typical_p=w.typical_p.tolist(),
        fragmentation=("none", "gpu", "cpu")[int(w.option_i[wd.O_FRAG])],
        lifetime=LIFETIMES[int(w.option_i[wd.O_LIFETIME])],
        shape=[(0.0, 0.0), (100.0, 100.0)],
    )
    by_kind = any("gpu_clustering" in blend for blend in settings.blends)
    alive = [i for i, host in enumerate(hosts) if rules.feasible(host, request)]
    alive = [i for i in alive if not _group_full(world, state, n, task, i)]
    state_of = {i: _state_key(world, hosts[i], fleet, i, by_kind) for i in alive}
    score = [{i: _score(blend, hosts[i], request, at) for i in alive} for blend in settings.blends]
    limit = len(hosts) if settings.candidates == "all" else settings.candidates
    found: list[tuple[int, int]] = []
    while alive and len(found) < limit:
        turn = len(found)
        blend = turn % len(score) if turn < len(score) * settings.best else 0
        best = max(alive, key=lambda i: (score[blend][i], -i))
        equal = [i for i in alive if state_of[i] == state_of[best]]
        found.append((best, len(equal)))
        alive = [i for i in alive if i not in equal]
    return sorted(found, key=lambda one: (-score[0][one[0]], one[0]))


def _score(blend: dict[str, float], host: rules.Host, request: rules.Request, at: rules.Moment) -> float:
    total = 0.0
    for rule, weight in blend.items():
        total += weight * rules.REFERENCE_RULES[rule](host, request, at)
    return total


def _request(world: World, task: int) -> rules.Request:
    row, life = world.arrays.task_i[task], float(world.arrays.task_f[task, wd.T_EXPECTED])
    life = float(world.arrays.option_f[wd.O_UNKNOWN_S]) if math.isnan(life) else life
    cpu, mem, gpus, mgpu, models = (int(row[at]) for at in (wd.T_CPU, wd.T_MEM, wd.T_GPUS, wd.T_MGPU, wd.T_MODELS))
    return rules.Request(cpu, mem, gpus, mgpu, models, life)


def _host(world: World, state: State, n: int, fleet: int, i: int) -> rules.Host:
    w, arrays = world.arrays, state.arrays
    devices = int(w.fleet_i[fleet, wd.L_GPUS, i])
    return rules.Host(
        cpu=int(w.fleet_i[fleet, wd.L_CPU, i]),
        mem=int(w.fleet_i[fleet, wd.L_MEM, i]),
        model=int(w.fleet_i[fleet, wd.L_MODEL, i]),
        physical_cpu=0,
        price=float(w.fleet_f[fleet, wd.L_PRICE, i]),
        free_cpu=int(arrays.machine_i[n, st.M_CPU, i]),
        free_mem=int(arrays.machine_i[n, st.M_MEM, i]),
        devices=arrays.gpu[n, i, :devices].tolist() if devices else [],
        up=bool(arrays.machine_i[n, st.M_UP, i]),
        residents=[0] * int(arrays.machine_i[n, st.M_TASKS, i]),
        kinds=arrays.kinds[n, i].tolist() if arrays.kinds.shape[1] else [0] * st.N_KINDS,
        exit=float(arrays.machine_f[n, st.M_EXIT, i]),
        frag=float(arrays.machine_f[n, st.M_FRAG, i]),
    )


def _state_key(world: World, host: rules.Host, fleet: int, i: int, by_kind: bool) -> tuple[object, ...]:
    """What two machines have in common that nobody can tell apart."""
    w = world.arrays
    fixed = [
        repr(float(value)) for value in (*w.fleet_i[fleet, :, i], *w.fleet_f[fleet, :, i], w.fleet_curve[fleet, i])
    ]
    end = host.exit if w.option_i[wd.O_RESIDENTS] else 0.0
    kinds = tuple(host.kinds) if by_kind else ()
    return (*fixed, host.free_cpu, host.free_mem, tuple(sorted(host.devices)), host.up, end, kinds)


def _group_full(world: World, state: State, n: int, task: int, i: int) -> bool:
    row, lo = world.arrays.task_i, int(state.arrays.counter[n, st.C_LO])
    limit, group = int(row[task, wd.T_LIMIT]), int(row[task, wd.T_GROUP])
    if limit == 0:
        return False
    mine = state.arrays.task_i[n]
    running = (mine[:, st.K_STATUS] == st.RUNNING) & (mine[:, st.K_MACHINE] == i)
    return sum(int(row[lo + k, wd.T_GROUP]) == group for k in running.nonzero()[0]) >= limit

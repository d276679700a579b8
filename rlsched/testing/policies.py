"""The contract of a placement heuristic, to be run on any entry of ``POLICIES`` or on one's own.

::

    from rlsched.testing.policies import check_policy

    def test_my_heuristic_keeps_the_contract():
        check_policy(Heuristic("mine", {"best_fit": 1.0, "cosine": 0.5}))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.policies.heuristic import Heuristic
from rlsched.rng import stream
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.events import MachineEvents
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.scoring import MachineArrays, Request, score_parts
from rlsched.sim.select import PolicyArrays, make_cache, run_rule
from rlsched.sim.simulate import advance_all, run_policy
from rlsched.sim.state import State
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace

F64 = npt.NDArray[np.float64]


def check_policy(policy: Heuristic, *, n_tasks: int = 120, seed: int = 0) -> None:
    """Hold a heuristic to the contract, on small worlds made for it.

    Parameters
    ----------
    policy : Heuristic
    n_tasks : int
        Tasks of each world.
    seed : int
        Of the worlds.

    Raises
    ------
    AssertionError
        Says which clause does not hold, in which world and at which task:

        1. a task is placed where it fits (CPU, memory, devices, model, group limit, machine up),
           and refused only where it fits nowhere;
        2. by score: the machine has the largest score of those that fit, computed afresh, and
           the lowest row among equals; round-robin and next-fit: the row their definition says;
        3. it gets as many devices as it asks for, each with the share free; ``devices="best"``
           the smallest sufficient ones, lowest index among equals;
        4. two runs with one seed are equal byte for byte, and only random choices depend on it;
        5. copies side by side equal the same copies alone.
    """
    for name, world in small_worlds(n_tasks, seed).items():
        _check_decisions(policy, world, name)
        _check_repeatable(policy, world, name)
        _check_copies(policy, world, name)


def check_runner(policy: Any, *, worlds: dict[str, World] | None = None) -> None:
    """Hold a policy that runs by itself (a learned one, or your own ``run(world, state)``) to the contract.

    Parameters
    ----------
    policy : object
        With ``name`` and ``run(world, state, progress=None)``.
    worlds : dict of str to World, optional
        Those it can place in; :func:`small_worlds` by default.

    Raises
    ------
    AssertionError
        Says which clause does not hold, and in which world:

        1. every window is brought to its end, and every invariant of the state holds there;
        2. two runs are equal byte for byte;
        3. copies side by side equal the same copies alone;
        4. what it tells ``progress`` adds up to the tasks that asked for a machine.
    """
    from rlsched.errors import OurBug
    from rlsched.sim.invariants import check_invariants

    for name, world in (worlds or small_worlds()).items():
        half = len(world.trace) // 2
        windows = [Window(0, half), world.whole, Window(half // 2, len(world.trace))]
        told: list[int] = []
        runs = []
        for progress in (told.append, None):
            state = world.start(windows, [1, 2, 3])
            policy.run(world, state, progress=progress)
            runs.append(state)
        _expect(bool(runs[0].over.all()), f"{policy.name}, world {name}: every window must be brought to its end")
        try:
            check_invariants(world, runs[0])
        except OurBug as error:
            raise AssertionError(f"{policy.name}, world {name}: {error}") from error
        _expect(runs[0].same_as(runs[1]), f"{policy.name}, world {name}: two runs must be equal")
        decisions = int(runs[0].arrays.counter[:, st.C_DECISIONS].sum())
        _expect(sum(told) == decisions, f"{policy.name}, world {name}: told {sum(told)} of {decisions} decisions")
        for n, window in enumerate(windows):
            alone = world.start([window], [n + 1])
            policy.run(world, alone)
            size = window.hi - window.lo
            same = np.array_equal(alone.arrays.task_i[0, :size], runs[0].arrays.task_i[n, :size])
            _expect(same, f"{policy.name}, world {name}: copy {n} must go alone as beside others")


def small_worlds(n_tasks: int = 120, seed: int = 0) -> dict[str, World]:
    """Worlds small enough to check by brute force, full enough that tasks are refused and tied.

    Returns
    -------
    dict of str to World
        ``cpu``: a queue, group limits, failures, lifetimes predicted for some; ``gpu``: shared
        and whole devices, two models, rejections.
    """
    return {"cpu": _cpu_world(n_tasks, seed), "gpu": _gpu_world(n_tasks, seed)}


def _cpu_world(n_tasks: int, seed: int) -> World:
    draw = stream(seed, "contract", "cpu")
    group = draw.integers(-1, 6, n_tasks)
    arrive = np.sort(draw.integers(0, 40 * n_tasks, n_tasks))
    run = draw.integers(1, 4000, n_tasks)
    trace = Trace(
        task_id=np.arange(n_tasks),
        arrive_s=arrive,
        depart_s=arrive + run,
        cpu_mcore=draw.choice([0, 500, 1000, 2000, 4000], n_tasks),
        mem_mib=draw.choice([512, 1024, 4096], n_tasks),
        priority=draw.integers(0, 2, n_tasks),
        group=group,
        group_limit=np.where(group >= 3, 1, 0),
        expected_s=np.where(draw.random(n_tasks) < 0.7, run * 1.5, np.nan),
    )
    m = 11
    machines = Machines(
        machine_id=np.arange(m),
        cpu_mcore=np.array([4000, 8000, 8000])[np.arange(m) % 3],
        mem_mib=np.array([8192, 8192, 16384])[np.arange(m) % 3],
    )
    events = MachineEvents.random(m, 0, 40.0 * n_tasks, mtbf_s=20_000, mttr_s=2000, seed=seed)
    options = PlacementOptions(admission="queue", lifetime="predicted", fragmentation="cpu")
    return World.build(trace, machines, options, typical=typical_requests(trace), events=events)


def _gpu_world(n_tasks: int, seed: int) -> World:
    draw = stream(seed, "contract", "gpu")
    gpus = draw.choice([0, 1, 1, 1, 2, 4], n_tasks)
    share = np.where(gpus == 1, draw.choice([200, 500, 700, 1000], n_tasks), 1000)
    arrive = np.sort(draw.integers(0, 100 * n_tasks, n_tasks))
    trace = Trace(
        task_id=np.arange(n_tasks),
        arrive_s=arrive,
        depart_s=np.where(draw.random(n_tasks) < 0.8, arrive + draw.integers(100, 6000, n_tasks), -1),
        cpu_mcore=draw.choice([1000, 4000, 8000], n_tasks),
        mem_mib=draw.choice([1024, 8192], n_tasks),
        gpu_count=gpus,
        gpu_mgpu=np.where(gpus > 0, share, 0),
        gpu_model_mask=draw.choice([-1, -1, 1, 3], n_tasks),
        gpu_models=("A", "B"),
    )
    count = np.array([1, 2, 4, 4, 2, 4, 0, 1, 4, 2])
    machines = Machines(
        machine_id=np.arange(10),
        cpu_mcore=np.full(10, 32000),
        mem_mib=np.full(10, 65536),
        gpu_count=count,
        gpu_model=np.where(count > 0, np.arange(10) % 2, -1),
        gpu_models=("B", "A"),
    )
    return World.build(trace, machines, PlacementOptions(fragmentation="gpu"), typical=typical_requests(trace))


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _check_decisions(policy: Heuristic, world: World, name: str) -> None:
    """Clauses 1 to 3: follow a run decision by decision, and judge each from the state before it."""
    arrays = policy.arrays()
    w, state = world.arrays, world.start([world.whole], [3])
    cache, log = make_cache(w, arrays, slice(0, len(world.trace)))
    device = np.zeros(max(1, state.arrays.gpu.shape[2]), np.int64)
    count = state.arrays.counter[0]
    placed = refused = 0
    while True:
        before = state.copy()
        # The state in which the next task that fits somewhere asks.
        waiting = int(advance_all(world, before)[0])
        decisions = int(count[st.C_DECISIONS])
        asked = 1
        while asked and count[st.C_DECISIONS] == decisions:
            asked = int(run_rule(w, state.arrays, 0, arrays, cache, log, device, 1))
        if not asked:
            _expect(waiting < 0, f"{policy.name}, world {name}: task {waiting} was refused though it fits somewhere")
            break
        place = f"{policy.name}, world {name}, task {waiting}"
        task = state.arrays.task_i[0, waiting]
        _expect(waiting >= 0 and task[st.K_STATUS] == st.RUNNING, f"{place}: refused though it fits somewhere")
        machine = int(task[st.K_MACHINE])
        fits = fits_of(world, before, waiting)
        _expect(bool(fits[machine]), f"{place}: machine {machine} cannot hold it")
        wanted = _wanted(policy, arrays, world, before, waiting, fits)
        _expect(wanted in (machine, -1), f"{place}: must go to machine {wanted}, not {machine}")
        _check_devices(policy, world, before, waiting, machine, int(task[st.K_GPUS]), place)
        placed += 1
    refused = int(count[st.C_REJECTED] + count[st.C_QUEUE])
    _expect(placed > 20, f"world {name} is too small to judge {policy.name}: {placed} placed, {refused} refused")


def fits_of(world: World, state: State, row: int, n: int = 0) -> npt.NDArray[np.bool_]:
    """Machines of copy ``n`` that can hold task ``row`` now, in plain words, (M,)."""
    w, s = world.arrays, state.arrays
    lo, fleet = int(s.counter[n, st.C_LO]), int(s.counter[n, st.C_FLEET])
    cpu, mem, gpus, share, models = (int(v) for v in w.task_i[row, :5])
    group, limit = int(w.task_i[row, wd.T_GROUP]), int(w.task_i[row, wd.T_LIMIT])
    groups = w.task_i[lo : lo + s.task_i.shape[1], wd.T_GROUP]
    held = s.task_i[n, : len(groups)]
    out = np.zeros(len(world.fleets[fleet]), bool)
    for i in range(out.size):
        enough = int((s.gpu[n, i] >= max(share, 1)).sum()) >= gpus
        model = int(w.fleet_i[fleet, wd.L_MODEL, i])
        allowed = gpus == 0 or (model >= 0 and bool(models >> model & 1))
        running = (held[:, st.K_STATUS] == st.RUNNING) & (held[:, st.K_MACHINE] == i)
        together = int((running & (groups == group)).sum()) if group >= 0 else 0
        out[i] = (
            s.machine_i[n, st.M_UP, i] == 1
            and s.machine_i[n, st.M_CPU, i] >= cpu
            and s.machine_i[n, st.M_MEM, i] >= mem
            and enough
            and allowed
            and (limit == 0 or together < limit)
        )
    return out


def _wanted(
    policy: Heuristic, arrays: PolicyArrays, world: World, state: State, k: int, fits: npt.NDArray[np.bool_]
) -> int:
    """The row the heuristic's definition says; -1 where any that fits will do."""
    if policy.choice == "random":
        return -1
    if policy.choice == "score":
        score = np.where(fits, fresh_scores(arrays, world, state, k), -np.inf)
        return int(np.argmax(score))  # the first of equals
    last = int(state.arrays.counter[0, st.C_LAST])
    first = max(last + (policy.choice == "round_robin"), 0)
    order = np.roll(np.arange(fits.size), -(first % fits.size))
    return int(order[np.argmax(fits[order])])


def fresh_scores(policy: PolicyArrays, world: World, state: State, k: int) -> F64:
    """Scores of every machine for a waiting task, computed afresh, without any cache.

    Parameters
    ----------
    policy : PolicyArrays
    world, state
        One copy.
    k : int
        Task row.

    Returns
    -------
    (M,) float64
        ``-inf`` where the machine cannot hold it (group limits are not looked at).
    """
    w, c = world.arrays, state.arrays.copy_view(0)
    now = float(c.clock[st.F_NOW])
    life = float(w.task_f[k, wd.T_EXPECTED])
    life = float(w.option_f[wd.O_UNKNOWN_S]) if np.isnan(life) else life
    cpu, mem, gpus, share, models = (int(v) for v in w.task_i[k, :5])
    request = Request(cpu, mem, gpus, share, models, now - float(c.task_f[k, st.K_DONE]) + life, now)
    machines = MachineArrays(
        c.machine_i,
        c.machine_f,
        c.gpu,
        c.kinds,
        w.fleet_i[0],
        w.fleet_f[0],
        int(w.fleet_n[0, wd.L_MAX_CPU]),
        int(w.fleet_n[0, wd.L_MAX_GPU]),
        w.typical_i,
        w.typical_p,
        int(w.option_i[wd.O_LIFETIME]),
        int(w.option_i[wd.O_FRAG]),
        np.zeros(max(1, c.gpu.shape[1]), np.int64),
        policy.shape,
    )
    size = len(world.fleets[0])
    out = np.zeros(size)
    score_parts(out, np.array([[0, size]]), 1, policy.rules, policy.weights, request, machines)
    return out


def _check_devices(policy: Heuristic, world: World, before: State, k: int, machine: int, bits: int, place: str) -> None:
    gpus, share = int(world.arrays.task_i[k, wd.T_GPUS]), int(world.arrays.task_i[k, wd.T_MGPU])
    free = before.arrays.gpu[0, machine] if before.arrays.gpu.shape[2] else np.empty(0, np.int64)
    chosen = [d for d in range(free.size) if bits >> d & 1]
    _expect(len(chosen) == gpus == bits.bit_count(), f"{place}: asks for {gpus} devices and got {chosen}")
    _expect(all(free[d] >= share for d in chosen), f"{place}: devices {chosen} of {free.tolist()} are too full")
    if policy.devices == "best":
        able = sorted((int(free[d]), d) for d in range(free.size) if free[d] >= share)
        wanted = sorted(d for _, d in able[:gpus])
        _expect(chosen == wanted, f"{place}: must get devices {wanted} of {free.tolist()}, not {chosen}")


def _run(policy: Heuristic, world: World, windows: list[Window], seeds: list[int]) -> State:
    state = world.start(windows, seeds)
    run_policy(world, state, policy.arrays())
    return state


def _check_repeatable(policy: Heuristic, world: World, name: str) -> None:
    one, again, other = (_run(policy, world, [world.whole], [seed]) for seed in (1, 1, 2))
    _expect(one.same_as(again), f"{policy.name}, world {name}: two runs with one seed must be equal")
    if policy.choice != "random" and policy.devices != "random":
        same = np.array_equal(one.arrays.task_i, other.arrays.task_i)
        _expect(same, f"{policy.name}, world {name}: nothing is random, yet the seed changed placements")


def _check_copies(policy: Heuristic, world: World, name: str) -> None:
    half = len(world.trace) // 2
    windows = [Window(0, half), world.whole, Window(half // 2, len(world.trace))]
    together = _run(policy, world, windows, [1, 2, 3])
    for n, window in enumerate(windows):
        alone = _run(policy, world, [window], [n + 1])
        for field, mine in alone.to_dict().items():
            theirs: npt.NDArray[Any] = together.to_dict()[field][n]
            # Copies are as long as the longest; what lies past the end of a shorter one is unused.
            part = theirs[tuple(slice(0, size) for size in mine[0].shape)]
            _expect(
                np.array_equal(mine[0], part, equal_nan=True),
                f"{policy.name}, world {name}: {field} of copy {n} differs from the same copy alone",
            )

"""Where two placement policies part, and why: the first decisions that differ, each in the same state.

Both runs are the same up to the first decision on which they differ. From there the other policy is
asked what it would do next in the states that the first policy's run goes through: it is run from such a
state to the end, and the first task it puts elsewhere is the next decision on which they part. So every
decision shown is one state with two answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.contestants import Contestant
from rlsched.evaluate.results import Document, plain
from rlsched.policies import Heuristic
from rlsched.policies.library.snapshot import snapshot
from rlsched.rng import stream_seed
from rlsched.sim import state as st
from rlsched.sim.select import PolicyArrays
from rlsched.sim.simulate import advance_all, decide_all, default_devices, run_policy
from rlsched.sim.state import State
from rlsched.sim.world import Typical, Window, World

I64 = npt.NDArray[np.int64]
SHOWN = 6  # decisions told
TRIED = 24  # runs of the other policy at most: machines in equal state part policies without a difference
REASONS = 4


def partings(
    world: World,
    window: Window,
    mine: Contestant,
    theirs: Contestant,
    typical: Typical | None = None,
    *,
    clock: bool = True,
) -> dict[str, Any] | None:
    """The first decisions on which one policy and a heuristic differ.

    Parameters
    ----------
    world : World
        One that both play in.
    window : Window
    mine : Contestant
        A heuristic or a learned policy, whose run is followed.
    theirs : Contestant
        A heuristic.
    typical : Typical, optional
        Typical requests of the world, for rules that measure fragmentation.
    clock : bool
        False where time is only the order of arrival.

    Returns
    -------
    dict or None
        ``asked`` (tasks some machine could hold in the first's run), ``apart`` (tasks the other's own run puts
        elsewhere), ``alike`` (decisions passed over: both machines were in equal state) and ``decisions``; see
        ``docs/json.md``. None for policies that draw random numbers, or an other that is no heuristic.
    """
    if mine.stochastic or theirs.stochastic or not isinstance(theirs.policy, Heuristic):
        return None
    seed = stream_seed(0, "window", window.name)
    state = world.start([window], [seed])
    _run(mine.policy, world, state)
    ours = _placed(state)
    other = world.start([window], [seed])
    run_policy(world, other, theirs.policy.arrays())
    its = _placed(other)
    apart = int((ours != its).sum())
    devices = _devices(mine.policy, world)
    at = world.start([window], [seed])
    found: list[dict[str, Any]] = []
    alike = 0
    for _ in range(TRIED):
        differ = np.flatnonzero(ours != its)
        if not differ.size or len(found) == SHOWN:
            break
        k = int(differ[0])
        if not _go_on(world, at, ours, devices, k, window.lo):
            break  # the other refused, or was refused, what this one was never asked
        told = _tell(world, at, mine.policy, theirs.policy, (int(ours[k]), int(its[k])), typical)
        if told is None:
            alike += 1
        else:
            task = window.lo + k
            at_s = float(world.trace.arrive_s[task]) if clock else None
            found.append({"number": k + 1, "task": plain_id(world, task), "at_s": at_s, **told})
        decide_all(world, at, ours[k : k + 1], devices)
        branch = at.copy()
        run_policy(world, branch, theirs.policy.arrays())
        its = _placed(branch)
        its[: k + 1] = ours[: k + 1]
    return {"asked": int((ours >= 0).sum()), "tasks": len(ours), "apart": apart, "alike": alike, "decisions": found}


def most_different(document: Document, a: str, b: str) -> str | None:
    """The window on which two policies differ most on the main metric; None where that is not known."""
    metric = document["provenance"].get("main_metric") or document.get("main_metric", "")
    found: dict[str, dict[str, list[float]]] = {}
    for row in document["rows"]:
        if row["policy"] in (a, b) and row.get(metric) is not None:
            found.setdefault(row["window"], {}).setdefault(row["policy"], []).append(row[metric])
    gaps = {
        window: abs(math.fsum(by[a]) / len(by[a]) - math.fsum(by[b]) / len(by[b]))
        for window, by in found.items()
        if len(by) == 2
    }
    return max(gaps, key=lambda window: gaps[window], default=None)


def _placed(state: State) -> I64:
    """Machine of every task of copy 0 that ran, -1 of the others."""
    tasks = state.arrays.task_i[0]
    ran = np.isin(tasks[:, st.K_STATUS], (st.RUNNING, st.DONE))
    return np.where(ran, tasks[:, st.K_MACHINE], -1).astype(np.int64)


def _go_on(world: World, state: State, machine: I64, devices: PolicyArrays, k: int, lo: int) -> bool:
    """Give recorded answers up to the moment task ``k`` asks; False where it never does."""
    while True:
        task = int(advance_all(world, state)[0])
        if task < 0 or task - lo > k:
            return False
        if task - lo == k:
            return True
        decide_all(world, state, machine[task - lo : task - lo + 1], devices)


def _tell(
    world: World, state: State, mine: Any, theirs: Heuristic, rows: tuple[int, int], typical: Typical | None
) -> dict[str, Any] | None:
    """One decision: the request, both machines, and why; None where the machines are in equal state."""
    fleet = world.fleets[int(state.arrays.counter[0, st.C_FLEET])]
    names = [None if row < 0 else str(fleet.machine_id[row]) for row in rows]
    try:
        request, machines, situation = snapshot(world, state)
    except SpecError:
        return {"request": {}, "machines": names, "scores": [None, None], "why": []}
    if min(rows) >= 0 and _equal(machines, *rows):
        return None
    if isinstance(mine, Heuristic):
        machines = {name: column for name, column in machines.items() if name != "power_curve"}  # no rule looks at it
    scores: list[float | None] = [None, None]
    why: list[str] = []
    try:
        given = {} if typical is None else {"typical": typical}
        explained = mine.explain(request, machines, against=theirs, situation=situation, **given)
        by = {one["row"]: one for one in explained.candidates}
        scores = [by[row]["score"] if row in by else None for row in rows]
        # What is said is of these two machines only where, asked as a library, both answer as they did here.
        if (explained.decision.row, explained.other.row) == rows:
            why = list(explained.why)[:REASONS] or ["it weighs nothing: it takes machines in their order"]
        else:
            why = ["asked by itself in this state, one of them answers otherwise, so it cannot say why"]
    except (PolicyError, SpecError) as error:
        why = [f"cannot be asked by itself: {error}"]
    return {
        "request": {key: plain(value) for key, value in request.items()},
        "machines": names,
        "free": [_free(machines, row) for row in rows],
        "scores": [plain(one) for one in scores],
        "why": why,
    }


def _equal(machines: Mapping[str, Any], a: int, b: int) -> bool:
    """Whether two machines cannot be told apart by anything but their names."""
    for name, column in machines.items():
        if name == "machine_id":
            continue
        x, y = np.asarray(column)[a], np.asarray(column)[b]
        if name == "gpu_free_mgpu":
            x, y = np.sort(x), np.sort(y)
        if not np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f"):
            return False
    return True


def _free(machines: Mapping[str, Any], row: int) -> dict[str, Any]:
    """What a machine had free before the decision."""
    if row < 0:
        return {}
    out = {
        name: int(machines[f"{name.split('_')[0]}_free_{name.split('_')[1]}"][row]) for name in ("cpu_mcore", "mem_mib")
    }
    if "gpu_free_mgpu" in machines:
        count = int(machines["gpu_count"][row])
        out["gpu_mgpu"] = [int(one) for one in machines["gpu_free_mgpu"][row][:count]]  # type: ignore[assignment]
    return out


def plain_id(world: World, task: int) -> str:
    """A task's id as text."""
    return str(world.trace.task_id[task])


def _devices(policy: Any, world: World) -> PolicyArrays:
    if isinstance(policy, Heuristic):
        return policy.arrays()
    from rlsched.observe.placement import device_choice

    settings = getattr(policy, "settings", None)
    return default_devices() if settings is None else device_choice(settings, world)


def _run(policy: Any, world: World, state: State) -> None:
    if isinstance(policy, Heuristic):
        run_policy(world, state, policy.arrays())
    else:
        policy.run(world, state)

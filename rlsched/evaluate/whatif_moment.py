"""A moment of a recorded run: what was where, and what would have come of another policy from then on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.contestants import Contestant
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.metrics import METRICS, Measured
from rlsched.evaluate.results import plain
from rlsched.evaluate.whatif import rejected_metric
from rlsched.evaluate.whatif_log import NOWHERE, Log, open_world, placements, run_on, start
from rlsched.policies import Heuristic
from rlsched.sim.simulate import advance_all, decide_all, default_devices, run_tasks
from rlsched.sim.state import State
from rlsched.sim.world import Window, World
from rlsched.traces.columns import UNKNOWN
from rlsched.units import MGPU_PER_GPU, format_duration

I64 = npt.NDArray[np.int64]
COMPARED = (
    "arrived_tasks", "rejected_tasks", "rejected_cpu_share", "rejected_gpu_share", "active_machines",
    "cpu_alloc_share", "mem_alloc_share", "energy_kwh", "cost_usd",
)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """The state of a run at one moment; what happens at that very moment has happened.

    Parameters
    ----------
    at_s : float
        On the trace's clock.
    arrived, running, finished, rejected : int
        Tasks.
    used, capacity : (M, 3) int64
        ``cpu_mcore, mem_mib, gpu_mgpu`` of each machine.
    tasks : (M,) int64
        Running on each machine.
    last : (n,) int64
        Rows of the last tasks that arrived, newest first.
    """

    at_s: float
    arrived: int
    running: int
    finished: int
    rejected: int
    used: I64
    capacity: I64
    tasks: I64
    last: I64

    @property
    def active(self) -> int:
        """Machines with a task."""
        return int((self.tasks > 0).sum())


def check_at(log: Log, at_s: float) -> None:
    """Refuse a moment outside the run.

    Raises
    ------
    SpecError
    """
    first, last = float(log.trace.arrive_s[0]), _end(log)
    if not first <= at_s <= last:
        raise SpecError(
            f"--at must lie in the run, {format_duration(first)} to {format_duration(last)} on the trace's clock: got "
            f"{format_duration(at_s)}."
        )


def moment_of(log: Log, at_s: float, last: int = 5) -> Moment:
    """The state at a moment, told by the log alone.

    Raises
    ------
    SpecError
        Before the first arrival, or after everything has ended.
    """
    check_at(log, at_s)
    trace, machines = log.trace, log.machines
    here = trace.arrive_s <= at_s
    placed = here & (log.machine != NOWHERE)
    running = placed & ((trace.depart_s == UNKNOWN) | (trace.depart_s > at_s))
    where = log.machine[running]
    used = np.zeros((len(machines), 3), np.int64)
    for column, amount in enumerate((trace.cpu_mcore, trace.mem_mib, trace.gpu_count * trace.gpu_mgpu)):
        np.add.at(used[:, column], where, amount[running])
    capacity = np.stack([machines.cpu_mcore, machines.mem_mib, machines.gpu_count * MGPU_PER_GPU], axis=1)
    rows = np.flatnonzero(here)
    return Moment(
        at_s=at_s,
        arrived=int(here.sum()),
        running=int(running.sum()),
        finished=int(placed.sum() - running.sum()),
        rejected=int((here & (log.machine == NOWHERE)).sum()),
        used=used,
        capacity=capacity,
        tasks=np.bincount(where, minlength=len(machines)),
        last=rows[::-1][:last],
    )


@dataclass(frozen=True)
class Fork:
    """What came of a moment under the recorded policy, and under another.

    Parameters
    ----------
    at_s, stop_s : float
        Metered between, on the trace's clock; up to the last arrival.
    policy, other : str
    metrics : dict
        Name → (recorded, other), None where not known.
    first : int
        Row of the first task that goes elsewhere; -1 where none does.
    moved, later : int
        Tasks after the moment that go elsewhere, and all.
    machine : (K,) int64
        Where every task goes under the other policy from the moment on.
    """

    at_s: float
    stop_s: float
    policy: str
    other: str
    metrics: dict[str, tuple[float | None, float | None]]
    first: int
    moved: int
    later: int
    machine: I64


def fork(log: Log, at_s: float, other: str) -> Fork:
    """Continue a recorded run from a moment under another policy, and hold both against each other.

    The run up to the moment is played again and must be what the log says, task by task; then
    its state is copied and each policy plays one copy to the last arrival.

    Raises
    ------
    SpecError
        A moment after which no task arrives.
    PolicyError
        An unknown policy, or one that does not decide as it did when the run was recorded.
    """
    check_at(log, at_s)
    last = float(log.trace.arrive_s[-1])
    if at_s >= last:
        raise SpecError(
            f"--what-if needs tasks that arrive after --at: the last of {log.trace.source} arrives at "
            f"{format_duration(last)}, got {format_duration(at_s)}."
        )
    mine = contestants_of([log.policy])[0]
    theirs = contestants_of([other])[0]
    world = open_world(log.trace, log.machines, [mine, theirs] if other != log.policy else [mine])
    # What happens at the moment belongs to what has been.
    window = Window(0, len(log.trace), math.nextafter(at_s, math.inf), last, 0, "all")
    state = start(world, window, log.seed)
    n = int(np.searchsorted(log.trace.arrive_s, at_s, side="right"))
    bring_to(world, state, mine, log, n)
    _check_same(log, state, n)
    branch = state.copy()
    run_on(world, state, mine.policy)
    run_on(world, branch, theirs.policy)
    _check_same(log, state, len(log.trace))
    machine = placements(branch)[0]
    away = np.flatnonzero(machine != log.machine)
    both = [Measured.of(world, one, 0) for one in (state, branch)]
    scarce = rejected_metric(log.trace, log.machines)
    skipped = {"rejected_cpu_share", "rejected_gpu_share"} - {scarce}
    metrics = {
        name: (plain(float(METRICS[name].read(both[0]))), plain(float(METRICS[name].read(both[1]))))
        for name in COMPARED
        if name not in skipped
    }
    first = int(away[0]) if away.size else -1
    return Fork(at_s, last, log.policy, other, metrics, first, len(away), len(log.trace) - n, machine)


def bring_to(world: World, state: State, one: Contestant, log: Log, n: int) -> None:
    """Play the first ``n`` tasks as they were recorded, and no further.

    A heuristic decides anew. Of a learned policy the recorded answers are given again: it would
    run on to the end. It turns away only what no machine can hold, so the tasks after the last
    one it placed need no answer.
    """
    if isinstance(one.policy, Heuristic):
        run_tasks(world, state, one.policy.arrays(), n)
        return
    placed = np.flatnonzero(log.machine[:n] != NOWHERE)
    devices = _devices(one.policy, world)
    for row in placed.tolist():
        task = int(advance_all(world, state)[0])
        if task != row:
            raise _other_decision(log, min(task, row) if task >= 0 else row)
        decide_all(world, state, log.machine[row : row + 1], devices)


def _devices(policy: Any, world: World) -> Any:
    from rlsched.observe.placement import device_choice

    settings = getattr(policy, "settings", None)
    return default_devices() if settings is None else device_choice(settings, world)


def _check_same(log: Log, state: State, n: int) -> None:
    machine, devices = placements(state)
    # A copy that stands still has not yet turned away what comes after its last placement.
    off = np.flatnonzero((machine[:n] != log.machine[:n]) | (devices[:n] != log.devices[:n]))
    if off.size:
        raise _other_decision(log, int(off[0]))


def _other_decision(log: Log, row: int) -> PolicyError:
    return PolicyError(
        f"policy {log.policy!r} must decide as it did when the run was recorded: it sends task "
        f"{str(log.trace.task_id[row])!r} elsewhere now. The policy's file or the simulator has changed; record the "
        "run again."
    )


def _end(log: Log) -> float:
    known = log.trace.depart_s[log.trace.depart_s != UNKNOWN]
    return max(float(log.trace.arrive_s[-1]), float(known.max()) if known.size else 0.0)

"""A moment of a recorded run: what was where, and what would have come of another policy from then on."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
from rlsched.sim.select import PolicyArrays
from rlsched.sim.simulate import advance_all, check_over, decide_all, default_devices
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

    The recorded answers are given again up to the moment, and the other policy goes on from the
    very state they lead to. Then both runs are metered alike, from the moment to the last
    arrival, by giving their answers once more.

    Raises
    ------
    SpecError
        A moment after which no task arrives.
    PolicyError
        An unknown policy, or a log that does not fit its own trace and machines.
    """
    check_at(log, at_s)
    last = float(log.trace.arrive_s[-1])
    if at_s >= last:
        raise SpecError(
            f"--what-if needs tasks that arrive after --at: the last of {log.trace.source} arrives at {last:g} s, got "
            f"{at_s:g} s."
        )
    theirs = contestants_of([other])[0]
    # Who was recorded matters for one thing only: which device inside a machine it takes.
    with_gpu = bool((log.trace.gpu_count > 0).any())
    mine = contestants_of([log.policy])[0] if with_gpu and other != log.policy else theirs
    world = open_world(log.trace, log.machines, [theirs] if mine is theirs else [mine, theirs])
    n = int(np.searchsorted(log.trace.arrive_s, at_s, side="right"))
    # Played on the window that was recorded: a learned policy sees how much was turned away so far.
    branch = start(world, world.whole, log.seed)
    answer_again(world, branch, log.machine, _devices(mine, world), until=n)
    run_on(world, branch, theirs.policy)
    machine = placements(branch)[0]
    # What happens at the moment belongs to what has been.
    window = Window(0, len(log.trace), math.nextafter(at_s, math.inf), last, 0, "all")
    both = []
    for answers, after in ((log.machine, mine), (machine, theirs)):
        state = start(world, window, log.seed)
        answer_again(world, state, answers, _devices(mine, world), until=n)
        answer_again(world, state, answers, _devices(after, world))
        check_over(state)
        both.append(Measured.of(world, state, 0))
    away = np.flatnonzero(machine != log.machine)
    scarce = rejected_metric(log.trace, log.machines)
    skipped = {"rejected_cpu_share", "rejected_gpu_share"} - {scarce}
    metrics = {
        name: (plain(float(METRICS[name].read(both[0]))), plain(float(METRICS[name].read(both[1]))))
        for name in COMPARED
        if name not in skipped
    }
    first = int(away[0]) if away.size else -1
    return Fork(at_s, last, log.policy, other, metrics, first, len(away), len(log.trace) - n, machine)


def answer_again(world: World, state: State, machine: I64, devices: PolicyArrays, until: int | None = None) -> None:
    """Give recorded answers, to the end of the window or up to the last of the first ``until`` tasks.

    Stopped, nobody waits for an answer. Tasks among the first ``until`` that come after the last
    one placed were turned away because nothing could hold them, so whoever goes on turns them
    away too.

    Raises
    ------
    PolicyError
        When an answer is impossible, so that the log is not of this trace on these machines.
    """
    left = len(machine) if until is None else int((machine[:until] != NOWHERE).sum())
    while left:
        task = int(advance_all(world, state)[0])
        if task < 0:
            return
        try:
            decide_all(world, state, machine[task : task + 1], devices)
        except PolicyError as error:
            raise PolicyError(f"a log must fit its own trace and machines: {error} Record the run again.") from None
        left -= until is None or int(machine[task]) != NOWHERE
    if until is None:
        advance_all(world, state)


def _devices(one: Contestant, world: World) -> PolicyArrays:
    if isinstance(one.policy, Heuristic):
        return one.policy.arrays()
    from rlsched.observe.placement import device_choice

    settings = getattr(one.policy, "settings", None)
    return default_devices() if settings is None else device_choice(settings, world)


def _end(log: Log) -> float:
    known = log.trace.depart_s[log.trace.depart_s != UNKNOWN]
    return max(float(log.trace.arrive_s[-1]), float(known.max()) if known.size else 0.0)

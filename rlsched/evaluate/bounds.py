"""What no placement policy can beat: a capacity bound and a relaxation solved with HiGHS.

Both know every arrival and departure beforehand and may refuse whom they like, so they bound
clairvoyant policies too. They hold where a task starts when it arrives or never: without a
queue and without failures.

The relaxation, and why nobody beats it
---------------------------------------
Take any policy's run and let ``x[g, m]`` be the number of tasks of group ``g`` that it put on
machines of type ``m``. Tasks of a group ask for the same and are there at the same check
times; machines of a type are equal. Then

* ``sum over m of x[g, m] <= n[g]``: nobody is placed twice;
* at every check time and for every type, the requests of those who are there add up to no more
  than all its machines offer, in CPU, memory and GPU, because they do so on every machine;
* the same with every request ``s``, as a share of what one machine (for GPUs: one device)
  offers, replaced by ``u_k(s)``: ``s`` where ``(k + 1) s`` is whole, ``floor((k + 1) s) / k``
  otherwise. It is dual feasible: shares that add up to at most 1 still do, after it (Fekete and
  Schepers, Mathematical Programming 91, 2001). With ``k = 1`` it says that no two requests of
  more than half go together.

So ``x`` is a feasible point of the linear programme, and what the policy placed is at most its
optimum. The programme may do what no policy can: split tasks over machines, look ahead, move
nothing and yet start each check time afresh inside a type. Averaging over equal machines
loses nothing: a solution for each machine gives one for the type, and back. Fewer check times
only drop constraints.

The capacity bound is the same with one resource at a time and all machines as one: the best
tasks by worth per unit, the last one in part (the fractional knapsack, by exchange).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, OurBug
from rlsched.evaluate.gaps import Bound
from rlsched.sim import world as wd
from rlsched.sim.world import Window, World
from rlsched.units import MGPU_PER_GPU

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
#: Told what is being done and the share that is done.
Progress = Callable[[str, float], None]

CHECK_TIMES = 24  # of a time window; at most this many
DFF_K = (1, 2, 3)
#: The solver's answer is loosened by this share of itself: far more than its tolerance.
SLACK = 1e-6
LP_DOC = "linear relaxation with every arrival known: tasks may be split, and refused at will"
CAPACITY_DOC = "one resource at a time, all machines as one, every arrival known"


@dataclass(frozen=True)
class Goal:
    """A metric that bounds are given on.

    Parameters
    ----------
    metric : str
    worth : callable
        ``(K, 9) int64`` tasks → what placing each is worth, (K,) float64.
    share : bool
        The metric is 1 minus the worth placed over the worth of all; otherwise percent of the
        GPUs.
    empties : bool
        Also where a warm-up precedes the metered part, because the metric counts from the
        empty cluster on. Without it a bound would let the warm-up's tasks be refused for nothing.
    """

    metric: str
    worth: Callable[[I64], F64]
    share: bool
    empties: bool = False


def _gpu(tasks: I64) -> F64:
    return (tasks[:, wd.T_GPUS] * tasks[:, wd.T_MGPU]).astype(np.float64)


def _cpu(tasks: I64) -> F64:
    return tasks[:, wd.T_CPU].astype(np.float64)


def _mem(tasks: I64) -> F64:
    return tasks[:, wd.T_MEM].astype(np.float64)


#: Metric → what is maximised.
GOALS = {
    goal.metric: goal
    for goal in (
        Goal("gpu_alloc_pct", _gpu, share=False),
        Goal("rejected_gpu_share", _gpu, share=True),
        Goal("rejected_cpu_share", _cpu, share=True),
        Goal("rejected_mem_share", _mem, share=True),
        Goal("rejected_cpu_from_empty_share", _cpu, share=True, empties=True),
    )
}


def why_not(world: World, windows: Sequence[Window], metric: str, *, clock: bool) -> str:
    """Why there is no bound on a metric for these windows; ``""`` where there is one."""
    if metric not in GOALS:
        return f"no bound on {metric} is known; those on {', '.join(GOALS)} are"
    if world.arrays.option_i[wd.O_QUEUE]:
        return 'tasks may wait (admission = "queue"), so they need not start when they arrive'
    if world.arrays.event_t.size:
        return "machines fail, so tasks need not run to their end"
    first = [float(world.arrays.task_f[window.lo, wd.T_ARRIVE]) for window in windows]
    warmed = any(window.start_s > start for window, start in zip(windows, first, strict=True))
    if warmed and not GOALS[metric].empties:
        return f"{metric} leaves the warm-up out, where a policy could refuse everybody for nothing"
    if not GOALS[metric].share and clock:
        return f"{metric} is of the moment the window ends, which a bound over time says nothing about"
    return ""


def placement_bounds(
    world: World, windows: Sequence[Window], metric: str, *, clock: bool, progress: Progress | None = None
) -> list[Bound]:
    """The capacity bound and the LP relaxation of every window.

    Parameters
    ----------
    world : World
        Without a queue and without failures.
    windows : sequence of Window
    metric : str
        One of :data:`GOALS` for which :func:`why_not` has no objection.
    clock : bool
        False where nobody leaves (fill windows): one check time, the end.
    progress : callable, optional

    Returns
    -------
    list of Bound
        ``lp_bound``, then ``capacity_bound``; in the unit of the metric.

    Raises
    ------
    MissingDataError
        Without scipy.
    """
    objection = why_not(world, windows, metric, clock=clock)
    if objection:
        raise OurBug(f"no bound can be given: {objection}.")
    goal = GOALS[metric]
    names = tuple(window.name for window in windows)
    found: dict[str, list[float]] = {"lp_bound": [], "capacity_bound": []}
    for i, window in enumerate(windows):
        if progress is not None:
            progress(f"bound, {window.name}", i / len(windows))
        problem = Problem.of(world, window, goal, clock=clock)
        for name, most in (("lp_bound", problem.lp()), ("capacity_bound", problem.capacity())):
            found[name].append(problem.value(most))
    docs = {"lp_bound": LP_DOC, "capacity_bound": CAPACITY_DOC}
    return [Bound(name, metric, names, np.array(values), docs[name]) for name, values in found.items()]


@dataclass(frozen=True)
class Problem:
    """One window as groups of equal tasks and types of equal machines.

    Parameters
    ----------
    goal : Goal
    tasks : (G, 9) int64
        One row a group, as ``WorldArrays.task_i``; only those that some machine could hold.
    count : (G,) float64
        Tasks of each.
    there : (G, T) bool
        At which check times its tasks are there.
    machines : (Y, 4) int64
        One row a type: offered cpu, mem; devices; model.
    machine_count : (Y,) float64
    free : float
        Worth of tasks that are there at no check time: placed for nothing.
    asked : float
        Worth of all tasks of the window.
    """

    goal: Goal
    tasks: I64
    count: F64
    there: npt.NDArray[np.bool_]
    machines: I64
    machine_count: F64
    free: float
    asked: float

    @classmethod
    def of(cls, world: World, window: Window, goal: Goal, *, clock: bool) -> Problem:
        """Group the tasks and machines of a window."""
        w = world.arrays
        rows = slice(window.lo, window.hi)
        tasks, times = w.task_i[rows], w.task_f[rows]
        n = int(w.fleet_n[window.fleet, wd.L_N])
        machines, machine_count = np.unique(w.fleet_i[window.fleet, :, :n].T, axis=0, return_counts=True)
        arrive = times[:, wd.T_ARRIVE]
        if clock:
            last = float(window.stop_s if np.isfinite(window.stop_s) else arrive[-1])
            checks = np.linspace(arrive[0], last, CHECK_TIMES + 1)[1:]
            leave = arrive + times[:, wd.T_RUN]
            # Someone who leaves at a check time is gone by then: departures come first.
            there = (arrive[:, None] <= checks) & (checks < leave[:, None])
        else:
            there = np.ones((len(tasks), 1), bool)
        fits = _fits(tasks, machines).any(axis=1)
        worth = goal.worth(tasks)
        shape = tasks[:, : wd.T_MODELS + 1]
        keys = np.concatenate([shape, there], axis=1)[fits & there.any(axis=1)]
        groups, count = np.unique(keys, axis=0, return_counts=True)
        cut = shape.shape[1]
        return cls(
            goal,
            groups[:, :cut],
            count.astype(np.float64),
            groups[:, cut:].astype(bool),
            machines,
            machine_count.astype(np.float64),
            free=float(worth[fits & ~there.any(axis=1)].sum()),
            asked=float(worth.sum()),
        )

    def value(self, most: float) -> float:
        """The metric when worth of ``most`` is placed at the check times, loosened by :data:`SLACK`."""
        placed = min(self.asked, (most + self.free) * (1 + SLACK))
        if self.goal.share:
            return 1.0 - placed / self.asked if self.asked else float("nan")
        capacity = float((self.machines[:, wd.L_GPUS] * self.machine_count).sum()) * MGPU_PER_GPU
        return 100.0 * min(placed, capacity) / capacity if capacity else float("nan")

    def capacity(self) -> float:
        """The most worth that any one resource allows, all machines as one, at any one check time."""
        if not len(self.tasks):
            return 0.0
        worth = self.goal.worth(self.tasks)
        whole = float((worth * self.count).sum())
        best = whole
        for sizes, offered in self._resources():
            for t in range(self.there.shape[1]):
                here = self.there[:, t]
                inside = _knapsack(worth[here], sizes[here], self.count[here], offered)
                best = min(best, inside + float((worth * self.count)[~here].sum()))
        return best

    def _resources(self) -> list[tuple[F64, float]]:
        total = (self.machines[:, :3] * self.machine_count[:, None]).sum(axis=0)
        return [
            (_cpu(self.tasks), float(total[wd.L_CPU])),
            (_mem(self.tasks), float(total[wd.L_MEM])),
            (_gpu(self.tasks), float(total[wd.L_GPUS]) * MGPU_PER_GPU),
        ]

    def lp(self) -> float:
        """Optimum of the relaxation; see the module's docstring."""
        if not len(self.tasks):
            return 0.0
        try:
            from scipy.optimize import linprog
            from scipy.sparse import csr_array
        except ModuleNotFoundError as error:
            raise MissingDataError(
                f"bounds need {error.name}. Install it with: pip install 'rlsched[bounds]'"
            ) from None
        group, kind = np.nonzero(_fits(self.tasks, self.machines))  # one variable each
        rows: list[I64] = [group]
        columns: list[I64] = [np.arange(len(group))]
        values: list[F64] = [np.ones(len(group))]
        limits: list[F64] = [self.count]
        at = len(self.count)
        n_times = self.there.shape[1]
        for sizes, offered in self._sizes(group, kind):
            # One constraint a type and check time.
            variable, time = np.nonzero(self.there[group] & (sizes > 0)[:, None])
            rows.append(at + kind[variable] * n_times + time)
            columns.append(variable)
            values.append(sizes[variable])
            limits.append(np.repeat(offered * self.machine_count, n_times))
            at += len(self.machines) * n_times
        matrix = csr_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(at, len(group))
        )
        worth = self.goal.worth(self.tasks)
        scale = float(worth.max()) or 1.0
        solved = linprog(-worth[group] / scale, A_ub=matrix, b_ub=np.concatenate(limits), method="highs")
        if solved.status != 0:
            raise OurBug(f"HiGHS found no optimum of a bound that always has one: {solved.message}")
        return float(-solved.fun) * scale

    def _sizes(self, group: I64, kind: I64) -> list[tuple[F64, F64]]:
        """Size of every variable's task in each kind of room, and how much of it a machine of each type has."""
        ones = np.ones(len(self.machines))
        tasks, machines = self.tasks[group], self.machines[kind]
        devices = machines[:, wd.L_GPUS]
        asked = tasks[:, wd.T_GPUS]
        shares = [
            tasks[:, wd.T_CPU] / np.maximum(machines[:, wd.L_CPU], 1),
            tasks[:, wd.T_MEM] / np.maximum(machines[:, wd.L_MEM], 1),
            # Tasks of whole devices, as a share of the machine's.
            np.where(tasks[:, wd.T_MGPU] == MGPU_PER_GPU, asked, 0) / np.maximum(devices, 1),
        ]
        each = tasks[:, wd.T_MGPU] / MGPU_PER_GPU  # share of every device it asks for
        out = [(share, ones) for share in shares[:2]]
        out.append((asked * each, self.machines[:, wd.L_GPUS].astype(np.float64)))
        for k in DFF_K:
            out += [(found, ones) for share in shares if not np.array_equal(found := dual_feasible(share, k), share)]
            rounded = dual_feasible(each, k)
            if not np.array_equal(rounded, each):
                out.append((asked * rounded, self.machines[:, wd.L_GPUS].astype(np.float64)))
        return out


def dual_feasible(share: F64, k: int) -> F64:
    """``u_k`` of the module's docstring, element by element.

    Parameters
    ----------
    share : (V,) float64
        Between 0 and 1.
    k : int
    """
    scaled = (k + 1) * share
    near = np.round(scaled)
    whole = np.abs(scaled - near) < 1e-9  # a share that is whole but for rounding counts as whole
    return np.asarray(np.where(whole, share, np.floor(scaled) / k))


def _fits(tasks: I64, machines: I64) -> npt.NDArray[np.bool_]:
    """Whether an empty machine of each type could hold each task, (G, Y) bool."""
    asked = tasks[:, None, :]
    fits = (asked[..., wd.T_CPU] <= machines[:, wd.L_CPU]) & (asked[..., wd.T_MEM] <= machines[:, wd.L_MEM])
    model = machines[:, wd.L_MODEL]
    allowed = ((asked[..., wd.T_MODELS] >> np.maximum(model, 0)) & 1 == 1) & (model >= 0)
    gpus = (asked[..., wd.T_GPUS] <= machines[:, wd.L_GPUS]) & allowed
    return np.asarray(fits & ((asked[..., wd.T_GPUS] == 0) | gpus))


def _knapsack(worth: F64, size: F64, count: F64, offered: float) -> float:
    """The most worth that fits, the last item in part."""
    none: Any = size == 0
    placed = float((worth * count)[none].sum())
    order = np.argsort(-(worth[~none] / size[~none]), kind="stable")
    worth, room = (worth * count)[~none][order], (size * count)[~none][order]
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    part = np.clip((offered - before) / room, 0.0, 1.0) if len(room) else room
    return placed + float((worth * part).sum())

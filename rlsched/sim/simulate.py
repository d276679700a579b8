"""Running worlds: a heuristic to the end of every window, or one decision at a time.

The two doors everything else uses: :func:`run_policy` never returns to Python until the
windows have ended; :func:`advance_all` and :func:`decide_all` hand out one decision a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug, PolicyError
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.allocation import place
from rlsched.sim.changes import Logs, log_of, make_logs
from rlsched.sim.compile import bare_njit
from rlsched.sim.feasible import fits
from rlsched.sim.kernel import copy_of, next_decision, refuse
from rlsched.sim.select import PolicyArrays, choose_devices, machines_of, make_cache, run_rule
from rlsched.sim.state import State
from rlsched.sim.world import World

I64 = npt.NDArray[np.int64]
#: What :func:`decide_all` is told instead of a machine row.
REFUSE = -1
_DONE, _MASKED, _UNKNOWN = 0, 1, 2


def run_policy(
    world: World,
    state: State,
    policy: PolicyArrays,
    *,
    chunk: int = 200_000,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Run every copy of a state to the end of its window with a heuristic; the state is changed.

    Parameters
    ----------
    world, state, policy
        As made by ``World.build``, ``World.start`` and ``Heuristic.arrays``.
    chunk : int
        Tasks between two calls of ``progress``.
    progress : callable, optional
        Called with the number of tasks handled since the last call.
    """
    w, s = world.arrays, state.arrays
    device = np.zeros(max(1, s.gpu.shape[2]), np.int64)
    for n in range(state.n_copies):
        rows = slice(int(s.counter[n, st.C_LO]), int(s.counter[n, st.C_HI]))
        cache, log = make_cache(w, policy, rows)
        while True:
            asked = run_rule(w, s, n, policy, cache, log, device, chunk)
            if progress is not None:
                progress(int(asked))
            if asked < chunk:
                break


def run_tasks(world: World, state: State, policy: PolicyArrays, limit: int, n: int = 0) -> int:
    """Run one copy with a heuristic for at most ``limit`` tasks that ask for a machine.

    Returns
    -------
    int
        Tasks that asked; fewer than ``limit`` when the window has ended.
    """
    w, s = world.arrays, state.arrays
    cache, log = make_cache(w, policy, slice(int(s.counter[n, st.C_LO]), int(s.counter[n, st.C_HI])))
    device = np.zeros(max(1, s.gpu.shape[2]), np.int64)
    return int(run_rule(w, s, n, policy, cache, log, device, limit))


def advance_all(world: World, state: State, out: I64 | None = None, logs: Logs | None = None) -> I64:
    """Run every copy until somebody must decide.

    Parameters
    ----------
    out : (N,) int64, optional
        Filled and returned.
    logs : Logs, optional
        Where machines that change are noted, for an observer that follows.

    Returns
    -------
    (N,) int64
        Task row of the world that at least one machine can hold; -1 where the window has ended.
    """
    out = np.empty(state.n_copies, np.int64) if out is None else out
    _advance_all(world.arrays, state.arrays, out, logs or make_logs(1, 1))
    return out


def decide_all(
    world: World, state: State, machines: I64, policy: PolicyArrays | None = None, logs: Logs | None = None
) -> None:
    """Answer every copy that waits for a decision.

    Parameters
    ----------
    machines : (N,) int64
        A machine row, or :data:`REFUSE` to reject the task (or let it wait). Ignored where a
        window has ended.
    policy : PolicyArrays, optional
        Chooses the devices inside the machine; smallest sufficient share first by default.
    logs : Logs, optional
        As for :func:`advance_all`.

    Raises
    ------
    PolicyError
        When a machine cannot hold the task (a masked action) or does not exist; the state of
        that copy and of later ones is unchanged.
    """
    machines = np.asarray(machines, dtype=np.int64)
    if machines.shape != (state.n_copies,):
        raise PolicyError(f"need one machine a copy, shape ({state.n_copies},): got shape {machines.shape}.")
    policy = policy or default_devices()
    where = np.zeros(2, np.int64)
    device = np.zeros(max(1, state.arrays.gpu.shape[2]), np.int64)
    _decide_all(world.arrays, state.arrays, machines, policy, device, where, logs or make_logs(1, 1))
    if where[0] != _DONE:
        n = int(where[1])
        task = int(state.task[n])
        fleet = world.fleets[int(state.arrays.counter[n, st.C_FLEET])]
        if where[0] == _UNKNOWN:
            raise PolicyError(
                f"machine must be in 0..{len(fleet) - 1}, or {REFUSE} to refuse: got {machines[n]} in copy {n}."
            )
        raise PolicyError(
            f"machine {machines[n]} ({str(fleet.machine_id[machines[n]])!r}) cannot hold task {task} "
            f"({str(world.trace.task_id[task])!r}) now, in copy {n}. Choose only where the action mask is 1."
        )


def default_devices() -> PolicyArrays:
    """A heuristic that only says how devices are chosen: smallest sufficient share first."""
    return PolicyArrays(
        0, 0, True, 3, np.zeros(1, np.int64), np.ones(1, np.float64), np.array([[0.0, 100.0], [0.0, 100.0]])
    )


@bare_njit
def _advance_all(w: Any, s: Any, out: Any, logs: Any) -> None:
    for n in range(s.counter.shape[0]):
        c = copy_of(s, n)
        log = log_of(logs, n)
        if c.counter[st.C_TASK] < 0 and c.counter[st.C_OVER] == 0:
            next_decision(w, c, log)
        out[n] = c.counter[st.C_TASK] + c.counter[st.C_LO] if c.counter[st.C_TASK] >= 0 else -1


@bare_njit
def _decide_all(w: Any, s: Any, machines: Any, p: Any, device: Any, where: Any, logs: Any) -> None:
    for n in range(s.counter.shape[0]):
        c = copy_of(s, n)
        log = log_of(logs, n)
        k = c.counter[st.C_TASK]
        if k < 0:
            continue
        machine = machines[n]
        if machine == -1:
            refuse(w, c)
            continue
        row = c.counter[st.C_LO] + k
        where[1] = n
        if machine < 0 or machine >= w.fleet_n[c.counter[st.C_FLEET], wd.L_N]:
            where[0] = _UNKNOWN
            return
        if not fits(w, c, row, machine):
            where[0] = _MASKED
            return
        devices = 0
        if w.task_i[row, wd.T_GPUS] > 0:
            devices = choose_devices(w, c, k, machine, p, machines_of(w, c, p, device))
        place(w, c, machine, devices, log)


def check_over(state: State) -> None:
    """Raise when a window has not ended: its meters are not final.

    Raises
    ------
    OurBug
        Names the first such copy.
    """
    running = np.flatnonzero(~state.over)
    if running.size:
        raise OurBug(f"copy {running[0]} has not reached the end of its window; run it first.")

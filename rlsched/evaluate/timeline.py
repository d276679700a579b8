"""One window over time: what was asked for, what was allocated, how many machines were on.

Read off the tasks of a run that has ended: each has a machine, a start and an end, so every
moment between can be told without having been watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.state import State
from rlsched.sim.world import World
from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]
POINTS = 160  # moments shown


def placement_timeline(world: World, states: Sequence[tuple[str, State]], *, clock: bool) -> dict[str, Any] | None:
    """The first copy of each state over time.

    Parameters
    ----------
    world : World
        All states are of the same window of it; failures leave a task only its last run, so
        there is no timeline with them.
    states : sequence of (str, State)
        Policy and its state, the window ended.
    clock : bool
        False where time is only the order of arrival: the axis is then how much has arrived.

    Returns
    -------
    dict or None
        ``x, x_label, metered_from`` (None where all is metered) and ``panels``: ``label, unit,
        series``, each with ``name, policy`` (``""``: the same under each) and ``values``. None
        with failures.
    """
    if world.arrays.event_t.size or not states:
        return None
    one = states[0][1].arrays.copy_view(0)
    lo, hi = int(one.counter[st.C_LO]), int(one.counter[st.C_HI])
    fleet = int(one.counter[st.C_FLEET])
    w = world.arrays
    n = int(w.fleet_n[fleet, wd.L_N])
    tasks, times = w.task_i[lo:hi], w.task_f[lo:hi]
    arrive = times[:, wd.T_ARRIVE]
    gpus = int(w.fleet_i[fleet, wd.L_GPUS, :n].sum())
    with_gpu = gpus > 0 and bool((tasks[:, wd.T_GPUS] > 0).any())
    start, stop = float(one.clock[st.F_START]), float(one.clock[st.F_STOP])
    last = stop if np.isfinite(stop) else float(one.clock[st.F_NOW])
    at = np.linspace(arrive[0], max(last, arrive[0] + 1), POINTS)
    gpu = tasks[:, wd.T_GPUS] * tasks[:, wd.T_MGPU]
    if clock:
        x, x_label = (at - arrive[0]) / SECONDS_PER_HOUR, "hours since the window's warm-up began"
        metered = (start - arrive[0]) / SECONDS_PER_HOUR if start > arrive[0] else None
    else:
        what, whole = (gpu, gpus * MGPU_PER_GPU) if with_gpu else (tasks[:, wd.T_CPU], _offered(world, fleet, n))
        x = 100.0 * np.concatenate([[0], np.cumsum(what)])[np.searchsorted(arrive, at, side="right")] / whole
        x_label, metered = f"requests so far, % of {'GPUs' if with_gpu else 'CPU'}", None

    everybody = np.ones(hi - lo, bool)
    leave = arrive + times[:, wd.T_RUN]
    load = [("CPU", "cores", tasks[:, wd.T_CPU] / MCORE_PER_CORE, _offered(world, fleet, n) / MCORE_PER_CORE)]
    if with_gpu:
        load.insert(0, ("GPUs", "GPUs", gpu / MGPU_PER_GPU, float(gpus)))
    panels: list[dict[str, Any]] = []
    for label, unit, amount, capacity in load:
        series = [
            {"name": "capacity", "policy": "", "values": _rounded(np.full(POINTS, capacity))},
            {"name": "asked for", "policy": "", "values": _rounded(_level(at, arrive, leave, amount, everybody))},
        ]
        for policy, state in states:
            begun, ended, ran, _ = _runs(state, hi - lo)
            series.append(
                {"name": "allocated", "policy": policy, "values": _rounded(_level(at, begun, ended, amount, ran))}
            )
        panels.append({"label": label, "unit": unit, "series": series})
    machines, refused = [], []
    for policy, state in states:
        begun, ended, ran, machine = _runs(state, hi - lo)
        machines.append({"name": "in use", "policy": policy, "values": _in_use(at, begun, ended, machine, ran, n)})
        gone = np.sort(arrive[state.arrays.task_i[0, : hi - lo, st.K_STATUS] == st.REJECTED])
        refused.append(
            {"name": "turned away", "policy": policy, "values": np.searchsorted(gone, at, side="right").tolist()}
        )
    all_of_them = {"name": "capacity", "policy": "", "values": [n] * POINTS}
    panels.append({"label": "Machines in use", "unit": "machines", "series": [all_of_them, *machines]})
    panels.append({"label": "Turned away so far", "unit": "tasks", "series": refused})
    return {"x": _rounded(x), "x_label": x_label, "metered_from": metered, "panels": panels}


def _offered(world: World, fleet: int, n: int) -> float:
    return float(world.arrays.fleet_i[fleet, wd.L_CPU, :n].sum())


def _runs(state: State, n: int) -> tuple[F64, F64, npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    """Start, end, whether it ran, and machine of every task of copy 0."""
    tasks, times = state.arrays.task_i[0, :n], state.arrays.task_f[0, :n]
    ran = np.isin(tasks[:, st.K_STATUS], (st.RUNNING, st.DONE))
    return times[:, st.K_START], times[:, st.K_END], ran, tasks[:, st.K_MACHINE]


def _level(at: F64, begin: F64, end: F64, amount: npt.NDArray[Any], who: npt.NDArray[np.bool_]) -> F64:
    """Sum over those who are there at each moment; who ends at a moment is gone by then."""

    def until(when: F64) -> F64:
        order = np.argsort(when[who], kind="stable")
        total = np.concatenate([[0.0], np.cumsum(amount[who][order], dtype=np.float64)])
        return np.asarray(total[np.searchsorted(when[who][order], at, side="right")])

    return until(begin) - until(end)


def _in_use(
    at: F64, begin: F64, end: F64, machine: npt.NDArray[np.int32], who: npt.NDArray[np.bool_], n: int
) -> list[int]:
    """Machines with a task at each moment."""
    begun, ended, where = begin[who], end[who], machine[who]
    out = []
    for moment in at:
        there = where[(begun <= moment) & (moment < ended)]
        out.append(int((np.bincount(there, minlength=n) > 0).sum()))
    return out


def _rounded(values: F64) -> list[float]:
    return [round(float(value), 3) for value in values]

"""What must hold of a state at any moment, checked in plain numpy from first principles."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlsched.errors import OurBug
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.state import State
from rlsched.sim.world import World


def check_invariants(world: World, state: State) -> None:
    """Check conservation, device shares, limits and bookkeeping of every copy.

    Everything is recomputed from the tasks' own status and compared with ``==``: resources are
    whole numbers.

    Raises
    ------
    OurBug
        Names the copy, the quantity, the machine, and both numbers.
    """
    for n in range(state.n_copies):
        _check_copy(world, state, n)


def _check_copy(world: World, state: State, n: int) -> None:
    w, c = world.arrays, state.arrays.copy_view(n)
    fleet = int(c.counter[st.C_FLEET])
    size = int(w.fleet_n[fleet, wd.L_N])
    lo, hi = int(c.counter[st.C_LO]), int(c.counter[st.C_HI])
    request = w.task_i[lo:hi]
    status = c.task_i[: hi - lo, st.K_STATUS]
    running = np.flatnonzero(status == st.RUNNING)
    machine = c.task_i[running, st.K_MACHINE]
    now = float(c.clock[st.F_NOW])

    def fail(what: str, got: Any, wanted: Any, where: str) -> None:
        raise OurBug(
            f"{what} must be {wanted}: got {got} at {where}, copy {n}, t={now} s. This is our bug; "
            "please attach the card, the seed and the trace's hash."
        )

    def compare(what: str, got: Any, wanted: Any) -> None:
        bad = np.flatnonzero(np.asarray(got) != np.asarray(wanted))
        if bad.size:
            row = int(bad[0])
            fail(what, np.asarray(got).ravel()[row], np.asarray(wanted).ravel()[row], f"machine {row}")

    for what, row, column, level in (
        ("free cpu_mcore", st.M_CPU, wd.T_CPU, wd.L_CPU),
        ("free mem_mib", st.M_MEM, wd.T_MEM, wd.L_MEM),
    ):
        used = np.zeros(size, np.int64)
        np.add.at(used, machine, request[running, column])
        compare(what, c.machine_i[row, :size], w.fleet_i[fleet, level, :size] - used)
        if (c.machine_i[row, :size] < 0).any():
            fail(what, int(c.machine_i[row, :size].min()), ">= 0", f"machine {int(c.machine_i[row, :size].argmin())}")

    devices = np.where(np.arange(c.gpu.shape[1])[None, :] < w.fleet_i[fleet, wd.L_GPUS, :size, None], 1000, -1)
    for k, m in zip(running, machine, strict=True):
        bits = int(c.task_i[k, st.K_GPUS])
        held = [d for d in range(c.gpu.shape[1]) if (bits >> d) & 1]
        if len(held) != request[k, wd.T_GPUS]:
            fail("devices held", len(held), int(request[k, wd.T_GPUS]), f"task {lo + k} on machine {m}")
        devices[m, held] -= request[k, wd.T_MGPU]
    compare("free gpu_mgpu", c.gpu[:size], devices)
    if c.gpu.size:
        compare("free gpu_mgpu", c.machine_i[st.M_GPU, :size], np.where(c.gpu[:size] > 0, c.gpu[:size], 0).sum(axis=1))
        if ((c.gpu[:size] < 0) & (devices >= 0)).any():
            fail("free gpu_mgpu", int(c.gpu[:size].min()), ">= 0", "some device")
    compare("residents", c.machine_i[st.M_TASKS, :size], np.bincount(machine, minlength=size))
    if (c.machine_i[st.M_UP, machine] == 0).any():
        fail(
            "machine of a running task", "down", "up", f"machine {int(machine[c.machine_i[st.M_UP, machine] == 0][0])}"
        )

    for what, got, wanted in (
        ("running tasks", int(c.counter[st.C_RUNNING]), running.size),
        ("machines in use", int(c.counter[st.C_ACTIVE]), np.unique(machine).size),
        ("allocated cpu_mcore", int(c.counter[st.C_RUN_CPU]), int(request[running, wd.T_CPU].sum())),
        ("allocated mem_mib", int(c.counter[st.C_RUN_MEM]), int(request[running, wd.T_MEM].sum())),
        (
            "allocated gpu_mgpu",
            int(c.counter[st.C_RUN_GPU]),
            int((request[running, wd.T_GPUS] * request[running, wd.T_MGPU]).sum()),
        ),
        ("waiting tasks", int(c.counter[st.C_WAITING]), int((status == st.QUEUED).sum())),
        ("departures planned", _planned(c), int(np.isfinite(c.task_f[running, st.K_END]).sum())),
    ):
        if got != wanted:
            fail(what, got, wanted, "the whole copy")
    if running.size and float(c.task_f[running, st.K_END].min()) < now:
        fail("end of a running task", float(c.task_f[running, st.K_END].min()), f">= {now}", "the whole copy")
    for k in running:
        limit, group = int(request[k, wd.T_LIMIT]), int(request[k, wd.T_GROUP])
        if limit:
            # Counted when the newest of them came: those before it are at most limit - 1.
            same = running[(machine == c.task_i[k, st.K_MACHINE]) & (request[running, wd.T_GROUP] == group)]
            older = same[(c.task_f[same, st.K_START] < c.task_f[k, st.K_START])]
            if older.size >= limit:
                fail("tasks of its group that were there before", older.size, f"< {limit}", f"task {lo + k}")


def _planned(c: st.StateArrays) -> int:
    """Entries of the heap, or of the plan, that belong to running tasks."""
    entries = c.heap_k[int(c.counter[st.C_LEAVE]) : int(c.counter[st.C_HEAP])]
    return int((c.task_i[entries, st.K_STATUS] == st.RUNNING).sum())

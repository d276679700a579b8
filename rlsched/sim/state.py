"""``State``: everything needed to continue a placement run, ``N`` copies side by side.

A state is a handful of arrays with leading axis ``N``. Rows of the packed arrays are named
below; :class:`State` gives the readable views (``free``, ``clock_s``, ``status``, ...). There
is no hidden state: copy the arrays and you have copied the run, compare them byte for byte
and you have compared two runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

NO_MACHINE = -1
NO_TASK = -1

# --- counter (N, N_COUNT) int64: cursors, totals, whole-number meters -------------------------------
(
    C_SEED,  # seed of this copy
    C_FLEET,  # row of World.fleet_*
    C_LO,  # first task row of this copy's window
    C_HI,  # one past the last
    C_NEXT,  # next task to arrive (local row)
    C_EVENT,  # next machine event
    C_EVENT_HI,  # one past the last
    C_HEAP,  # entries in the departure heap, or in the plan
    C_PLANNED,  # all departures were known at the beginning and stand sorted in the heap's arrays
    C_LEAVE,  # entries of the plan that are over
    C_QUEUE,  # entries in the queue, removed ones included until the pass ends
    C_PASS,  # position of the queue pass, -1 outside one
    C_NEED_PASS,  # capacity was freed since the last pass
    C_TASK,  # task that waits for a decision (local row), -1 none
    C_SOURCE,  # where it came from: 0 arrival, 1 queue
    C_METERED,  # the warm-up is over
    C_OVER,  # the window has ended
    C_LAST,  # machine chosen last (round-robin, next-fit)
    C_DECISIONS,  # decisions so far
    C_RUN_CPU,  # millicores allocated now
    C_RUN_MEM,  # MiB allocated now
    C_RUN_GPU,  # milli-GPU allocated now
    C_ACTIVE,  # machines with a task now
    C_RUNNING,  # tasks running now
    C_WAITING,  # tasks in the queue now
    # meters: zeroed when the warm-up ends
    C_ARRIVED,
    C_PLACED,  # first placements
    C_REJECTED,
    C_FINISHED,
    C_INTERRUPTED,
    C_RESTARTED,
    C_LOST,
    C_ARRIVED_CPU,
    C_ARRIVED_MEM,
    C_ARRIVED_GPU,
    C_PLACED_CPU,
    C_PLACED_MEM,
    C_PLACED_GPU,
    C_REASON,  # eight reasons of rejection follow
) = range(39)
REASONS = ("cpu", "mem", "gpu", "model", "group", "several", "too_large", "refused")
N_COUNT = C_REASON + len(REASONS)
FIRST_METER = C_ARRIVED

# --- clock (N, N_CLOCK) float64 --------------------------------------------------------------------
(
    F_NOW,  # simulated time, s
    F_START,  # metering starts here, s
    F_STOP,  # the window ends here, s; inf = when nothing is left
    # meters
    F_CPU_S,  # integral of allocated millicores, mcore s
    F_MEM_S,
    F_GPU_S,
    F_ACTIVE_S,  # integral of machines in use
    F_RUNNING_S,
    F_QUEUE_S,  # integral of waiting tasks
    F_WAIT_S,  # sum of waits of first placements, s
    F_LOST_CPU_S,  # work done and lost to interruptions, mcore s
    F_FRAG,  # fragmentation now (milli-GPU or mcore)
    F_FRAG_S,  # its integral
) = range(13)
N_CLOCK = 13
FIRST_CLOCK_METER = F_CPU_S

# --- machine_i (N, N_MACHINE_I, M) int64 -----------------------------------------------------------
M_CPU, M_MEM, M_GPU, M_TASKS, M_UP, M_HEAD = range(6)  # free mcore, MiB, mgpu; residents; up; newest resident
N_MACHINE_I = 6
# --- machine_f (N, N_MACHINE_F, M) float64 ---------------------------------------------------------
M_SINCE, M_WATT, M_JOULE, M_BUSY_S, M_EXIT, M_FRAG, M_FROM = range(7)  # M_FROM: its tasks began then
N_MACHINE_F = 7
# --- task_i (N, K, N_TASK_I) int32 -----------------------------------------------------------------
K_STATUS, K_MACHINE, K_GPUS, K_NEXT, K_PREV, K_RESTARTS, K_TYPE, K_GROUP = range(8)
N_TASK_I = 8
G_NEXT, G_PREV = range(2)
# --- task_f (N, K, N_TASK_F) float64 ---------------------------------------------------------------
K_START, K_END, K_DONE = range(3)
N_TASK_F = 3

FUTURE, QUEUED, RUNNING, DONE, REJECTED, LOST = range(6)
STATUS = ("future", "queued", "running", "done", "rejected", "lost")
N_KINDS = 5  # GPU pod kinds: share, 1, 2, 4, 8 devices


class StateArrays(NamedTuple):
    """What the compiled core is given; one array a row of the table above."""

    counter: I64  # (N, N_COUNT)
    clock: F64  # (N, N_CLOCK)
    machine_i: I64  # (N, N_MACHINE_I, M)
    machine_f: F64  # (N, N_MACHINE_F, M)
    gpu: I64  # (N, M, G) free milli-GPU of each device; -1 where a machine has fewer
    kinds: I32  # (N, M, N_KINDS) resident GPU tasks by kind
    task_i: I32  # (N, K, N_TASK_I)
    task_f: F64  # (N, K, N_TASK_F)
    heap_t: F64  # (N, K) departure times
    heap_k: I32  # (N, K) their tasks
    queue: I32  # (N, Q) waiting tasks in order; -1 removed
    group_link: I32  # (N, K or 0, 2) next and previous running task of the same limited group
    group_head: I32  # (N, groups) newest running task of each limited group

    def copy_view(self, n: int) -> StateArrays:
        """Copy ``n``: the same arrays without their leading axis, sharing memory."""
        views: list[Any] = [array[n] for array in self]
        return StateArrays(*views)


@dataclass(frozen=True)
class State:
    """``N`` copies of a placement run.

    Parameters
    ----------
    arrays : StateArrays
        See the module docstring. The compiled core writes into them.
    """

    arrays: StateArrays

    @property
    def n_copies(self) -> int:
        """Number of copies ``N``."""
        return int(self.arrays.counter.shape[0])

    @property
    def clock_s(self) -> F64:
        """Simulated time of each copy, (N,) float64 seconds."""
        return self.arrays.clock[:, F_NOW]

    @property
    def free(self) -> I64:
        """Free resources, (N, M, 3) int64: ``cpu_mcore, mem_mib, gpu_mgpu`` (a copy)."""
        out: I64 = np.moveaxis(self.arrays.machine_i[:, [M_CPU, M_MEM, M_GPU], :], 1, 2)
        return np.ascontiguousarray(out)

    @property
    def gpu_free(self) -> I64:
        """Free milli-GPU of each device, (N, M, G) int64; -1 where a machine has fewer devices."""
        return self.arrays.gpu

    @property
    def task(self) -> I64:
        """Task that waits for a decision, (N,) int64 rows of the world; -1 where none does."""
        count = self.arrays.counter
        out: I64 = np.where(count[:, C_TASK] >= 0, count[:, C_TASK] + count[:, C_LO], NO_TASK)
        return out

    @property
    def over(self) -> npt.NDArray[np.bool_]:
        """True where the window has ended, (N,)."""
        out: npt.NDArray[np.bool_] = self.arrays.counter[:, C_OVER] == 1
        return out

    def copy(self) -> State:
        """An independent copy; stepping one leaves the other alone."""
        copies: list[Any] = [array.copy() for array in self.arrays]
        return State(StateArrays(*copies))

    def write(self, other: State) -> None:
        """Overwrite this state with another of the same shape (restore a saved state)."""
        for name, mine in self.to_dict().items():
            theirs = getattr(other.arrays, name)
            if mine.shape != theirs.shape:
                raise OurBug(
                    f"a state can be restored from one of its own shape: got {name} {theirs.shape}, not {mine.shape}."
                )
            mine[...] = theirs

    def same_as(self, other: State) -> bool:
        """True when both are equal byte for byte."""
        theirs = other.to_dict()
        return all(mine.tobytes() == theirs[name].tobytes() for name, mine in self.to_dict().items())

    def to_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays by name, for ``numpy.savez``."""
        return self.arrays._asdict()

    @classmethod
    def from_dict(cls, arrays: dict[str, npt.NDArray[Any]]) -> State:
        """Inverse of :meth:`to_dict`."""
        return cls(StateArrays(**{name: np.array(arrays[name]) for name in StateArrays._fields}))

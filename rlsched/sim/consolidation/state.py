"""Everything a consolidation run needs to continue, ``N`` copies side by side.

Between two ticks nothing is in flight, so the state at a decision is complete: it can be saved,
restored, copied and compared byte for byte. What a kernel needs only inside a tick is
:class:`Scratch`, which is not part of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched import rng
from rlsched.errors import UserError
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.policy import HISTORY, tricube
from rlsched.sim.consolidation.world import World

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]
Bool = npt.NDArray[np.bool_]

NONE = -1  # no machine, no entry

#: Columns of ``StateCode.sums``, in the order of the float fields of ``Meters``.
SUMS = (
    "energy_ws", "requested", "short", "degraded", "shortfall_shares", "active_s", "violation_s",
    "migration_s", "before_shutdown_mean", "before_shutdown_m2",
)  # fmt: skip
(
    ENERGY, REQUESTED, SHORT, DEGRADED, SHORTFALL_SHARES, ACTIVE, VIOLATION, MIGRATION, BEFORE_MEAN, BEFORE_M2,
) = range(len(SUMS))  # fmt: skip
#: Columns of ``StateCode.counts``, the whole-number fields of ``Meters``.
COUNTS = ("shortfalls", "migrations", "shutdowns", "wakes", "removed_vms")
SHORTFALLS, MIGRATIONS, SHUTDOWNS, WAKES, REMOVED = range(len(COUNTS))
#: Columns of ``StateCode.last_tick``, as :class:`~rlsched.sim.consolidation.meters.Checkpoint`.
TICK = ("time_s", "vms_alive", "hosts_active", "hosts_overloaded", "migrations", "energy_ws", "hosts_active_after")

FINE, VM_FITS_NOWHERE = range(2)  # values of ``fault``


class StateCode(NamedTuple):
    """The arrays; leading axis ``N``. ``M`` machines, ``V`` VMs.

    Entries are the places in the machines' guest lists, which are linked in order of arrival:
    entry ``v < V`` is VM ``v`` where it lives; the others serve moves inside a tick.
    """

    now_s: F64  # (N,) seconds; the moment of the latest measurement
    next_tick_s: F64  # (N,) seconds; the tick after this decision
    world: I64  # (N,) which of the worlds it is a copy of
    remembered: I64  # (N,) ticks whose load is remembered; see ``WorldCode.past``
    measured: Bool  # (N,) has any measurement happened
    done: Bool  # (N,) the trace is over
    fault: I64  # (N,) FINE or what went wrong
    fault_row: I64  # (N,) where
    random: U64  # (N,) state of the random VM selection
    sums: F64  # (N, 10) meters, see SUMS
    counts: I64  # (N, 5) meters, see COUNTS
    last_tick: F64  # (N, 7) see TICK
    vm_host: I64  # (N, V) machine row, NONE once removed
    vm_share: F64  # (N, V) load now, share of vm_cpu
    vm_request: F64  # (N, V) load now, CPU
    vm_granted: F64  # (N, V) CPU
    after: I64  # (N, 3V) next entry of the same list
    before: I64  # (N, 3V) previous entry
    first: I64  # (N, M) first entry of each machine
    last: I64  # (N, M) last entry
    host_used: F64  # (N, M) CPU given
    host_asked: F64  # (N, M) CPU asked
    host_share: F64  # (N, M) used / capacity
    host_free: F64  # (N, M) CPU not given; 0 when oversubscribed
    host_table: I64  # (N, M) buckets of the Java map of requests, see Semantics.java_hash_order
    host_on: Bool  # (N, M)
    host_was_on: Bool  # (N, M) before the latest measurement
    host_on_since_s: F64  # (N, M) seconds


class Scratch(NamedTuple):
    """Work space of one copy inside one tick; nothing in it outlives a call."""

    on_before: Bool  # (M,)
    watts_before: F64  # (M,)
    waking: Bool  # (M,)
    touched: Bool  # (M,)
    closed: Bool  # (M,) may not receive
    spared: Bool  # (M,) may not be evacuated
    guests: I64  # (M,) planned number of guests
    granted: F64  # (M,) planned CPU given
    base_watts: F64  # (M,) power a newcomer's rise is measured from
    free: F64  # (M,) planned CPU left
    asked: F64  # (M,) planned sum of requests
    trend: F64  # (M,) planned sum of forecasts
    memory: I64  # (M,) planned MiB
    reach: I64  # (M,) planned length of the history
    past: F64  # (M, 30) planned history, newest first
    over: I64  # (M,) overloaded machines
    active: I64  # (M,) machines with planned guests
    queue: I64  # (M,) machines in order of evacuation
    class_at: I64  # (M,) per machine class: first row that may still be empty
    copying: Bool  # (V,)
    bound: Bool  # (V,)
    taken: Bool  # (V,) taken off its machine in the plan
    order: I64  # (V,) VMs to find a machine for
    move_vm: I64  # (2V,)
    move_to: I64  # (2V,)
    move_start_s: F64  # (2V,)
    move_end_s: F64  # (2V,)
    move_phase: I64  # (2V,) 0 waiting, 1 copying, 2 done
    values: F64  # (30,) sort space
    tricube: F64  # (10,) weights, oldest first
    columns: F64  # (31, 30) regression space
    fit: F64  # (4, 31) regression space
    candidates: I64  # (V,) VMs that may be selected
    costs: F64  # (V,) CPU of a machine's guests


@dataclass(frozen=True, eq=False)
class State:
    """``N`` copies of a consolidation run.

    Parameters
    ----------
    code : StateCode
        The arrays themselves; written to by the kernel.
    """

    code: StateCode

    @classmethod
    def new(cls, world: World | Sequence[World], seeds: Sequence[int], which: Sequence[int] | None = None) -> State:
        """Before anything has happened; one copy a seed (of random VM selection).

        Parameters
        ----------
        world : World or sequence of World
            As the simulator has them; there is room for the largest.
        seeds : sequence of int
            Root seeds, ``>= 0``.
        which : sequence of int, optional
            World of each copy; the first by default.
        """
        n, (m, v) = len(seeds), largest(world)
        f, i, b = np.float64, np.int64, np.bool_
        return cls(
            StateCode(
                now_s=np.zeros(n, f),
                next_tick_s=np.zeros(n, f),
                world=np.zeros(n, i) if which is None else np.array(which, i),
                remembered=np.zeros(n, i),
                measured=np.zeros(n, b),
                done=np.zeros(n, b),
                fault=np.zeros(n, i),
                fault_row=np.full(n, NONE, i),
                random=np.array([rng.stream_seed(seed, "vm_selection") for seed in seeds], np.uint64),
                sums=np.zeros((n, len(SUMS)), f),
                counts=np.zeros((n, len(COUNTS)), i),
                last_tick=np.zeros((n, len(TICK)), f),
                vm_host=np.full((n, v), NONE, i),
                vm_share=np.zeros((n, v), f),
                vm_request=np.zeros((n, v), f),
                vm_granted=np.zeros((n, v), f),
                after=np.full((n, 3 * v), NONE, i),
                before=np.full((n, 3 * v), NONE, i),
                first=np.full((n, m), NONE, i),
                last=np.full((n, m), NONE, i),
                host_used=np.zeros((n, m), f),
                host_asked=np.zeros((n, m), f),
                host_share=np.zeros((n, m), f),
                host_free=np.zeros((n, m), f),
                host_table=np.full((n, m), 16, i),
                host_on=np.zeros((n, m), b),
                host_was_on=np.ones((n, m), b),
                host_on_since_s=np.zeros((n, m), f),
            )
        )

    def __len__(self) -> int:
        return int(self.code.now_s.shape[0])

    def copy(self) -> State:
        """An independent copy."""
        return State(StateCode(**{name: array.copy() for name, array in self.code._asdict().items()}))

    def same_as(self, other: State) -> bool:
        """True when every array is equal byte for byte."""
        return all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(self.code, other.code, strict=True)
        )

    def put(self, n: int, other: State, m: int) -> None:
        """Overwrite copy ``n`` with copy ``m`` of another state of the same world."""
        for mine, theirs in zip(self.code, other.code, strict=True):
            mine[n] = theirs[m]

    def save(self, path: Path) -> None:
        """Write the arrays to an ``.npz`` file; a reader never sees half of it."""
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            np.savez(file, **self.code._asdict())
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read what :meth:`save` wrote.

        Raises
        ------
        UserError
            When the file is not there or is not such a state.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(StateCode(**{name: stored[name] for name in StateCode._fields}))
        except FileNotFoundError:
            raise UserError(f"no saved state at {path}. Check the path.") from None
        except (KeyError, ValueError, OSError) as error:
            raise UserError(
                f"{path} is not a saved consolidation state: {error}. Save it again with State.save."
            ) from None

    def meters(self, n: int) -> Meters:
        """The meters of copy ``n``."""
        sums = dict(zip(SUMS, self.code.sums[n].tolist(), strict=True))
        counts = dict(zip(COUNTS, self.code.counts[n].tolist(), strict=True))
        return Meters(**sums, **counts)


def largest(world: World | Sequence[World]) -> tuple[int, int]:
    """Machines of the world with most machines, VMs of that with most VMs."""
    worlds = (world,) if isinstance(world, World) else world
    return max(w.n_hosts for w in worlds), max(w.n_vms for w in worlds)


def scratch(world: World | Sequence[World]) -> Scratch:
    """Allocate the work space of a kernel call."""
    m, v = largest(world)
    f, i, b = np.float64, np.int64, np.bool_
    return Scratch(
        on_before=np.zeros(m, b), watts_before=np.zeros(m, f), waking=np.zeros(m, b), touched=np.zeros(m, b),
        closed=np.zeros(m, b), spared=np.zeros(m, b), guests=np.zeros(m, i), granted=np.zeros(m, f),
        base_watts=np.zeros(m, f), free=np.zeros(m, f), asked=np.zeros(m, f), trend=np.zeros(m, f),
        memory=np.zeros(m, i), reach=np.zeros(m, i),
        past=np.zeros((m, HISTORY), f), over=np.zeros(m, i), active=np.zeros(m, i),
        queue=np.zeros(m, i), class_at=np.zeros(m, i), copying=np.zeros(v, b), bound=np.zeros(v, b),
        taken=np.zeros(v, b), order=np.zeros(v, i),
        move_vm=np.zeros(2 * v, i), move_to=np.zeros(2 * v, i), move_start_s=np.zeros(2 * v, f),
        move_end_s=np.zeros(2 * v, f), move_phase=np.zeros(2 * v, i), values=np.zeros(HISTORY, f),
        tricube=np.array(tricube(), f),
        columns=np.zeros((HISTORY + 1, HISTORY), f), fit=np.zeros((4, HISTORY + 1), f), candidates=np.zeros(v, i),
        costs=np.zeros(v, f),
    )  # fmt: skip

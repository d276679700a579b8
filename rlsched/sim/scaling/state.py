"""Everything a scaling run needs to continue, ``N`` copies of ``S`` services side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import UserError
from rlsched.sim.scaling.world import O_BOOTING, O_OLDEST, S_DEADLINE, Window, World

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

#: Columns of ``StateCode.clock``.
CLOCK = ("t", "lo", "hi", "seed")
(C_T, C_LO, C_HI, C_SEED) = range(len(CLOCK))
#: Columns of ``StateCode.last``: what the last interval showed. USD columns are the parts of its cost.
LAST = (
    "instance_usd", "start_usd", "unmet_usd", "late_usd", "credit_usd",
    "demand", "capacity", "served", "lost", "backlog", "utilisation", "violated",
    "ready", "billed", "started", "stopped", "cancelled", "interrupted", "refused", "wait_s", "wait_quantile_s",
)  # fmt: skip
(
    L_INSTANCES, L_STARTS, L_UNMET, L_LATE, L_CREDITS,
    L_DEMAND, L_CAPACITY, L_SERVED, L_LOST, L_BACKLOG, L_UTILISATION, L_VIOLATED,
    L_READY, L_BILLED, L_STARTED, L_STOPPED, L_CANCELLED, L_INTERRUPTED, L_REFUSED, L_WAIT, L_WAIT_QUANTILE,
) = range(len(LAST))  # fmt: skip
#: The parts of the cost are the first columns.
COST = LAST[:5]
#: Columns of ``StateCode.sums``: those of LAST added up, and three of their own. ``wait_s`` and
#: ``wait_quantile_s`` are added up weighted by demand; ``asked`` counts intervals with demand,
#: ``held`` the answers of rules that the limits of the service held back, ``longest_s`` is the
#: longest ``wait_quantile_s``.
SUMS = (*LAST, "asked", "held", "longest_s")
(M_ASKED, M_HELD, M_LONGEST) = range(len(LAST), len(SUMS))
#: Numbers a rule may keep between decisions, per copy and service.
MEMORY = 128


class StateCode(NamedTuple):
    """The arrays; leading axes ``N`` copies, ``S`` services."""

    clock: I64  # (N, 4) see CLOCK; t is the coming interval, hi the end of the window
    rows: I64  # (N, S) series of each service
    kind: I64  # (N, S) type chosen last
    alive: I64  # (N, S, P, A + 1) instances of each pool by age: intervals since the order, the last: and older
    backlog: F64  # (N, S, D) work that has waited 1, 2, ... intervals, units times intervals
    last: F64  # (N, S, 21) see LAST
    sums: F64  # (N, S, 24) see SUMS
    memory: F64  # (N, S, MEMORY) of a rule


@dataclass(frozen=True, eq=False)
class State:
    """``N`` copies of ``S`` services. Equal bytes mean an equal future, given the same decisions."""

    code: StateCode

    @classmethod
    def new(cls, world: World, windows: Sequence[Window], seeds: Sequence[int]) -> State:
        """Open one window a copy.

        Parameters
        ----------
        world : World
        windows : sequence of Window
            One a copy, all with the same number of services.
        seeds : sequence of int
            Of each copy's spot interruptions, >= 0.

        Raises
        ------
        SpecError
            See :meth:`World.check_window`.
        """
        if len(windows) != len(seeds) or not windows:
            raise UserError(
                f"need one seed a window, and at least one: got {len(windows)} windows, {len(seeds)} seeds."
            )
        code, n, s = world.code, len(windows), len(windows[0].rows)
        state = cls(
            StateCode(
                clock=np.zeros((n, len(CLOCK)), np.int64),
                rows=np.zeros((n, s), np.int64),
                kind=np.zeros((n, s), np.int64),
                alive=np.zeros((n, s, len(world.pools), int(code.option_i[O_OLDEST]) + 1), np.int64),
                backlog=np.zeros((n, s, int(code.service_i[:, S_DEADLINE].max()))),
                last=np.zeros((n, s, len(LAST))),
                sums=np.zeros((n, s, len(SUMS))),
                memory=np.zeros((n, s, MEMORY)),
            )
        )
        for i, (window, seed) in enumerate(zip(windows, seeds, strict=True)):
            state.open(world, i, world.check_window(window, s), seed)
        return state

    def open(self, world: World, n: int, window: Window, seed: int) -> None:
        """Put copy ``n`` at the beginning of a window that was checked, whatever it did before.

        Its first instances are of the first type, on demand, and long since billed: starting them
        costs nothing.
        """
        from rlsched.sim.scaling.reference import first_instances

        s = self.code
        for array in s:
            array[n] = 0
        s.clock[n] = window.lo, window.lo, window.hi, seed
        s.rows[n] = window.rows
        for service, row in enumerate(window.rows):
            s.alive[n, service, 0, -1] = first_instances(world, row, window.lo)

    def __len__(self) -> int:
        return int(self.code.clock.shape[0])

    @property
    def n_services(self) -> int:
        """Services of each copy."""
        return int(self.code.rows.shape[1])

    @property
    def done(self) -> npt.NDArray[np.bool_]:
        """(N,) has the window of each copy ended."""
        return self.code.clock[:, C_T] >= self.code.clock[:, C_HI]

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

    def to_dict(self) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float64]]:
        """The arrays by name."""
        return self.code._asdict()

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
            raise UserError(f"{path} is not a saved scaling state: {error}. Save it again with State.save.") from None

    def meters(self, n: int, service: int = 0) -> dict[str, float]:
        """The sums of one service of copy ``n`` since its window began, by the names of SUMS."""
        return dict(zip(SUMS, map(float, self.code.sums[n, service]), strict=True))


def n_booting_slots(world: World) -> int:
    """Length of ``View.booting``: the longest boot of any type, in intervals."""
    return int(world.code.option_i[O_BOOTING])

"""The Python door to the compiled consolidation simulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug, TraceError
from rlsched.sim.consolidation import kernel
from rlsched.sim.consolidation.meters import Checkpoint, Meters
from rlsched.sim.consolidation.policy import ConsolidationPolicy, PolicyCode, policy_code
from rlsched.sim.consolidation.state import FINE, TICK, Scratch, State, scratch
from rlsched.sim.consolidation.world import World
from rlsched.sim.consolidation.worlds import WorldsCode, stack
from rlsched.sim.semantics import Semantics, SemanticsCode

Bool = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

Policies = Sequence[ConsolidationPolicy] | PolicyCode

_NO_LOG: F64 = np.zeros((0, 0, 0))


@dataclass(frozen=True)
class Run:
    """One finished run.

    Parameters
    ----------
    policy : ConsolidationPolicy
    meters : Meters
    ticks : (n_ticks, 7) float64
        One row a decision, columns :data:`rlsched.sim.consolidation.state.TICK`.
    """

    policy: ConsolidationPolicy
    meters: Meters
    ticks: F64

    def checkpoints(self) -> list[Checkpoint]:
        """The ticks as the reference reports them."""
        return [
            Checkpoint(row[0], int(row[1]), int(row[2]), int(row[3]), int(row[4]), row[5], int(row[6]))
            for row in self.ticks.tolist()
        ]


class Simulator:
    """Steps ``N`` copies of one world under one semantics.

    Parameters
    ----------
    world : World or sequence of World
        Several: see :func:`~rlsched.sim.consolidation.worlds.stack`.
    semantics : Semantics

    Raises
    ------
    TraceError, SpecError
        See :meth:`World.validate`.
    """

    def __init__(self, world: World | Sequence[World], semantics: Semantics) -> None:
        self.worlds = (world,) if isinstance(world, World) else tuple(world)
        for one in self.worlds:
            one.validate(semantics)
        self.semantics = semantics
        self.world = self.worlds[0]
        self._w, self._q = stack(self.worlds, semantics), semantics.code()
        self._x = scratch(self.worlds)

    @property
    def n_ticks(self) -> int:
        """Decisions of a whole run."""
        return len(self.world.tick_times(self.semantics)) - (not self.semantics.first_interval_free)

    def with_forecasts(self, forecasts: Sequence[F64]) -> Simulator:
        """The same worlds, each with another forecast; everything else is shared.

        Parameters
        ----------
        forecasts : sequence of (K, V) float64
            One a world; see :class:`~rlsched.sim.consolidation.world.World`.
        """
        other = copy(self)
        other.worlds = tuple(
            replace(world, forecast=one).validate(self.semantics)
            for world, one in zip(self.worlds, forecasts, strict=True)
        )
        other.world = other.worlds[0]
        trend = self._w.trend.copy()
        for row, world in zip(trend, other.worlds, strict=True):
            assert world.forecast is not None  # just given
            row[: len(world.forecast), : world.n_vms] = world.forecast * world.vm_cpu
        other._w = self._w._replace(trend=trend)
        return other

    @property
    def stacked(self) -> WorldsCode:
        """The worlds as the kernel reads them."""
        return self._w

    @property
    def semantics_code(self) -> SemanticsCode:
        """The semantics as the kernel reads them."""
        return self._q

    @property
    def scratch(self) -> Scratch:
        """Work space of one kernel call at a time."""
        return self._x

    def begin(self, state: State, policies: Policies, which: Bool | None = None) -> None:
        """Place the VMs of copies and run them to their first decision, whatever they did before.

        Parameters
        ----------
        state : State
            As :meth:`State.new` makes it; written to.
        policies : sequence of ConsolidationPolicy, or PolicyCode
            One a copy.
        which : (N,) bool, optional
            Copies concerned; all by default.

        Raises
        ------
        TraceError
            When a VM fits on no machine.
        """
        self._drive(state, policies, which, True, 0, _NO_LOG)
        self._check(state)

    def tick(self, state: State, policies: Policies, which: Bool | None = None) -> None:
        """Take one decision in each copy and run to the next; ``state.code.done`` says which are over."""
        self._drive(state, policies, which, False, 1, _NO_LOG)

    def run(
        self, policies: Sequence[ConsolidationPolicy], seeds: Sequence[int], which: Sequence[int] | None = None
    ) -> list[Run]:
        """Simulate the whole trace once for each policy, in one compiled call.

        Parameters
        ----------
        policies : sequence of ConsolidationPolicy
        seeds : sequence of int
            Root seed of each run.
        which : sequence of int, optional
            World of each run; the first by default.

        Raises
        ------
        TraceError
            When a VM fits on no machine.
        """
        state = State.new(self.worlds, seeds, which)
        log = np.full((len(seeds), self.n_ticks, len(TICK)), np.nan)
        self._drive(state, policies, None, True, self.n_ticks, log)
        self._check(state)
        runs = [Run(policy, state.meters(n), log[n]) for n, policy in enumerate(policies)]
        for run in runs:
            if not math.isfinite(run.meters.energy_ws):
                raise OurBug(
                    f"energy of {run.policy.name} over {self.world.source or 'a world'} is {run.meters.energy_ws}."
                )
        return runs

    def _drive(
        self,
        state: State,
        policies: Policies,
        which: Bool | None,
        fresh: bool,
        ticks: int,
        log: F64,
    ) -> None:
        code = policies if isinstance(policies, PolicyCode) else policy_code(policies)
        if len(code.kind) != len(state):
            raise ValueError(f"one policy a copy is needed: got {len(code.kind)} for {len(state)} copies.")
        mask = np.ones(len(state), np.bool_) if which is None else np.asarray(which, np.bool_)
        kernel.drive(self._w, self._q, state.code, code, self._x, mask, fresh, ticks, log)

    def _check(self, state: State) -> None:
        bad = np.flatnonzero(state.code.fault != FINE)
        if bad.size:
            vm, world = int(state.code.fault_row[bad[0]]), self.worlds[state.code.world[bad[0]]]
            raise TraceError(
                f"VM {vm} ({world.vm_cpu[vm]:g} CPU, {world.vm_mem[vm]} MiB) fits on no machine at the "
                "start. Add machines, or leave VMs out."
            )


def simulate(
    world: World, policies: Sequence[ConsolidationPolicy], semantics: Semantics | None = None, seed: int = 0
) -> list[Run]:
    """Run each policy over the same world.

    Examples
    --------
    >>> from rlsched.sim.consolidation.policy import ConsolidationPolicy
    >>> simulate(world, [ConsolidationPolicy("lr_mmt")])[0].meters.metrics()["energy_kwh"]  # doctest: +SKIP
    """
    return Simulator(world, semantics or Semantics()).run(policies, [seed] * len(policies))

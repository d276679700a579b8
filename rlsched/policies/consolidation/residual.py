"""A consolidation policy whose numbers an agent moves at every tick: what a learned one does.

The agent answers numbers in [-1, 1], one a moved number; 0 is the policy as it was tuned, the
ends are those of its reach, and between them it goes in straight lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError, did_you_mean
from rlsched.observe.consolidation_features import GLOBAL_FEATURES
from rlsched.sim.consolidation.policy import ConsolidationPolicy, policy_code

if TYPE_CHECKING:
    from rlsched.sim.consolidation.meters import Meters
    from rlsched.sim.consolidation.simulate import Simulator
    from rlsched.sim.consolidation.state import State

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Choose = Callable[[F32], npt.NDArray[np.floating]]
#: Told the state after a tick, and the policy's numbers (N, 3) of that tick.
Watch = Callable[["State", F64], None]
Range = tuple[float, float]

#: The numbers of a policy, in the order of the environment's action.
NUMBERS = ("parameter", "placement_cap", "evacuate_below")
#: What is seen; forecasts are not.
FIELDS = tuple(field.name for field in GLOBAL_FEATURES)


@dataclass(frozen=True)
class ConsolidationResidual:
    """A tuned policy, and which of its numbers move between what ends.

    Parameters
    ----------
    base : ConsolidationPolicy
    reach : mapping of str to (float, float)
        Number → what it is at actions -1 and 1; the others stay as they are.

    Raises
    ------
    PolicyError
        When a number is not known, its ends do not lie around the tuned value, or are none it can have.
    """

    base: ConsolidationPolicy
    reach: Mapping[str, Range]

    def __post_init__(self) -> None:
        if not self.base.migrates:
            raise PolicyError(
                f"{self.base.name} moves no VM, so nothing of it can be learned. Start at another policy."
            )
        if not self.reach:
            raise PolicyError(f"name at least one number of {self.base.name} that moves: {', '.join(NUMBERS)}.")
        for name, (low, high) in self.reach.items():
            if name not in NUMBERS:
                raise PolicyError(f"unknown number {name!r} of {self.base.name}.{did_you_mean(name, NUMBERS)}")
            for end in (low, high):
                try:
                    ConsolidationPolicy(self.base.name, **{name: end})
                except SpecError as error:
                    raise PolicyError(f"reach of {name}: {error}") from None
            tuned = getattr(self.base, name)
            if not (low <= tuned <= high and low < high):
                raise PolicyError(
                    f"reach of {name} must be [low, high] around the tuned {tuned:g}: got [{low:g}, {high:g}]."
                )

    @property
    def n_actions(self) -> int:
        """Numbers that move."""
        return len(self.reach)

    @property
    def ranges(self) -> dict[str, Range]:
        """Least and most of every number, in the order of :data:`NUMBERS`; equal for those that stay."""
        stay = {name: (getattr(self.base, name),) * 2 for name in NUMBERS}
        return {name: (float(low), float(high)) for name, (low, high) in {**stay, **self.reach}.items()}

    def numbers(self, actions: npt.NDArray[np.floating]) -> F64:
        """The policy's numbers, (N, 3) float64, for actions (N, A) in [-1, 1].

        Exactly those of the base at 0, exactly the ends at -1 and 1.

        Raises
        ------
        PolicyError
            When an action is not a number in [-1, 1].
        """
        wide = np.asarray(actions, np.float64)
        if not (np.abs(wide) <= 1.0).all():
            raise PolicyError("a consolidation policy answered something that is no number in [-1, 1]. Train it again.")
        out = np.tile(np.array([getattr(self.base, name) for name in NUMBERS], np.float64), (len(wide), 1))
        for column, (name, (low, high)) in enumerate(self.reach.items()):
            far = np.abs(wide[:, column])
            end = np.where(wide[:, column] < 0, low, high)
            moved = (1.0 - far) * getattr(self.base, name) + far * end
            # A mean of two numbers can lie beyond them by its last bit; nothing else is taken away here.
            out[:, NUMBERS.index(name)] = np.minimum(np.maximum(moved, low), high)
        return out

    def run(
        self,
        simulator: Simulator,
        seeds: Sequence[int],
        choose: Choose,
        which: Sequence[int] | None = None,
        watch: Watch | None = None,
    ) -> list[Meters]:
        """Replay worlds to their ends, all copies in lock-step, one question a tick.

        Parameters
        ----------
        simulator : Simulator
        seeds : sequence of int
            Root seed of each copy.
        choose : callable
            Observations (N, F) float32, fields :data:`FIELDS` → actions (N, A).
        which : sequence of int, optional
            World of each copy; the first by default.
        watch : callable, optional
            Told the state after each tick, and the numbers it was decided by, (N, 3).

        Returns
        -------
        list of Meters
            One a copy.

        Raises
        ------
        PolicyError
            See :meth:`numbers`.
        TraceError
            When a VM fits on no machine.
        """
        from rlsched.observe.consolidation import ConsolidationObserver
        from rlsched.sim.consolidation.state import State

        n = len(seeds)
        worlds, semantics = simulator.worlds, simulator.semantics
        state, code = State.new(worlds, seeds, which), policy_code([self.base] * n)
        nothing = np.zeros((len(worlds), len(simulator.world.tick_times(semantics)), 0))
        observer = ConsolidationObserver(worlds, simulator.stacked, n, nothing, semantics.sla_tolerance_mips)
        everyone, seen = np.ones(n, np.bool_), np.zeros((n, observer.n_features), np.float32)
        simulator.begin(state, code)
        observer.note(state.code, everyone, fresh=True)
        while not state.code.done.all():
            observer.observe(state.code, everyone, seen)
            code.parameter[:], code.placement_cap[:], code.evacuate_below[:] = self.numbers(choose(seen)).T
            simulator.tick(state, code)
            if watch is not None:
                watch(state, np.stack([code.parameter, code.placement_cap, code.evacuate_below], axis=1))
            observer.note(state.code, everyone, fresh=False)
        return [state.meters(copy) for copy in range(n)]

"""``PlacementProblem``: a world and its windows; ``PlacementSettings``: what of it is seen, done and rewarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from rlsched.errors import SpecError
from rlsched.observe.settings import ObservationSettings
from rlsched.sim.world import Window, World


class PlacementSettings(ObservationSettings):
    """What an agent sees of a placement, may choose from, and is rewarded for.

    Parameters
    ----------
    candidates, prior, shortlist, best, devices
        See :class:`~rlsched.observe.settings.ObservationSettings`.
    reward : table term → weight
        Of ``rlsched.reward.compose.REWARDS``.
    """

    reward: dict[str, float] = Field(default_factory=lambda: {"rejected_cpu": 1.0})

    @property
    def observation(self) -> ObservationSettings:
        """The part that a trained policy keeps."""
        return ObservationSettings(**self.model_dump(exclude={"reward"}))


@dataclass(frozen=True)
class PlacementProblem:
    """Episodes of placement: each is one window of one world.

    Parameters
    ----------
    world : World
    windows : sequence of Window
        An episode draws one of them by its seed.

    Raises
    ------
    SpecError
        When there is no window, or one reaches outside the trace.
    """

    world: World
    windows: Sequence[Window]

    def __post_init__(self) -> None:
        if not self.windows:
            raise SpecError("a placement problem needs at least one window.")
        self.world.check(self.windows)

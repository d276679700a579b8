"""``ScalingProblem``: a world and its windows; ``ScalingSettings``: what of it is seen, done and rewarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from rlsched.errors import SpecError
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.reward.scaling import WHOLE_COST
from rlsched.sim.scaling.world import Window, World


class ScalingSettings(ScalingObservation):
    """What an agent sees of a service, may choose, and is rewarded for.

    Parameters
    ----------
    lags, level
        See :class:`~rlsched.observe.scaling_fields.ScalingObservation`.
    actions : {"box", "discrete"}
        Numbers, of which instances are rounded up and the type to the nearest; or choices.
    spot_steps : int
        With ``discrete``: the share on the spot market is chosen in steps of one over this.
    reward : table term → weight
        Of ``rlsched.reward.scaling.SCALING_REWARDS``.
    """

    actions: Literal["box", "discrete"] = "box"
    spot_steps: int = Field(default=4, ge=1, le=1000)
    reward: dict[str, float] = Field(default_factory=lambda: dict(WHOLE_COST))

    @property
    def observation(self) -> ScalingObservation:
        """The part that a trained policy keeps."""
        return ScalingObservation(lags=self.lags, level=self.level)


@dataclass(frozen=True)
class ScalingProblem:
    """Episodes of scaling: each is one window of one world.

    Parameters
    ----------
    world : World
    windows : sequence of Window
        An episode draws one of them by its seed; all with the same number of services.

    Raises
    ------
    SpecError
        When there is no window, one leaves the trace, or services differ in their fewest or most
        instances: one action space has to fit all.
    """

    world: World
    windows: Sequence[Window]

    def __post_init__(self) -> None:
        if not self.windows:
            raise SpecError("a scaling problem needs at least one window.")
        for window in self.windows:
            self.world.check_window(window, len(self.windows[0].rows))
        limits = {
            (self.world.services[row].min_instances, self.world.services[row].max_instances)
            for window in self.windows
            for row in window.rows
        }
        if len(limits) > 1:
            raise SpecError(
                f"all services of a problem must have the same min_instances and max_instances: got {sorted(limits)}. "
                "Make a problem of each."
            )

    @property
    def n_services(self) -> int:
        """Services of each window."""
        return len(self.windows[0].rows)

    @property
    def limits(self) -> tuple[int, int]:
        """Fewest and most instances of a service."""
        service = self.world.services[self.windows[0].rows[0]]
        return service.min_instances, service.max_instances

    def check_history(self, reach: int) -> None:
        """Refuse windows before which the observation would lack demand or a forecast.

        Raises
        ------
        SpecError
        """
        world = self.world
        for window in self.windows:
            if window.lo < reach:
                raise SpecError(
                    f"window {window.name!r} begins at interval {window.lo}: the observation looks back {reach}. "
                    "Begin later, or shorten lags and level."
                )
            if world.horizons.size:
                told = world.forecast[list(window.rows), window.lo : window.hi]
                if np.isnan(told).any():
                    raise SpecError(
                        f"the forecast is missing somewhere in window {window.name!r}: begin later, where every "
                        "forecast could be made."
                    )

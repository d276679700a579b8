"""``ConsolidationProblem``: worlds to run; ``ConsolidationSettings``: what of them is seen, done and rewarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.reward.consolidation import DEFAULT_WEIGHTS, check_weights
from rlsched.sim.consolidation.policy import DETECTIONS, SELECTIONS
from rlsched.sim.consolidation.world import World
from rlsched.sim.semantics import Semantics
from rlsched.spec import Spec

Range = tuple[float, float]
F64 = npt.NDArray[np.float64]

#: What an agent may set the parameter of a detection to, unless the card says otherwise.
PARAMETER_RANGE: dict[str, Range] = {
    "thr": (0.3, 1.0),
    "iqr": (0.0, 4.0),
    "mad": (0.0, 6.0),
    "lr": (0.8, 3.0),
    "lrr": (0.8, 3.0),
}


class ConsolidationSettings(Spec):
    """What an agent does at a tick, and is rewarded for.

    Parameters
    ----------
    actions : {"knobs", "moves"}
        ``knobs``: three numbers a tick, which the rule ``detection`` and ``selection`` works with.
        ``moves``: which VM goes to which machine, one move a step, until the tick is ended or the
        budget is spent.
    detection, selection : str
        Of :mod:`rlsched.sim.consolidation.policy`; knobs only.
    parameter : (low, high), optional
        Overload threshold; see :data:`PARAMETER_RANGE`.
    placement_cap, evacuate_below : (low, high)
        A receiver is filled up to the cap, a share of its CPU; machines loaded below the other
        share are evacuated where all their VMs find a place.
    budget : int
        Moves a tick at most; moves only.
    candidate_vms, candidate_machines : int
        VMs to choose from, and receivers of each; moves only.
    reward : table term → weight
        Of :data:`rlsched.reward.consolidation.REWARDS`.
    pue : float
    """

    actions: Literal["knobs", "moves"] = "knobs"
    detection: str = "lr"
    selection: str = "mmt"
    parameter: Range | None = None
    placement_cap: Range = (0.3, 1.0)
    evacuate_below: Range = (0.0, 1.0)
    budget: int = Field(default=16, ge=1, le=10_000)
    candidate_vms: int = Field(default=8, ge=1, le=10_000)
    candidate_machines: int = Field(default=4, ge=1, le=10_000)
    reward: dict[str, float] = Field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    pue: float = Field(default=1.0, ge=1)

    @field_validator("detection", "selection")
    @classmethod
    def _known(cls, value: str) -> str:
        known = {**DETECTIONS, **SELECTIONS}
        if value not in known:
            raise ValueError(f"{value!r} is not known.{did_you_mean(value, known)}")
        return value

    @field_validator("reward")
    @classmethod
    def _reward_is_one(cls, value: dict[str, float]) -> dict[str, float]:
        try:
            check_weights(value)
        except SpecError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> ConsolidationSettings:
        if self.detection not in DETECTIONS or self.selection not in SELECTIONS:
            raise ValueError("detection and selection are the wrong way round")
        top = {"parameter": 1.0 if self.detection == "thr" else float("inf")}
        for name, (low, high) in self.ranges.items():
            if not 0.0 <= low <= high <= top.get(name, 1.0):
                raise ValueError(f"{name} must be [low, high] within 0..{top.get(name, 1.0):g}: got [{low}, {high}]")
        return self

    @property
    def ranges(self) -> dict[str, Range]:
        """Name → (low, high) of each number of a ``knobs`` action, in order."""
        parameter = self.parameter if self.parameter is not None else PARAMETER_RANGE[self.detection]
        return {"parameter": parameter, "placement_cap": self.placement_cap, "evacuate_below": self.evacuate_below}


@dataclass(frozen=True)
class ConsolidationProblem:
    """Episodes of consolidation: each is one world from its first decision to its last.

    Parameters
    ----------
    worlds : sequence of World
        An episode draws one of them by its seed; see ``rlsched.sim.consolidation.worlds.stack``.
    semantics : Semantics
    names : sequence of str
        Of the worlds; numbers by default.
    forecasts : (D, K, F) float64, optional
        CPU asked for in all, in the unit of ``host_cpu``, that is forecast at the ``K`` decisions of
        each of the ``D`` worlds from what was measured up to then; NaN where not known.
    forecast_names : sequence of str
        One for each of the ``F``.

    Raises
    ------
    SpecError
        Without a world, or where shapes do not agree.
    """

    worlds: Sequence[World]
    semantics: Semantics = field(default_factory=Semantics)
    names: Sequence[str] = ()
    forecasts: F64 | None = None
    forecast_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.worlds:
            raise SpecError("a consolidation problem needs at least one world.")
        n = len(self.worlds)
        object.__setattr__(self, "names", tuple(self.names) or tuple(f"world-{i}" for i in range(n)))
        if len(self.names) != n:
            raise SpecError(f"names must be one a world: got {len(self.names)} for {n} worlds.")
        ticks = len(self.worlds[0].tick_times(self.semantics))
        given = np.zeros((n, ticks, 0)) if self.forecasts is None else np.asarray(self.forecasts, np.float64)
        if given.shape != (n, ticks, len(self.forecast_names)):
            raise SpecError(
                f"forecasts must have shape ({n} worlds, {ticks} ticks, {len(self.forecast_names)} names): "
                f"got {given.shape}."
            )
        if bool((np.isinf(given) | (given < 0)).any()):
            raise SpecError("forecasts of CPU asked for must be finite and >= 0, or NaN where not known.")
        object.__setattr__(self, "forecasts", given)

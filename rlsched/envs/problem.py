"""``PlacementProblem``: a world and its windows; ``PlacementSettings``: what of it is seen, done and rewarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.sim.rules import RULES
from rlsched.sim.world import Window, World
from rlsched.spec import Spec

Blend = dict[str, float]


def _as_blend(value: Any) -> Any:
    """``"best_fit"`` → ``{"best_fit": 1}``; tables stay."""
    return {value: 1.0} if isinstance(value, str) else value


class PlacementSettings(Spec):
    """What an agent sees of a placement, may do, and is rewarded for.

    Parameters
    ----------
    candidates : int or "all"
        ``K``, machines an agent chooses from; ``all``: as many as the largest list has.
    prior : rule, or table rule → weight
        The heuristic learning starts from; it orders the candidates.
    shortlist : list of rules or tables
        Further heuristics that name candidates.
    best : int
        Machines each heuristic names before the prior fills up.
    devices : {"best", "score"}
        Which GPU inside the machine a shared request gets; see ``Heuristic``.
    reward : table term → weight
        Of ``rlsched.reward.compose.REWARDS``.
    """

    candidates: int | Literal["all"] = Field(default=16)
    prior: Blend = Field(default_factory=lambda: {"best_fit": 1.0})
    shortlist: tuple[Blend, ...] = ()
    best: int = Field(default=2, ge=1, le=1000)
    devices: Literal["best", "score"] = "best"
    reward: dict[str, float] = Field(default_factory=lambda: {"rejected_cpu": 1.0})

    @field_validator("candidates")
    @classmethod
    def _some_candidates(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 100_000:
            raise ValueError("must be from 1 to 100000, or 'all'")
        return value

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_a_blend(cls, value: Any) -> Any:
        return _as_blend(value)

    @field_validator("shortlist", mode="before")
    @classmethod
    def _shortlist_of_blends(cls, value: Any) -> Any:
        value = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return [_as_blend(one) for one in value] if isinstance(value, (list, tuple)) else value

    @field_validator("prior", "shortlist")
    @classmethod
    def _known_rules(cls, value: Blend | tuple[Blend, ...]) -> Blend | tuple[Blend, ...]:
        for blend in (value,) if isinstance(value, dict) else value:
            for rule in blend:
                if rule not in RULES:
                    raise ValueError(f"unknown rule {rule!r}.{did_you_mean(rule, RULES)}")
        return value


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
        When there is no window.
    """

    world: World
    windows: Sequence[Window]

    def __post_init__(self) -> None:
        if not self.windows:
            raise SpecError("a placement problem needs at least one window.")

"""``ObservationSettings``: which machines a policy sees, in which order; kept with every trained policy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from rlsched.errors import did_you_mean
from rlsched.sim.rules import RULES
from rlsched.spec import Spec

Blend = dict[str, float]


def _as_blend(value: Any) -> Any:
    """``"best_fit"`` → ``{"best_fit": 1}``; tables stay."""
    return {value: 1.0} if isinstance(value, str) else value


class ObservationSettings(Spec):
    """What an agent sees of a placement and may choose from.

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
    """

    candidates: int | Literal["all"] = 16
    prior: Blend = Field(default_factory=lambda: {"best_fit": 1.0})
    shortlist: tuple[Blend, ...] = ()
    best: int = Field(default=2, ge=1, le=1000)
    devices: Literal["best", "score"] = "best"

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

    @property
    def blends(self) -> tuple[Blend, ...]:
        """The prior and the shortlist."""
        return (self.prior, *self.shortlist)

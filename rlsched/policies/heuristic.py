"""``Heuristic``: a named, documented, tunable blend of scoring rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from rlsched.errors import SpecError, did_you_mean
from rlsched.policies.library.placing import HeuristicDoor

if TYPE_CHECKING:
    from rlsched.sim.select import PolicyArrays

CHOICES = ("score", "random", "round_robin", "next_fit")
DEVICES = ("best", "score", "random")


@dataclass(frozen=True)
class Heuristic(HeuristicDoor):
    """How to choose a machine for a task.

    Every machine that can hold the task gets the weighted sum of the rules; the largest wins,
    the lowest row on ties.

    Parameters
    ----------
    name : str
        As the user writes it.
    weights : mapping of str to float
        Rules of ``rlsched.sim.rules.RULES`` and their weights.
    choice : {"score", "random", "round_robin", "next_fit"}
        By score; uniformly among machines that fit; the next that fits after the last one
        chosen; or the last one chosen again while it fits, then the next.
    devices : {"best", "score", "random"}
        Which GPU inside the machine a shared request gets: the smallest sufficient free share
        (lowest index on ties); the one the fragmentation score is best for; any that fits.
    shape : tuple of (float, float)
        Points (percent used, score) of ``requested_to_capacity``.
    doc, source : str
        One line for lists; where the rule comes from.
    """

    name: str
    weights: Mapping[str, float] = field(default_factory=dict)
    choice: Literal["score", "random", "round_robin", "next_fit"] = "score"
    devices: Literal["best", "score", "random"] = "best"
    shape: tuple[tuple[float, float], ...] = ((0.0, 0.0), (100.0, 100.0))
    doc: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        from rlsched.sim.rules import RULES

        for rule, weight in self.weights.items():
            if rule not in RULES:
                raise SpecError(f"policy {self.name!r}: unknown rule {rule!r}.{did_you_mean(rule, RULES)}")
            if not np.isfinite(weight):
                raise SpecError(f"policy {self.name!r}: weight of {rule} must be finite: got {weight}.")
        for what, value, known in (("choice", self.choice, CHOICES), ("devices", self.devices, DEVICES)):
            if value not in known:
                raise SpecError(f"policy {self.name!r}: unknown {what} {value!r}.{did_you_mean(value, known)}")
        percents = [x for x, _ in self.shape]
        if len(percents) < 2 or percents != sorted(set(percents)):
            raise SpecError(f"policy {self.name!r}: shape needs two or more points with ascending percents.")

    @property
    def needs_typical(self) -> bool:
        """True when the rules measure fragmentation, which needs typical requests."""
        from rlsched.sim.rules import NEEDS_TYPICAL, RULES

        return any(RULES.index(rule) in NEEDS_TYPICAL for rule in self.weights)

    @property
    def needs_residents(self) -> bool:
        """True when the rules look at the tasks already on a machine."""
        return "lifetime" in self.weights

    def arrays(self) -> PolicyArrays:
        """The heuristic as the compiled loop reads it."""
        from rlsched.sim.rules import COSTLY, RULES, TIMED
        from rlsched.sim.select import PolicyArrays

        rules = [RULES.index(rule) for rule in self.weights] or [0]
        weights = list(self.weights.values()) or [0.0]
        return PolicyArrays(
            CHOICES.index(self.choice),
            DEVICES.index(self.devices),
            not any(rule in TIMED for rule in rules),
            0 if any(rule in COSTLY for rule in rules) else 3,
            np.array(rules, dtype=np.int64),
            np.array(weights, dtype=np.float64),
            np.ascontiguousarray(np.array(self.shape, dtype=np.float64).T),
        )

"""Rewards of ``rlsched/Scaling-v0``: minus the parts of the cost, each a named term with a weight."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.reward.term import Term
from rlsched.sim.scaling.state import COST

#: Term → what it measures. In the order of ``rlsched.sim.scaling.state.COST``.
SCALING_REWARDS: dict[str, Term] = {
    term.name: term
    for term in (
        Term(
            "instances",
            "−Σ_i price_i · interval",
            "USD",
            "step",
            "Instances billed, and the rest of the shortest billing time of those that went too early.",
        ),
        Term("starts", "−Σ orders · start_usd", "USD", "step", "Orders of instances."),
        Term("unmet", "−lost · unmet_usd_per_unit_h · interval", "USD", "step", "Work lost in the interval."),
        Term("late", "−waiting · late_usd_per_unit_h · interval", "USD", "step", "Work that waits at its end."),
        Term("credits", "−share · bill", "USD", "step", "Given back to the customer, at the end of the window."),
    )
}
#: Every part of the cost counts as it is: the return is minus the window's ``cost_usd``.
WHOLE_COST = dict.fromkeys(SCALING_REWARDS, 1.0)


def reward_weights(weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Weights in the order of the cost's parts, (5,) float64.

    Raises
    ------
    SpecError
        Unknown term, weight not finite, or none given.
    """
    if not weights:
        raise SpecError(f"a reward needs at least one term.{did_you_mean('', SCALING_REWARDS)}")
    out = np.zeros(len(COST))
    names = list(SCALING_REWARDS)
    for name, weight in weights.items():
        if name not in names:
            raise SpecError(f"unknown reward {name!r}.{did_you_mean(name, names)}")
        if not math.isfinite(weight):
            raise SpecError(f"the weight of reward {name} must be finite: got {weight}.")
        out[names.index(name)] = weight
    return out

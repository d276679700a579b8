"""Rewards of ``rlsched/Consolidation-v0``: minus a weighted sum of named costs of one tick.

Each is a share that means the same on any cluster. With the default weights a tick in which
1 % of the CPU asked for is not given costs as much as one that draws 20 % of all machines' full
power, and moving every hundredth VM as much as 1 % of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.reward.term import Term
from rlsched.sim.consolidation.state import (
    ACTIVE,
    ENERGY,
    MIGRATIONS,
    REQUESTED,
    SHORT,
    SHUTDOWNS,
    VIOLATION,
    StateCode,
)

F64 = npt.NDArray[np.float64]


def _term(name: str, formula: str, unit: str, doc: str) -> Term:
    return Term(name=name, formula=formula, unit=unit, span="step", doc=doc)


#: Every term by name, in the order of ``ConsolidationRewarder.terms``.
REWARDS: dict[str, Term] = {
    term.name: term
    for term in (
        _term(
            "energy",
            "−PUE · energy of the tick / (Σ_m full power_m · tick)",
            "share of the energy of all machines at full power",
            "Waking a machine counts when it is woken.",
        ),
        _term("unmet", "−CPU asked and not given / CPU asked", "share", "Of all VMs, over the tick."),
        _term("moves", "−live migrations started / VMs", "share of the VMs", "Each move counts."),
        _term(
            "violation",
            "−machine-seconds with less given than asked / machine-seconds on",
            "share",
            "SLATAH of the tick.",
        ),
        _term("shutdowns", "−machines shut down / machines", "share of the machines", "Wear of switching."),
    )
}
#: Energy + 20 · unmet share + moves.
DEFAULT_WEIGHTS = {"energy": 1.0, "unmet": 20.0, "moves": 1.0}


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse unknown terms, and weights that cannot be.

    Raises
    ------
    SpecError
    """
    if not weights:
        raise SpecError(f"a reward needs at least one term.{did_you_mean('', REWARDS)}")
    for name, weight in weights.items():
        if name not in REWARDS:
            raise SpecError(f"unknown reward {name!r}.{did_you_mean(name, REWARDS)}")
        if not math.isfinite(weight):
            raise SpecError(f"the weight of reward {name} must be finite: got {weight}.")


class ConsolidationRewarder:
    """Measures the reward of one tick of every copy.

    Parameters
    ----------
    n_copies : int
    weights : mapping of str to float
    pue : float
        Energy of the whole data centre over that of the machines, ``>= 1``.

    Raises
    ------
    SpecError
        See :func:`check_weights`.
    """

    def __init__(self, n_copies: int, weights: Mapping[str, float], pue: float = 1.0) -> None:
        check_weights(weights)
        self.weights = dict(weights)
        self._weight = np.array([weights.get(name, 0.0) for name in REWARDS])
        self._pue = pue
        self._sums = np.zeros((n_copies, 5))
        self._counts = np.zeros((n_copies, 2), np.int64)
        #: Value of each term of :data:`REWARDS` at the last tick, (N, 5), unweighted, at most 0.
        self.terms: F64 = np.zeros((n_copies, len(REWARDS)))

    def before(self, s: StateCode) -> None:
        """Note the meters before the decision."""
        self._sums[:] = s.sums[:, [ENERGY, REQUESTED, SHORT, ACTIVE, VIOLATION]]
        self._counts[:] = s.counts[:, [MIGRATIONS, SHUTDOWNS]]

    def after(self, s: StateCode, full_ws: F64, n_vms: F64, n_hosts: F64, out: F64) -> F64:
        """Fill ``out`` (N,) with the reward of the tick; the scales are those of each copy's world, (N,)."""
        energy, requested, short, active, violation = (
            s.sums[:, [ENERGY, REQUESTED, SHORT, ACTIVE, VIOLATION]] - self._sums
        ).T
        moves, shutdowns = (s.counts[:, [MIGRATIONS, SHUTDOWNS]] - self._counts).T
        terms = self.terms
        terms[:, 0] = -self._pue * energy / full_ws
        # Nothing asked for (or nothing on): nothing is short either, and 0 / 1 is 0.
        terms[:, 1] = -short / np.where(requested > 0, requested, 1.0)
        terms[:, 2] = -moves / n_vms
        terms[:, 3] = -violation / np.where(active > 0, active, 1.0)
        terms[:, 4] = -shutdowns / n_hosts
        out[:] = (terms * self._weight).sum(axis=1)  # not a matrix product: its last bit depends on N
        return out

"""Rewards composed of named terms: ``reward = Σ weight · term``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.reward import cost, energy, fragmentation, rejection
from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import copy_of
from rlsched.sim.state import State
from rlsched.sim.world import World

F64 = npt.NDArray[np.float64]

#: The one table of terms. A new one is a file, a line here, and a branch of `_measure`.
REWARDS: dict[str, Term] = {
    term.name: term for term in (fragmentation.TERM, rejection.CPU, rejection.GPU, energy.TERM, cost.TERM)
}
_FRAGMENTATION, _REJECTED_CPU, _REJECTED_GPU, _ENERGY, _COST = range(5)
_NAMES = tuple(REWARDS)
#: Quantities that are not zeroed when the warm-up ends.
_LASTING = (_FRAGMENTATION,)


class Rewarder:
    """Measures the reward of one decision of every copy.

    Call :meth:`before` where all copies wait for a decision, :meth:`placed` when they have
    decided, and :meth:`after` when the clock has moved to the next decision.

    Parameters
    ----------
    world : World
    n_copies : int
    weights : mapping of str to float
        Name of :data:`REWARDS` → weight.

    Raises
    ------
    SpecError
        Unknown term, weight not finite, none given, or a term this world cannot measure.
    """

    def __init__(self, world: World, n_copies: int, weights: Mapping[str, float]) -> None:
        check_weights(weights, world.options.fragmentation)
        self.world = world
        self.weights = dict(weights)
        self._code = np.array([_NAMES.index(name) for name in weights], np.int64)
        self._weight = np.array(list(weights.values()), np.float64)
        spans = [REWARDS[name].span == "placement" for name in weights]
        self._at_placement, self._at_step = np.array(spans), ~np.array(spans)
        self._lasting = np.isin(self._code, _LASTING)
        shape = (n_copies, len(weights))
        self._before, self._placed, self._after = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._metered = np.zeros(n_copies, np.int64)
        #: Value of each term at the last decision, (N, terms), unweighted.
        self.terms: F64 = np.zeros(shape)

    def before(self, state: State) -> None:
        """Note the quantities before the decision."""
        _measure_all(self.world.arrays, state.arrays, self._code, self._before)
        self._metered[:] = state.arrays.counter[:, st.C_METERED]

    def placed(self, state: State) -> None:
        """Note them right after the decision, before the clock moves."""
        _measure_all(self.world.arrays, state.arrays, self._code, self._placed)

    def after(self, state: State, out: F64) -> F64:
        """Fill ``out`` (N,) float64 with the reward of the decision; returns it."""
        _measure_all(self.world.arrays, state.arrays, self._code, self._after)
        began = self._metered != state.arrays.counter[:, st.C_METERED]
        if began.any():  # meters were zeroed on the way: growth counts from there
            zeroed = began[:, None] & ~self._lasting[None, :]
            self._before[zeroed] = 0.0
        self.terms[:, self._at_placement] = (self._before - self._placed)[:, self._at_placement]
        self.terms[:, self._at_step] = (self._before - self._after)[:, self._at_step]
        out[:] = (self.terms * self._weight).sum(axis=1)  # not a matrix product: its last bit depends on N
        return out


def check_weights(weights: Mapping[str, float], measured: str) -> None:
    """Refuse unknown terms, and weights that cannot be.

    Parameters
    ----------
    weights : mapping of str to float
    measured : str
        The world's ``fragmentation`` option.

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
    if "fragmentation" in weights and measured == "none":
        raise SpecError("reward 'fragmentation' needs a world that measures it: set fragmentation to 'gpu' or 'cpu'.")


@bare_njit
def _measure(w: Any, c: Any, code: Any) -> Any:
    if code == _FRAGMENTATION:
        return fragmentation.measure_fragmentation(w, c)
    if code == _REJECTED_CPU:
        return rejection.measure_rejection(w, c, False)
    if code == _REJECTED_GPU:
        return rejection.measure_rejection(w, c, True)
    if code == _ENERGY:
        return energy.measure_energy(w, c)
    return cost.measure_cost(w, c)


@bare_njit
def _measure_all(w: Any, s: Any, code: Any, out: Any) -> None:
    for n in range(s.counter.shape[0]):
        c = copy_of(s, n)
        for term in range(code.shape[0]):
            out[n, term] = _measure(w, c, code[term])

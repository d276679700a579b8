"""Gymnasium spaces of ``rlsched/Placement-v0``, built from the table of features."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from rlsched.observe.features import CANDIDATE_FEATURES, GLOBAL_FEATURES


def observation_space(n_candidates: int) -> gymnasium.spaces.Dict:
    """``candidates (K, F)``, ``globals (G,)`` float32 in the ranges of the table; ``action_mask (K,)`` int8."""
    f32 = np.float32
    low = np.tile(np.array([feature.low for feature in CANDIDATE_FEATURES], f32), (n_candidates, 1))
    high = np.tile(np.array([feature.high for feature in CANDIDATE_FEATURES], f32), (n_candidates, 1))
    return gymnasium.spaces.Dict(
        {
            "candidates": gymnasium.spaces.Box(low, high, dtype=f32),
            "globals": gymnasium.spaces.Box(
                np.array([feature.low for feature in GLOBAL_FEATURES], f32),
                np.array([feature.high for feature in GLOBAL_FEATURES], f32),
                dtype=f32,
            ),
            "action_mask": gymnasium.spaces.MultiBinary(n_candidates),
        }
    )


class MaskedDiscrete(gymnasium.spaces.Discrete):  # type: ignore[type-arg]
    """``Discrete(K)`` whose ``sample()`` draws among the candidates that are allowed at that moment.

    A masked action is an error in this environment, so a blind sample would be too. Everything
    else is ``Discrete``: ``contains`` accepts all K numbers, equality compares K.

    Parameters
    ----------
    n : int
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.mask: npt.NDArray[np.int8] = np.ones(n, np.int8)

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        """Draw one allowed candidate; a mask or probabilities that are given win."""
        if mask is None and probability is None:
            mask = self.mask
        return super().sample(mask=mask, probability=probability)

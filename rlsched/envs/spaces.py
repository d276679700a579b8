"""Gymnasium spaces of ``rlsched/Placement-v0``, built from the table of features; spaces that know the mask."""

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


class MaskedMultiDiscrete(gymnasium.spaces.MultiDiscrete):
    """As :class:`MaskedDiscrete`, one choice of ``n`` a copy: ``sample()`` draws where each copy's mask is 1.

    Everything else is ``MultiDiscrete``.

    Parameters
    ----------
    n_copies, n : int

    Attributes
    ----------
    mask : (n_copies, n) int8
        Of the present decisions; at least one is 1 in each row.
    """

    def __init__(self, n_copies: int, n: int) -> None:
        super().__init__(np.full(n_copies, n))
        self.mask: npt.NDArray[np.int8] = np.ones((n_copies, n), np.int8)

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        """Draw one allowed candidate a copy; a mask or probabilities that are given win."""
        if mask is not None or probability is not None:
            return super().sample(mask=mask, probability=probability)
        allowed = self.mask.cumsum(axis=1)
        nth = (self.np_random.random(len(allowed)) * allowed[:, -1]).astype(np.int64)
        # The first column where more are allowed than are skipped is the one after them.
        return (allowed > nth[:, None]).argmax(axis=1).astype(self.dtype)

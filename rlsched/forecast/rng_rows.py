"""Rows drawn once and for all, where a fit needs fewer windows than there are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.rng import stream


def sample_rows(n: int, count: int, seed: int = 0, name: str = "rows") -> npt.NDArray[np.int64]:
    """Ascending rows, ``count`` of ``n`` without repeats; all where there are fewer."""
    if n <= count:
        return np.arange(n)
    return np.sort(stream(seed, name).choice(n, size=count, replace=False))

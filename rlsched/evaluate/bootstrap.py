"""Percentile bootstrap over windows and seeds.

Values lie in a grid, one row a window and one column a seed. A resample draws windows with
replacement and, independently, seeds with replacement, and averages the grid they span; where
there is one seed only windows are drawn. Policies share their draws, so a difference of two is
resampled as a difference: paired. Drawing both axes gives intervals that are on the wide side
(Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007); the percentile
interval itself is too narrow for few windows, which is why a verdict needs a minimum of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rlsched.rng import stream

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Parameters
    ----------
    mean : float
        Of the known values; NaN when there are none.
    low, high : float
        Ends of the interval; NaN with fewer than two windows.
    n : int
        Values the mean is of.
    n_windows : int
        Windows they come from.
    p : float
        Two-sided bootstrap p-value of "the mean is 0": twice the smaller share of resampled
        means on one side of 0, plus one in numerator and denominator.
    """

    mean: float
    low: float
    high: float
    n: int
    n_windows: int
    p: float


@dataclass(frozen=True)
class Bootstrap:
    """How resamples are drawn.

    Parameters
    ----------
    resamples : int
    level : float
        Of the interval, e.g. 0.95.
    seed : int
    """

    resamples: int = 10_000
    level: float = 0.95
    seed: int = 0

    def interval(self, values: F64) -> Interval:
        """Mean and interval of a grid.

        Parameters
        ----------
        values : (W, S) float64
            One row a window, one column a seed. A window with an unknown (NaN) value is left
            out; ``n`` says how many are in.
        """
        known = values[~np.isnan(values).any(axis=1)]
        n_windows = known.shape[0]
        if n_windows == 0:
            return Interval(math.nan, math.nan, math.nan, 0, 0, math.nan)
        mean = float(known.mean())
        if n_windows == 1:
            return Interval(mean, math.nan, math.nan, known.size, 1, math.nan)
        means = self.means(known)
        tail = (1.0 - self.level) / 2.0
        low, high = np.quantile(means, [tail, 1.0 - tail])
        # An equal value in every window leaves rounding, not spread.
        if known.min() == known.max():
            low = high = mean = float(known[0, 0])
            means = np.full(self.resamples, mean)
        below, above = int((means <= 0).sum()), int((means >= 0).sum())
        p = min(1.0, 2.0 * (min(below, above) + 1) / (self.resamples + 1))
        return Interval(mean, float(low), float(high), known.size, n_windows, p)

    def means(self, values: F64) -> F64:
        """Resampled means of a grid without unknown values, (resamples,) float64."""
        windows, seeds = _shares(values.shape[0], values.shape[1], self.resamples, self.seed)
        out: F64 = ((windows @ values) * seeds).sum(axis=1)
        return out


@lru_cache(maxsize=8)
def _shares(n_windows: int, n_seeds: int, resamples: int, seed: int) -> tuple[F64, F64]:
    """How much of each resample is each window (B, W), and each seed (B, S); rows sum to 1."""
    return (
        _drawn(n_windows, resamples, stream(seed, "bootstrap", "windows")),
        _drawn(n_seeds, resamples, stream(seed, "bootstrap", "seeds")),
    )


def _drawn(n: int, resamples: int, draw: np.random.Generator) -> F64:
    picked = draw.integers(0, n, size=(resamples, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], picked), 1.0)
    return counts / n

"""Percentile bootstrap over windows and seeds.

Values lie in a grid, one row a window and one column a seed: of the random numbers a policy
draws, or of the training that made it. A resample draws windows with replacement and,
independently, seeds with replacement, and averages the grid they span; where there is one seed
only windows are drawn. Policies share their draws, so a difference of two is resampled as a
difference: paired. Two policies with different numbers of seeds share windows only: each has
seeds of its own, a third axis. So has a policy trained several times where seeds are the world's
(they deal out VM sizes, or take spot instances back): its training runs are an axis of their own,
drawn besides. Drawing every axis gives intervals that are on the wide side
(Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007); the percentile
interval itself is too narrow for few windows, which is why a verdict needs a minimum of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug
from rlsched.rng import stream

F64 = npt.NDArray[np.float64]
_CHUNK = 1000  # resamples whose weights are held at a time


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
        values : (W, S), (W, S, R) or (W, S, R, R') float64
            One row a window, one column a seed; further axes where training runs, or policies of
            a difference, have seeds of their own. A window with an unknown (NaN) value is left out;
            ``n`` says how many values are in.
        """
        known = _known(values)
        return self._interval(known, float(known.mean()) if known.size else math.nan, self.means)

    def iqm(self, values: F64) -> Interval:
        """Interquartile mean: of the middle half of all values, whatever window or seed they are of.

        A few disastrous windows move it less than the mean, and it uses more of the data than
        the median (Agarwal et al., "Deep reinforcement learning at the edge of the statistical
        precipice", NeurIPS 2021). Where a quarter is not a whole number of values, those at its
        edge count in part.

        Parameters
        ----------
        values : (W, S) float64
            As for :meth:`interval`.
        """
        known = _known(values)
        middle = math.nan
        if known.size:
            middle = float(_middle_half(known.ravel(), np.full((1, known.size), 1.0 / known.size))[0])
        return self._interval(known, middle, self._middles)

    def spread(self, values: F64) -> float:
        """Standard error of the mean: spread of the resampled means; NaN with fewer than two windows.

        Resampling ``W`` windows gives a variance that is ``(W - 1) / W`` of the right one; this
        one is put right.
        """
        known = _known(values)
        n = known.shape[0]
        return float(self.means(known).std() * math.sqrt(n / (n - 1))) if n > 1 else math.nan

    def means(self, values: F64) -> F64:
        """Resampled means of a grid without unknown values, (resamples,) float64."""
        windows, seeds = _shares(values.shape[0], values.shape[1], self.resamples, self.seed)
        drawn = windows @ values.reshape(values.shape[0], -1)
        if values.ndim == 2:
            return np.asarray((drawn * seeds).sum(axis=1))
        grid = np.einsum("bi...,bi->b...", drawn.reshape(-1, *values.shape[1:]), seeds)
        for axis in range(2, values.ndim):
            grid = np.einsum("bj...,bj->b...", grid, self._runs(values, axis))
        return np.asarray(grid)

    def _runs(self, values: F64, axis: int) -> F64:
        return _other_seeds(values.shape[axis], axis, self.resamples, self.seed)

    def _middles(self, known: F64) -> F64:
        windows, seeds = _shares(known.shape[0], known.shape[1], self.resamples, self.seed)
        out = np.empty(self.resamples)
        for at in range(0, self.resamples, _CHUNK):
            part = slice(at, at + _CHUNK)
            weight = windows[part, :, None] * seeds[part, None, :]
            for axis in range(2, known.ndim):
                weight = weight[..., None] * self._runs(known, axis)[part].reshape(-1, *(1,) * axis, known.shape[axis])
            out[part] = _middle_half(known.ravel(), weight.reshape(len(weight), -1))
        return out

    def _interval(self, known: F64, centre: float, resample: Callable[[F64], F64]) -> Interval:
        n_windows = known.shape[0]
        if n_windows == 0:
            return Interval(math.nan, math.nan, math.nan, 0, 0, math.nan)
        if n_windows == 1:
            return Interval(centre, math.nan, math.nan, known.size, 1, math.nan)
        found = resample(known)
        tail = (1.0 - self.level) / 2.0
        low, high = np.quantile(found, [tail, 1.0 - tail])
        # An equal value in every window leaves rounding, not spread.
        if known.min() == known.max():
            low = high = centre = float(known.flat[0])
            found = np.full(self.resamples, centre)
        below, above = int((found <= 0).sum()), int((found >= 0).sum())
        p = min(1.0, 2.0 * (min(below, above) + 1) / (self.resamples + 1))
        return Interval(centre, float(low), float(high), known.size, n_windows, p)


def difference_of(of_a: F64, of_b: F64) -> F64:
    """``a - b`` by window and seed.

    Parameters
    ----------
    of_a, of_b : (W, S) float64, or (W, S, R) with training runs
        Equally many seeds are paired; one column is paired with every seed of the other. So are runs.

    Returns
    -------
    (W, S) or (W, S, R) float64; or (W, S_a, S_b), (W, S, R_a, R_b) where both have several, and not equally many
        Every seed, or run, of one with every one of the other.

    Raises
    ------
    OurBug
        When policies with training runs were played on different seeds of the world.
    """
    if max(of_a.ndim, of_b.ndim) == 3:
        wide_a, wide_b = (one if one.ndim == 3 else one[:, :, None] for one in (of_a, of_b))
        if wide_a.shape[1] != wide_b.shape[1] and min(wide_a.shape[1], wide_b.shape[1]) > 1:
            raise OurBug(f"policies were played on {wide_a.shape[1]} and {wide_b.shape[1]} seeds of the world.")
        if wide_a.shape[2] != wide_b.shape[2] and min(wide_a.shape[2], wide_b.shape[2]) > 1:
            return np.asarray(wide_a[:, :, :, None] - wide_b[:, :, None, :])
        return np.asarray(np.subtract(wide_a, wide_b))
    if of_a.shape[1] != of_b.shape[1] and min(of_a.shape[1], of_b.shape[1]) > 1:
        return np.asarray(of_a[:, :, None] - of_b[:, None, :])
    return np.asarray(np.subtract(of_a, of_b))


def _known(values: F64) -> F64:
    """The windows of which every value is known."""
    return values[~np.isnan(values).any(axis=tuple(range(1, values.ndim)))]


def _middle_half(values: F64, weights: F64) -> F64:
    """Mean of the middle half by weight: ``values (V,)``, ``weights (B, V)`` with rows that sum to 1 → (B,)."""
    order = np.argsort(values, kind="stable")
    weight = weights[:, order]
    upper = np.cumsum(weight, axis=1)
    inside = np.maximum(np.minimum(upper, 0.75) - np.maximum(upper - weight, 0.25), 0.0)
    return np.asarray(inside @ values[order] / inside.sum(axis=1))


@lru_cache(maxsize=8)
def _shares(n_windows: int, n_seeds: int, resamples: int, seed: int) -> tuple[F64, F64]:
    """How much of each resample is each window (B, W), and each seed (B, S); rows sum to 1."""
    return (
        _drawn(n_windows, resamples, stream(seed, "bootstrap", "windows")),
        _drawn(n_seeds, resamples, stream(seed, "bootstrap", "seeds")),
    )


@lru_cache(maxsize=8)
def _other_seeds(n_seeds: int, axis: int, resamples: int, seed: int) -> F64:
    """Shares along an axis of its own: seeds of the second policy, or training runs."""
    name = "other seeds" if axis == 2 else f"other seeds {axis}"
    return _drawn(n_seeds, resamples, stream(seed, "bootstrap", name))


def _drawn(n: int, resamples: int, draw: np.random.Generator) -> F64:
    picked = draw.integers(0, n, size=(resamples, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], picked), 1.0)
    return counts / n

"""Who is better than whom: paired differences with intervals, and a word for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.rng import stream

F64 = npt.NDArray[np.float64]

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
#: With fewer windows a difference of one sign in all of them happens by chance more often than
#: once in twenty (sign test: 2 / 2**5 = 6 %), whatever the interval says.
MIN_WINDOWS = 6


@dataclass(frozen=True)
class Verdict:
    """Policy ``a`` against policy ``b`` on one metric.

    Parameters
    ----------
    a, b, metric : str
    difference : float
        Mean of ``a`` minus mean of ``b`` over the windows both know, in the metric's unit.
    ci_low, ci_high : float
        Bootstrap interval of the difference, paired by window and seed; NaN with one window.
    verdict : {"better", "worse", "no difference shown"}
        For ``a``: better or worse where the interval does not touch 0, ``p <= 0.05``, and there are
        at least :data:`MIN_WINDOWS` windows.
    p : float
        Of the paired sign-flip test over windows, two-sided, uncorrected; NaN with one window.
    """

    a: str
    b: str
    metric: str
    difference: float
    ci_low: float
    ci_high: float
    verdict: str
    p: float


def judge(a: str, b: str, metric: str, better: str, of_a: F64, of_b: F64, bootstrap: Bootstrap) -> Verdict:
    """Compare two policies on one metric.

    Parameters
    ----------
    a, b, metric : str
    better : {"down", "up"}
    of_a, of_b : (W, S) or (W, 1) float64
        Values by window and seed; one column is a policy without random numbers, and is paired
        with every seed of the other.
    bootstrap : Bootstrap
    """
    if better not in ("down", "up"):
        raise OurBug(f"nobody can win on {metric}: its better direction is {better!r}.")
    difference = np.subtract(of_a, of_b)
    gap = bootstrap.interval(difference)
    p = sign_flip_p(difference, bootstrap.seed)
    word = NO_DIFFERENCE
    # The percentile bootstrap is too sure of itself on ten windows, so the exact test must agree.
    if gap.n_windows >= MIN_WINDOWS and not math.isnan(gap.low) and (gap.low > 0 or gap.high < 0) and p <= 0.05:
        word = BETTER if (gap.high < 0) == (better == "down") else WORSE
    return Verdict(a, b, metric, gap.mean, gap.low, gap.high, word, p)


def sign_flip_p(difference: F64, seed: int = 0) -> float:
    """P-value of no difference: how often flipping the signs of windows gives as large a mean.

    Exact up to 14 windows (all ``2**W`` flips), beyond that over 20,000 drawn ones, the observed
    one included (Fisher 1935; Phipson and Smyth 2010).

    Parameters
    ----------
    difference : (W, S) float64
        Windows with a NaN are left out, as in the interval.
    seed : int

    Returns
    -------
    float
        Between ``2**(1 - W)`` and 1; NaN with fewer than two windows.
    """
    means = difference.mean(axis=1)
    means = means[~np.isnan(means)]
    n = means.size
    if n < 2:
        return math.nan
    if n <= 14:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).mean())
    signs = stream(seed, "sign flips").integers(0, 2, (19_999, n)) * 2 - 1
    return (1 + int((np.abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).sum())) / 20_000


def judge_all(
    values: Mapping[str, Mapping[str, F64]],
    against: Sequence[str],
    metrics: Mapping[str, str],
    bootstrap: Bootstrap,
) -> list[Verdict]:
    """Every policy against every opponent, on every metric where both are known.

    Parameters
    ----------
    values : policy → metric → (W, S) float64
    against : sequence of str
        Opponents; two of them are compared both ways round, so that either can be looked up.
    metrics : mapping of str to {"down", "up"}
    bootstrap : Bootstrap
    """
    out = []
    for metric, better in metrics.items():
        for b in against:
            for a in values:
                if a == b:
                    continue
                verdict = judge(a, b, metric, better, values[a][metric], values[b][metric], bootstrap)
                if not math.isnan(verdict.difference):
                    out.append(verdict)
    return out


def leader(values: Mapping[str, F64], better: str) -> str:
    """The policy with the best mean; the first on ties.

    Parameters
    ----------
    values : policy → (W, S) float64
    better : {"down", "up"}

    Returns
    -------
    str
        ``""`` when no policy has a known value.
    """
    means = {name: float(np.nanmean(grid)) for name, grid in values.items() if not np.isnan(grid).all()}
    if not means:
        return ""
    return min(means, key=lambda name: means[name] if better == "down" else -means[name])


def holm_keeps(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which of many p-values stay below ``level`` after Holm's correction (Holm 1979).

    Returns
    -------
    list of bool
        In the order given; a NaN is never kept.
    """
    order = sorted(range(len(p_values)), key=lambda i: math.inf if math.isnan(p_values[i]) else p_values[i])
    kept = [False] * len(p_values)
    for rank, i in enumerate(order):
        if not p_values[i] <= level / (len(p_values) - rank):
            break
        kept[i] = True
    return kept

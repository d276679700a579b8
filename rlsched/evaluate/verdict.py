"""Who is better than whom: paired differences with intervals, and a word for each.

A verdict stands on three legs: the bootstrap interval does not touch 0, the exact sign-flip test
agrees, and it still does when all comparisons on the metric are judged together (:func:`correct`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug
from rlsched.evaluate.bootstrap import Bootstrap, difference_of
from rlsched.rng import stream

F64 = npt.NDArray[np.float64]

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
#: With fewer windows a difference of one sign in all of them happens by chance more often than
#: once in twenty (sign test: 2 / 2**5 = 6 %), whatever the interval says.
MIN_WINDOWS = 6
#: Normal quantiles of 97.5 % (a two-sided test at 5 %) and 80 % (of the times it is to be found).
_DETECT_Z = 1.959964 + 0.841621
_EXACT_WINDOWS = 14  # up to here every flip of signs is gone through
_DRAWN_FLIPS = 19_999


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
    improvement, improvement_low, improvement_high : float
        Probability that ``a`` does better than ``b`` on a window (and seeds), ties counted half,
        with its bootstrap interval (Agarwal et al., NeurIPS 2021).
    detectable : float
        The smallest difference these windows could have shown: one this large would be found in
        four of five such comparisons, before any correction. 2.8 standard errors.
    p_corrected, p_holm : float
        See :func:`correct`; NaN before it.
    """

    a: str
    b: str
    metric: str
    difference: float
    ci_low: float
    ci_high: float
    verdict: str
    p: float
    improvement: float = math.nan
    improvement_low: float = math.nan
    improvement_high: float = math.nan
    detectable: float = math.nan
    p_corrected: float = math.nan
    p_holm: float = math.nan

    @property
    def turned(self) -> Verdict:
        """The same comparison from the other side."""
        return replace(
            self,
            a=self.b,
            b=self.a,
            difference=-self.difference,
            ci_low=-self.ci_high,
            ci_high=-self.ci_low,
            verdict={BETTER: WORSE, WORSE: BETTER}.get(self.verdict, self.verdict),
            improvement=1.0 - self.improvement,
            improvement_low=1.0 - self.improvement_high,
            improvement_high=1.0 - self.improvement_low,
        )


def judge(a: str, b: str, metric: str, better: str, of_a: F64, of_b: F64, bootstrap: Bootstrap) -> Verdict:
    """Compare two policies on one metric.

    Parameters
    ----------
    a, b, metric : str
    better : {"down", "up"}
    of_a, of_b : (W, S) or (W, 1) float64
        Values by window and seed; see :func:`rlsched.evaluate.bootstrap.difference_of`.
    bootstrap : Bootstrap
    """
    if better not in ("down", "up"):
        raise OurBug(f"nobody can win on {metric}: its better direction is {better!r}.")
    difference = difference_of(of_a, of_b)
    gap = bootstrap.interval(difference)
    p = sign_flip_p(difference, bootstrap.seed)
    word = NO_DIFFERENCE
    # The percentile bootstrap is too sure of itself on ten windows, so the exact test must agree.
    if gap.n_windows >= MIN_WINDOWS and not math.isnan(gap.low) and (gap.low > 0 or gap.high < 0) and p <= 0.05:
        word = BETTER if (gap.high < 0) == (better == "down") else WORSE
    sign = -1.0 if better == "down" else 1.0
    wins = bootstrap.interval(np.where(np.isnan(difference), np.nan, 0.5 + 0.5 * np.sign(sign * difference)))
    return Verdict(
        a, b, metric, gap.mean, gap.low, gap.high, word, p,
        wins.mean, wins.low, wins.high, _DETECT_Z * bootstrap.spread(difference),
    )  # fmt: skip


def sign_flip_p(difference: F64, seed: int = 0) -> float:
    """P-value of no difference: how often flipping the signs of windows gives as large a mean.

    Exact up to 14 windows (all ``2**W`` flips), beyond that over 20,000 drawn ones, the observed
    one included (Fisher 1935; Phipson and Smyth 2010).

    Parameters
    ----------
    difference : (W, S) or (W, S, S') float64
        Windows with a NaN are left out, as in the interval.
    seed : int

    Returns
    -------
    float
        Between ``2**(1 - W)`` and 1; NaN with fewer than two windows.
    """
    means = _by_window(difference)
    means = means[~np.isnan(means)]
    if means.size < 2:
        return math.nan
    flips, drawn = _flips(means.size, seed)
    extreme = np.abs(flips @ means) >= abs(means.sum()) * (1 - 1e-12)
    # Of drawn flips the observed one is counted besides.
    return (1 + int(extreme.sum())) / (len(flips) + 1) if drawn else float(extreme.mean())


def correct(
    verdicts: Sequence[Verdict], values: Mapping[str, Mapping[str, F64]], *, level: float = 0.05, seed: int = 0
) -> list[Verdict]:
    """Judge all comparisons on a metric together, so that one in twenty such *tables* errs, not one in twenty cells.

    ``p_corrected`` is that of the step-down max-T procedure (Westfall and Young, Resampling-based
    multiple testing, 1993): the signs of whole windows are flipped for all comparisons at once,
    and each difference, divided by its root sum of squares, is held against the largest among
    those not larger than it. It keeps the chance of any wrong verdict on the metric below
    ``level``, and it knows that comparisons on the same windows resemble each other. ``p_holm``
    is Holm's (1979), which does not: with few windows it cannot fall below the number of
    comparisons times ``2**(1 - W)``, so it is shown beside and does not decide.

    Parameters
    ----------
    verdicts : sequence of Verdict
        A comparison that is there from both sides counts once.
    values : policy → metric → (W, S) float64
        What they were made from.
    level : float
    seed : int
        Of drawn flips.

    Returns
    -------
    list of Verdict
        In the order given. A word of better or worse whose ``p_corrected`` is above ``level``
        has become no difference shown.
    """
    out = list(verdicts)
    for metric in dict.fromkeys(one.metric for one in verdicts):
        mine = [i for i, one in enumerate(verdicts) if one.metric == metric]
        pairs = list(dict.fromkeys(tuple(sorted((verdicts[i].a, verdicts[i].b))) for i in mine))
        columns = np.stack([_by_window(difference_of(values[a][metric], values[b][metric])) for a, b in pairs], axis=1)
        together = _max_t(columns, seed)
        raw = {pair: verdicts[i].p for i in mine for pair in pairs if set(pair) == {verdicts[i].a, verdicts[i].b}}
        holm = holm_adjusted([raw[pair] for pair in pairs])
        for i in mine:
            one = verdicts[i]
            at = pairs.index(tuple(sorted((one.a, one.b))))
            word = one.verdict if together[at] <= level else NO_DIFFERENCE
            out[i] = replace(one, verdict=word, p_corrected=together[at], p_holm=holm[at])
    return out


def _max_t(columns: F64, seed: int) -> list[float]:
    """Step-down max-T p-values of ``columns (W, C)``, the differences by window; NaN: not known there."""
    known = ~np.isnan(columns)
    filled = np.where(known, columns, 0.0)
    size = np.sqrt((filled**2).sum(axis=0))
    flips, drawn = _flips(len(filled), seed)
    scaled = filled / np.where(size > 0, size, 1.0)
    observed = np.abs(scaled.sum(axis=0))  # (C,)
    flipped = np.abs(flips @ scaled)  # (B, C)
    order = np.argsort(-observed, kind="stable")
    # Largest statistic among this comparison and all that are not larger: from the last on.
    largest = np.maximum.accumulate(flipped[:, order][:, ::-1], axis=1)[:, ::-1]
    extreme = (largest >= observed[order] * (1 - 1e-12)).sum(axis=0)
    p = (1 + extreme) / (len(flips) + 1) if drawn else extreme / len(flips)
    out = [math.nan] * len(order)
    for at, value in zip(order, np.maximum.accumulate(p), strict=True):
        if known[:, at].sum() > 1:
            out[at] = float(value)
    return out


def _flips(n: int, seed: int) -> tuple[F64, bool]:
    """Signs, (B, n) of -1 and 1: all there are, or drawn ones; says whether they were drawn."""
    if n <= _EXACT_WINDOWS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return 1 - 2 * bits.astype(np.float64), False
    return 2 * stream(seed, "sign flips").integers(0, 2, (_DRAWN_FLIPS, n)).astype(np.float64) - 1, True


def _by_window(difference: F64) -> F64:
    """Mean over the seeds of each window, (W,); NaN where one is not known."""
    return np.asarray(difference.reshape(len(difference), -1).mean(axis=1))


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


def common_windows(values: Mapping[str, F64]) -> npt.NDArray[np.bool_]:
    """Windows that every policy knows which knows any, (W,) bool: means over them can be ranked.

    Parameters
    ----------
    values : policy → (W, S) float64
    """
    known = [
        ~np.isnan(grid).any(axis=tuple(range(1, grid.ndim))) for grid in values.values() if not np.isnan(grid).all()
    ]
    return np.logical_and.reduce(known) if known else np.zeros(0, bool)


def leader(values: Mapping[str, F64], better: str) -> str:
    """The policy with the best mean over the common windows; the first on ties.

    Parameters
    ----------
    values : policy → (W, S) float64
    better : {"down", "up"}

    Returns
    -------
    str
        ``""`` when no policy has a known value, or no window is known to all that have one.
    """
    common = common_windows(values)
    if not common.any():
        return ""
    means = {name: float(grid[common].mean()) for name, grid in values.items() if not np.isnan(grid).all()}
    return min(means, key=lambda name: means[name] if better == "down" else -means[name])


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm's correction: those of at most ``level`` may be kept (Holm 1979).

    Returns
    -------
    list of float
        In the order given; a NaN stays one and does not count.
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    out = [math.nan] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(order) - rank)))
        out[i] = highest
    return out

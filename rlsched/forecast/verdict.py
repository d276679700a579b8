"""Is one forecaster better than another? A paired bootstrap over series and training seeds.

Windows of one series resemble each other, so whole series are drawn, never single windows;
where there are fewer than `MIN_CLUSTERS` series, whole days of series. Training seeds are drawn
for both forecasters by themselves. What it does not cover: days on which all series move alike.

A card compares its main forecaster with a dozen others, so one in twenty *cells* would err by chance
alone. :func:`compare_all` judges all comparisons on a metric together, by the same resamples: the
step-down max-T of J. P. Romano and M. Wolf, "Stepwise multiple testing as formalized data snooping",
Econometrica 73(4), 2005. (`rlsched.evaluate.verdict` flips signs of windows to the same end, which
knows no training seeds and no ratio of sums.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rlsched.forecast.scores import Truth, losses
from rlsched.forecast.windows import Windows
from rlsched.rng import stream

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
MIN_CLUSTERS = 10
RESAMPLES = 2000
LEVEL = 0.95
NO_DIFFERENCE = "no difference shown"

#: Metric → (loss summed above, loss summed below or None for a count, root).
RATIOS = {"wql": ("quantile", "load", False), "mase": ("scaled", None, False), "rmse": ("squared", None, True)}


@dataclass(frozen=True)
class Verdict:
    """One pair and one metric.

    Parameters
    ----------
    a, b : str
    metric : str
    difference_pct : float
        100 * (a / b - 1): below 0 when ``a`` has the lower loss.
    ci_low, ci_high : float
        Of this comparison alone.
    verdict : {"better", "worse", "no difference shown"}
        Of ``a``: what the interval says, and ``p_corrected`` is at most 5 %.
    alone : {"better", "worse", "no difference shown"}
        What the interval of this comparison says by itself: whether it leaves out 0.
    p_corrected : float
        Of the comparison among all on the metric; NaN where it was not judged with others.
    n_clusters : int
    clusters : str
        What was drawn.
    """

    a: str
    b: str
    metric: str
    difference_pct: float
    ci_low: float
    ci_high: float
    verdict: str
    alone: str
    p_corrected: float
    n_clusters: int
    clusters: str


@dataclass(frozen=True, eq=False)
class Sums:
    """Losses of one forecaster summed by cluster: metric → (seeds, C) above and below."""

    above: dict[str, F64]
    below: dict[str, F64]


def clusters_of(windows: Windows) -> tuple[npt.NDArray[np.int64], str]:
    """Cluster of each window, 0 .. C - 1, and what a cluster is."""
    series = np.unique(windows.series)
    if series.size >= MIN_CLUSTERS:
        return np.searchsorted(series, windows.series).astype(np.int64), "series"
    return np.searchsorted(np.unique(windows.block), windows.block).astype(np.int64), "days of series"


def sums_of(forecasts: list[F32], truth: Truth, cluster: npt.NDArray[np.int64]) -> Sums:
    """Sum the losses of one forecaster, one entry of ``forecasts`` a seed."""
    count = int(cluster.max()) + 1
    above: dict[str, list[F64]] = {metric: [] for metric in RATIOS}
    below: dict[str, list[F64]] = {metric: [] for metric in RATIOS}
    for forecast in forecasts:
        part = losses(forecast, truth)
        for metric, (name, over, _) in RATIOS.items():
            known = np.isfinite(part[name])
            weight = part[over] if over is not None else np.ones_like(part[name])
            above[metric].append(_by(cluster, np.where(known, part[name], 0), count))
            below[metric].append(_by(cluster, np.where(known, weight, 0), count))
    return Sums(
        {metric: np.stack(rows) for metric, rows in above.items()},
        {metric: np.stack(rows) for metric, rows in below.items()},
    )


def compare(a: str, b: str, sums: dict[str, Sums], clusters: str, resamples: int = RESAMPLES) -> list[Verdict]:
    """Verdicts on ``a`` against ``b`` alone, one a metric."""
    return [_alone(a, b, sums, metric, clusters, resamples)[0] for metric in RATIOS]


def compare_all(
    a: str, others: Sequence[str], sums: dict[str, Sums], clusters: str, resamples: int = RESAMPLES
) -> list[Verdict]:
    """Verdicts on ``a`` against each of ``others``, judged together on each metric.

    Parameters
    ----------
    a : str
    others : sequence of str
        All that are compared: leaving one out would flatter the rest.
    sums : dict of str to Sums
    clusters : str
        What was drawn; see :func:`clusters_of`.
    resamples : int

    Returns
    -------
    list of Verdict
        Others in their order, metrics within.
    """
    found: dict[tuple[str, str], Verdict] = {}
    for metric in RATIOS:
        pairs = [_alone(a, b, sums, metric, clusters, resamples) for b in others]
        for (one, _), p in zip(pairs, max_t([(v.difference_pct, drawn) for v, drawn in pairs]), strict=True):
            word = one.alone if p <= 1 - LEVEL else NO_DIFFERENCE
            found[one.b, metric] = replace(one, verdict=word, p_corrected=p)
    return [found[b, metric] for b in others for metric in RATIOS]


def max_t(comparisons: Sequence[tuple[float, F64]]) -> list[float]:
    """Step-down p-values of differences, judged together.

    Each difference is divided by its standard error over the resamples and held against the largest
    such deviation, among this and all smaller ones, that the same resamples show around their centre.

    Parameters
    ----------
    comparisons : sequence of (float, (B,) float64)
        A difference and its resamples; resample i of all comparisons must come from one draw.

    Returns
    -------
    list of float
        Between 1 / (B + 1) and 1; 1 where a difference does not vary and is 0, NaN where it is not known.
    """
    known = [i for i, (value, drawn) in enumerate(comparisons) if np.isfinite(value) and np.isfinite(drawn).any()]
    out = [float("nan")] * len(comparisons)
    if not known:
        return out
    value = np.array([comparisons[i][0] for i in known])
    drawn = np.stack([comparisons[i][1] for i in known], axis=1)  # (B, C)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if len(drawn) < 2:
        return out
    error = drawn.std(axis=0, ddof=1)
    scale = np.where(error > 0, error, 1.0)
    observed = np.abs(value) / scale
    away = np.abs(drawn - value) / scale
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(away[:, order][:, ::-1], axis=1)[:, ::-1]
    p = (1 + (largest >= observed[order]).sum(axis=0)) / (len(drawn) + 1)
    for at, one in zip(order, np.maximum.accumulate(p), strict=True):
        out[known[at]] = float(one)
    return out


def _alone(a: str, b: str, sums: dict[str, Sums], metric: str, clusters: str, resamples: int) -> tuple[Verdict, F64]:
    """A comparison by its own interval, and its resamples."""
    one, other = sums[a], sums[b]
    count = one.above["wql"].shape[1]
    draw = stream(0, "verdict", count)  # the same draws for every pair, so that they can be judged together
    weight = draw.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    seeds = [draw.integers(0, len(x.above["wql"]), size=(resamples, len(x.above["wql"]))) for x in (one, other)]
    root = RATIOS[metric][2]
    here = [_ratio(x, metric, root, None, None) for x in (one, other)]
    drawn = [_ratio(x, metric, root, weight, at) for x, at in zip((one, other), seeds, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 100 * (drawn[0] / drawn[1] - 1)
        difference = float(100 * (here[0][0] / here[1][0] - 1))
    finite = change[np.isfinite(change)]
    if finite.size:
        low, high = (float(end) for end in np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    else:
        low = high = float("nan")
    word = "better" if high < 0 else "worse" if low > 0 else NO_DIFFERENCE
    return Verdict(a, b, metric, difference, low, high, word, word, float("nan"), count, clusters), change


def interval(sums: Sums, metric: str, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """A metric with the ends of its interval over clusters and seeds."""
    count = sums.above[metric].shape[1]
    draw = stream(0, "interval", count)
    weight = draw.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    n = len(sums.above[metric])
    root = RATIOS[metric][2]
    values = _ratio(sums, metric, root, weight, draw.integers(0, n, size=(resamples, n)))
    here = float(_ratio(sums, metric, root, None, None)[0])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if values.size else (np.nan, np.nan)
    return here, float(low), float(high)


def _ratio(sums: Sums, metric: str, root: bool, weight: F64 | None, seeds: npt.NDArray[np.int64] | None) -> F64:
    """The metric: mean over seeds of (sum above / sum below), one value a resample."""
    above, below = sums.above[metric], sums.below[metric]  # (S, C)
    if weight is None:
        top, bottom = above.sum(axis=1)[None], below.sum(axis=1)[None]  # (1, S)
    else:
        top, bottom = weight @ above.T, weight @ below.T  # (resamples, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = top / bottom
    if root:
        value = np.sqrt(value)
    if seeds is not None:
        value = np.take_along_axis(value, seeds, axis=1)
    out: F64 = value.mean(axis=1)
    return out


def _by(cluster: npt.NDArray[np.int64], values: F64, count: int) -> F64:
    total = np.bincount(cluster, weights=values.reshape(len(values), -1).sum(axis=1), minlength=count)
    return total.astype(np.float64)

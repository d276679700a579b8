"""Is one forecaster better than another? A paired bootstrap over series and training seeds.

Windows of one series resemble each other, so whole series are drawn, never single windows;
where there are fewer than `MIN_CLUSTERS` series, whole days of series. Training seeds are drawn
for both forecasters by themselves. What it does not cover: days on which all series move alike.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    verdict : {"better", "worse", "no difference shown"}
        Of ``a``; a difference is shown when the interval leaves out 0.
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
    """Verdicts on ``a`` against ``b``, one a metric."""
    one, other = sums[a], sums[b]
    count = one.above["wql"].shape[1]
    draw = stream(0, "verdict", count)  # the same draws for every pair
    weight = draw.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    seeds = [draw.integers(0, len(x.above["wql"]), size=(resamples, len(x.above["wql"]))) for x in (one, other)]
    out = []
    for metric, (_, _, root) in RATIOS.items():
        here = [_ratio(x, metric, root, None, None) for x in (one, other)]
        drawn = [_ratio(x, metric, root, weight, at) for x, at in zip((one, other), seeds, strict=True)]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = 100 * (drawn[0] / drawn[1] - 1)
            difference = float(100 * (here[0][0] / here[1][0] - 1))
        change = change[np.isfinite(change)]
        if change.size:
            low, high = (float(end) for end in np.quantile(change, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        else:
            low = high = float("nan")
        word = "better" if high < 0 else "worse" if low > 0 else "no difference shown"
        out.append(Verdict(a, b, metric, difference, low, high, word, count, clusters))
    return out


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

"""How load moves: levels, shapes and memory of usage series, by class of series.

A series is ``level × shape(g(t))``: ``g`` is a Gaussian path of unit variance whose correlation
is fitted, ``shape`` a quantile table that gives it the right distribution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rlsched.errors import TraceError
from rlsched.spec import Spec
from rlsched.traces.advice import option
from rlsched.traces.columns import F64, I64, Usage
from rlsched.traces.synthetic.normal import normal_cdf, normal_quantile
from rlsched.traces.synthetic.tables import nonnegative_fit, significant
from rlsched.units import SECONDS_PER_DAY

TAU_S = (900.0, 7200.0, 86_400.0)  # memories of the path: quarter of an hour, two hours, a day
LAGS_S = (300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 64_800, 86_400, 129_600, 172_800)
DAY_SLOTS = 24
SHAPE_Z = np.linspace(-3.0, 3.0, 25)  # where the quantile table is written down, in deviations
LEVEL_P = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FINEST = 0.0001
RESOLUTIONS = (0.01, 0.001)  # a source that only knows whole percents, or tenths, is drawn so
CEILING_P = 0.999
MAX_CLASSES = 24


class Series(Spec):
    """One resource of a class of series.

    Components of the path: white noise, the memories ``TAU_S``, a daily wave of random phase;
    with ``day_shape`` their variances sum to 1.
    """

    level: tuple[float, ...] = Field(
        min_length=len(LEVEL_P),
        max_length=len(LEVEL_P),
        description="quantiles of the mean share of a series, at LEVEL_P",
    )
    shape: tuple[float, ...] = Field(
        min_length=SHAPE_Z.size,
        max_length=SHAPE_Z.size,
        description="quantiles of share over the series' mean, at SHAPE_Z deviations",
    )
    ceiling: float = Field(ge=0, description="no share is drawn above: 99.9 % of the samples stay below it")
    day_shape: tuple[float, ...] = Field(
        min_length=DAY_SLOTS, max_length=DAY_SLOTS, description="by hour of the source's clock, in deviations"
    )
    white: float = Field(ge=0)
    memory: tuple[float, ...] = Field(min_length=len(TAU_S), max_length=len(TAU_S))
    day_wave: float = Field(ge=0)


class SeriesClass(Spec):
    """Series alike in mean CPU share and in how much it varies."""

    share: float = Field(ge=0, le=1, description="of all series")
    cpu: Series
    mem: Series | None = Field(default=None, description="None: memory was not measured")
    cross: float = Field(default=0.0, ge=-1, le=1, description="correlation of the fresh noise of CPU and memory")


class UsagePart(Spec):
    """The usage of a workload."""

    step_s: int = Field(gt=0)
    series: int = Field(gt=0, description="series a draw of scale 1 has")
    length_s: float = Field(gt=0, description="median length of a series")
    resolution: float = Field(default=FINEST, gt=0, description="drawn shares are whole multiples of this")
    missing_share: float = Field(default=0.0, description="of the samples; a draw has none missing")
    classes: tuple[SeriesClass, ...] = Field(min_length=1)


def fit_usage(usage: Usage, min_count: int, digits: int) -> UsagePart:
    """Fit the usage part.

    Parameters
    ----------
    usage : Usage
        Series with fewer than 12 measured samples are left out (``series`` counts the others).
    min_count : int
        Fewest series in a class.
    digits : int
        Significant digits kept.

    Raises
    ------
    TraceError
        When fewer than ``min_count`` series have 12 samples.

    Notes
    -----
    Classes are equal slices of the series by mean CPU share, each cut in two or three by the
    coefficient of variation. Within a class the mean autocorrelation of the series, at lags
    from one step to two days and at most half a series, is carried to the Gaussian path through
    the shape table (:func:`latent_correlation`) and fitted by non-negative least squares.
    """
    length = np.diff(usage.offset)
    good = [i for i in range(len(usage)) if int(np.isfinite(usage.series(i)).sum()) >= 12]
    if len(good) < min_count:
        raise TraceError(
            f"a usage profile needs {min_count} series of 12 samples: {usage.source or 'these columns'} has "
            f"{len(good)}. Fit more series, or lower {option('min_count')} (which discloses more)."
        )
    with_mem = bool(np.isfinite(usage.mem_share).any())
    cpu = [usage.series(i) for i in good]
    mean = np.asarray([np.nanmean(x) for x in cpu])
    spread = np.asarray([np.nanstd(x) for x in cpu]) / np.maximum(mean, 1e-9)
    classes = []
    for rows in _classes(mean, spread, min_count):
        mine = [good[i] for i in rows]
        start = usage.start_s[mine]
        cpu_part, cpu_score = _fit_series([usage.series(i) for i in mine], start, usage.step_s, min_count, digits)
        mem_part, cross = None, 0.0
        measured = [np.isfinite(usage.series(i, "mem_share")).sum() >= 12 for i in mine] if with_mem else [False]
        if sum(measured) >= min_count:
            chosen = [i for i, ok in zip(mine, measured, strict=True) if ok]
            mem_part, mem_score = _fit_series(
                [usage.series(i, "mem_share") for i in chosen], usage.start_s[chosen], usage.step_s, min_count, digits
            )
            kept = [s for s, ok in zip(cpu_score, measured, strict=True) if ok]
            cross = _cross(kept, mem_score, cpu_part, mem_part)
        share = float(significant(len(rows) / len(good), digits))
        classes.append(SeriesClass(share=share, cpu=cpu_part, mem=mem_part, cross=round(cross, 2)))
    return UsagePart(
        step_s=usage.step_s,
        series=len(good),
        length_s=float(np.median(length[good])) * usage.step_s,
        resolution=_resolution(usage),
        missing_share=float(significant(np.isnan(usage.cpu_share).mean(), digits)),
        classes=tuple(classes),
    )


def _resolution(usage: Usage) -> float:
    """Coarsest of ``RESOLUTIONS`` that every measured share is a multiple of, else ``FINEST``."""
    columns = [column[np.isfinite(column)] for column in (usage.cpu_share, usage.mem_share)]
    for unit in RESOLUTIONS:
        if all(bool((np.abs(x / unit - np.rint(x / unit)) < 1e-6).all()) for x in columns):
            return unit
    return FINEST


def _classes(mean: F64, spread: F64, min_count: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each class: slices by mean, cut by spread, each of at least ``min_count`` series."""
    total = int(np.clip(mean.size // min_count, 1, MAX_CLASSES))
    cuts = 3 if total >= 9 else (2 if total >= 4 else 1)
    out: list[npt.NDArray[np.intp]] = []
    for part in np.array_split(np.argsort(mean, kind="stable"), max(total // cuts, 1)):
        order = part[np.argsort(spread[part], kind="stable")]
        out.extend(np.sort(piece) for piece in np.array_split(order, min(cuts, max(part.size // min_count, 1))))
    return out


def _fit_series(series: list[F64], start: I64, step_s: int, min_count: int, digits: int) -> tuple[Series, list[F64]]:
    """Fit one resource of one class; also the centred series, NaN where missing, unit variance."""
    means = np.asarray([np.nanmean(x) for x in series])
    pairs = zip(series, means, strict=True)
    ratio = np.concatenate([x[np.isfinite(x)] / m if m > 0 else np.zeros(1) for x, m in pairs])
    samples = np.concatenate([x[np.isfinite(x)] for x in series])
    alone = min(min_count / samples.size, 0.5)  # no quantile rests on fewer samples than min_count
    shape = significant(np.quantile(ratio, np.clip(normal_cdf(SHAPE_Z), alone, 1 - alone)), digits)
    centred = [_centred(x) for x in series]
    length = int(np.median([x.size for x in centred]))
    lags = np.asarray([lag // step_s for lag in LAGS_S if lag % step_s == 0 and lag // step_s <= length // 2], np.int64)
    if lags.size == 0:
        lags = np.asarray([1], np.int64)
    hermite = hermite_weights(shape)
    acf = latent_correlation(hermite, hermite, _mean_acf(centred, lags))
    days_long = length * step_s >= 2 * SECONDS_PER_DAY
    day = _day_shape(series, start, step_s) if days_long else np.zeros(DAY_SLOTS)
    fine = day[np.arange(max(SECONDS_PER_DAY // step_s, 1)) * step_s % SECONDS_PER_DAY * DAY_SLOTS // SECONDS_PER_DAY]
    common = np.asarray([(fine * np.roll(fine, -int(k))).mean() for k in lags])
    left = 1 - float((fine**2).mean())
    time_s = np.concatenate([[0], lags]) * float(step_s)
    target = np.concatenate([[left], acf - common])
    columns = [(time_s == 0).astype(np.float64), *(np.exp(-time_s / tau) for tau in TAU_S)]
    columns.append(np.cos(2 * np.pi * time_s / SECONDS_PER_DAY) if days_long else np.zeros(time_s.size))
    weight = np.ones(time_s.size)
    weight[0] = 10.0  # the variance is held almost exactly
    variance = nonnegative_fit(np.stack(columns, axis=1) * weight[:, None], target * weight)
    total = float(variance.sum())
    variance = variance * (left / total) if total > 0 else np.asarray([left, *np.zeros(len(TAU_S) + 1)])
    values = significant(variance, digits).tolist()
    part = Series(
        level=tuple(significant(_levels(means), digits).tolist()),
        shape=tuple(shape.tolist()),
        ceiling=float(significant(np.quantile(samples, min(CEILING_P, 1 - alone)), 2)),
        day_shape=tuple(np.round(day, 3).tolist()),
        white=values[0],
        memory=tuple(values[1:-1]),
        day_wave=values[-1],
    )
    return part, centred


def hermite_weights(shape: F64) -> F64:
    """Hermite coefficients of a shape table, orders 1..12, scaled to unit variance.

    A table is a function of a standard normal ``z``; ``f(z) = sum a_j h_j(z)`` with orthonormal
    Hermite polynomials. All 0 for a flat table.
    """
    z = np.linspace(-6.0, 6.0, 4001)  # beyond its ends a table is flat, as when drawing
    mass = np.exp(-z * z / 2)
    mass /= mass.sum()
    f = np.interp(z, SHAPE_Z, shape)
    before, now = np.ones_like(z), z.copy()  # orthonormal: h_j+1 = (z h_j - sqrt(j) h_j-1) / sqrt(j+1)
    out = []
    for j in range(1, 13):
        out.append(float((f * now * mass).sum()))
        before, now = now, (z * now - np.sqrt(j) * before) / np.sqrt(j + 1)
    weights = np.asarray(out)
    norm = float(np.sqrt((weights**2).sum()))
    return weights / norm if norm > 0 else weights


def latent_correlation(a: F64, b: F64, wanted: F64) -> F64:
    """Correlation of two normals whose images under two shapes correlate as ``wanted``.

    Parameters
    ----------
    a, b : (12,) float64
        From :func:`hermite_weights`.
    wanted : (n,) float64
        Correlations of the shares themselves.

    Returns
    -------
    (n,) float64
        The solution of ``sum a_j b_j rho^j = wanted`` in -1..1; the end of that range where the
        shapes do not reach ``wanted``.

    References
    ----------
    Cario and Nelson, "Modeling and generating random vectors with arbitrary marginal
    distributions and correlation matrix", 1997 (NORTA).
    """
    rho = np.linspace(-1, 1, 401)
    image = (rho[:, None] ** np.arange(1, a.size + 1)) @ (a * b)
    if image[-1] <= 0:
        return np.zeros(wanted.size)
    rising = np.maximum.accumulate(image)  # even orders bend it up again at the far left
    return np.asarray(np.interp(wanted, rising, rho))


def _levels(means: F64) -> F64:
    """Quantiles of the means at ``LEVEL_P``; the two ends are carried on from inside, no series is told."""
    inner = np.quantile(means, LEVEL_P[1:-1])
    low = max(inner[0] - 0.5 * (inner[1] - inner[0]), 0.0)
    high = inner[-1] + 0.5 * (inner[-1] - inner[-2])
    return np.concatenate([[low], inner, [high]])


def _centred(x: F64) -> F64:
    """The series less its mean, over its deviation; all 0 for a constant series, NaN where missing."""
    spread = float(np.nanstd(x))
    mean = float(np.nanmean(x))
    return np.asarray((x - mean) / spread if spread > 1e-9 else np.where(np.isfinite(x), 0.0, np.nan))


def _scores(x: F64) -> F64:
    """Normal scores by mid-rank, unit variance; all 0 for a constant series, NaN where missing."""
    out = np.full(x.size, np.nan)
    known = np.isfinite(x)
    values, inverse, counts = np.unique(x[known], return_inverse=True, return_counts=True)
    if values.size < 2:
        out[known] = 0.0
        return out
    rank = np.cumsum(counts) - counts / 2
    z = normal_quantile(rank / counts.sum())[inverse]
    z = z - z.mean()
    out[known] = z / z.std()
    return out


def _mean_acf(scores: list[F64], lags: I64) -> F64:
    """Autocorrelation of centred series, averaged over those that vary."""
    total = np.zeros(lags.size)
    weight = np.zeros(lags.size)
    for z in scores:
        known = np.isfinite(z)
        filled = np.where(known, z, 0.0)
        if not filled.any():
            continue
        for i, k in enumerate(lags):
            if k < z.size:
                pairs = int((known[:-k] & known[k:]).sum())
                if pairs:
                    total[i] += float(filled[:-k] @ filled[k:]) / pairs
                    weight[i] += 1
    return np.asarray(total / np.maximum(weight, 1))


def _day_shape(series: list[F64], start: I64, step_s: int) -> F64:
    """Mean score by hour of the source's clock, centred; what all series of a class share."""
    total, count = np.zeros(DAY_SLOTS), np.zeros(DAY_SLOTS)
    for x, t0 in zip(series, start, strict=True):
        z = _scores(x)
        hour = ((int(t0) + np.arange(z.size) * step_s) % SECONDS_PER_DAY) * DAY_SLOTS // SECONDS_PER_DAY
        known = np.isfinite(z)
        total += np.bincount(hour[known], weights=z[known], minlength=DAY_SLOTS)
        count += np.bincount(hour[known], minlength=DAY_SLOTS)
    mean = total / np.maximum(count, 1)
    return np.asarray(mean - mean.mean())


def _cross(cpu: list[F64], mem: list[F64], a: Series, b: Series) -> float:
    """Noise correlation that gives the mean correlation of CPU and memory."""
    seen = []
    for x, y in zip(cpu, mem, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() >= 12 and x[both].any() and y[both].any():
            seen.append(float((x[both] * y[both]).mean()))
    if not seen:
        return 0.0
    weights_a = np.sqrt([a.white, *a.memory])
    weights_b = np.sqrt([b.white, *b.memory])
    through_noise = float(weights_a @ weights_b)
    by_day = float(np.mean(np.asarray(a.day_shape) * np.asarray(b.day_shape)))
    through = latent_correlation(
        hermite_weights(np.asarray(a.shape)), hermite_weights(np.asarray(b.shape)), np.asarray([np.mean(seen)])
    )
    wanted = float(through[0]) - by_day
    return float(np.clip(wanted / through_noise, -1, 1)) if through_noise > 0.05 else 0.0

"""How near a drawn trace is to the real one: distances, rhythms, burstiness.

Every measure takes two traces (or two usages) and is 0 when they agree. The same measures
between the two halves of the real trace say how near *near* can be.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import F64, I64, Trace, Usage
from rlsched.traces.synthetic.batches import batches
from rlsched.traces.synthetic.lifetimes import observed_lives

BIN_S = 300
COUNT_LAGS = (1, 2, 6, 12, 36, 72, 144)  # of five minutes
USAGE_LAGS = (1, 3, 12, 72, 144)  # of the step


def ks_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Largest gap between two empirical distribution functions, 0..1 (Kolmogorov and Smirnov).

    Raises
    ------
    TraceError
        When either sample is empty.
    """
    x, y = np.sort(np.asarray(a, dtype=np.float64)), np.sort(np.asarray(b, dtype=np.float64))
    if x.size == 0 or y.size == 0:
        raise TraceError("a distance needs two samples: one is empty. Compare columns that both traces have.")
    at = np.concatenate([x, y])
    gap = np.searchsorted(x, at, side="right") / x.size - np.searchsorted(y, at, side="right") / y.size
    return float(np.abs(gap).max())


def survival(life_s: F64, ended: npt.NDArray[np.bool_], at: F64) -> F64:
    """Kaplan-Meier survival at the given ages; censored lives count while they are watched.

    Parameters
    ----------
    life_s, ended : (K,)
    at : (n,) float64, seconds, ascending

    Returns
    -------
    (n,) float64
        Share still running after each age.
    """
    ends, died = np.unique(life_s[ended], return_counts=True)
    ordered = np.sort(life_s)
    risk = life_s.size - np.searchsorted(ordered, ends, side="left")
    curve = np.concatenate([[1.0], np.cumprod(1 - died / risk)])
    return np.asarray(curve[np.searchsorted(ends, at, side="right")])


def life_distance(real: Trace, drawn: Trace) -> float:
    """Largest gap between the Kaplan-Meier curves, up to the longest life or age in ``real``."""
    curves = []
    life, ended, known = observed_lives(real)
    top = float(life[known].max())
    at = np.unique(np.concatenate([[0.0], np.geomspace(1.0, max(top, 2.0), 2000)]))
    at = at[at < top]
    for trace in (real, drawn):
        life, ended, known = observed_lives(trace)
        curves.append(survival(life[known], ended[known], at))
    return float(np.abs(curves[0] - curves[1]).max())


def counts(trace: Trace, length_s: float) -> F64:
    """Tasks that arrive in each five minutes of ``[0, length_s)``, ``(n,)`` float64."""
    bins = int(length_s // BIN_S)
    slot = (trace.arrive_s // BIN_S).astype(np.int64)
    return np.bincount(slot[slot < bins], minlength=bins).astype(np.float64)


def acf(x: F64, lags: tuple[int, ...]) -> F64:
    """Autocorrelation at the given lags; missing values leave their pairs out; NaN where not defined."""
    known = np.isfinite(x)
    out = np.full(len(lags), np.nan)
    if not known.any():
        return out
    z = np.where(known, x - x[known].mean(), 0.0)
    variance = float((z[known] ** 2).mean())
    for i, k in enumerate(lags):
        pairs = int((known[:-k] & known[k:]).sum()) if k < x.size else 0
        if pairs and variance > 0:
            out[i] = float(z[:-k] @ z[k:]) / pairs / variance
    return out


def dispersion(count: F64, width: int) -> float:
    """Variance over mean of the counts, ``width`` bins taken together; 1 for a Poisson process."""
    whole = count[: count.size // width * width].reshape(-1, width).sum(axis=1)
    return float(whole.var() / whole.mean())


def burstiness(moments: npt.NDArray[np.number]) -> float:
    """``(s - m) / (s + m)`` of the gaps between moments: -1 a clock, 0 Poisson, 1 all at once.

    References
    ----------
    Goh and Barabási, "Burstiness and memory in complex systems", EPL 81, 2008.
    """
    gap = np.diff(np.sort(moments.astype(np.float64)))
    return float((gap.std() - gap.mean()) / (gap.std() + gap.mean()))


def compare_tasks(real: Trace, drawn: Trace, length_s: float) -> dict[str, float]:
    """Compare two task traces over the same length.

    Parameters
    ----------
    real, drawn : Trace
        Starting at time 0; only arrivals before ``length_s`` are compared.
    length_s : float
        Seconds.

    Returns
    -------
    dict of str to float
        ``ks_*``: distances 0..1. ``acf_*``: mean absolute difference of autocorrelations.
        ``log_dispersion_*``: natural log of the ratio drawn / real of variance over mean.
        ``burstiness_gap``: difference of burstiness of batch moments, drawn - real, moments
        taken in whole five minutes in both. ``log_*``: natural log of a ratio drawn / real.
        CPU, memory, GPUs and lives are compared where ``real`` has them.
    """
    real, drawn = (trace.take(np.flatnonzero(trace.arrive_s < length_s)) for trace in (real, drawn))
    a, b = counts(real, length_s), counts(drawn, length_s)
    out = {
        "ks_batch_size": ks_distance(_sizes(real), _sizes(drawn)),
        "ks_tasks_per_5min": ks_distance(a, b),
        "acf_tasks_per_5min": float(np.nanmean(np.abs(acf(a, COUNT_LAGS) - acf(b, COUNT_LAGS)))),
        "log_dispersion_5min": float(np.log(dispersion(b, 1) / dispersion(a, 1))),
        "log_dispersion_1h": float(np.log(dispersion(b, 12) / dispersion(a, 12))),
        "burstiness_gap": burstiness(_moments(drawn)) - burstiness(_moments(real)),
        "log_tasks": float(np.log(len(drawn) / len(real))),
    }
    if real.cpu_mcore.any() and drawn.cpu_mcore.any():
        out["ks_cpu"] = ks_distance(real.cpu_mcore, drawn.cpu_mcore)
        out["log_mean_cpu"] = float(np.log(drawn.cpu_mcore.mean() / real.cpu_mcore.mean()))
    if real.mem_mib.any():
        out["ks_mem"] = ks_distance(real.mem_mib, drawn.mem_mib)
    if observed_lives(real)[2].any():
        out["ks_life"] = life_distance(real, drawn)
    if real.gpu_count.any():
        out["ks_gpu"] = ks_distance(real.gpu_count * real.gpu_mgpu, drawn.gpu_count * drawn.gpu_mgpu)
    return out


def compare_usage(real: Usage, drawn: Usage) -> dict[str, float]:
    """Compare two sets of series.

    Returns
    -------
    dict of str to float
        For CPU and, where measured, memory: distances of all samples, of the means and of the
        deviations of the series; difference of the median autocorrelation, averaged over lags;
        and the difference of the mean correlation of CPU and memory, drawn - real.
    """
    out: dict[str, float] = {}
    for label, column in (("cpu", "cpu_share"), ("mem", "mem_share")):
        a, b = ([s for i in range(len(u)) if np.isfinite(s := u.series(i, column)).sum() >= 12] for u in (real, drawn))
        if not a or not b:
            continue
        out[f"ks_{label}_samples"] = ks_distance(*(np.concatenate([x[np.isfinite(x)] for x in s]) for s in (a, b)))
        out[f"ks_{label}_mean"] = ks_distance([np.nanmean(x) for x in a], [np.nanmean(x) for x in b])
        out[f"ks_{label}_deviation"] = ks_distance([np.nanstd(x) for x in a], [np.nanstd(x) for x in b])
        out[f"acf_{label}"] = float(np.nanmean(np.abs(_median_acf(a) - _median_acf(b))))
    if "ks_mem_mean" in out:
        out["cross_gap"] = _mean_cross(drawn) - _mean_cross(real)
    return out


def interval(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Mean and 95 % interval of a measure over seeds: mean ± t(0.975, n - 1) s / sqrt(n).

    With one value the interval is unknown (NaN).
    """
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if x.size < 2:
        return mean, float("nan"), float("nan")
    half = float(_T975[min(x.size - 1, len(_T975) - 1)] * x.std(ddof=1) / np.sqrt(x.size))
    return mean, mean - half, mean + half


#: Student's t, 97.5 %, by degrees of freedom 0..30 (0 unused); beyond 30 the last is used, a little wide.
_T975 = (
    *(np.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def _sizes(trace: Trace) -> I64:
    return np.bincount(batches(trace))


def _moments(trace: Trace) -> I64:
    batch = batches(trace)
    first = np.r_[True, batch[1:] != batch[:-1]]
    return (trace.arrive_s[first] // BIN_S * BIN_S).astype(np.int64)


def _median_acf(series: list[F64]) -> F64:
    rows = np.asarray([acf(x, USAGE_LAGS) for x in series])
    out = np.full(rows.shape[1], np.nan)
    for i in range(rows.shape[1]):
        known = rows[np.isfinite(rows[:, i]), i]
        if known.size:
            out[i] = np.median(known)
    return out


def _mean_cross(usage: Usage) -> float:
    seen = []
    for i in range(len(usage)):
        x, y = usage.series(i), usage.series(i, "mem_share")
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() >= 12 and x[both].std() > 1e-9 and y[both].std() > 1e-9:
            seen.append(float(np.corrcoef(x[both], y[both])[0, 1]))
    return float(np.mean(seen)) if seen else 0.0

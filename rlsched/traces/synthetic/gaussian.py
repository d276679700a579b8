"""Stationary Gaussian paths that forget exponentially, and their fit to autocovariances."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from rlsched.spec import Spec
from rlsched.traces.columns import F64, I64
from rlsched.traces.synthetic.tables import nonnegative_fit, significant

LEAST_VARIANCE = 1e-3  # of a log rate; less changes it by under 3 %


class Component(Spec):
    """One component of a log rate: a stationary Gaussian process with correlation exp(-t/tau).

    ``tau_s`` 0 is white noise from step to step.
    """

    tau_s: float = Field(ge=0)
    variance: float = Field(ge=0)


def fit_components(
    covariance: F64, lags: I64, step_s: int, taus: tuple[float, ...], digits: int
) -> tuple[Component, ...]:
    """Components of a log-normal rate from the autocovariances of the rate, relative to its mean.

    Parameters
    ----------
    covariance : (L,) float64
        At each of ``lags``; sampling noise already taken off lag 0.
    lags : (L,) int64, steps
    step_s : int
    taus : tuple of float, seconds
        Memories offered besides white noise.
    digits : int
        Significant digits kept.

    Notes
    -----
    For a log-normal rate ``log(1 + covariance)`` is the autocovariance of its logarithm
    (Aitchison and Brown 1957); non-negative least squares splits that between the memories.
    """
    target = np.log1p(np.maximum(covariance, -0.5))
    time_s = lags * float(step_s)
    columns = np.stack([(lags == 0).astype(np.float64), *(np.exp(-time_s / tau) for tau in taus)], axis=1)
    variance = significant(nonnegative_fit(columns, target), digits).tolist()
    pairs = zip((0.0, *taus), variance, strict=True)
    return tuple(Component(tau_s=tau, variance=v) for tau, v in pairs if v >= LEAST_VARIANCE)


def draw_log_rates(
    components: tuple[Component, ...], steps: int, paths: int, step_s: int, rng: np.random.Generator
) -> F64:
    """Paths of the log rate whose exponential has mean 1, ``(steps, paths)`` float64."""
    out = np.zeros((steps, paths))
    for one in components:
        keep = float(np.exp(-step_s / one.tau_s)) if one.tau_s > 0 else 0.0
        path = rng.standard_normal((steps, paths))
        if keep > 0:
            path[1:] *= np.sqrt(1 - keep * keep)
            for t in range(1, steps):
                path[t] += keep * path[t - 1]
        out += np.sqrt(one.variance) * path - one.variance / 2
    return out

"""The three small tables every part of a profile is written in: rounding, shapes, mixtures.

Numbers leave a trace only through here, so this is where they are coarsened.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from rlsched.traces.columns import F64, I64


def _weights(values: tuple[float, ...]) -> tuple[float, ...]:
    if not (all(np.isfinite(v) and v >= 0 for v in values) and any(v > 0 for v in values)):
        raise ValueError("must be >= 0 and not all 0")
    return values


#: Shares or factors: finite, ``>= 0``, not all 0. They are scaled to sum (or mean) 1 when used.
Weights = Annotated[tuple[float, ...], AfterValidator(_weights)]


def significant(values: npt.ArrayLike, digits: int) -> F64:
    """Round to a number of significant digits, ``float64`` of the same shape; 0 stays 0.

    Examples
    --------
    >>> significant([0.0, 12345.0, 0.0123456], 3).tolist()
    [0.0, 12300.0, 0.0123]
    """
    x = np.asarray(values, dtype=np.float64)
    flat = [float(f"{v:.{digits - 1}e}") for v in x.ravel()]
    return np.asarray(flat, dtype=np.float64).reshape(x.shape)


def shape_factors(relative: F64) -> F64:
    """Relative rates of the slots of a cycle, mean 1, shrunk towards 1 by their sampling noise.

    Parameters
    ----------
    relative : (R, S) float64
        Count over expected count, one row a repetition of the cycle, one column a slot; NaN
        where a repetition is not complete.

    Returns
    -------
    (S,) float64
        ``1 + s (raw - 1)``: ``raw`` the slot means, ``s = max(0, 1 - noise / seen)``, ``seen`` the
        spread of the slot means, ``noise`` what the spread between repetitions makes of it
        (James and Stein's idea, method of moments). All ones under two repetitions of a slot,
        or when nothing was counted.
    """
    known = np.isfinite(relative)
    n = known.sum(axis=0)
    if n.size < 2 or n.min() < 2:
        return np.ones(n.size)
    filled = np.where(known, relative, 0.0)
    raw = filled.sum(axis=0) / n
    if raw.mean() <= 0:
        return np.ones(n.size)
    between = (np.where(known, relative - raw, 0.0) ** 2).sum(axis=0) / (n - 1)  # variance over the repetitions
    scale = raw.mean()
    seen = float(((raw / scale - 1.0) ** 2).mean())
    noise = float((between / n).mean()) / scale**2
    keep = max(0.0, 1.0 - noise / seen) if seen > 0 else 0.0
    factors = 1.0 + keep * (raw / scale - 1.0)
    return np.asarray(factors / factors.mean(), dtype=np.float64)


def nonnegative_fit(columns: F64, target: F64, rounds: int = 2000) -> F64:
    """Least squares with weights ``>= 0``, by coordinate descent.

    Parameters
    ----------
    columns : (n, C) float64
    target : (n,) float64
    rounds : int
        Sweeps over the coordinates; the problems here have under ten columns and settle in hundreds.

    Returns
    -------
    (C,) float64
        The minimiser of ``|columns @ w - target|`` over ``w >= 0``.
    """
    gram = columns.T @ columns
    against = columns.T @ target
    w = np.zeros(columns.shape[1])
    for _ in range(rounds):
        before = w.copy()
        for c in range(w.size):
            if gram[c, c] > 0:
                w[c] = max(0.0, w[c] + (against[c] - gram[c] @ w) / gram[c, c])
        if np.abs(w - before).max() < 1e-10:
            break
    return w


def autocovariance(x: F64, weight: F64, lags: I64) -> F64:
    """Weighted autocovariances ``sum x[t] x[t+k] / sum weight[t] weight[t+k]``.

    Parameters
    ----------
    x, weight : (T,) float64
        Residual counts and their expectation (``> 0``); the ratio is then the covariance of the relative rate.
    lags : (L,) int64
        Each in ``1..T-1``.

    Returns
    -------
    (L,) float64
    """
    out = np.empty(lags.size)
    for i, k in enumerate(lags):
        out[i] = float(x[:-k] @ x[k:]) / float(weight[:-k] @ weight[k:])
    return out

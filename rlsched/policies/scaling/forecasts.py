"""Forecast tables for groups of series that are too short to be fitted one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.forecast.table import ForecastTable, check_horizons, check_quantiles

F64 = npt.NDArray[np.float64]
Stretch = tuple[int, int, int]  # row, from, to
HORIZONS = (0, 1, 2, 3, 5, 11)
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Least samples a fit rests on.
FEWEST = 200


def pooled_ar(
    demand: F64,
    fit: Sequence[Stretch],
    *,
    step_s: int,
    lags: int = 12,
    horizons: Sequence[int] = HORIZONS,
    quantiles: Sequence[float] = QUANTILES,
) -> ForecastTable:
    """A linear autoregression with one set of coefficients for all series.

    Each sample is divided by the mean of the ``lags`` before it, so that large and small series share
    coefficients; least squares, one fit a horizon. Quantiles are the point plus the quantiles of
    the fit's own errors, scaled back. Before ``lags`` samples of a series are there, the first stands in
    for those that are missing.

    Parameters
    ----------
    demand : (R, T) float64, units
        Without missing values.
    fit : sequence of (row, from, to)
        The stretches coefficients and errors come from: train windows. Nothing else is looked at,
        apart from each tick's own past.
    step_s : int, seconds
    lags : int
    horizons, quantiles : sequences
        See ``ForecastTable``.

    Returns
    -------
    ForecastTable
        All NaN at tick 0, before which nothing is known.

    Raises
    ------
    SpecError
        When ``lags < 1``, or the stretches hold too few samples.
    """
    if lags < 1:
        raise SpecError(f"lags must be >= 1: got {lags}.")
    h, q = check_horizons(list(horizons)), check_quantiles(quantiles)
    n_rows, n_steps = demand.shape
    padded = np.concatenate([np.repeat(demand[:, :1], lags, axis=1), demand[:, :-1]], axis=1)
    past = np.lib.stride_tricks.sliding_window_view(padded, lags, axis=1)  # (R, T, lags): row t ends before t
    scale = past.mean(axis=2)
    scale = np.where(scale > 0.0, scale, 1.0)  # an idle service stays at the constant, in units
    values = np.empty((n_rows, n_steps, h.size, q.size), np.float32)
    for k, ahead in enumerate(h.tolist()):
        x, y = _samples(demand, past, scale, fit, ahead)
        if len(y) < max(FEWEST, 2 * lags):
            raise SpecError(
                f"a forecast {ahead} intervals ahead must be fitted on at least {max(FEWEST, 2 * lags)} samples: the "
                f"train windows hold {len(y)}. Lengthen them, or give a shorter horizon."
            )
        weights, *_ = np.linalg.lstsq(x, y, rcond=None)
        errors = np.quantile(y - x @ weights, q)
        point = (past / scale[..., None]) @ weights[:-1] + weights[-1]  # (R, T)
        values[:, :, k] = np.maximum((point[..., None] + errors) * scale[..., None], 0.0)
    values[:, 0] = np.nan
    return ForecastTable("pooled_ar", step_s, h, q, values)


def _samples(
    demand: F64, past: npt.NDArray[np.float64], scale: F64, fit: Sequence[Stretch], ahead: int
) -> tuple[F64, F64]:
    xs, ys = [], []
    for row, lo, hi in fit:
        at = np.arange(max(lo, 1), hi - ahead)
        if at.size:
            xs.append(np.column_stack([past[row, at] / scale[row, at, None], np.ones(at.size)]))
            ys.append(demand[row, at + ahead] / scale[row, at])
    if not ys:
        return np.zeros((0, past.shape[2] + 1)), np.zeros(0)
    return np.concatenate(xs), np.concatenate(ys)

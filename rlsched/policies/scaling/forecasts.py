"""Forecast tables for groups of series that are too short to be fitted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class PooledAr:
    """A linear autoregression with one set of coefficients for all series.

    Each sample is divided by the mean of the ``lags`` before it, so that large and small series share
    coefficients; least squares, one fit a horizon. Quantiles are the point plus the quantiles of
    the fit's own errors, scaled back.

    Parameters
    ----------
    horizons : (H,) int64
    quantiles : (Q,) float64
    weights : (H, lags + 1) float64
        Oldest sample first; the constant last.
    errors : (H, Q) float64
    """

    horizons: npt.NDArray[np.int64]
    quantiles: F64
    weights: F64
    errors: F64

    @property
    def lags(self) -> int:
        """Samples it looks back."""
        return int(self.weights.shape[1]) - 1

    @classmethod
    def fit(
        cls,
        demand: F64,
        fit: Sequence[Stretch],
        lags: int = 12,
        horizons: Sequence[int] = HORIZONS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> PooledAr:
        """Fit on stretches of (R, T) demand; see :func:`pooled_ar`."""
        if lags < 1:
            raise SpecError(f"lags must be >= 1: got {lags}.")
        h, q = check_horizons(list(horizons)), check_quantiles(quantiles)
        past = _past(demand, lags)[:, :-1]
        scale = _scale(past)
        weights, errors = np.empty((h.size, lags + 1)), np.empty((h.size, q.size))
        for k, ahead in enumerate(h.tolist()):
            x, y = _samples(demand, past, scale, fit, ahead)
            if len(y) < max(FEWEST, 2 * lags):
                raise SpecError(
                    f"a forecast {ahead} intervals ahead must be fitted on at least {max(FEWEST, 2 * lags)} samples: "
                    f"the train windows hold {len(y)}. Lengthen them, or give a shorter horizon."
                )
            weights[k], *_ = np.linalg.lstsq(x, y, rcond=None)
            errors[k] = np.quantile(y - x @ weights[k], q)
        return cls(h, q, weights, errors)

    def values(self, demand: F64) -> npt.NDArray[np.float32]:
        """Forecasts before every interval and before the one after the last, (R, T + 1, H, Q) float32.

        Before ``lags`` samples of a series are there, the first stands in for those that are
        missing; NaN at tick 0, before which nothing is known.
        """
        past = _past(demand, self.lags)
        scale = _scale(past)
        out = np.empty((*past.shape[:2], self.horizons.size, self.quantiles.size), np.float32)
        for k in range(self.horizons.size):
            point = (past / scale[..., None]) @ self.weights[k, :-1] + self.weights[k, -1]  # (R, T + 1)
            out[:, :, k] = np.maximum((point[..., None] + self.errors[k]) * scale[..., None], 0.0)
        out[:, 0] = np.nan
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for a policy file."""
        return {name: getattr(self, name).tolist() for name in ("horizons", "quantiles", "weights", "errors")}

    @classmethod
    def from_dict(cls, found: Any) -> PooledAr:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        SpecError
            When it is none.
        """
        try:
            parts = [np.array(found[key], np.float64) for key in ("quantiles", "weights", "errors")]
            made = cls(np.array(found["horizons"], np.int64), *parts)
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(f"a forecaster needs horizons, quantiles, weights and errors: {error!r}.") from None
        h, q = made.horizons.size, made.quantiles.size
        shapes = made.weights.ndim == 2 and made.weights.shape[0] == h and made.weights.shape[1] > 1
        if not shapes or made.errors.shape != (h, q) or not all(np.isfinite(one).all() for one in parts):
            raise SpecError(f"a forecaster of {h} horizons and {q} quantiles has numbers of other shapes, or none.")
        return made


def pooled_ar(
    demand: F64,
    fit: Sequence[Stretch],
    *,
    step_s: int,
    lags: int = 12,
    horizons: Sequence[int] = HORIZONS,
    quantiles: Sequence[float] = QUANTILES,
) -> ForecastTable:
    """A table of :class:`PooledAr` forecasts.

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
    made = PooledAr.fit(demand, fit, lags, horizons, quantiles)
    return ForecastTable("pooled_ar", step_s, made.horizons, made.quantiles, made.values(demand)[:, :-1].copy())


def _past(demand: F64, lags: int) -> npt.NDArray[np.float64]:
    """The samples before each tick and before the one after the last, (R, T + 1, lags): row t ends before t."""
    padded = np.concatenate([np.repeat(demand[:, :1], lags, axis=1), demand], axis=1)
    return np.lib.stride_tricks.sliding_window_view(padded, lags, axis=1)


def _scale(past: npt.NDArray[np.float64]) -> F64:
    scale = past.mean(axis=2)
    out: F64 = np.where(scale > 0.0, scale, 1.0)  # an idle service stays at the constant, in units
    return out


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

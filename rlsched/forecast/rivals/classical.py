"""ETS and ARIMA, one model a series: parameters by statsmodels, recursions for many windows at once.

Parameters of a series come from the earliest window asked about, so they never see a later
window; every later window of the series is filtered with them. A series whose fit fails, or
that does not move, gets the parameters of the newest sample repeated; ``counts`` says how many.
"""

# ruff: noqa: ARG002 - the door is the same for all, so some arguments go unused
from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import MissingDataError
from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.rivals.base import F32, F64, Spread, Tell, filled
from rlsched.forecast.rng_rows import sample_rows
from rlsched.forecast.windows import Windows

SPREAD_WINDOWS = 600  # training windows from which the errors are taken: each series costs a fit
STILL = 1e-6  # standard deviation of a series that does not move


class Classical:
    """A model of one series, fitted once and filtered at every window."""

    def __init__(
        self,
        quantiles: tuple[float, ...],
        solve: Callable[[F64], F64],
        still: tuple[float, ...],
        forecast: Callable[[F64, F64, tuple[int, ...]], F64],
    ) -> None:
        self.solve, self.forecast = solve, forecast
        self.still = np.array(still)
        self.spread = Spread(np.array(quantiles))
        self.counts = {"fitted": 0, "still": 0, "failed": 0}

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """See `Forecaster`; only the spread of the errors is learned here."""
        some = train.take(sample_rows(len(train), SPREAD_WINDOWS))
        self.spread.fit(self._point(some), some)
        return {"series": dict(self.counts)}

    def predict(self, windows: Windows) -> F32:
        """See `Forecaster`."""
        return self.spread.apply(self._point(windows), windows)

    def save(self, folder: Path) -> None:
        """Nothing: parameters belong to the windows asked about."""

    def restore(self, folder: Path) -> None:
        """Nothing: parameters belong to the windows asked about."""

    def _point(self, windows: Windows) -> F64:
        x = filled(windows.past)  # (B, R, L)
        parameters = np.empty((*x.shape[:2], self.still.size))
        for series in np.unique(windows.series):
            rows = np.flatnonzero(windows.series == series)
            earliest = rows[windows.tick[rows].argmin()]
            for r in range(x.shape[1]):
                parameters[rows, r] = self._parameters(x[earliest, r])
        b, r, length = x.shape
        flat = self.forecast(x.reshape(b * r, length), parameters.reshape(b * r, -1), windows.horizons)
        # An explosive fit must not leave the range the series itself has shown, doubled.
        top = 2 * x.max(axis=2).reshape(-1, 1) + 1e-9
        out: F64 = np.clip(flat, 0, top).reshape(b, r, -1)
        return out

    def _parameters(self, series: F64) -> F64:
        if series.std() < STILL:
            self.counts["still"] += 1
            return self.still
        try:
            found = self.solve(series / series.std())
        except (ValueError, np.linalg.LinAlgError, IndexError, FloatingPointError):
            found = np.full(self.still.size, np.nan)
        if not np.isfinite(found).all():
            self.counts["failed"] += 1
            return self.still
        self.counts["fitted"] += 1
        return found


def solve_ets(series: F64) -> F64:
    """Smoothing of level and trend, and damping, of ETS(A, Ad, N)."""
    model = _statsmodels("statsmodels.tsa.exponential_smoothing.ets").ETSModel
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is judged by the result being finite
        result = model(series, error="add", trend="add", damped_trend=True).fit(disp=False, maxiter=60)
    return np.array([result.params[i] for i in (0, 1, 2)], dtype=np.float64)


def forecast_ets(x: F64, parameters: F64, horizons: tuple[int, ...]) -> F64:
    """Run ETS(A, Ad, N) over (n, L) windows; (n, H)."""
    alpha, beta, damping = parameters.T
    level, trend = x[:, 0].copy(), np.zeros(len(x))
    for t in range(1, x.shape[1]):
        expected = level + damping * trend
        error = x[:, t] - expected
        level = expected + alpha * error
        trend = damping * trend + beta * error
    out = np.empty((len(x), len(horizons)))
    for k, ahead in enumerate(horizons):
        powers = damping[:, None] ** np.arange(1, ahead + 2)
        out[:, k] = level + powers.sum(axis=1) * trend
    return out


def solve_arima(series: F64) -> F64:
    """Two autoregressive coefficients and one of the moving average, of ARIMA(2, 1, 1)."""
    changes = np.diff(series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bad fit is judged by its coefficients below
        # Hannan and Rissanen's regression: the maximum-likelihood fit takes a second a series.
        regress = _statsmodels("statsmodels.tsa.arima.estimators.hannan_rissanen").hannan_rissanen
        found, _ = regress(changes, ar_order=2, ma_order=1, demean=False)
        one, two = found.ar_params
        average = float(found.ma_params[0])
        if abs(two) >= 1 or abs(one) >= 1 - two or abs(average) >= 1:
            # Neither stationary nor invertible: Burg's ARIMA(2, 1, 0) is always stationary.
            burg = _statsmodels("statsmodels.tsa.arima.estimators.burg").burg
            found, _ = burg(changes, ar_order=2, demean=False)
            (one, two), average = found.ar_params, 0.0
    return np.array([one, two, average], dtype=np.float64)


def forecast_arima(x: F64, parameters: F64, horizons: tuple[int, ...]) -> F64:
    """Run ARIMA(2, 1, 1) over (n, L) windows, first innovations 0; (n, H)."""
    one, two, average = parameters.T
    step = np.diff(x, axis=1)
    error = np.zeros(len(x))
    for t in range(2, step.shape[1]):
        error = step[:, t] - one * step[:, t - 1] - two * step[:, t - 2] - average * error
    newest, before = step[:, -1], step[:, -2]
    value = x[:, -1].copy()
    steps = []
    for ahead in range(horizons[-1] + 1):
        coming = one * newest + two * before + (average * error if ahead == 0 else 0.0)
        value = value + coming
        steps.append(value)
        newest, before = coming, newest
    return np.stack([steps[ahead] for ahead in horizons], axis=1)


def ets(spec: ForecastSpec, _name: str) -> Classical:
    """For the table."""
    return Classical(spec.window.quantiles, solve_ets, (1.0, 0.0, 0.9), forecast_ets)


def arima(spec: ForecastSpec, _name: str) -> Classical:
    """For the table."""
    return Classical(spec.window.quantiles, solve_arima, (0.0, 0.0, 0.0), forecast_arima)


def _statsmodels(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise MissingDataError(
            "the rivals ets and arima need statsmodels: it is not installed. "
            "Install rlsched[forecast], or leave them out of 'forecasters'."
        ) from None

"""Cheap forecast tables: persistence, seasonal naive, EWMA, linear autoregression. numpy only.

Each method makes a point forecast from the past alone. Its quantiles are the point plus the
quantiles of the same method's own errors on the fitting part ``[0, fit_until)``, per series and
horizon, never below 0 (a load is not negative).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.forecast.table import F64, I64, ForecastTable, check_horizons, check_quantiles
from rlsched.traces.columns import Demand
from rlsched.units import SECONDS_PER_DAY

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MIN_ERRORS = 20  # fewer errors than this say nothing about a 5 % tail


def forecast_table(
    demand: Demand | npt.NDArray[Any],
    method: str = "ewma",
    *,
    horizons: Sequence[int] = (0, 1, 2, 3, 5, 11),
    quantiles: Sequence[float] = QUANTILES,
    fit_until: int,
    step_s: int = 300,
    season_s: int = SECONDS_PER_DAY,
    alpha: float = 0.3,
    lags: int = 12,
) -> ForecastTable:
    """Forecast every series at every tick with a simple method.

    Parameters
    ----------
    demand : Demand, or (S, T) array
        Load ``>= 0``; NaN where missing. A Demand brings its own step.
    method : {"persistence", "seasonal", "ewma", "ar"}
        ``persistence``: the last measured sample. ``seasonal``: the sample a season before the
        target (the latest such before ``t``); the last measured one where that is missing or the
        series is shorter. ``ewma``: exponentially weighted mean of the measured samples.
        ``ar``: least squares on the last ``lags`` samples, one fit per series and horizon.
    horizons, quantiles : sequences
        See `ForecastTable`.
    fit_until : int
        Errors and coefficients come from samples before this tick only, so a tick ``>= fit_until``
        sees nothing of its future. Earlier ticks see their own past, through coefficients
        fitted on the whole fitting part: use those for fitting, not for judging.
    step_s : int, seconds
        Of an array; a Demand's own step wins.
    season_s : int, seconds
        Of ``seasonal``; a whole number of steps.
    alpha : float
        Weight of the newest sample in ``ewma``, in (0, 1].
    lags : int
        Of ``ar``, ``>= 1``.

    Returns
    -------
    ForecastTable
        All NaN at ticks before a series' first sample.

    Raises
    ------
    SpecError
        Unknown method or an option outside its range.
    TraceError
        Negative or infinite load, or a series with too few samples before ``fit_until``.
    """
    if method not in METHODS:
        raise SpecError(f"unknown forecast method {method!r}.{did_you_mean(method, METHODS)}")
    h, q = check_horizons(list(horizons)), check_quantiles(quantiles)
    load, step_s, where = _load(demand, step_s)
    if not 0 < alpha <= 1:
        raise SpecError(f"alpha must be in (0, 1]: got {alpha}.")
    if lags < 1:
        raise SpecError(f"lags must be >= 1: got {lags}.")
    if season_s % step_s or season_s <= 0:
        raise SpecError(f"season_s must be a positive multiple of the step of {step_s} s: got {season_s}.")
    if not 0 < fit_until <= load.shape[1]:
        raise SpecError(f"fit_until must lie in 1..{load.shape[1]}, the ticks of {where}: got {fit_until}.")
    option = {"persistence": 0, "seasonal": season_s // step_s, "ewma": alpha, "ar": lags}[method]
    values = np.empty((*load.shape, h.size, q.size), np.float32)
    for s, series in enumerate(load):
        point = METHODS[method](series, h, fit_until, option)  # (T, H)
        for k, ahead in enumerate(h):
            end = fit_until - int(ahead)
            errors = series[ahead:fit_until] - point[:end, k] if end > 0 else series[:0]
            errors = errors[np.isfinite(errors)]
            if errors.size < MIN_ERRORS:
                raise TraceError(
                    f"a forecast needs {MIN_ERRORS} errors before fit_until to know its spread: series {s} of {where} "
                    f"has {errors.size} at horizon {ahead} before tick {fit_until}. "
                    "Give a later fit_until, a shorter horizon, or leave the series out."
                )
            values[s, :, k] = np.maximum(point[:, k, None] + np.quantile(errors, q), 0.0)
    return ForecastTable(method, step_s, h, q, values)


def perfect_table(
    demand: Demand | npt.NDArray[Any],
    *,
    horizons: Sequence[int] = (0, 1, 2, 3, 5, 11),
    quantiles: Sequence[float] = QUANTILES,
    step_s: int = 300,
) -> ForecastTable:
    """The future itself at every quantile: the bound that no forecaster can pass. It looks ahead.

    Beyond the end of a series, and where the future was not measured, the last measured sample
    before the target stands in.
    """
    h, q = check_horizons(list(horizons)), check_quantiles(quantiles)
    load, step_s, _ = _load(demand, step_s)
    held = np.stack([last_measured(series) for series in load])  # (S, T + 1): at i, the last of the first i samples
    at = np.minimum(np.arange(load.shape[1])[:, None] + h + 1, load.shape[1])  # (T, H)
    values = np.repeat(held[:, at][..., None], q.size, axis=-1)
    return ForecastTable("perfect", step_s, h, q, values.astype(np.float32))


def _load(demand: Demand | npt.NDArray[Any], step_s: int) -> tuple[F64, int, str]:
    if isinstance(demand, Demand):
        demand.validate()
        return np.asarray(demand.rate, np.float64), demand.step_s, demand.source or "the demand"
    load = np.asarray(demand, dtype=np.float64)
    if load.ndim != 2 or 0 in load.shape:
        raise TraceError(f"demand must have shape (series, ticks), neither 0: got {load.shape}.")
    if step_s <= 0:
        raise SpecError(f"step_s must be > 0: got {step_s}.")
    bad = np.argwhere(np.isinf(load) | (load < 0))
    if bad.size:
        s, t = bad[0]
        raise TraceError(
            f"demand must be >= 0 and finite, or NaN for missing: got {load[s, t]} at tick {t} of series {s} "
            f"(and {len(bad) - 1} more). Fix it or mark it missing."
        )
    return load, step_s, "the demand"


def last_measured(series: F64) -> F64:
    """At ``i``, the last sample measured among the first ``i``; NaN before the first. (T + 1,)."""
    seen = np.where(np.isfinite(series), np.arange(series.size), -1)
    seen = np.concatenate([[-1], np.maximum.accumulate(seen)])
    out: F64 = np.where(seen >= 0, series[np.maximum(seen, 0)], np.nan)
    return out


def _persistence(series: F64, horizons: I64, _fit_until: int, _option: float) -> F64:
    return np.repeat(last_measured(series)[:-1, None], horizons.size, axis=1)


def _seasonal(series: F64, horizons: I64, _fit_until: int, period: float) -> F64:
    held = last_measured(series)[:-1]
    out = np.empty((series.size, horizons.size))
    tick = np.arange(series.size)
    for k, ahead in enumerate(horizons):
        seasons = int(ahead) // int(period) + 1  # whole seasons back until strictly before the tick
        at = tick + int(ahead) - seasons * int(period)
        past = np.where(at >= 0, series[np.maximum(at, 0)], np.nan)
        out[:, k] = np.where(np.isfinite(past), past, held)
    return out


def _ewma(series: F64, horizons: I64, _fit_until: int, alpha: float) -> F64:
    level = np.empty(series.size)
    now = np.nan
    for t, sample in enumerate(series.tolist()):
        level[t] = now
        if sample == sample:  # a missing sample leaves the level as it is
            now = sample if now != now else now + alpha * (sample - now)
    return np.repeat(level[:, None], horizons.size, axis=1)


def _ar(series: F64, horizons: I64, fit_until: int, lags: float) -> F64:
    p = int(lags)
    held = last_measured(series)  # gaps are bridged by the last sample before them
    first = held[np.isfinite(held)][:1]
    if first.size == 0:
        return np.full((series.size, horizons.size), np.nan)
    filled = np.where(np.isfinite(held), held, first[0])  # before the first sample only; those ticks end as NaN
    padded = np.concatenate([np.full(p - 1, filled[0]), filled[:-1]])  # (T + p - 1,)
    x = np.lib.stride_tricks.sliding_window_view(padded, p)  # (T, p): row t ends with the sample before t
    x = np.column_stack([x, np.ones(series.size)])
    out = np.empty((series.size, horizons.size))
    started = np.isfinite(held[:-1])
    for k, ahead in enumerate(horizons):
        rows = np.arange(max(0, fit_until - int(ahead)))
        rows = rows[started[rows] & np.isfinite(series[rows + int(ahead)])]
        gram = x[rows].T @ x[rows]
        ridge = 1e-6 * np.trace(gram) / gram.shape[0] if rows.size else 1.0  # a constant series has a singular gram
        weight = np.linalg.solve(gram + max(ridge, 1e-12) * np.eye(p + 1), x[rows].T @ series[rows + int(ahead)])
        out[:, k] = x @ weight
    out[~started] = np.nan
    return out


METHODS = {"persistence": _persistence, "seasonal": _seasonal, "ewma": _ewma, "ar": _ar}

"""Forecasts for the simulator: every series at every tick, from the past alone, kept on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.forecast.panel import dense
from rlsched.forecast.predictor import VmForecaster
from rlsched.forecast.table import ForecastTable
from rlsched.forecast.windows import make_context
from rlsched.traces.columns import Demand, Usage

F32 = npt.NDArray[np.float32]
TICKS = 2048  # windows asked about at once


def forecast_trace(
    model: VmForecaster,
    trace: Usage | Demand,
    resource: str | None = None,
    *,
    unit: npt.NDArray[Any] | None = None,
    cache: str | Path | None = None,
) -> ForecastTable:
    """Forecast every series of a trace at every tick, using only what was measured before the tick.

    Parameters
    ----------
    model : VmForecaster
    trace : Usage or Demand
        With the model's step. Of a usage, every resource of the model is read where it is there.
    resource : str, optional
        Which one the table is about; the model's first by default.
    unit : (S,) array, optional
        Each series is divided by it before and multiplied after, so that a rate looks like the
        shares the model learned from. A demand needs it; take it from the training time (its
        mean or largest load there), or the table looks ahead through it.
    cache : path, optional
        Folder; a table made of the same file and the same samples is read from there.

    Returns
    -------
    ForecastTable
        Tick 0 is the trace's earliest sample. NaN at ticks before which nothing of the series was
        measured. The first ticks of a series see fewer samples than the model was trained on.

    Raises
    ------
    SpecError
        Another step than the model's, an unknown resource, or a demand without ``unit``.
    TraceError
        Series off the grid, values negative or infinite, or a unit that is not positive.
    """
    about = resource if resource is not None else model.resources[0]
    if about not in model.resources:
        raise SpecError(f"forecaster {model.name!r} has no resource {about!r}.{did_you_mean(about, model.resources)}")
    if trace.step_s != model.step_s:
        raise SpecError(
            f"the trace's step must be the {model.step_s} s of forecaster {model.name!r}: it is {trace.step_s} s. "
            "Average the trace onto that step first."
        )
    values, first, start_s, cores = _columns(model, trace, about)
    bad = np.argwhere(np.isinf(values) | (values < 0))
    if bad.size:
        row, tick, column = bad[0]
        raise TraceError(
            f"{model.resources[column]} must be >= 0 and finite, or missing: got {values[row, tick, column]} at "
            f"tick {tick} of series {_name(trace, int(row))!r} (and {len(bad) - 1} more). Fix the sample, or set it to "
            "NaN."
        )
    scale = _units(trace, unit, len(values))
    values = (values / scale[:, None, None]).astype(np.float32)
    place = None
    if cache is not None:
        digest = hashlib.sha256(f"{model.sha256} {about} {start_s}".encode())
        for array in (values, first, cores, scale):
            digest.update(np.ascontiguousarray(array).tobytes())
        place = Path(cache) / f"forecast-{digest.hexdigest()[:32]}.npz"
        if place.is_file():
            return ForecastTable.load(place)
    r = model.resources.index(about)
    s, t = values.shape[:2]
    out = np.full((s, t, len(model.horizons), len(model.quantiles)), np.nan, np.float32)
    for row in range(s):
        known = np.concatenate([[0], np.cumsum(np.isfinite(values[row, :, r]))])[:-1]  # before each tick
        padded = np.concatenate([np.full((model.length, values.shape[2]), np.nan, np.float32), values[row]])
        view = np.lib.stride_tricks.sliding_window_view(padded, model.length, axis=0)
        ticks = np.flatnonzero(known > 0)
        for low in range(0, ticks.size, TICKS):
            at = ticks[low : low + TICKS]
            past = np.ascontiguousarray(view[at].transpose(0, 2, 1))
            age_h = np.maximum(at - first[row], 0) * model.step_s / 3600.0
            context = make_context(start_s + at * model.step_s, float(cores[row]), age_h)
            out[row, at] = model.quantiles_of(past, context)[:, r] * np.float32(scale[row])
    table = ForecastTable(model.name, model.step_s, np.array(model.horizons), np.array(model.quantiles), out)
    if place is not None:
        table.save(place)
    return table


def _columns(model: VmForecaster, trace: Usage | Demand, about: str) -> tuple[F32, Any, int, F32]:
    """Dense samples of all the model's resources, first ticks, second of tick 0 on the clock, cores."""
    if isinstance(trace, Usage):
        there = {"cpu_share", "mem_share", *trace.extra}
        if about not in there:
            raise SpecError(f"the trace has no {about!r}.{did_you_mean(about, there)}")
        given = tuple(one for one in model.resources if one in there)
        some, first, start = dense(trace, given, trace.source or "the trace")
        values = np.full((*some.shape[:2], len(model.resources)), np.nan, np.float32)
        for i, one in enumerate(given):
            values[:, :, model.resources.index(one)] = some[:, :, i]
        cores = np.where(trace.cpu_mcore > 0, trace.cpu_mcore / 1000.0, np.nan).astype(np.float32)
    else:
        values = np.full((*trace.rate.shape, len(model.resources)), np.nan, np.float32)
        values[:, :, model.resources.index(about)] = trace.rate
        first = np.isfinite(trace.rate).argmax(axis=1)
        start, cores = trace.start_s, np.full(len(values), np.nan, np.float32)
    return values, first, start + int(trace.meta.get("time_origin_s") or 0), cores


def _name(trace: Usage | Demand, row: int) -> str:
    return str(trace.series_id[row] if isinstance(trace, Usage) else trace.service_id[row])


def _units(trace: Usage | Demand, unit: npt.NDArray[Any] | None, count: int) -> npt.NDArray[np.float64]:
    if unit is None:
        if isinstance(trace, Demand):
            raise SpecError(
                "a demand needs 'unit': one number a service, from its training time, e.g. its largest load."
            )
        return np.ones(count)
    scale = np.asarray(unit, np.float64)
    if scale.shape != (count,) or not (np.isfinite(scale) & (scale > 0)).all():
        raise TraceError(f"unit must be one finite number > 0 for each of the {count} series: got {scale!r}.")
    return scale

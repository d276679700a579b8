"""Forecast tables for the demand of a scaling problem, by any forecaster of the harness.

A forecaster learns from the train windows, chooses on the validation windows, and then speaks before every
interval of the windows that are asked for. What it is handed then holds no future at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.forecast.card import QUANTILES, SourceSpec, TrainingSpec, WindowSpec
from rlsched.forecast.card import ForecastSpec as HarnessSpec
from rlsched.forecast.simple import perfect_table
from rlsched.forecast.table import ForecastTable
from rlsched.forecast.windows import Windows, make_context, past_of
from rlsched.rng import stream
from rlsched.sim.scaling.world import Window, World
from rlsched.units import SECONDS_PER_DAY

if TYPE_CHECKING:
    from rlsched.forecast.rivals.base import Tell

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
PERFECT, POOLED = "perfect", "pooled_ar"
#: Samples a forecaster sees: a day of five-minute intervals.
LENGTH = 288


def harness_spec(
    horizons: Sequence[int], training: TrainingSpec, *, length: int = LENGTH, train: int = 12_000, choose: int = 3_000
) -> HarnessSpec:
    """What the harness needs to know to build a forecaster of one rate.

    Parameters
    ----------
    horizons : sequence of int, intervals ahead
        Of the table. A forecaster speaks about every interval up to the last of them.
    training : TrainingSpec
    length : int
        Samples of the past it sees.
    train, choose : int
        Moments it learns from and chooses on.
    """
    window = WindowSpec(
        length=length, horizons=tuple(range(max(horizons) + 1)), quantiles=QUANTILES, train=train, validation=choose
    )
    # The harness' card wants a source; what is learned from here is the problem's own demand.
    return HarnessSpec(data=(SourceSpec(dataset="demand"),), resources=("rate",), window=window, training=training)


def unit_of(world: World, windows: Sequence[Window]) -> float:
    """Mean demand of the train windows: what demand is divided by before a forecaster sees it.

    One number for all series, since those of a test day may not exist in training.

    Raises
    ------
    SpecError
        When nothing was asked for in the train windows.
    """
    seen = np.concatenate([world.demand[row, one.lo : one.hi] for one in windows for row in one.rows])
    unit = float(seen.mean())
    if not unit > 0:
        raise SpecError(f"the train windows must hold demand to learn from: their mean is {unit:g}. Name others.")
    return unit


def windows_of(
    world: World, windows: Sequence[Window], spec: HarnessSpec, unit: float, count: int, seed: int, name: str
) -> Windows:
    """Moments inside some windows, whose targets do not leave them: what a forecaster learns from.

    Parameters
    ----------
    world : World
    windows : sequence of Window
    spec : ForecastSpec
        Of the harness.
    unit : float
        See :func:`unit_of`.
    count, seed : int
        At most so many, drawn at random.
    name : str
        Of the draw.

    Raises
    ------
    SpecError
        When no window is as long as the farthest horizon.
    """
    ahead = spec.window.horizons[-1] + 1
    pairs = [(row, t) for one in windows for row in one.rows for t in range(max(one.lo, 1), one.hi - ahead + 1)]
    if not pairs:
        raise SpecError(f"windows must be at least {ahead} intervals long, as the farthest forecast: lengthen them.")
    if len(pairs) > count:
        chosen = np.sort(stream(seed, "forecast value", name).choice(len(pairs), count, replace=False))
        pairs = [pairs[i] for i in chosen.tolist()]
    row, tick = np.array(pairs, np.int64).T
    order = np.lexsort((tick, row))  # past_of goes series by series
    row, tick = row[order], tick[order]
    future = world.demand[row[:, None], tick[:, None] + np.array(spec.window.horizons)] / unit
    return _moments(world, row, tick, spec, unit, future[:, :, None].astype(np.float32))


def forecast_world(
    world: World, forecaster: Any, windows: Sequence[Window], spec: HarnessSpec, unit: float, horizons: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Ask a fitted forecaster before every interval of some windows.

    Parameters
    ----------
    world : World
    forecaster : rlsched.forecast.rivals.base.Forecaster
    windows : sequence of Window
    spec, unit
        As for :func:`windows_of`.
    horizons : sequence of int

    Returns
    -------
    (R, T, H, Q) float32, units
        NaN outside the windows, and at interval 0, before which nothing is known.
    """
    pick = [spec.window.horizons.index(one) for one in horizons]
    quantiles = len(spec.window.quantiles)
    out = np.full((*world.demand.shape, len(pick), quantiles), np.nan, np.float32)
    asked = np.zeros(world.demand.shape, bool)
    for one in windows:
        asked[list(one.rows), one.lo : one.hi] = True
    asked[:, 0] = False
    for r in np.flatnonzero(asked.any(axis=1)):
        tick = np.flatnonzero(asked[r])
        row = np.full(tick.size, r)
        unknown = np.full((tick.size, len(spec.window.horizons), 1), np.nan, np.float32)
        told = forecaster.predict(_moments(world, row, tick, spec, unit, unknown))[:, 0]  # (B, H, Q)
        out[r, tick] = told[:, pick] * np.float32(unit)
    return out


def fed(world: World, values: npt.NDArray[np.float32], horizons: Sequence[int]) -> World:
    """The world with these forecasts, checked as a `ForecastTable`."""
    table = ForecastTable("fed", world.step_s, np.array(horizons), np.array(QUANTILES), values)
    return world.with_forecast(table.values, table.horizons, table.quantiles)


def perfect_world(world: World, horizons: Sequence[int]) -> World:
    """The world with the future itself as its forecast, at every quantile."""
    table = perfect_table(world.demand, horizons=horizons, quantiles=QUANTILES, step_s=world.step_s)
    return world.with_forecast(table.values, table.horizons, table.quantiles)


def harness_world(
    world: World,
    name: str,
    seed: int,
    splits: dict[str, Sequence[Window]],
    split: str,
    spec: HarnessSpec,
    horizons: Sequence[int],
    tell: Tell,
) -> World:
    """Fit a forecaster of the harness on train and validation windows, and feed the world with it.

    Parameters
    ----------
    world : World
    name : str
        In ``rlsched.forecast.rivals.FORECASTERS``.
    seed : int
        Of its training.
    splits : dict of str to sequence of Window
    split : str
        Forecasts are made for this one, besides train and validation.
    spec : ForecastSpec
        See :func:`harness_spec`.
    horizons : sequence of int
    tell : callable
        Gets lines of progress.
    """
    from rlsched.forecast.rivals import build

    unit = unit_of(world, splits["train"])
    train = windows_of(world, splits["train"], spec, unit, spec.window.train, spec.window.seed, "train")
    choose = windows_of(world, splits["validation"], spec, unit, spec.window.validation, spec.window.seed, "validation")
    forecaster = build(spec, name)
    forecaster.fit(train, choose, seed, None, tell)
    asked = [one for part in dict.fromkeys(("train", "validation", split)) for one in splits[part]]
    return fed(world, forecast_world(world, forecaster, asked, spec, unit, horizons), horizons)


def errors_of(world: World, windows: Sequence[Window]) -> dict[str, float]:
    """Errors of the world's forecasts about the intervals of some windows.

    Returns
    -------
    dict of str to float
        No unit, all over the demand they speak of. ``wql``: weighted quantile loss, all horizons and
        quantiles; ``wql_ready``: of the interval in which an order of now is ready; ``critical``: there, the loss
        of the one quantile where one more instance just pays.
    """
    boot = world.types[0].boot_steps(float(world.step_s))
    within = np.flatnonzero(world.horizons <= boot)
    if not within.size:
        raise SpecError(f"a forecast {boot} intervals ahead or less is needed: horizons are {world.horizons.tolist()}.")
    ready = int(within[-1])
    service, kind = world.services[0], world.types[0]
    penalty = service.unmet_usd_per_unit_h * kind.capacity
    critical = min(max(1.0 - kind.price_per_h / penalty, 0.01), 0.999) if penalty > kind.price_per_h else 0.01
    q = world.quantiles
    above = {"wql": 0.0, "wql_ready": 0.0, "critical": 0.0}
    load = {"wql": 0.0, "wql_ready": 0.0, "critical": 0.0}
    for one in windows:
        for row in one.rows:
            for k, ahead in enumerate(world.horizons.tolist()):
                tick = np.arange(max(one.lo, 1), one.hi - ahead)
                truth = world.demand[row, tick + ahead]
                told = world.forecast[row, tick, k].astype(np.float64)  # (B, Q)
                loss, total = _pinball(truth[:, None] - told, q).mean(axis=1).sum(), truth.sum()
                above["wql"] += 2 * loss
                load["wql"] += total
                if k == ready:
                    above["wql_ready"] += 2 * loss
                    load["wql_ready"] += total
                    at = np.array([np.interp(critical, q, line) for line in told])
                    above["critical"] += 2 * float(_pinball(truth - at, np.array(critical)).sum())
                    load["critical"] += total
    return {name: float(above[name] / load[name]) if load[name] > 0 else float("nan") for name in above}


def _pinball(error: F64, q: F64) -> F64:
    out: F64 = np.maximum(q * error, (q - 1.0) * error)
    return out


def _moments(
    world: World, row: I64, tick: I64, spec: HarnessSpec, unit: float, future: npt.NDArray[np.float32]
) -> Windows:
    length = spec.window.length
    past = np.concatenate(
        [past_of((world.demand[r][:, None] / unit).astype(np.float32), tick[row == r], length) for r in np.unique(row)]
    )
    time_s = world.start_s + tick * world.step_s
    # A service older than what is seen of it is as old as that: the age would tell test from train.
    age_h = np.minimum(tick, length) * world.step_s / 3600.0
    day = time_s // SECONDS_PER_DAY
    step = np.full(tick.size, world.step_s, np.int64)
    context = make_context(time_s, float("nan"), age_h)
    block = row * (int(day.max()) + 1) + day
    return Windows(past, context, future, row, block, tick, step, ("rate",), spec.window.horizons)

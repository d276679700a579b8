"""Environment cards of kind ``scaling``: demand + instance types + service + windows + what is seen and done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from rlsched.assets import asset_roots, find_asset
from rlsched.envs.card_kind import check_kind
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.envs.scaling_spot import SpotSpec, read_spot
from rlsched.errors import SpecError, did_you_mean
from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.world import Window, World
from rlsched.spec import Spec, load
from rlsched.traces.columns import Columns, Demand, DropReport, Trace, Usage


class DemandSpec(Spec):
    """Where demand comes from.

    Parameters
    ----------
    source : str
        A dataset, or a file (below ``traces/``, beside the card, or any path).
    parts : list of str
        Of a dataset. Left out: those the dataset's split names for ``split``, or its first. Several
        are several stretches of time that do not follow each other; each gives its own series.
    split : {"train", "validation", "test"}, optional
        Windows lie in this part of the dataset's split; left out: anywhere.
    groups : int
        VMs or jobs are dealt out at random into so many services; for demand that is one already,
        left as it is.
    seed : int
        Of the dealing.
    step_s : int, seconds
        The control interval: a multiple of the source's own, or for jobs any.
    until_s : float, seconds, optional
        Windows end here at the latest, for what is later to stay unseen.
    scale : float
        Demand is multiplied by it, for a service of another size.
    """

    source: str
    parts: tuple[str, ...] = ()
    split: Literal["train", "validation", "test"] | None = None
    groups: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)
    step_s: int = Field(default=300, ge=1)
    until_s: float = Field(default=math.inf, gt=0)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class ScalingWindows(Spec):
    """Episodes: stretches of every series, one after the other.

    Parameters
    ----------
    length_s : float, seconds
    every_s : float, seconds, optional
        From one beginning to the next; the length by default, so that windows do not overlap.
    history_s : float, seconds
        Known before each window; the observation looks back into it.
    services : int
        Series that step together in one environment.
    """

    length_s: float = Field(default=86_400, gt=0)
    every_s: float | None = Field(default=None, gt=0)
    history_s: float = Field(default=3600, ge=0)
    services: int = Field(default=1, ge=1)


class ForecastSpec(Spec):
    """A cheap forecast of ``rlsched.forecast.simple``, made without looking ahead.

    Parameters
    ----------
    method : str
    horizons : list of int
        Intervals ahead; 0: the coming one.
    quantiles : list of float
    fit_until_s : float, seconds
        Coefficients and errors come from before this time on the trace's clock.
    """

    method: str = "ewma"
    horizons: tuple[int, ...] = (0, 2)
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    fit_until_s: float = Field(gt=0)


class ScalingCard(Spec):
    """An environment card of kind ``scaling``.

    Parameters
    ----------
    kind : "scaling"
    title : str
    demand, windows, forecast
        See their classes.
    types : list of InstanceType
    service : Service
    simulation : ScalingOptions
    spot : SpotSpec, optional
        Measured prices of spot markets; for demand of one clock.
    scaling : ScalingSettings
    """

    kind: Literal["scaling"]
    title: str = ""
    demand: DemandSpec
    windows: ScalingWindows = Field(default_factory=ScalingWindows)
    forecast: ForecastSpec | None = None
    types: tuple[InstanceType, ...]
    service: Service = Field(default_factory=Service)
    simulation: ScalingOptions = Field(default_factory=ScalingOptions)
    spot: SpotSpec | None = None
    scaling: ScalingSettings = Field(default_factory=ScalingSettings)

    @model_validator(mode="after")
    def _some_type(self) -> ScalingCard:
        if not self.types:
            raise ValueError("needs at least one [[types]]")
        return self


def resolve_scaling(
    problem: ScalingProblem | None, settings: ScalingSettings | None, card: str
) -> tuple[ScalingProblem, ScalingSettings]:
    """Fill what is not given from a card; given a problem, the default settings."""
    if problem is not None:
        return problem, settings or ScalingSettings()
    spec, path = load_scaling_card(card)
    return build_scaling(spec, path), settings or spec.scaling


def load_scaling_card(card: str | Path) -> tuple[ScalingCard, Path]:
    """Read an environment card by name or path.

    Raises
    ------
    SpecError
        Unknown name, a card of another kind, or one that breaks a rule.
    """
    path = find_asset("envs", card)
    check_kind(card, path, "scaling")
    return load(ScalingCard, path).spec, path


def build_scaling(spec: ScalingCard, path: Path) -> ScalingProblem:
    """Read the demand of a card and cut its windows.

    Raises
    ------
    SpecError
        When the source cannot be demand, or no window fits.
    MissingDataError
        When the dataset is not on this machine.
    """
    stretches, limits = read_stretches(spec.demand, path)
    demand = side_by_side(stretches)
    if spec.spot is not None and len(stretches) > 1:
        raise SpecError(f"{path}: the parts of {spec.demand.source!r} follow no common clock to lay spot prices on.")
    spot = None if spec.spot is None else read_spot(spec.spot, spec.types, demand)
    world = World.build(
        demand,
        spec.types,
        spec.service,
        spec.simulation,
        spot_price_per_h=None if spot is None else spot.price_per_h,
        spot_available=None if spot is None else spot.available,
    )
    if spec.forecast is not None:
        world = _forecast(world, demand, spec.forecast)
    return ScalingProblem(world, cut_windows(world, spec.windows, limits))


def read_stretches(spec: DemandSpec, card: Path) -> tuple[list[Demand], tuple[float, float]]:
    """Demand of each part, and the seconds between which windows may lie."""
    from rlsched.traces.card import load_card
    from rlsched.traces.datasets import read_dataset
    from rlsched.traces.read import read_any

    places = [card.parent / spec.source, *(root / spec.source for root in asset_roots("traces")), Path(spec.source)]
    file = next((place for place in places if place.is_file()), None)
    if file is not None:
        if spec.parts or spec.split:
            raise SpecError(f"{card}: a file has no parts and no split: got {spec.source!r}. Leave them out.")
        return [_demand_of(read_any(file), spec, card)], (0.0, spec.until_s)
    dataset = load_card(spec.source).spec
    parts: Sequence[str | None] = spec.parts or (None,)
    limits = (0.0, spec.until_s)
    if spec.split is not None:
        if dataset.splits is None:
            raise SpecError(f"{card}: dataset {spec.source!r} has no split. Leave split out.")
        stretch: Any = getattr(dataset.splits, spec.split)
        if dataset.splits.by in ("day", "part"):
            strange = [part for part in spec.parts if part not in stretch]
            if strange:
                raise SpecError(
                    f"{card}: {strange[0]!r} is not in the {spec.split} split.{did_you_mean(strange[0], stretch)}"
                )
            parts = spec.parts or tuple(stretch)
        else:
            parts = spec.parts or (dataset.splits.part,)
            limits = (float(stretch[0]), min(float(stretch[1]), spec.until_s))
    return [_demand_of(read_dataset(spec.source, part), spec, card) for part in parts], limits


def _demand_of(columns: Columns, spec: DemandSpec, card: Path) -> Demand:
    from dataclasses import replace

    from rlsched.sim.scaling.demand import resampled, running_jobs, usage_groups

    if isinstance(columns, Demand):
        demand = resampled(columns, spec.step_s)
    elif isinstance(columns, Usage):
        demand = resampled(usage_groups(columns, spec.groups, seed=spec.seed), spec.step_s)
    elif isinstance(columns, Trace):
        demand = running_jobs(columns, spec.step_s, spec.groups, seed=spec.seed)
    else:
        raise SpecError(f"{card}: {spec.source!r} must hold demand, usage or jobs: it holds {type(columns).__name__}.")
    return replace(demand, rate=demand.rate * spec.scale)


def side_by_side(stretches: Sequence[Demand]) -> Demand:
    """Several stretches as series of one Demand; each begins at 0 and is as long as the shortest."""
    if len(stretches) == 1:
        return stretches[0]
    shortest = min(one.rate.shape[1] for one in stretches)
    names = [f"{one.meta.get('part', i)}/{name}" for i, one in enumerate(stretches) for name in one.service_id]
    rate = np.concatenate([one.rate[:, :shortest] for one in stretches])
    first = stretches[0]
    reports = [one.report for one in stretches]
    report = DropReport(
        sum(one.rows_read for one in reports),
        sum(one.rows_kept for one in reports),
        tuple(drop for one in reports for drop in one.drops),
    )
    return Demand(
        np.array(names, dtype=object), first.start_s, first.step_s, rate, first.unit, first.source, {}, report
    )


def cut_windows(world: World, spec: ScalingWindows, limits: tuple[float, float]) -> tuple[Window, ...]:
    """Every window that lies inside the limits, its history included.

    Raises
    ------
    SpecError
        When none does, or there are fewer series than services.
    """
    if spec.services > world.n_rows:
        raise SpecError(f"windows.services must be at most the {world.n_rows} series there are: got {spec.services}.")
    step = world.step_s
    first = max(0, math.ceil((limits[0] - world.start_s) / step))
    end = world.n_steps if math.isinf(limits[1]) else min(world.n_steps, math.floor((limits[1] - world.start_s) / step))
    length, history = round(spec.length_s / step), math.ceil(spec.history_s / step)
    every = max(1, round((spec.every_s or spec.length_s) / step))
    found = []
    for at, lo in enumerate(range(first + history, end - length + 1, every)):
        for row in range(world.n_rows):
            rows = tuple((row + i) % world.n_rows for i in range(spec.services))
            found.append(Window(rows, lo, lo + length, f"{world.names[row]}-{at:03d}"))
    if not found or length < 1:
        raise SpecError(
            f"no window of {spec.length_s:g} s with {spec.history_s:g} s before it fits into the {end - first} "
            f"intervals of {step} s there are. Shorten length_s or history_s."
        )
    return tuple(found)


def _forecast(world: World, demand: Demand, spec: ForecastSpec) -> World:
    from rlsched.forecast.simple import forecast_table

    until = math.floor((spec.fit_until_s - world.start_s) / world.step_s)
    table = forecast_table(demand, spec.method, horizons=spec.horizons, quantiles=spec.quantiles, fit_until=until)
    return world.with_forecast(table.values, table.horizons, table.quantiles)

"""What a scaling card names → demand of services, windows of each split, forecasts, a world."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import assets
from rlsched.envs.scaling_spot import SpotMarkets, read_spot
from rlsched.errors import SpecError
from rlsched.evaluate.scaling_card import ScalingDataSpec, ScalingExperiment
from rlsched.policies.scaling.forecasts import PooledAr
from rlsched.sim.scaling.demand import resampled, running_jobs, usage_groups
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.card import Split, load_card
from rlsched.traces.columns import F64, Columns, Demand, Trace, Usage
from rlsched.traces.datasets import read_dataset
from rlsched.units import format_duration

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ScalingInputs:
    """Demand of every service, and the windows of each split.

    Parameters
    ----------
    spec : ScalingExperiment
    demand : Demand
        All splits.
    windows : dict of str to tuple of Window
        Split → windows.
    sources : tuple of dict
        For provenance: role, name, part, SHA-256 by file name.
    spot : SpotMarkets, optional
        Where the card names markets.
    """

    spec: ScalingExperiment
    demand: Demand
    windows: dict[str, tuple[Window, ...]]
    sources: tuple[dict[str, Any], ...]
    spot: SpotMarkets | None = None

    @property
    def sha256(self) -> dict[str, str]:
        """SHA-256 of every file that was read, by name."""
        return {name: sha for source in self.sources for name, sha in source["files"].items()}

    @cached_property
    def world(self) -> World:
        """Demand, services, types and forecasts together."""
        spot = self.spot
        world = World.build(
            self.demand,
            self.spec.types,
            self.spec.service,
            self.spec.simulation,
            spot_price_per_h=None if spot is None else spot.price_per_h,
            spot_available=None if spot is None else spot.available,
        )
        made = self.forecaster
        if made is None:
            return world
        return world.with_forecast(made.values(world.demand)[:, :-1].copy(), made.horizons, made.quantiles)

    @cached_property
    def forecaster(self) -> PooledAr | None:
        """What forecasts, fitted on the train windows; None where the card asks for none."""
        wanted = self.spec.forecast
        if wanted is None:
            return None
        demand = World.build(self.demand, self.spec.types, self.spec.service, self.spec.simulation).demand
        history = round(self.spec.windows.history) // self.demand.step_s
        # Windows that touch, with their histories, are one stretch: a forecast may look from one into the next.
        fit: list[tuple[int, int, int]] = []
        for row, lo, hi in sorted(
            (r, max(0, one.lo - history), one.hi) for one in self.windows["train"] for r in one.rows
        ):
            if fit and fit[-1][0] == row and lo <= fit[-1][2]:
                fit[-1] = (row, fit[-1][1], hi)
            else:
                fit.append((row, lo, hi))
        return PooledAr.fit(demand, fit, wanted.lags, wanted.horizons, wanted.quantiles)


def read_inputs(spec: ScalingExperiment, data_root: str | Path | None = None) -> ScalingInputs:
    """Read the data of an experiment and cut its windows.

    Raises
    ------
    SpecError
        Not a dataset, no splits, or a split without a window.
    TraceError, MissingDataError
        As the readers.
    """
    data = spec.data
    if data.trace not in assets.list_assets("traces"):
        from rlsched.errors import did_you_mean

        raise SpecError(f"unknown dataset {data.trace!r}.{did_you_mean(data.trace, assets.list_assets('traces'))}")
    split = load_card(data.trace).spec.splits
    if split is not None and split.by == "day":
        if spec.splits is not None or data.part is not None:
            raise SpecError(f"{data.trace} is split by day, in its own card: leave splits and data.part out.")
        if spec.spot is not None:
            raise SpecError(f"{data.trace} is split by day: its days follow no common clock to lay spot prices on.")
        return _by_day(spec, split, data_root)
    return _by_time(spec, split, data_root)


def _by_day(spec: ScalingExperiment, split: Split, data_root: str | Path | None) -> ScalingInputs:
    """A day is a part, and its groups have nothing to do with those of other days."""
    if spec.windows.length is not None:
        raise SpecError(
            f"{spec.data.trace} is split by day: a window is what remains of a day. Leave windows.length out."
        )
    rates: list[F64] = []
    names: list[str] = []
    windows: dict[str, tuple[Window, ...]] = {}
    files: dict[str, str] = {}
    made: Demand | None = None
    for name in SPLITS:
        cut: list[Window] = []
        for day in getattr(split, name):
            read = read_dataset(spec.data.trace, day, data=data_root, **spec.data.options)
            files |= {Path(path).name: sha for path, sha in read.meta.get("files", {}).items()}
            made = demand_of(spec.data, read)
            lo = _history(spec, made.step_s)
            rows = tuple(range(len(names), len(names) + len(made.service_id)))
            hi = made.rate.shape[1]
            if lo >= hi:
                raise SpecError(
                    f"windows.history must be shorter than a day of {spec.data.trace}: got {spec.windows.history:g} s."
                )
            groups = [rows] if spec.windows.together else [(row,) for row in rows]
            for i, one in enumerate(groups):
                suffix = "" if spec.windows.together else f"-{i:02d}"
                cut.append(Window(one, lo, hi, f"{name}-{day}{suffix}"))
            rates.append(made.rate)
            names += [f"{day}/{one}" for one in made.service_id]
        windows[name] = tuple(cut)
    assert made is not None  # a split names at least one day
    steps = {rate.shape[1] for rate in rates}
    if len(steps) > 1:
        raise SpecError(f"the days of {spec.data.trace} must be equally long: they have {sorted(steps)} intervals.")
    demand = dataclasses.replace(made, service_id=np.array(names, dtype=object), rate=np.concatenate(rates))
    source = {"role": "demand", "name": spec.data.trace, "part": "all days", "files": files}
    return ScalingInputs(spec, demand, windows, (source,))


def _by_time(spec: ScalingExperiment, split: Split | None, data_root: str | Path | None) -> ScalingInputs:
    read = read_dataset(spec.data.trace, spec.data.part, data=data_root, **spec.data.options)
    stretches: dict[str, tuple[float, float]] = {}
    if spec.splits is not None:
        stretches = {name: getattr(spec.splits, name) for name in SPLITS}
    elif split is not None and split.part == read.meta["part"] and split.by in ("time_s", "arrive_s"):
        stretches = {name: getattr(split, name) for name in SPLITS}
    else:
        raise SpecError(
            f"splits is required: neither the experiment's card nor that of {spec.data.trace!r} states any for this "
            "part. Add [splits] with train, validation and test = [from, to) in seconds."
        )
    if spec.windows.length is None:
        raise SpecError("windows.length is required where splits are stretches of time.")
    demand = demand_of(spec.data, read)
    windows = {name: _cut(spec, demand, name, *stretches[name]) for name in SPLITS}
    files = {Path(path).name: sha for path, sha in read.meta.get("files", {}).items()}
    source = {"role": "demand", "name": spec.data.trace, "part": read.meta["part"], "files": files}
    if spec.spot is None:
        return ScalingInputs(spec, demand, windows, (source,))
    spot = read_spot(spec.spot, spec.types, demand, data_root)
    return ScalingInputs(spec, demand, windows, (source, spot.source), spot)


def demand_of(data: ScalingDataSpec, read: Columns) -> Demand:
    """What was read, as demand of services without missing values.

    Raises
    ------
    SpecError
        When ``data.series`` does not fit what the dataset holds.
    """
    if data.series == "usage" and isinstance(read, Usage):
        out = usage_groups(read, data.groups, seed=data.seed, cores=data.cores)
        out = out if out.step_s == data.step_s else resampled(out, data.step_s)
    elif data.series == "jobs" and isinstance(read, Trace):
        out = running_jobs(read, data.step_s, data.groups, seed=data.seed)
    elif data.series == "requests" and isinstance(read, Demand):
        if data.groups != 1:
            raise SpecError("data.groups is for usage and jobs: a dataset of rates has services of its own.")
        out = resampled(read, data.step_s)
    else:
        held = type(read).__name__.lower()
        wanted = {"usage": "usage", "jobs": "a trace", "requests": "demand"}[data.series]
        raise SpecError(
            f'data.series = "{data.series}" needs {wanted}: {data.trace!r} holds {held}. Name another series or part.'
        )
    return out if data.scale == 1.0 else dataclasses.replace(out, rate=out.rate * data.scale)


def _history(spec: ScalingExperiment, step_s: int) -> int:
    return max(1, round(spec.windows.history) // step_s)


def _cut(spec: ScalingExperiment, demand: Demand, name: str, lo_s: float, hi_s: float) -> tuple[Window, ...]:
    """Stretches of ``windows.length`` inside the split, one after the other; the first leaves room for a history."""
    step, length_s = demand.step_s, spec.windows.length
    assert length_s is not None
    length = round(length_s) // step
    first = -(-int(lo_s - demand.start_s) // step)
    first = max(first, _history(spec, step))
    last = min(int(hi_s - demand.start_s) // step, demand.rate.shape[1])
    n = (last - first) // length if length > 0 else 0
    if n < 1:
        raise SpecError(
            f"the {name} split [{lo_s:g}, {hi_s:g}) s must hold a window of {format_duration(length_s)} with its "
            "history: it holds none. Shorten windows.length."
        )
    services = range(len(demand.service_id))
    out = []
    for i in range(n):
        lo = first + i * length
        if spec.windows.together:
            out.append(Window(tuple(services), lo, lo + length, f"{name}-{i:02d}"))
        else:
            out += [Window((row,), lo, lo + length, f"{name}-{i:02d}-{demand.service_id[row]}") for row in services]
    return tuple(out)

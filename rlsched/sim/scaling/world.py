"""``World``: demand, instance types, services and prices, fixed before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.sim.scaling.options import MOST_STEPS, InstanceType, ScalingOptions, Service
from rlsched.traces.columns import Demand
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

ON_DEMAND, SPOT = range(2)  # markets

#: Columns of ``WorldCode.type_f``.
TYPE_F = ("capacity", "price_step", "start_usd", "min_billing_s")
(T_CAPACITY, T_PRICE, T_START, T_MIN_BILLING) = range(len(TYPE_F))
#: Columns of ``WorldCode.type_i``.
TYPE_I = ("boot_steps", "servers")
(T_BOOT, T_SERVERS) = range(len(TYPE_I))
#: Columns of ``WorldCode.service_f``. ``late_s``: nobody waits longer than the deadline and one interval.
SERVICE_F = ("unmet_usd", "late_usd", "request_units", "latency_s", "quantile", "availability", "late_s")
(S_UNMET, S_LATE, S_REQUEST, S_LATENCY, S_QUANTILE, S_AVAILABILITY, S_LONGEST) = range(len(SERVICE_F))
#: Columns of ``WorldCode.service_i``; initial -1: from the demand before the window.
SERVICE_I = ("min_instances", "max_instances", "initial", "deadline_steps", "n_credits")
(S_MIN, S_MAX, S_INITIAL, S_DEADLINE, S_CREDITS) = range(len(SERVICE_I))
#: Entries of ``WorldCode.option_f`` and ``WorldCode.option_i``.
OPTION_F = ("step_s", "hazard")
(O_STEP_S, O_HAZARD) = range(len(OPTION_F))
OPTION_I = ("start_s", "bill_ready", "cancel_first", "oldest", "booting")
(O_START_S, O_BILL_READY, O_CANCEL_FIRST, O_OLDEST, O_BOOTING) = range(len(OPTION_I))


class WorldCode(NamedTuple):
    """The arrays the simulators read. ``R`` series, ``T`` intervals, ``K`` types, ``P`` pools."""

    demand: F64  # (R, T) units
    calendar: F32  # (T + 1, 4) sine and cosine of the time of day and of the week
    type_f: F64  # (K, 4) see TYPE_F
    type_i: I64  # (K, 2) see TYPE_I
    pool: I64  # (P, 2) type and market of each pool, by type, on demand before spot
    spot_price: F64  # (K, T) USD per interval; NaN where a type has no spot market
    spot_available: F64  # (K, T) instances; infinite where nothing limits them
    service_f: F64  # (R, 7) see SERVICE_F
    service_i: I64  # (R, 5) see SERVICE_I
    credits: F64  # (R, C, 2) availability and share
    option_f: F64  # (2,)
    option_i: I64  # (5,)
    forecast: F32  # (R, T, H, Q) units, or (1, 1, 0, 0)
    horizons: I64  # (H,) intervals; 0: the coming one
    quantiles: F64  # (Q,)


@dataclass(frozen=True)
class Window:
    """A stretch of some series: one episode.

    Parameters
    ----------
    rows : tuple of int
        The series that the services get, one each.
    lo, hi : int
        First interval decided on, and the first after the last; ``0 <= lo < hi <= T``.
    name : str
    """

    rows: tuple[int, ...]
    lo: int
    hi: int
    name: str = ""


@dataclass(frozen=True)
class World:
    """Demand, types, services, prices. Build with :meth:`build`, which checks everything.

    Parameters
    ----------
    demand : (R, T) float64, units
        Mean over each interval; finite and >= 0. A reader's missing values have to be filled
        before, by somebody who says how.
    step_s : int, seconds
    start_s : int, seconds
        Of interval 0; its time of day and of week count from the trace's zero.
    types : tuple of InstanceType
    services : tuple of Service
        One a series.
    options : ScalingOptions
    names : tuple of str
        Of the series.
    unit : str
        Of demand and capacity.
    spot_price_per_h, spot_available : (K, T) float64
        USD per hour and instances.
    forecast : (R, T, H, Q) float32, units
        ``forecast[r, t, h, q]`` was made from demand before ``t``, and speaks about interval
        ``t + horizons[h]``. H = 0: none.
    horizons : (H,) int64, intervals
    quantiles : (Q,) float64
    source : str
    """

    demand: F64
    step_s: int
    start_s: int
    types: tuple[InstanceType, ...]
    services: tuple[Service, ...]
    options: ScalingOptions
    names: tuple[str, ...]
    unit: str
    spot_price_per_h: F64
    spot_available: F64
    forecast: F32
    horizons: I64
    quantiles: F64
    source: str = ""

    @classmethod
    def build(
        cls,
        demand: Demand,
        types: Sequence[InstanceType],
        services: Service | Sequence[Service],
        options: ScalingOptions | None = None,
        *,
        spot_price_per_h: F64 | None = None,
        spot_available: F64 | None = None,
    ) -> World:
        """Check everything and put it side by side.

        Parameters
        ----------
        demand : Demand
            Without missing values.
        types : sequence of InstanceType
        services : Service, or one a series
        options : ScalingOptions, optional
        spot_price_per_h : (K, T) float64, USD per hour, optional
            Series of spot prices, NaN rows for types without; by default each type's constant.
        spot_available : (K, T) float64, instances, optional
            The most spot instances of a type that can be had; by default no limit.

        Raises
        ------
        TraceError
            When demand is missing, negative or infinite somewhere.
        SpecError
            When types or services are of the wrong number, or a series has the wrong shape.
        """
        demand.validate()
        n_rows, n_steps = demand.rate.shape
        missing = np.argwhere(np.isnan(demand.rate))
        if missing.size:
            row, t = missing[0]
            raise TraceError(
                f"demand must be known in every interval: it is missing at step {t} of "
                f"{str(demand.service_id[row])!r} of {demand.source or 'these columns'} (and {len(missing) - 1} more). "
                "Choose a stretch without gaps, or fill them and say how."
            )
        own = (services,) * n_rows if isinstance(services, Service) else tuple(services)
        if len(own) != n_rows:
            raise SpecError(f"need one service, or one a series ({n_rows}): got {len(own)}.")
        if not types:
            raise SpecError("need at least one instance type: got none.")
        if len({kind.name for kind in types}) != len(types):
            raise SpecError(f"names of instance types must differ: got {', '.join(kind.name for kind in types)}.")
        for kind in types:
            longest = max(kind.boot_s, kind.min_billing_s) / demand.step_s
            if longest > MOST_STEPS:
                raise SpecError(
                    f"boot_s and min_billing_s of {kind.name!r} must be at most {MOST_STEPS} intervals of "
                    f"{demand.step_s} s: got {longest:g}. Use longer intervals."
                )
        for service in own:
            if service.deadline_s / demand.step_s > MOST_STEPS:
                limit = f"{MOST_STEPS} intervals of {demand.step_s} s"
                raise SpecError(f"deadline_s must be at most {limit}: got {service.deadline_s:g}.")
        shape = (len(types), n_steps)
        constant = np.array([np.nan if kind.spot_price_per_h is None else kind.spot_price_per_h for kind in types])
        price = np.repeat(constant[:, None], n_steps, axis=1) if spot_price_per_h is None else spot_price_per_h
        available = np.full(shape, np.inf) if spot_available is None else spot_available
        world = cls(
            np.ascontiguousarray(demand.rate),
            demand.step_s,
            demand.start_s,
            tuple(types),
            own,
            options or ScalingOptions(),
            tuple(str(name) for name in demand.service_id),
            demand.unit,
            _series("spot_price_per_h", price, shape),
            _series("spot_available", available, shape),
            np.zeros((1, 1, 0, 0), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0),
            demand.source,
        )
        for k, kind in enumerate(types):
            known = np.isfinite(world.spot_price_per_h[k])
            if known.any() and not known.all():
                raise SpecError(
                    f"the spot price of {kind.name!r} must be known in every interval or in none: it is missing in "
                    f"{int((~known).sum())} of {n_steps}."
                )
        return world

    def with_forecast(self, values: F32, horizons: I64, quantiles: F64) -> World:
        """The same world with forecasts, as ``rlsched.forecast.table.ForecastTable`` holds them.

        Parameters
        ----------
        values : (R, T, H, Q) float32, units
        horizons : (H,) int64, intervals ahead; 0: the coming interval
        quantiles : (Q,) float64, ascending

        Raises
        ------
        SpecError
            When the shapes do not fit the demand, or a forecast is negative.
        """
        values = np.ascontiguousarray(values, np.float32)
        horizons, quantiles = np.asarray(horizons, np.int64), np.asarray(quantiles, np.float64)
        shape = (*self.demand.shape, len(horizons), len(quantiles))
        if values.shape != shape:
            raise SpecError(
                f"a forecast must have shape (series, intervals, horizons, quantiles) = {shape}: got {values.shape}."
            )
        bad = np.argwhere(np.isinf(values) | (values < 0))
        if bad.size:
            got = f"{values[tuple(bad[0])]} at {bad[0].tolist()}"
            raise SpecError(f"a forecast must be >= 0 and finite, or NaN where none could be made: got {got}.")
        return replace(self, forecast=values, horizons=horizons, quantiles=quantiles)

    @property
    def n_rows(self) -> int:
        """Series."""
        return int(self.demand.shape[0])

    @property
    def n_steps(self) -> int:
        """Intervals of the whole series."""
        return int(self.demand.shape[1])

    @cached_property
    def pools(self) -> tuple[tuple[int, int], ...]:
        """``(type, market)`` of each pool of instances, by type, on demand before spot."""
        found = []
        for k in range(len(self.types)):
            found.append((k, ON_DEMAND))
            if math.isfinite(self.spot_price_per_h[k, 0]):
                found.append((k, SPOT))
        return tuple(found)

    @cached_property
    def code(self) -> WorldCode:
        """The arrays the simulators read."""
        step = float(self.step_s)
        boots = [kind.boot_steps(step) for kind in self.types]
        first = boots if self.options.billed_from == "ready" else [0] * len(boots)
        billed = [a + math.ceil(kind.min_billing_s / step) for a, kind in zip(first, self.types, strict=True)]
        per_step = step / SECONDS_PER_HOUR
        n_credits = max(len(service.credits) for service in self.services)
        credits = np.zeros((self.n_rows, n_credits, 2))
        for row, service in enumerate(self.services):
            for i, pair in enumerate(service.credits):
                credits[row, i] = pair
        services = self.services
        arrays = WorldCode(
            demand=self.demand,
            calendar=_calendar(self.start_s, self.step_s, self.n_steps + 1),
            type_f=np.array([(k.capacity, k.price_per_step(step), k.start_usd, k.min_billing_s) for k in self.types]),
            type_i=np.array([(boot, k.servers) for boot, k in zip(boots, self.types, strict=True)], np.int64),
            pool=np.array(self.pools, np.int64),
            spot_price=self.spot_price_per_h * step / SECONDS_PER_HOUR,
            spot_available=self.spot_available,
            service_f=np.array(
                [
                    (
                        s.unmet_usd_per_unit_h * per_step,
                        s.late_usd_per_unit_h * per_step,
                        s.request_units,
                        math.inf if s.latency_s is None else s.latency_s,
                        s.latency_quantile,
                        s.availability,
                        s.deadline_s + step,
                    )
                    for s in services
                ]
            ),
            service_i=np.array(
                [
                    (
                        s.min_instances,
                        s.max_instances,
                        -1 if s.initial_instances is None else s.initial_instances,
                        s.deadline_steps(step),
                        len(s.credits),
                    )
                    for s in services
                ],
                np.int64,
            ),
            credits=credits,
            option_f=np.array([step, -math.expm1(-self.options.interruptions_per_h * per_step)]),
            option_i=np.array(
                [
                    self.start_s,
                    self.options.billed_from == "ready",
                    self.options.cancel_booting == "first",
                    max(*boots, *billed),
                    max(boots),
                ],
                np.int64,
            ),
            forecast=self.forecast,
            horizons=self.horizons,
            quantiles=self.quantiles,
        )
        # All of one kind, whatever they were made from, so that the compiler sees one type. Writable, because
        # handing over read-only arrays takes twice as long; nobody writes to a world.
        return WorldCode(**{name: _writable(array) for name, array in arrays._asdict().items()})

    def check_window(self, window: Window, n_services: int | None = None) -> Window:
        """Return the window; refuse one that leaves the trace.

        Raises
        ------
        SpecError
            When it is empty, names a series there is not, lies outside the trace, has another
            number of services than asked for, or begins at 0 without ``initial_instances``.
        """
        name = f"window {window.name!r}" if window.name else "a window"
        if not 0 <= window.lo < window.hi <= self.n_steps:
            raise SpecError(
                f"{name} must lie inside the trace, 0 <= lo < hi <= {self.n_steps}: got {window.lo}..{window.hi}. "
                "Shorten or move it."
            )
        if not window.rows or any(not 0 <= row < self.n_rows for row in window.rows):
            raise SpecError(f"{name} must name series in 0..{self.n_rows - 1}: got {window.rows}.")
        if n_services is not None and len(window.rows) != n_services:
            raise SpecError(f"{name} must have {n_services} services like the others: got {len(window.rows)}.")
        if window.lo == 0 and any(self.services[row].initial_instances is None for row in window.rows):
            raise SpecError(
                f"{name} begins at interval 0, before which no demand is known: begin later, or set initial_instances."
            )
        return window


def _writable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array if array.flags.writeable else array.copy()


def _calendar(start_s: int, step_s: int, n_steps: int) -> F32:
    """Sine and cosine of the time of day and of the week at the beginning of each interval, (T + 1, 4)."""
    time_s = start_s + step_s * np.arange(n_steps, dtype=np.float64)
    day = 2 * np.pi * time_s / SECONDS_PER_DAY
    week = day / 7
    return np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1).astype(np.float32)


def _series(name: str, values: F64, shape: tuple[int, int]) -> F64:
    values = np.ascontiguousarray(values, np.float64)
    if values.shape != shape:
        raise SpecError(f"{name} must have shape (types, intervals) = {shape}: got {values.shape}.")
    bad = np.argwhere((values < 0) | (np.isnan(values) & (name == "spot_available")))
    if bad.size:
        raise SpecError(f"{name} must be >= 0: got {values[tuple(bad[0])]} at type {bad[0][0]}, interval {bad[0][1]}.")
    return values

"""What a service is and what instances cost: ``InstanceType``, ``Service``, ``ScalingOptions``.

Demand is a rate in some unit (requests/s, cores, jobs), mean over a control interval; capacity is
a rate in the same unit. Work is a rate times a time: one *unit-hour* is one unit for an hour.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rlsched.spec import Spec
from rlsched.units import SECONDS_PER_HOUR

#: Largest number of instances a service may have; counts stay exact in float64 by far.
MOST_INSTANCES = 100_000
#: Most intervals that work may wait, or an instance boot.
MOST_STEPS = 4096


class InstanceType(Spec):
    """One kind of instance that can be bought.

    Parameters
    ----------
    name : str
    capacity : float, units of demand
        What one instance serves at full utilisation.
    price_per_h : float, USD per hour
    spot_price_per_h : float, USD per hour, optional
        Price on the spot market; left out: not sold there. A series of the world wins over it.
    boot_s : float, seconds
        From the order to the first work served, rounded up to whole intervals.
    min_billing_s : float, seconds
        An instance stopped earlier is billed this long.
    start_usd : float, USD
        For every order.
    servers : int
        Requests one instance works on at the same time, for the queueing model.
    """

    name: str = "instance"
    capacity: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    price_per_h: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    spot_price_per_h: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    boot_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    min_billing_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    start_usd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    servers: int = Field(default=1, ge=1, le=100_000)

    def boot_steps(self, step_s: float) -> int:
        """Intervals from the order until work is served: ``ceil(boot_s / step_s)``."""
        return math.ceil(self.boot_s / step_s)

    def price_per_step(self, step_s: float) -> float:
        """USD for one instance for one interval, on demand."""
        return self.price_per_h * step_s / SECONDS_PER_HOUR


class Service(Spec):
    """What one service promises, and what it costs not to keep it.

    Parameters
    ----------
    min_instances, max_instances : int
        Of all types and markets together, booting ones included. The target lies between them.
    initial_instances : int, optional
        Usable at the beginning of a window. Left out: as many as the demand of the interval before
        the window fills, within the limits.
    deadline_s : float, seconds
        Work not served this long after the end of its interval is lost (whole intervals, rounded
        down). 0: work that finds no capacity in its own interval is lost.
    unmet_usd_per_unit_h : float, USD per unit-hour
        For work that is lost.
    late_usd_per_unit_h : float, USD per unit-hour
        For work that waits at the end of an interval, each interval again.
    request_units : float, units times seconds
        Work of one request: with demand in requests/s it is 1, with demand in cores the core
        seconds of a request. With the capacity of a server it gives the time a request is served.
    latency_s : float, seconds, optional
        The waiting time promised to ``latency_quantile`` of the requests; left out: none promised.
    latency_quantile : float
    availability : float
        Share of an interval's demand that must not be lost for the interval to count as good.
    credits : list of [availability, share]
        The customer gets ``share`` of the window's bill back when the share of good intervals is
        below ``availability``; of several that apply, the largest share.
    """

    min_instances: int = Field(default=0, ge=0, le=MOST_INSTANCES)
    max_instances: int = Field(default=100, ge=1, le=MOST_INSTANCES)
    initial_instances: int | None = Field(default=None, ge=0, le=MOST_INSTANCES)
    deadline_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    unmet_usd_per_unit_h: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    late_usd_per_unit_h: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    request_units: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    latency_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    latency_quantile: float = Field(default=0.95, gt=0, lt=1)
    availability: float = Field(default=1.0, ge=0, le=1)
    credits: tuple[tuple[float, float], ...] = ()

    @field_validator("credits")
    @classmethod
    def _shares_rise(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        for below, share in value:
            if not (0 < below <= 1 and 0 <= share <= 1):
                raise ValueError("each credit must be [availability in (0, 1], share in [0, 1]]")
        if any(a <= b or x > y for (a, x), (b, y) in pairwise(value)):
            raise ValueError("credits must be listed from high availability to low, the shares not falling")
        return value

    @model_validator(mode="after")
    def _limits_in_order(self) -> Service:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances must be <= max_instances: got {self.min_instances} and {self.max_instances}"
            )
        n = self.initial_instances
        if n is not None and not self.min_instances <= n <= self.max_instances:
            raise ValueError(f"initial_instances must lie in {self.min_instances}..{self.max_instances}: got {n}")
        return self

    def deadline_steps(self, step_s: float) -> int:
        """Intervals that work may wait after its own: ``floor(deadline_s / step_s)``."""
        return math.floor(self.deadline_s / step_s)


class ScalingOptions(Spec):
    """Semantics with names; see docs/scaling.md.

    Parameters
    ----------
    billed_from : {"order", "ready"}
        An instance is billed from its order, or from the interval in which it first serves.
    cancel_booting : {"first", "last"}
        Fewer instances wanted: cancel booting ones first (the latest order first), or stop those
        that serve first (the oldest first) and booting ones last.
    interruptions_per_h : float
        Rate at which the provider takes a spot instance back; each instance draws for itself.
    """

    billed_from: Literal["order", "ready"] = "order"
    cancel_booting: Literal["first", "last"] = "first"
    interruptions_per_h: float = Field(default=0.0, ge=0, allow_inf_nan=False)

"""Random worlds, windows and decisions of the scaling simulator."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand


def demand(rates: object, step_s: int = 300, unit: str = "cores") -> Demand:
    rate = np.atleast_2d(np.asarray(rates, np.float64))
    return Demand(np.array([f"service-{i}" for i in range(len(rate))], object), 0, step_s, rate, unit)


def toy(rates: object, **service: object) -> World:
    """The cost of docs/scaling.md's example: 1 an instance and interval, 10 a unit unmet, 3 a start, two to boot."""
    kind = InstanceType(name="one", capacity=1, price_per_h=12, boot_s=600, start_usd=3)
    given = {"unmet_usd_per_unit_h": 120, "max_instances": 50, "initial_instances": 2, **service}
    return World.build(demand(rates), [kind], Service(**given))  # type: ignore[arg-type]


def amounts(high: float) -> st.SearchStrategy[float]:
    """Numbers that hit the corners often: none, whole ones, any."""
    return st.one_of(st.just(0.0), st.integers(0, int(high)).map(float), st.floats(0, high, allow_subnormal=False))


@st.composite
def instance_types(draw: st.DrawFn, name: str) -> InstanceType:
    return InstanceType(
        name=name,
        capacity=draw(st.one_of(st.integers(1, 4).map(float), st.floats(0.1, 20))),
        price_per_h=draw(amounts(10)),
        spot_price_per_h=draw(st.one_of(st.none(), amounts(5))),
        boot_s=draw(st.sampled_from([0.0, 1.0, 300.0, 600.0, 1000.0])),
        min_billing_s=draw(st.sampled_from([0.0, 60.0, 300.0, 1000.0])),
        start_usd=draw(amounts(3)),
        servers=draw(st.integers(1, 4)),
    )


@st.composite
def services(draw: st.DrawFn) -> Service:
    low = draw(st.integers(0, 3))
    high = low + draw(st.integers(1, 12))
    tiers = draw(st.sampled_from([(), ((0.99, 0.1),), ((1.0, 0.05), (0.9, 0.1), (0.5, 1.0))]))
    return Service(
        min_instances=low,
        max_instances=high,
        initial_instances=draw(st.one_of(st.none(), st.integers(low, high))),
        deadline_s=draw(st.sampled_from([0.0, 299.0, 300.0, 900.0])),
        unmet_usd_per_unit_h=draw(amounts(100)),
        late_usd_per_unit_h=draw(amounts(10)),
        request_units=draw(st.sampled_from([0.1, 1.0, 60.0, 5000.0])),
        latency_s=draw(st.one_of(st.none(), amounts(100))),
        latency_quantile=draw(st.sampled_from([0.5, 0.95])),
        availability=draw(st.sampled_from([1.0, 0.9, 0.0])),
        credits=tiers,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    n_rows, n_steps = draw(st.integers(1, 3)), draw(st.integers(3, 16))
    rate = [[draw(amounts(30)) for _ in range(n_steps)] for _ in range(n_rows)]
    kinds = [draw(instance_types(f"type-{k}")) for k in range(draw(st.integers(1, 3)))]
    available = None
    if draw(st.booleans()):
        limits = st.one_of(st.just(np.inf), st.floats(0, 6))
        available = np.array([[draw(limits) for _ in range(n_steps)] for _ in kinds])
    price = None
    if draw(st.booleans()):
        price = np.array(
            [[draw(amounts(5)) if k.spot_price_per_h is not None else np.nan for _ in range(n_steps)] for k in kinds]
        )
    return World.build(
        demand(rate),
        kinds,
        [draw(services()) for _ in range(n_rows)],
        ScalingOptions(
            billed_from=draw(st.sampled_from(["order", "ready"])),
            cancel_booting=draw(st.sampled_from(["first", "last"])),
            interruptions_per_h=draw(st.sampled_from([0.0, 1.0, 20.0])),
        ),
        spot_price_per_h=price,
        spot_available=available,
    )


@st.composite
def windows(draw: st.DrawFn, world: World, n_services: int) -> Window:
    lo = draw(st.integers(1, world.n_steps - 1))
    rows = tuple(draw(st.integers(0, world.n_rows - 1)) for _ in range(n_services))
    return Window(rows, lo, draw(st.integers(lo + 1, world.n_steps)))


@st.composite
def decisions(draw: st.DrawFn, world: World, row: int) -> tuple[int, int, int]:
    service = world.services[row]
    kind = draw(st.integers(0, len(world.types) - 1))
    total = draw(st.integers(service.min_instances, service.max_instances))
    spot = draw(st.integers(0, total)) if (kind, 1) in world.pools else 0
    return kind, total - spot, spot

"""Spot markets from signals."""

from __future__ import annotations

import numpy as np
import pytest

from rlsched.errors import TraceError
from rlsched.sim.scaling import reference
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.rules.table import R_STATIC
from rlsched.sim.scaling.simulate import RuleChoice, run
from rlsched.sim.scaling.spot import on_grid
from rlsched.sim.scaling.state import LAST, State
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Signal

from .worlds import demand


def market() -> Signal:
    """0.3 USD/h from second 1,000, 0.5 from 1,600, until 2,200."""
    times, values = np.array([1000, 1600]), np.array([0.3, 0.5])
    return Signal(np.array(["zone"], object), np.array([0, 2]), times, values, np.array([2200]), "USD/h")


def test_the_value_at_the_beginning_of_an_interval_holds_for_it() -> None:
    load = demand([1, 1, 1, 1])
    price = on_grid(market(), 0, load, shift_s=1000)
    assert price.tolist() == [0.3, 0.3, 0.5, 0.5]
    world = World.build(load, [InstanceType()], Service(), spot_price_per_h=price[None])
    assert world.pools == ((0, 0), (0, 1))
    assert world.code.spot_price[0, 2] == 0.5 * 300 / 3600


def test_a_market_that_is_not_known_is_an_error() -> None:
    with pytest.raises(TraceError, match=r"'zone' must be known in every interval: it is not at 0 s \(and 3 more\)"):
        on_grid(market(), 0, demand([1, 1, 1, 1]))


def closing(most: int = 9) -> World:
    """Demand 2; a boot takes an interval; the market is closed in intervals 2 and 3."""
    inf = np.inf
    return World.build(
        demand([2, 2, 2, 2, 2, 2, 2]),
        [InstanceType(price_per_h=12, spot_price_per_h=3, boot_s=300)],
        Service(initial_instances=2, max_instances=most),
        spot_available=np.array([[inf, inf, 0, 0, inf, inf, inf]]),
    )


def told(world: World, *columns: str, fallback: bool) -> list[list[float]]:
    choice = RuleChoice(R_STATIC, (2.0,), spot_share=1.0, fallback=fallback)
    log = run(world, [Window((0,), 1, 7)], [choice], [0], log=True)[1][0, :, 0]
    return [log[:, LAST.index(column)].tolist() for column in columns]


def test_a_closed_market_is_left_and_instances_on_demand_wait_for_those_that_replace_them() -> None:
    capacity, billed = told(closing(), "capacity", "billed", fallback=True)
    # 1: two on demand serve while two boot on the market. 2: those serve, so the others go, and the market closes.
    # 3: it was closed, so two are ordered on demand. 5: it was open again: as in 1.
    assert capacity == [2, 0, 0, 2, 2, 2]
    assert billed == [4, 0, 2, 2, 4, 2]
    without = told(closing(), "capacity", fallback=False)[0]
    assert without == [0, 0, 0, 0, 2, 2], "nothing but the market is asked"


def test_instances_wait_no_longer_than_the_limit_allows() -> None:
    capacity, billed = told(closing(3), "capacity", "billed", fallback=True)
    assert billed[0] == 3, "one on demand goes at once: three are the most there may be"
    assert capacity[0] == 1
    state = State.new(closing(3), [Window((0,), 1, 7)], [0])
    assert reference.decision_of(closing(3).code, state.code, 0, 0, 2.0, 0, 1.0, True) == (0, 1, 2)


def test_without_a_spot_market_nobody_waits_for_one() -> None:
    world = World.build(
        demand([9, 9, 2, 2]), [InstanceType(price_per_h=12)], Service(initial_instances=9, max_instances=9)
    )
    state = State.new(world, [Window((0,), 1, 4)], [0])
    for fallback in (False, True):
        assert reference.decision_of(world.code, state.code, 0, 0, 2.0, 0, 0.0, fallback) == (0, 2, 0)
        choice = RuleChoice(R_STATIC, (2.0,), fallback=fallback)
        log = run(world, [Window((0,), 1, 4)], [choice], [0], log=True)[1][0, :, 0]
        assert log[:, LAST.index("capacity")].tolist() == [2, 2, 2]

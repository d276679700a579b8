"""Spot markets from signals."""

from __future__ import annotations

import numpy as np
import pytest

from rlsched.errors import TraceError
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.spot import on_grid
from rlsched.sim.scaling.world import World
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

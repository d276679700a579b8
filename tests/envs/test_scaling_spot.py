"""Spot markets of a card: prices from a signal, closed while dearer than the bid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlsched.envs.scaling_spot import SpotSpec, read_spot
from rlsched.errors import SpecError
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.world import World
from rlsched.traces.columns import Demand, Signal

SMALL = InstanceType(name="small", price_per_h=0.4)
LARGE = InstanceType(name="large", capacity=2, price_per_h=1.0)
LOAD = Demand(np.array(["a"], object), 0, 300, np.ones((1, 4)), "cores")


def market(unit: str = "USD/h") -> Signal:
    """0.1 USD/h from second 1,000, 0.5 from 1,600, 0.2 from 1,900."""
    times, values = np.array([1000, 1600, 1900]), np.array([0.1, 0.5, 0.2])
    meta: dict[str, Any] = {"part": "prices", "files": {"a/zone.csv": "abc"}}
    return Signal(np.array(["zone"], object), np.array([0, 3]), times, values, np.array([9000]), unit, "a", meta)


def spec(**given: Any) -> SpotSpec:
    return SpotSpec(**{"trace": "mine", "markets": {"small": "zone"}, "shift_s": 1000, **given})


def read(monkeypatch: pytest.MonkeyPatch, columns: Any, *kinds: InstanceType, **given: Any) -> Any:
    monkeypatch.setattr("rlsched.traces.datasets.read_dataset", lambda *_args, **_options: columns)
    return read_spot(spec(**given), kinds or (LARGE, SMALL), LOAD)


def test_a_market_has_the_measured_price_and_is_closed_above_the_bid(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, market())
    assert np.isnan(found.price_per_h[0]).all(), "the large one is not sold there"
    assert found.price_per_h[1].tolist() == [0.1, 0.1, 0.5, 0.2]
    assert found.available[1].tolist() == [np.inf, np.inf, 0, np.inf], "0.5 is above the price on demand"
    assert read(monkeypatch, market(), bid=2.0).available[1].tolist() == [np.inf] * 4
    assert found.source == {"role": "spot prices", "name": "mine", "part": "prices", "files": {"zone.csv": "abc"}}
    world = World.build(
        LOAD, (LARGE, SMALL), Service(), spot_price_per_h=found.price_per_h, spot_available=found.available
    )
    assert world.pools == ((0, 0), (1, 0), (1, 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"markets": {"smal": "zone"}}, "unknown instance type 'smal'. Did you mean 'small'"),
        ({"markets": {"small": "zon"}}, "no market 'zon' in mine. Did you mean 'zone'"),
    ],
)
def test_a_wrong_name_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(monkeypatch, market(), **given)


def test_two_prices_or_no_prices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="both spot_price_per_h and a market"):
        read(monkeypatch, market(), SMALL.model_copy(update={"spot_price_per_h": 0.1}))
    with pytest.raises(SpecError, match="must hold prices in USD/h: 'mine' holds a signal in g/kWh"):
        read(monkeypatch, market("g/kWh"))
    with pytest.raises(SpecError, match="'mine' holds demand"):
        read(monkeypatch, LOAD)
    with pytest.raises(ValueError, match="must name a market"):
        spec(markets={})

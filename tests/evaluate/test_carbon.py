"""Carbon: energy times an intensity that the card names, with where it is from; otherwise not given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import SpecError
from rlsched.evaluate import carbon
from rlsched.evaluate.carbon import CarbonSpec, find_intensity
from rlsched.evaluate.placement import run
from rlsched.spec import validate
from rlsched.traces.columns import Signal

SIGNAL = Signal(
    signal_id=np.array(["north", "south"], dtype=object),
    offset=np.array([0, 2, 3]),
    time_s=np.array([0, 3600, 0]),
    value=np.array([100.0, 400.0, 50.0]),
    end_s=np.array([7200, 7200]),
    unit="g/kWh",
)


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlsched.traces.datasets.read_dataset", lambda *_args, **_how: SIGNAL)


def test_a_constant_is_the_same_at_all_times_and_none_is_not_known() -> None:
    constant = find_intensity(CarbonSpec(g_per_kwh=315, source="Germany 2020"))
    assert constant(0.0, 1.0) == constant(1e9, 2e9) == 315
    assert np.isnan(find_intensity(None)(0.0, 1.0))


def test_a_signal_gives_the_mean_of_the_window_on_the_traces_clock(grid: None) -> None:
    north = find_intensity(CarbonSpec(signal="s", zone="north"))
    assert north(0, 3600) == 100
    assert north(1800, 5400) == 250  # half an hour of each
    assert find_intensity(CarbonSpec(signal="s", zone="north", from_s=3600))(0, 3600) == 400
    assert np.isnan(north(3600, 9000))  # the signal ends inside
    assert np.isnan(north(float("nan"), float("nan")))  # a filled window has no clock


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give g_per_kwh with its source, or signal with its zone"),
        ({"g_per_kwh": 1, "source": "x", "signal": "s", "zone": "north"}, "one of them"),
        ({"g_per_kwh": 300}, "g_per_kwh needs a source"),
        ({"signal": "s"}, "signal needs a zone"),
        ({"g_per_kwh": -1, "source": "x"}, "g_per_kwh"),
    ],
)
def test_half_an_origin_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        validate(CarbonSpec, values, "card")


def test_a_zone_that_is_not_there_and_a_signal_of_something_else_are_named(
    grid: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match=r"no zone 'norht' in s\. Did you mean 'north'"):
        find_intensity(CarbonSpec(signal="s", zone="norht"))
    price = Signal(**{**SIGNAL.__dict__, "unit": "USD/MWh"})
    monkeypatch.setattr("rlsched.traces.datasets.read_dataset", lambda *_args, **_how: price)
    with pytest.raises(SpecError, match="must name a carbon intensity in g/kWh: 's' holds USD/MWh"):
        find_intensity(CarbonSpec(signal="s", zone="north"))


def test_rows_have_energy_times_intensity_and_the_page_says_where_from(card: Path) -> None:
    document = run(card, ["carbon.g_per_kwh=500", "carbon.source=by hand", "policies=best_fit,worst_fit"])
    for row in document["rows"]:
        assert row["carbon_kg"] == pytest.approx(row["energy_kwh"] * 0.5)
        assert row["carbon_g_per_core_h"] == pytest.approx(row["energy_wh_per_core_h"] * 0.5)
    assert document["provenance"]["carbon"] == "500 g CO2e/kWh at all times: by hand"
    assert run(card, ["policies=best_fit"])["rows"][0]["carbon_kg"] is None
    assert carbon.UNIT == "g/kWh"

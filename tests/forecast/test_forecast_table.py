import numpy as np
import pytest

from rlsched.errors import SpecError, TraceError
from rlsched.forecast.simple import METHODS, forecast_table, perfect_table
from rlsched.forecast.table import ForecastTable
from rlsched.rng import stream
from rlsched.traces.columns import Demand


def loads(series=3, ticks=400):
    rng = stream(3, "loads")
    wave = 5 + 3 * np.sin(np.arange(ticks) * 2 * np.pi / 48)
    return np.maximum(wave + rng.normal(0, 0.5, (series, ticks)), 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_spike_in_the_future_changes_no_earlier_forecast(method):
    calm = loads()
    spiky = calm.copy()
    spiky[:, 300] += 1000.0
    options = {"horizons": [0, 1, 5], "fit_until": 200, "season_s": 48 * 300}
    before = forecast_table(calm, method, **options).values
    after = forecast_table(spiky, method, **options).values
    np.testing.assert_array_equal(before[:, :301], after[:, :301])
    assert (before[:, 301:] != after[:, 301:]).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_sample_is_bridged_and_nothing_is_known_before_the_first(method):
    load = loads()
    load[:, :5] = np.nan
    load[0, 100:110] = np.nan
    values = forecast_table(load, method, fit_until=300, season_s=48 * 300).values
    assert np.isnan(values[:, :6]).all()
    assert np.isfinite(values[:, 6:]).all()


def test_persistence_repeats_the_last_sample_and_spreads_by_its_own_errors():
    load = np.tile([1.0, 3.0], 50)[None]  # the error of the coming sample is +2 or -2, of the one after 0
    table = forecast_table(load, "persistence", horizons=[0, 1], quantiles=[0.25, 0.75], fit_until=100)
    np.testing.assert_allclose(table.values[0, 50], [[1.0, 5.0], [3.0, 3.0]])  # after a 3; spread -2..+2


def test_seasonal_takes_the_latest_season_before_the_tick():
    load = np.arange(100.0)[None]
    table = forecast_table(load, "seasonal", horizons=[0, 9, 10], quantiles=[0.5], fit_until=100, season_s=10 * 300)
    # Tick 50: sample 40 for the coming interval, 49 for 59, and 40 (two seasons back) for 60; errors 10, 10, 20.
    np.testing.assert_allclose(table.values[0, 50, :, 0], [50, 59, 70], atol=20)


def test_autoregression_finds_a_line():
    load = np.arange(200.0)[None]
    table = forecast_table(load, "ar", horizons=[0, 3], quantiles=[0.5], fit_until=150)
    np.testing.assert_allclose(table.values[0, 180, :, 0], [180, 183], atol=0.1)


def test_perfect_is_the_future():
    load = loads()
    table = perfect_table(load, horizons=[0, 2], quantiles=[0.1, 0.9])
    np.testing.assert_array_equal(table.values[:, 10, 0, 0], load[:, 10].astype(np.float32))
    np.testing.assert_array_equal(table.values[:, 10, 1, 1], load[:, 12].astype(np.float32))


def test_a_demand_brings_its_step():
    demand = Demand(np.array(["a"]), 0, 60, loads(1))
    assert forecast_table(demand, "persistence", fit_until=100).step_s == 60


def test_saved_and_loaded_is_the_same(tmp_path):
    table = forecast_table(loads(), fit_until=100)
    table.save(tmp_path / "t.npz")
    again = ForecastTable.load(tmp_path / "t.npz")
    assert again.sha256 == table.sha256
    np.testing.assert_array_equal(again.values, table.values)
    assert [one.name for one in tmp_path.iterdir()] == ["t.npz"]


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    forecast_table(loads(), fit_until=100).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TraceError, match="Make it again"):
        ForecastTable.load(path)
    with pytest.raises(TraceError, match="no forecast table"):
        ForecastTable.load(tmp_path / "no.npz")


def test_a_changed_value_breaks_the_hash():
    table = forecast_table(loads(), fit_until=100)
    values = table.values.copy()
    values[0, 50] += 1
    with pytest.raises(TraceError, match="damaged"):
        ForecastTable(table.name, table.step_s, table.horizons, table.quantiles, values, table.sha256)


def test_crossing_quantiles_are_refused():
    with pytest.raises(TraceError, match="descend"):
        ForecastTable("x", 300, np.array([0]), np.array([0.1, 0.9]), np.array([[[[2.0, 1.0]]]]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "ewmaa"}, "Did you mean 'ewma'"),
        ({"fit_until": 0}, "fit_until must lie in"),
        ({"horizons": [1, 1]}, "horizons must be >= 0 and ascend"),
        ({"horizons": [0.5]}, "whole numbers"),
        ({"quantiles": [0.9, 0.1]}, "ascend"),
        ({"quantiles": ["a"]}, "numbers between 0 and 1"),
        ({"alpha": 0.0}, "alpha"),
        ({"lags": 0}, "lags"),
        ({"season_s": 7}, "season_s"),
        ({"step_s": 0}, "step_s"),
    ],
)
def test_an_option_outside_its_range_is_explained(options, words):
    with pytest.raises(SpecError, match=words):
        forecast_table(loads(), **({"fit_until": 100} | options))


def test_bad_loads_are_explained():
    load = loads()
    load[1, 7] = -1
    with pytest.raises(TraceError, match=r"-1\.0 at tick 7 of series 1"):
        forecast_table(load, fit_until=100)
    with pytest.raises(TraceError, match="series 0 of the demand has 0"):
        forecast_table(np.full((1, 50), np.nan), fit_until=50)
    with pytest.raises(TraceError, match="shape"):
        forecast_table(np.zeros(5), fit_until=5)

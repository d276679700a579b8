import numpy as np
import pytest
from forecast_small import small_spec, small_windows

from rlsched.forecast.rivals import FORECASTERS, build, is_trained
from rlsched.forecast.rivals.base import filled
from rlsched.forecast.rivals.classical import forecast_arima, forecast_ets, solve_arima, solve_ets
from rlsched.forecast.rivals.naive import ewma, moving_average, persistence, seasonal
from rlsched.rng import stream


def quiet(_line):
    pass


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_forecaster_passes_through_the_same_door(name, tmp_path):
    spec = small_spec()
    train, validation, test = (small_windows(spec, split) for split in ("train", "validation", "test"))
    forecaster = build(spec, name)
    forecaster.fit(train, validation, 0, None, quiet)
    found = forecaster.predict(test)
    assert found.shape == (len(test), 2, 3, 9)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=3) >= 0).all()
    if is_trained(spec, name):
        forecaster.save(tmp_path)
        again = build(spec, name)
        again.restore(tmp_path)
        np.testing.assert_allclose(again.predict(test), found, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, entry in FORECASTERS.items() if not entry.trained])
def test_a_forecast_does_not_know_its_future(name):
    spec = small_spec()
    train, validation, test = (small_windows(spec, split) for split in ("train", "validation", "test"))
    forecaster = build(spec, name)
    forecaster.fit(train, validation, 0, None, quiet)
    blind = test.take(np.arange(len(test)))
    blind.future[:] = np.nan
    np.testing.assert_array_equal(forecaster.predict(test), forecaster.predict(blind))


def test_gaps_are_bridged_from_before_and_the_front_from_behind():
    past = np.array([[[np.nan], [2.0], [np.nan], [3.0]], [[np.nan]] * 4], np.float32)
    np.testing.assert_array_equal(filled(past)[:, 0], [[2, 2, 2, 3], [0, 0, 0, 0]])


def test_plain_rules_by_hand():
    spec = small_spec(window={"length": 300, "min_measured": 5, "horizons": (0, 1), "train": 20})
    from forecast_small import small_panel

    from rlsched.forecast.windows import draw_windows

    panel = small_panel(ticks=700)
    panel.ranges["train"] = (350, 600)
    windows = draw_windows([panel], spec, "train", 20)
    x = filled(windows.past)
    np.testing.assert_array_equal(persistence(windows, None)[:, :, 1], x[:, :, -1])
    np.testing.assert_allclose(moving_average(windows, 3)[:, :, 0], x[:, :, -3:].mean(axis=2))
    level = x[:, :, 0]
    for t in range(300):
        level = level + 0.3 * (x[:, :, t] - level)
    np.testing.assert_allclose(ewma(windows, 0.3)[:, :, 0], level)
    yesterday = windows.past[:, 300 - 288 + 1]  # 288 steps of 300 s before the second step ahead
    known = np.isfinite(yesterday)
    np.testing.assert_array_equal(seasonal(windows, None)[:, :, 1][known], yesterday[known])


def test_ets_follows_a_line_and_damps_it():
    line = np.arange(50.0)[None]
    one = forecast_ets(line, np.array([[0.8, 0.8, 1.0]]), (0, 9))[0]
    np.testing.assert_allclose(one, [50, 59], atol=0.5)
    damped = forecast_ets(line, np.array([[0.8, 0.8, 0.9]]), (9,))[0, 0]
    assert 49 < damped < 59
    assert solve_ets(np.arange(60.0) + stream(0, "e").normal(0, 0.1, 60)).shape == (3,)


def test_arima_finds_the_coefficients_of_its_own_series():
    draw = stream(1, "arima")
    noise = draw.normal(0, 1, 4000)
    step = np.zeros(4000)
    for t in range(2, 4000):
        step[t] = 0.5 * step[t - 1] - 0.3 * step[t - 2] + noise[t] + 0.4 * noise[t - 1]
    np.testing.assert_allclose(solve_arima(np.cumsum(step)), [0.5, -0.3, 0.4], atol=0.12)


def test_arima_without_coefficients_is_persistence():
    x = stream(2, "x").random((3, 20))
    np.testing.assert_allclose(forecast_arima(x, np.zeros((3, 3)), (0, 5)), np.repeat(x[:, -1:], 2, axis=1))

import numpy as np
import pytest
from forecast_small import small_spec, small_windows

from rlsched.forecast.ensemble import average, choose_weights
from rlsched.forecast.loss import pinball, weighted_quantile_loss
from rlsched.forecast.scores import Truth, mean_of, score
from rlsched.forecast.verdict import clusters_of, compare, compare_all, interval, max_t, sums_of
from rlsched.forecast.windows import Windows
from rlsched.rng import stream

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.95, 0.99)


def windows_of(past, future, series):
    b = len(past)
    zeros = np.zeros(b, np.int64)
    return Windows(
        np.asarray(past, np.float32)[:, :, None],
        np.zeros((b, 4), np.float32),
        np.asarray(future, np.float32)[:, :, None],
        np.asarray(series, np.int64),
        zeros,
        np.arange(b),
        zeros + 300,
        ("cpu_share",),
        tuple(range(np.shape(future)[1])),
    )


def test_pinball_by_hand():
    # The truth 10 against 8 at 0.9 costs 0.9 * 2; against 12 at 0.9 costs 0.1 * 2.
    future = np.full((1, 1, 1), 10.0, np.float32)
    np.testing.assert_allclose(pinball(np.full((1, 1, 1, 1), 8.0), future, np.array([0.9])), 1.8)
    np.testing.assert_allclose(pinball(np.full((1, 1, 1, 1), 12.0), future, np.array([0.9])), 0.2)
    assert weighted_quantile_loss(np.full((1, 1, 1, 1), 8.0), future, np.array([0.9])) == pytest.approx(2 * 1.8 / 10)


def test_scores_by_hand():
    # Steps of the past: 1, 1, 1, so the scale is 1. Medians 4 and 4 against 5 and 7: errors 1 and 3.
    windows = windows_of([[1, 2, 3, 4]], [[5, 7]], [0])
    truth = Truth.of(windows, QUANTILES)
    forecast = np.tile(np.array([3, 3.5, 4, 6, 6.5, 8], np.float32), (1, 1, 2, 1))
    row = next(r for r in score(forecast, truth, ("cpu_share",), (0, 1)) if r["horizon"] == "all")
    assert row["mae"] == row["mase"] == 2.0
    assert row["coverage_80"] == 0.5  # 5 is inside 3.5 .. 6, 7 is not
    assert row["coverage_98"] == 1.0
    assert row["width_80"] == 2.5
    assert row["peaks_missed_share"] == 1.0  # the largest target, 7, is above 6.5


def test_a_series_that_does_not_move_has_no_mase_and_nothing_breaks():
    windows = windows_of([[2, 2, 2]], [[2, 2]], [0])
    truth = Truth.of(windows, QUANTILES)
    row = score(np.full((1, 1, 2, 6), 2.0, np.float32), truth, ("cpu_share",), (0, 1))[-1]
    assert row["mase"] is None
    assert row["peaks_missed_share"] is None
    assert row["wql"] == 0.0


def test_the_mean_of_a_symmetric_fan_is_its_median():
    quantiles = np.array([0.1, 0.5, 0.9])
    assert mean_of(np.array([[1.0, 2.0, 3.0]]), quantiles)[0] == pytest.approx(2.0)


def two_forecasters(gap):
    draw = stream(4, "two")
    series = np.repeat(np.arange(20), 10)
    future = 5 + draw.normal(0, 1, (200, 2))
    windows = windows_of(5 + draw.normal(0, 1, (200, 8)), future, series)
    truth = Truth.of(windows, QUANTILES)
    base = np.array([-2.3, -1.3, 0, 1.3, 1.6, 2.3])
    a = [(5 + base + draw.normal(0, 0.01, (200, 1, 2, 1))).astype(np.float32) for _ in range(2)]
    b = [(5 + gap + base + draw.normal(0, 0.01, (200, 1, 2, 1))).astype(np.float32) for _ in range(3)]
    cluster, what = clusters_of(windows)
    assert what == "series"
    return {"a": sums_of(a, truth, cluster), "b": sums_of(b, truth, cluster)}


def test_a_clear_difference_is_shown_and_turns_with_the_sides():
    sums = two_forecasters(1.0)
    assert {v.verdict for v in compare("a", "b", sums, "series")} == {"better"}
    assert {v.verdict for v in compare("b", "a", sums, "series")} == {"worse"}


def test_no_difference_is_not_shown():
    assert {v.verdict for v in compare("a", "b", two_forecasters(0.0), "series")} == {"no difference shown"}


def test_many_comparisons_are_judged_together_and_never_say_more_than_one_alone():
    sums = {**two_forecasters(1.0), "c": two_forecasters(0.0)["b"], "d": two_forecasters(0.02)["b"]}
    together = {(v.b, v.metric): v for v in compare_all("a", ["b", "c", "d"], sums, "series")}
    assert together["b", "wql"].verdict == "better"
    assert together["c", "wql"].verdict == "no difference shown"
    for b in ("b", "c", "d"):
        for alone in compare("a", b, sums, "series"):
            judged = together[b, alone.metric]
            assert (judged.alone, judged.difference_pct, judged.ci_low) == (
                alone.verdict,
                alone.difference_pct,
                alone.ci_low,
            )
            assert judged.verdict in (alone.verdict, "no difference shown")
            assert np.isnan(alone.p_corrected)
            assert 0 < judged.p_corrected <= 1


def test_a_difference_that_is_shown_alone_may_not_be_shown_among_twenty():
    draw = stream(1, "twenty")
    noise = draw.normal(0, 1, (4000, 20))
    values = [2.2, *([0.0] * 19)]
    comparisons = [(value, value + noise[:, i]) for i, value in enumerate(values)]
    alone = max_t(comparisons[:1])[0]
    together = max_t(comparisons)
    assert alone < 0.05 < together[0]
    assert together[0] == pytest.approx(1 - (1 - alone) ** 20, abs=0.05)
    assert min(together) == together[0]


def test_equal_forecasters_have_p_one_and_unknown_ones_none():
    assert max_t([(0.0, np.zeros(50)), (float("nan"), np.full(50, np.nan))])[0] == 1.0
    assert np.isnan(max_t([(0.0, np.zeros(50)), (float("nan"), np.full(50, np.nan))])[1])
    assert np.isnan(max_t([(float("nan"), np.full(50, np.nan))])[0])


def test_an_interval_holds_its_mean():
    value, low, high = interval(two_forecasters(0.5)["b"], "wql")
    assert low < value < high


def test_few_series_are_drawn_by_the_day():
    windows = windows_of(np.ones((4, 3)), np.ones((4, 2)), [0, 0, 1, 1])
    assert clusters_of(windows)[1] == "days of series"


def test_weights_chosen_on_validation_prefer_the_better_and_sum_to_one():
    spec = small_spec()
    windows = small_windows(spec, "validation")
    quantiles = spec.window.quantiles
    truth = np.nan_to_num(windows.future.transpose(0, 2, 1))[..., None]
    good = np.repeat(truth, 9, axis=3).astype(np.float32)
    bad = good + 1
    weights = choose_weights({"bad": bad, "good": good}, windows, quantiles)
    assert weights == {"bad": 0.0, "good": 1.0}
    np.testing.assert_allclose(average({"bad": bad, "good": good}, {"bad": 0.5, "good": 0.5}), good + 0.5, rtol=1e-5)

"""Intervals: exact on tiny grids, equal to SciPy's, paired, honest about few windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rlsched.errors import OurBug
from rlsched.evaluate.bootstrap import Bootstrap, difference_of


def test_two_windows_have_three_resampled_means() -> None:
    means = Bootstrap(40_000).means(np.array([[0.0], [1.0]]))
    # Both windows are drawn twice with replacement: 0, 0.5 and 1 with probability 1/4, 1/2, 1/4.
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert counts / counts.sum() == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_the_interval_over_windows_is_scipys() -> None:
    draw = np.random.default_rng(0)
    values = draw.gamma(2.0, size=15)
    mine = Bootstrap(200_000).interval(values[:, None])
    scipys = stats.bootstrap(
        (values,), np.mean, n_resamples=200_000, method="percentile", rng=np.random.default_rng(1), vectorized=True
    ).confidence_interval
    spread = values.std() / math.sqrt(len(values))
    assert mine.mean == pytest.approx(values.mean())
    assert mine.low == pytest.approx(scipys.low, abs=0.02 * spread)
    assert mine.high == pytest.approx(scipys.high, abs=0.02 * spread)


def test_seeds_are_drawn_as_well_as_windows() -> None:
    windows, seeds = np.arange(8.0)[:, None], np.array([[-10.0, 10.0, -10.0, 10.0]])
    alone = Bootstrap(20_000).interval(windows)
    crossed = Bootstrap(20_000).interval(windows + seeds)
    assert crossed.mean == pytest.approx(alone.mean)
    assert crossed.n == 32
    # Var of the mean of 4 seeds of +-10 is 25: the interval grows from about +-1.6 to about +-9.9.
    assert crossed.high - crossed.low > 3 * (alone.high - alone.low)


def test_an_interval_of_equal_values_has_no_width() -> None:
    one = Bootstrap(500).interval(np.full((7, 3), 0.1))
    assert (one.mean, one.low, one.high) == (0.1, 0.1, 0.1)
    zero = Bootstrap(500).interval(np.zeros((7, 1)))
    assert zero.p == 1.0


def test_unknown_windows_are_left_out_and_counted() -> None:
    grid = np.array([[1.0, 1.0], [np.nan, 5.0], [3.0, 3.0]])
    one = Bootstrap(500).interval(grid)
    assert one.mean == 2.0
    assert (one.n, one.n_windows) == (4, 2)
    none = Bootstrap(500).interval(np.full((3, 1), np.nan))
    assert none.n == 0
    assert math.isnan(none.mean)
    assert math.isnan(none.low)


def test_one_window_has_a_mean_and_no_interval() -> None:
    one = Bootstrap(500).interval(np.array([[2.0, 4.0]]))
    assert one.mean == 3.0
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert math.isnan(one.p)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    values = np.random.default_rng(2).normal(size=(9, 2))
    assert Bootstrap(300, seed=5).interval(values) == Bootstrap(300, seed=5).interval(values)
    assert Bootstrap(300, seed=5).interval(values) != Bootstrap(300, seed=6).interval(values)


def test_a_lower_level_gives_a_narrower_interval() -> None:
    values = np.random.default_rng(2).normal(size=(9, 1))
    wide, narrow = Bootstrap(2000, 0.95).interval(values), Bootstrap(2000, 0.8).interval(values)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_p_is_small_where_all_resamples_are_on_one_side() -> None:
    values = np.linspace(1.0, 2.0, 8)[:, None]
    assert Bootstrap(999).interval(values).p == pytest.approx(2 / 1000)
    assert Bootstrap(999).interval(-values).p == pytest.approx(2 / 1000)


@pytest.mark.slow
def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    """Percentile intervals are known to be narrow for few values: 12 windows cover about 92 %."""
    draw = np.random.default_rng(7)
    covered = 0
    for k in range(400):
        one = Bootstrap(2000, seed=k).interval(draw.normal(size=(12, 1)))
        covered += one.low <= 0 <= one.high
    assert 0.87 <= covered / 400 <= 0.97


def test_the_interquartile_mean_leaves_the_outer_quarters_out() -> None:
    one = Bootstrap(500).iqm(np.array([[1.0], [2.0], [3.0], [1000.0]]))
    assert one.mean == 2.5  # of 2 and 3
    # Six values: a quarter is one and a half, so the second and fifth count half.
    six = Bootstrap(500).iqm(np.array([[0.0, 2.0], [4.0, 6.0], [8.0, 99.0]]))
    assert six.mean == pytest.approx((0.5 * 2 + 4 + 6 + 0.5 * 8) / 3)
    assert six.low <= six.mean <= six.high
    assert math.isnan(Bootstrap(500).iqm(np.array([[math.nan]])).mean)


def test_the_interquartile_mean_of_a_normal_sample_has_an_interval_like_the_means() -> None:
    values = np.random.default_rng(2).normal(10, 1, size=(60, 1))
    b = Bootstrap(3000)
    middle, mean = b.iqm(values), b.interval(values)
    assert middle.mean == pytest.approx(mean.mean, abs=0.2)
    assert 0.8 < (middle.high - middle.low) / (mean.high - mean.low) < 1.6


def test_the_standard_error_is_the_textbooks() -> None:
    values = np.random.default_rng(3).normal(size=(30, 1))
    assert Bootstrap(20_000).spread(values) == pytest.approx(values.std(ddof=1) / math.sqrt(30), rel=0.03)
    assert math.isnan(Bootstrap().spread(np.array([[1.0]])))


def test_training_runs_are_drawn_besides_windows_and_seeds() -> None:
    draw = np.random.default_rng(0)
    between = draw.normal(0.0, 1.0, 5)  # what a training seed is worth, the same in every window and deal
    runs = np.broadcast_to(between, (10, 3, 5)) + draw.normal(0.0, 0.01, (10, 3, 5))
    other = np.zeros((10, 3))
    gap = Bootstrap(4000).interval(difference_of(runs, other))
    assert gap.n == 150
    assert gap.mean == pytest.approx(between.mean(), abs=0.01)
    # Five seeds say this much and no more, however many windows and deals there are.
    assert (gap.high - gap.low) / 2 == pytest.approx(1.96 * between.std() / 5**0.5, rel=0.15)
    # Taken for windows and deals alone, the same values would have looked sure.
    alone = Bootstrap(4000).interval(runs.mean(axis=2))
    assert alone.high - alone.low < 0.1 * (gap.high - gap.low)
    middle = Bootstrap(500).iqm(runs)
    assert middle.low < middle.mean < middle.high


def test_runs_of_two_recipes_are_paired_when_there_are_as_many_and_crossed_when_not() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(0, 1, (6, 2, 5)), draw.normal(0, 1, (6, 2, 3))
    assert difference_of(a, a + 1.0).shape == (6, 2, 5)
    crossed = difference_of(a, b)
    assert crossed.shape == (6, 2, 5, 3)
    assert crossed[1, 0, 4, 2] == a[1, 0, 4] - b[1, 0, 2]
    assert Bootstrap(200).interval(crossed).mean == pytest.approx(a.mean() - b.mean())
    with pytest.raises(OurBug, match="2 and 4 seeds of the world"):
        difference_of(a, np.zeros((6, 4)))

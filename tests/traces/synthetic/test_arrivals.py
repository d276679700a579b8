import numpy as np
import pytest
from traces_synthetic_builders import arrivals

from rlsched.rng import stream
from rlsched.traces.synthetic.arrivals import draw_moments, draw_sizes, fit_arrivals, size_table
from rlsched.traces.synthetic.gaussian import Component


def moments(process, days, seed=0, scale=1.0, first=0):
    return draw_moments(process, first, days * 288, scale, stream(seed, "t"))


def refit(process, days, seed=0):
    when = moments(process, days, seed).astype(float)
    return fit_arrivals(when, np.ones(when.size, np.int64), 1, days * 86_400.0, 20, 4)


def test_level_is_recovered_and_scale_multiplies_it():
    process = arrivals(10.0)
    assert abs(refit(process, 20).batches_per_step - 10) < 0.2
    assert abs(moments(process, 20, scale=0.1).size / moments(process, 20).size - 0.1) < 0.01


def test_daily_rhythm_is_recovered():
    found = np.asarray(refit(arrivals(20.0, day_swing=0.6), 10).day_factors)
    assert np.abs(found - (1 + 0.6 * np.sin(2 * np.pi * np.arange(48) / 48))).max() < 0.1


def test_a_schedule_is_recovered_with_its_period():
    schedule = tuple(5.0 if i in (3, 4) else 0.6 for i in range(24))  # every two hours, for ten minutes
    found = refit(arrivals(5.0, schedule=schedule), 10)
    assert len(found.schedule_factors) == 24
    truth = np.asarray(schedule) / np.mean(schedule)
    assert np.abs(np.asarray(found.schedule_factors) - truth).max() < 0.4


def test_poisson_arrivals_show_no_bursts_and_no_echo():
    found = refit(arrivals(10.0), 20)
    assert found.echo == 0.0
    assert sum(b.variance for b in found.bursts) < 0.01


def test_burst_variance_and_memory_are_recovered():
    process = arrivals(30.0, bursts=(Component(tau_s=7200.0, variance=0.25),))
    fits = [refit(process, 20, seed) for seed in range(4)]
    total = np.mean([sum(b.variance for b in f.bursts) for f in fits])
    slow = np.mean([sum(b.variance for b in f.bursts if b.tau_s >= 1800) for f in fits])
    assert abs(total - 0.25) < 0.06
    assert slow > 0.8 * total


def test_echo_is_recovered_and_keeps_the_mean():
    process = arrivals(2.0, echo=0.5)
    assert abs(np.mean([refit(process, 20, seed).echo for seed in range(4)]) - 0.5) < 0.12
    assert abs(moments(process, 40).size / (40 * 288) - 2.0) < 0.1


def test_echo_survives_scaling_down_but_a_burst_fades():
    def lag_one(process):
        count = np.bincount(moments(process, 60, scale=0.05) // 300, minlength=60 * 288)
        x = count - count.mean()
        return float((x[1:] * x[:-1]).mean() / x.var())

    assert lag_one(arrivals(4.0, echo=0.5)) > 0.25
    assert lag_one(arrivals(4.0, bursts=(Component(tau_s=1800.0, variance=0.25),))) < 0.12


def test_moments_ascend_inside_the_window_also_when_it_starts_before_zero():
    at = moments(arrivals(3.0, day_swing=0.5), 2, first=-288)
    assert (np.diff(at) >= 0).all()
    assert at.min() >= 0
    assert at.max() < 2 * 86_400


def test_the_clock_of_the_rhythm_is_the_sources_whatever_step_the_draw_begins_at():
    process = arrivals(40.0, day_swing=0.9)
    late = moments(process, 4, first=144)  # noon: the sine starts downwards
    count = np.bincount(late // 43_200, minlength=8)
    assert (count[0::2] < count[1::2]).all()


@pytest.mark.parametrize("days", [1, 2])
def test_short_observations_leave_week_flat(days):
    found = refit(arrivals(10.0, day_swing=0.5), days)
    assert found.week_factors == (1.0,) * 7
    assert (np.ptp(found.day_factors) == 0) == (days < 2)


def test_batch_sizes_follow_their_bins():
    size = draw_sizes(arrivals(), 20_000, stream(1, "s"))
    assert size.min() == 1
    assert size.max() == 4
    assert abs((size == 1).mean() - 0.75) < 0.02


def test_size_table_has_min_count_in_every_bin_and_does_not_tell_the_largest():
    size = np.concatenate([np.full(500, 1), np.full(100, 3), np.arange(20, 60), [587]])
    edges, share = size_table(size, 20, 10_000)
    counts, _ = np.histogram(size, edges)
    assert counts.min() >= 20
    assert np.isclose(share.sum(), 1.0)
    assert edges[-1] > 588
    assert edges[0] == 1


def test_size_table_stays_below_the_top_of_its_range():
    edges, _ = size_table(np.repeat([2, 3, 4], 100), 20, 4)
    assert edges.tolist() == [2, 3, 4, 5]

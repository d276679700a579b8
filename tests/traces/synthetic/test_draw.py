import dataclasses

import numpy as np
import pytest
from traces_synthetic_builders import lifetimes, profile

from rlsched.errors import SpecError
from rlsched.traces.synthetic.batches import batches
from rlsched.traces.synthetic.draw import draw_tasks


def test_same_seed_same_trace_and_another_seed_another():
    a, b, c = (draw_tasks(profile(), 2, seed=seed) for seed in (5, 5, 6))
    assert a.same_as(b)
    assert not a.same_as(c)


def test_a_draw_is_a_valid_trace_of_the_length_asked_for():
    t = draw_tasks(profile(), 1.5, seed=1).validate()
    assert t.arrive_s[0] >= 0
    assert t.arrive_s[-1] < 1.5 * 86_400
    assert (t.depart_s >= t.arrive_s).all()
    assert np.array_equal(t.task_id, np.arange(len(t)))


def test_scale_changes_the_number_of_batches_not_their_size():
    size = [np.bincount(batches(draw_tasks(profile(20.0), 5, scale=s, seed=1))) for s in (1.0, 0.1)]
    assert size[1].size / size[0].size == pytest.approx(0.1, rel=0.05)
    assert size[1].mean() == pytest.approx(size[0].mean(), rel=0.06)


def test_groups_are_batches_numbered_in_order_of_arrival():
    t = draw_tasks(profile(), 1, seed=2)
    first = t.group[np.r_[True, np.diff(t.group) != 0]]
    assert np.array_equal(first, np.arange(first.size))
    assert np.array_equal(t.group, batches(t))


def test_warm_start_has_the_load_that_a_cold_one_reaches_later():
    lives = lifetimes(alpha=3.0)
    cold, warm = (draw_tasks(profile(30.0, lives), 2, seed=3, warm_days=w) for w in (0, 2))

    def load(t, at):
        return int(t.cpu_mcore[(t.arrive_s <= at) & (t.depart_s > at)].sum())

    hours = range(86_400, 2 * 86_400, 3600)
    assert np.mean([load(warm, at) for at in hours]) == pytest.approx(
        np.mean([load(cold, at) for at in hours]), rel=0.1
    )
    assert load(warm, 0) == pytest.approx(np.mean([load(warm, at) for at in hours]), rel=0.4)
    assert load(cold, 0) < 0.1 * load(warm, 0)
    running = warm.meta["warm_tasks"]
    assert (warm.arrive_s[:running] == 0).all()
    assert (warm.depart_s[:running] > 0).all()


def test_lives_are_censored_by_nothing_so_ends_pass_the_window():
    t = draw_tasks(profile(), 1, seed=1)
    assert (t.depart_s > 86_400).any()


def test_batches_above_the_limit_are_left_out_and_counted():
    everything = draw_tasks(profile(), 2, seed=4)
    small = draw_tasks(profile(), 2, seed=4, max_batch=1)
    assert np.bincount(small.group).max() == 1
    assert len(small) + small.report.drops[0].count == len(everything) == small.report.rows_read


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"days": 0}, r"days must be > 0: got 0"),
        ({"days": 1, "scale": float("nan")}, r"scale must be > 0: got nan"),
        ({"days": 1, "seed": -1}, r"seed must be >= 0: got -1"),
        ({"days": 1, "warm_days": -1}, r"warm_days must be >= 0: got -1"),
        ({"days": 1, "max_batch": 0}, r"max_batch must be >= 1: got 0"),
        ({"days": 0.01, "scale": 1e-9}, r"nothing arrives in 0.01 days at scale 1e-09"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, said):
    with pytest.raises(SpecError, match=said):
        draw_tasks(profile(), **arguments)


def test_a_usage_profile_has_no_tasks_to_draw():
    with pytest.raises(SpecError, match="has no task part"):
        draw_tasks(profile().model_copy(update={"streams": ()}), 1)


def test_burst_of_another_stream_does_not_move_this_one():
    one = profile()
    two = one.model_copy(update={"streams": (*one.streams, *one.streams)})
    a, b = draw_tasks(one, 1, seed=1), draw_tasks(two, 1, seed=1)
    assert np.isin(a.arrive_s, b.arrive_s).all()
    assert dataclasses.asdict(a)["arrive_s"].size < len(b)

"""How many machines are enough: by hand, against trying every number, and where it cannot be known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluate_worlds import long_trace
from whatif_worlds import even_machines

from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.placement import Arena
from rlsched.evaluate.whatif import cut_windows
from rlsched.evaluate.whatif_fewer import Fewer, find_fewer, keep_order
from rlsched.evaluate.windows import Instances
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Window
from rlsched.traces.columns import Machines, Trace

REJECTED = "rejected_cpu_share"


def arena(trace: Trace, machines: Machines, windows: tuple[Window, ...]) -> Arena:
    return Arena(Instances(trace, (machines,), windows, True), PlacementOptions(lifetime="unknown"), None, {})


def two_at_a_time() -> Trace:
    """Four tasks of a whole machine each; never more than two at once."""
    return Trace(
        task_id=np.arange(4),
        arrive_s=np.array([0, 0, 3600, 3600]),
        depart_s=np.array([3600, 3600, 7200, 7200]),
        cpu_mcore=np.full(4, 8000),
        mem_mib=np.full(4, 1024),
    )


def test_two_tasks_at_a_time_need_two_of_five_machines() -> None:
    # Two hours on three machines fewer, at 2 USD an hour each: nobody saves anything against itself.
    world = arena(two_at_a_time(), even_machines(5), (Window(0, 4, 0.0, 7200.0, 0, "w"),))
    found = find_fewer(world, contestants_of(["best_fit", "first_fit"]), "first_fit", REJECTED, Bootstrap(100))
    assert found["machines"] == 5
    assert [one["needed"] for one in found["by_policy"]] == [[2], [2]]
    assert [one["everywhere"] for one in found["by_policy"]] == [2, 2]
    assert [one["fewer"] for one in found["by_policy"]] == [0.0, 0.0]
    assert found["by_policy"][0]["fewer_low"] is None  # one window, no interval


def test_bisection_ends_where_one_machine_less_is_too_few() -> None:
    trace, machines = long_trace(), even_machines(7)
    windows, _ = cut_windows(trace, 4)
    search = Fewer(arena(trace, machines, windows), REJECTED)
    for name in ("first_fit", "worst_fit"):
        one = contestants_of([name])[0]
        everywhere = list(range(len(windows)))
        target = search.play(one, [7] * 4, everywhere).values[REJECTED]
        needed = search.smallest(one, target, lambda: None).tolist()
        assert (search.play(one, needed, everywhere).values[REJECTED] <= target).all()
        less = [n - 1 for n in needed]
        at = [i for i, n in enumerate(less) if n]
        assert (search.play(one, [less[i] for i in at], at).values[REJECTED] > target[at]).all()


def test_a_policy_may_need_more_machines_than_there_are() -> None:
    trace, machines = long_trace(), even_machines(4, 6000)
    windows, _ = cut_windows(trace, 6)
    found = find_fewer(
        arena(trace, machines, windows), contestants_of(["worst_fit", "best_fit"]), "best_fit", REJECTED, Bootstrap(500)
    )
    worst, best = found["by_policy"]
    assert max(worst["needed"]) > 4
    assert worst["fewer"] < 0
    assert worst["fewer_low"] <= worst["fewer"] <= worst["fewer_high"]
    assert worst["fewer"] == pytest.approx(best["mean"] - worst["mean"])
    assert worst["usd_a_day"] == pytest.approx(48.0 * worst["fewer"])  # 2 USD an hour each, all of them on


def test_what_twice_the_machines_cannot_do_is_not_known() -> None:
    trace, machines = long_trace(), even_machines(1, 3000)
    windows, _ = cut_windows(trace, 2)
    search = Fewer(arena(trace, machines, windows), REJECTED)
    one = contestants_of(["best_fit"])[0]
    assert search.smallest(one, np.array([0.0, math.nan]), lambda: None).tolist() == [-1, -1]


def test_a_smaller_fleet_lies_within_a_larger_and_keeps_the_mix() -> None:
    machines = Machines(
        machine_id=np.arange(12), cpu_mcore=np.repeat([4000, 8000, 16000], [6, 4, 2]), mem_mib=np.full(12, 1024)
    )
    order = keep_order(machines)
    assert sorted(order) == list(range(12))
    half = machines.cpu_mcore[order[:6]]
    assert [int((half == size).sum()) for size in (4000, 8000, 16000)] == [3, 2, 1]
    search = Fewer(arena(two_at_a_time(), machines, (Window(0, 4),)), REJECTED)
    for n in range(1, 12):
        assert set(search.fleet(n).machine_id) < set(search.fleet(n + 1).machine_id)
    twice = search.fleet(24).validate()  # ids stay unique
    assert twice.cpu_mcore.sum() == 2 * machines.cpu_mcore.sum()

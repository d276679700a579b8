"""Training windows: what is drawn, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from placement_worlds import machines, tasks

from rlsched.envs.problem import PlacementProblem
from rlsched.envs.windows import draw_tasks, fill_problem, time_problem
from rlsched.errors import SpecError
from rlsched.rng import stream
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions

TRACE = tasks(80, gpus=True)
OPTIONS = PlacementOptions(fragmentation="gpu")


def fill(seed: int = 0, **changes):
    values = {"n_windows": 5, "n_machines": (4, 9), "target_pct": 130.0, "seed": seed, **changes}
    return fill_problem(TRACE, machines(12, gpus=True), OPTIONS, typical_requests(TRACE), **values)


def test_fill_windows_reach_their_target_with_the_last_task() -> None:
    made = fill()
    trace = made.world.trace
    assert len(made.windows) == 5
    for window in made.windows:
        fleet = made.world.fleets[window.fleet]
        assert 4 <= len(fleet) <= 9
        assert len(set(fleet.machine_id)) == len(fleet)
        asked = (trace.gpu_count * trace.gpu_mgpu)[window.lo : window.hi]
        target = 1.3 * fleet.gpu_count.sum() * 1000
        assert asked.sum() >= target
        assert asked[:-1].sum() < target
        assert (trace.depart_s[window.lo : window.hi] == -1).all()
    sizes = {len(made.world.fleets[window.fleet]) for window in made.windows}
    assert len(sizes) > 1


def test_windows_follow_from_the_seed_and_not_from_their_number() -> None:
    few, many, other = fill(), fill(n_windows=7), fill(seed=1)
    for a, b in zip(few.windows, many.windows[:5], strict=True):
        assert (a.lo, a.hi) == (b.lo, b.hi)
        assert few.world.fleets[a.fleet].same_as(many.world.fleets[b.fleet])
    assert (few.world.trace.task_id == many.world.trace.task_id[: len(few.world.trace)]).all()
    assert [w.hi for w in other.windows] != [w.hi for w in few.windows]


def test_tasks_come_once_before_any_comes_twice() -> None:
    asked = np.full(10, 100)
    assert sorted(draw_tasks(asked, 1000, stream(0, "x"))) == list(range(10))
    assert len(draw_tasks(asked, 1001, stream(0, "x"))) == 11
    assert len(draw_tasks(asked, 350, stream(0, "x"))) == 4


def test_time_windows_lie_in_the_split_and_are_metered_after_the_warm_up() -> None:
    trace = tasks(400, gpus=False)
    made = time_problem(
        trace,
        machines(4, gpus=False),
        PlacementOptions(),
        None,
        length_s=2000,
        warmup_s=1000,
        until_s=9000,
        n_windows=20,
        seed=0,
    )
    for window in made.windows:
        assert window.stop_s - window.start_s == pytest.approx(2000)
        assert window.stop_s <= 9000 + 1e-9
        arrive = trace.arrive_s[window.lo : window.hi]
        assert arrive.min() >= window.start_s - 1000
        assert arrive.max() < window.stop_s
    assert len({window.lo for window in made.windows}) > 10


def test_a_tilt_makes_windows_differ_in_their_mix() -> None:
    def spread(tilt: float) -> float:
        made = fill(n_windows=30, tilt=tilt)
        cpu = made.world.trace.cpu_mcore
        return float(np.std([cpu[window.lo : window.hi].mean() for window in made.windows]))

    assert spread(1.5) > 2 * spread(0.0)
    asked = fill(tilt=1.0)
    for window in asked.windows:
        rows = slice(window.lo, window.hi)
        gpu = (asked.world.trace.gpu_count * asked.world.trace.gpu_mgpu)[rows]
        assert gpu.sum() >= 1.3 * asked.world.fleets[window.fleet].gpu_count.sum() * 1000


def test_thinned_time_windows_keep_their_length_and_in_the_mean_their_load() -> None:
    trace = tasks(3000, gpus=False)
    made = time_problem(
        trace,
        machines(12, gpus=False),
        PlacementOptions(),
        None,
        length_s=9000,
        warmup_s=3000,
        until_s=80_000,
        n_windows=40,
        seed=0,
        n_machines=(3, 3),
    )
    drawn = made.world.trace
    kept = []
    for window in made.windows:
        assert len(made.world.fleets[window.fleet]) == 3
        assert window.stop_s - window.start_s == pytest.approx(9000)
        arrive = drawn.arrive_s[window.lo : window.hi]
        assert arrive.min() >= window.start_s - 3000
        assert arrive.max() < window.stop_s
        kept.append(len(arrive))
    # 12,000 s hold 400 tasks in the mean, of which a quarter is kept.
    assert np.mean(kept) == pytest.approx(100, rel=0.1)
    known = drawn.depart_s >= 0
    lives = set((trace.depart_s - trace.arrive_s)[trace.depart_s >= 0].tolist())
    assert set((drawn.depart_s - drawn.arrive_s)[known].tolist()) <= lives
    assert 0 < (~known).sum() < len(drawn)


def loaded(**changed: Any) -> PlacementProblem:
    return time_problem(
        tasks(3000, gpus=False),
        machines(12, gpus=False),
        PlacementOptions(),
        None,
        **{
            "length_s": 9000,
            "warmup_s": 3000,
            "until_s": 80_000,
            "n_windows": 40,
            "seed": 0,
            "n_machines": (3, 3),
            **changed,
        },
    )


def test_a_load_multiplies_the_tasks_of_a_window() -> None:
    def tasks_in_the_mean(**changed: Any) -> float:
        return float(np.mean([window.hi - window.lo for window in loaded(**changed).windows]))

    assert tasks_in_the_mean(load=(2.0, 2.0)) == pytest.approx(2 * tasks_in_the_mean(), rel=0.1)
    sizes = [window.hi - window.lo for window in loaded(load=(1.0, 3.0)).windows]
    assert max(sizes) > 2 * min(sizes)


def test_a_load_that_needs_a_task_twice_or_a_whole_cluster_is_refused() -> None:
    with pytest.raises(SpecError, match="would need tasks twice: at most 2 machines at that load"):
        loaded(load=(1.0, 5.0))
    with pytest.raises(SpecError, match="needs clusters of a sampled size"):
        loaded(load=(1.0, 2.0), n_machines=None)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(SpecError, match=r"must lie in 1..12, smallest first: got 4..13"):
        fill(n_machines=(4, 13))
    with pytest.raises(SpecError, match="has no GPU"):
        fill_problem(
            TRACE,
            machines(12, gpus=True),
            OPTIONS,
            typical_requests(TRACE),
            n_windows=40,
            n_machines=(1, 1),
            target_pct=130.0,
            seed=0,
        )
    free = tasks(5, gpus=True).take(np.flatnonzero(tasks(5, gpus=True).gpu_count == 0))
    if len(free):
        with pytest.raises(SpecError, match="must ask for GPUs"):
            fill_problem(
                free,
                machines(12, gpus=True),
                PlacementOptions(),
                None,
                n_windows=1,
                n_machines=(4, 4),
                target_pct=1.0,
                seed=0,
            )
    with pytest.raises(SpecError, match="needs 3000 s"):
        time_problem(
            TRACE,
            machines(4, gpus=True),
            PlacementOptions(),
            None,
            length_s=2000,
            warmup_s=1000,
            until_s=900,
            n_windows=1,
            seed=0,
        )

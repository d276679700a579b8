"""Bounds by hand, and by law: no policy ever beats them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from rlsched.errors import MissingDataError, OurBug
from rlsched.evaluate.bounds import DFF_K, GOALS, Problem, dual_feasible, placement_bounds, why_not
from rlsched.evaluate.metrics import Measured, read_metrics
from rlsched.policies import find_heuristic
from rlsched.sim.events import FAIL, MachineEvents
from rlsched.sim.options import PlacementOptions
from rlsched.sim.simulate import REFUSE, advance_all, decide_all, run_policy
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace

REAL = Path(__file__).parents[3] / "shared" / "data"


def trace(cpu: list[int], depart: list[int] | None = None, gpus: list[tuple[int, int]] | None = None) -> Trace:
    n = len(cpu)
    return Trace(
        task_id=np.arange(n),
        arrive_s=np.arange(n) * 10,
        depart_s=np.full(n, -1) if depart is None else np.array(depart),
        cpu_mcore=np.array(cpu),
        mem_mib=np.ones(n, np.int64),
        gpu_count=np.array([one[0] for one in gpus]) if gpus else np.zeros(n, np.int64),
        gpu_mgpu=np.array([one[1] for one in gpus]) if gpus else np.zeros(n, np.int64),
    )


def machines(n: int, cpu: int = 4000, gpus: int = 0) -> Machines:
    return Machines(
        machine_id=np.arange(n),
        cpu_mcore=np.full(n, cpu),
        mem_mib=np.full(n, 10_000),
        gpu_count=np.full(n, gpus),
        gpu_model=np.full(n, 0 if gpus else -1),
        gpu_models=("A",) if gpus else (),
    )


def bounds(tasks: Trace, fleet: Machines, metric: str, *, clock: bool = False) -> tuple[float, float]:
    world = World.build(tasks, fleet)
    lp, capacity = placement_bounds(world, [world.whole], metric, clock=clock)
    return float(lp.values[0]), float(capacity.values[0])


def test_two_tasks_of_more_than_half_a_machine_do_not_share_it() -> None:
    # Four tasks of 3 of 4 cores, two machines: capacity lets 8 of 12 cores in, but only two tasks fit.
    lp, capacity = bounds(trace([3000] * 4), machines(2), "rejected_cpu_share")
    assert lp == pytest.approx(0.5, abs=1e-5)
    assert capacity == pytest.approx(1 - 8 / 12, abs=1e-5)


def test_shares_of_a_gpu_above_a_half_need_a_device_each() -> None:
    # Three pods of 0.6 GPU and one of 0.4 on two devices: 0.6 + 0.4 and 0.6.
    tasks = trace([1] * 4, gpus=[(1, 600)] * 3 + [(1, 400)])
    lp, capacity = bounds(tasks, machines(1, gpus=2), "gpu_alloc_pct")
    assert lp == pytest.approx(80, abs=1e-3)
    assert capacity == pytest.approx(100)


def test_a_task_that_no_machine_can_hold_is_refused_by_everybody() -> None:
    lp, _ = bounds(trace([9000, 1000]), machines(2), "rejected_cpu_share")
    assert lp == pytest.approx(0.9, abs=1e-5)


def test_one_who_has_left_makes_room() -> None:
    # Both need the whole machine; one after the other both fit, at once only one does.
    apart = bounds(trace([4000, 4000], [10, 1000]), machines(1), "rejected_cpu_share", clock=True)
    at_once = bounds(trace([4000, 4000], [1000, 1000]), machines(1), "rejected_cpu_share", clock=True)
    assert apart[0] == pytest.approx(0.0)
    assert at_once[0] == pytest.approx(0.5, abs=1e-5)


@given(hs.lists(hs.integers(1, 60), min_size=1, max_size=20), hs.sampled_from(DFF_K))
def test_shares_that_fit_together_still_do_after_rounding(parts: list[int], k: int) -> None:
    shares = np.array(parts) / max(60, sum(parts))
    assert dual_feasible(shares, k).sum() <= 1 + 1e-9


def random_world(seed: int, *, gpus: bool, leave: bool) -> World:
    draw = np.random.default_rng(seed)
    n, m = int(draw.integers(4, 60)), int(draw.integers(1, 6))
    count = draw.choice([0, 1, 1, 2], n) if gpus else np.zeros(n, int)
    arrive = np.sort(draw.integers(0, 600, n))
    devices = draw.choice([0, 1, 2, 4], m) if gpus else np.zeros(m, int)
    tasks = Trace(
        task_id=np.arange(n),
        arrive_s=arrive if leave else np.arange(n),
        depart_s=np.where(draw.random(n) < 0.2, -1, arrive + draw.integers(0, 500, n)) if leave else np.full(n, -1),
        cpu_mcore=draw.choice([500, 1000, 2100, 3000], n),
        mem_mib=draw.choice([256, 1024, 3000], n),
        gpu_count=count,
        gpu_mgpu=np.where(count == 0, 0, np.where(count > 1, 1000, draw.choice([200, 340, 500, 510, 1000], n))),
        gpu_model_mask=np.where((count > 0) & (draw.random(n) < 0.3), 1, -1),
        gpu_models=("A", "B") if gpus else (),
    )
    fleet = Machines(
        machine_id=np.arange(m),
        cpu_mcore=draw.choice([3000, 4000, 8000], m),
        mem_mib=draw.choice([4096, 8192], m),
        gpu_count=devices,
        gpu_model=np.where(devices > 0, draw.integers(0, 2, m), -1),
        gpu_models=("A", "B") if gpus else (),
    )
    return World.build(tasks, fleet)


def greedy_for_nobody_else(world: World, window: Window, seed: int) -> dict[str, float]:
    """A policy that refuses at random and otherwise places at random: it may do what no heuristic does."""
    draw = np.random.default_rng(seed)
    state = world.start([window])
    while (row := int(advance_all(world, state)[0])) >= 0:
        free, task = state.arrays.machine_i[0], world.arrays.task_i[row]
        fit = [
            i
            for i in range(free.shape[1])
            if free[0, i] >= task[0] and free[1, i] >= task[1] and task[2] == 0  # GPU tasks: leave them out
        ]
        pick = int(draw.choice(fit)) if fit and draw.random() < 0.8 else REFUSE
        decide_all(world, state, np.array([pick]))
    return read_metrics(Measured.of(world, state, 0))


@settings(max_examples=40, deadline=None)
@given(
    hs.integers(0, 2**32),
    hs.booleans(),
    hs.booleans(),
    hs.sampled_from(["first_fit", "best_fit", "worst_fit", "random"]),
)
def test_no_policy_ever_beats_a_bound(seed: int, gpus: bool, leave: bool, policy: str) -> None:
    try:
        world = random_world(seed, gpus=gpus, leave=leave)
    except Exception as error:  # a trace that no machine can serve is refused, as it should be
        if "no machine can hold" in str(error):
            return
        raise
    # Half of the worlds with departures are cut, with a warm-up in front.
    arrive = world.trace.arrive_s
    cut = Window(0, len(world.trace), float(arrive[len(arrive) // 3]), float(arrive[-1]) + 50, name="cut")
    window = cut if leave and seed % 2 else world.whole
    state = world.start([window], [seed % 1000])
    run_policy(world, state, find_heuristic(policy).arrays())
    runs = [read_metrics(Measured.of(world, state, 0, clock=leave)), greedy_for_nobody_else(world, window, seed)]
    checked = 0
    for metric, goal in GOALS.items():
        if why_not(world, [window], metric, clock=leave):
            continue
        for bound in placement_bounds(world, [window], metric, clock=leave):
            for measured in runs:
                value, limit = measured[metric], float(bound.values[0])
                if np.isnan(value) or np.isnan(limit):
                    continue
                assert (value >= limit - 1e-9) if goal.share else (value <= limit + 1e-9), (metric, bound.name)
                checked += 1
    assert checked


@settings(max_examples=15, deadline=None)
@given(hs.integers(0, 2**32), hs.booleans())
def test_the_relaxation_is_never_looser_than_capacity_alone(seed: int, leave: bool) -> None:
    world = random_world(seed, gpus=False, leave=leave)
    found = placement_bounds(world, [world.whole], "rejected_cpu_share", clock=leave)
    assert found[0].values[0] >= found[1].values[0] - 1e-5


def test_where_no_bound_holds_it_says_why() -> None:
    tasks, fleet = trace([1000] * 4, [100] * 4), machines(2)
    plain = World.build(tasks, fleet)
    warm = [Window(0, 4, 15.0, 100.0, name="w")]
    assert "warm-up" in why_not(plain, warm, "rejected_cpu_share", clock=True)
    assert why_not(plain, warm, "rejected_cpu_from_empty_share", clock=True) == ""
    assert "no bound on energy_kwh is known" in why_not(plain, warm, "energy_kwh", clock=True)
    assert "window ends" in why_not(plain, [plain.whole], "gpu_alloc_pct", clock=True)
    queue = World.build(tasks, fleet, PlacementOptions(admission="queue"))
    assert "may wait" in why_not(queue, [queue.whole], "rejected_cpu_share", clock=True)
    failing = World.build(tasks, fleet, events=MachineEvents.of([(5.0, FAIL, 0)], 2))
    assert "machines fail" in why_not(failing, [failing.whole], "rejected_cpu_share", clock=True)
    with pytest.raises(OurBug, match="may wait"):
        placement_bounds(queue, [queue.whole], "rejected_cpu_share", clock=True)


def test_without_scipy_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.build(trace([1000]), machines(1))
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingDataError, match=r"pip install 'rlsched\[bounds\]'"):
        Problem.of(world, world.whole, GOALS["rejected_cpu_share"], clock=False).lp()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")
@pytest.mark.parametrize(
    ("name", "metric", "sets"),
    [
        ("placement-openb", "gpu_alloc_pct", ["machines.sample=100"]),
        ("placement-azure", "rejected_cpu_from_empty_share", []),
    ],
)
def test_no_heuristic_beats_the_bound_on_a_real_window(name: str, metric: str, sets: list[str]) -> None:
    from rlsched import spec as cards
    from rlsched.evaluate.experiment import PlacementExperiment
    from rlsched.evaluate.inputs import read_inputs
    from rlsched.evaluate.kinds import find_card
    from rlsched.evaluate.placement import Contestant, open_arena, play

    card = find_card(name)
    spec = cards.load(PlacementExperiment, card, sets).spec
    arena = open_arena(spec, read_inputs(spec, card.parent), "validation", count=1)
    names = ("first_fit", "best_fit", "worst_fit", "cosine", "blend:best_fit=0.1,cosine=1,fragmentation=1")
    contestants = [Contestant(one, find_heuristic(one)) for one in names]
    world = arena.world(contestants[-1], {})
    found = placement_bounds(world, arena.instances.windows, metric, clock=arena.instances.clock)
    assert np.isfinite(found[0].values).all()
    for row in play(arena, contestants, (0,)):
        for bound in found:
            ahead = row[metric] - bound.values[0]
            assert ahead <= 0 if metric == "gpu_alloc_pct" else ahead >= 0

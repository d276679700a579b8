"""Rewards: by hand, and against what the meters say at the end."""

from __future__ import annotations

import numpy as np
import pytest
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, world

from rlsched.errors import SpecError
from rlsched.observe.placement import Observer, device_choice
from rlsched.reward.compose import REWARDS, Rewarder
from rlsched.sim import state as st
from rlsched.sim.options import PlacementOptions
from rlsched.sim.simulate import advance_all, decide_all
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace


def play(built: World, window: Window, settings, weights: dict[str, float], pick=lambda n: 0):
    """Terms of every decision of one window, (steps, terms), and the rewards."""
    state = built.start([window])
    rewarder, observer = Rewarder(built, 1, weights), Observer(built, 1, settings)
    devices = device_choice(settings, built)
    terms, rewards, out = [], [], np.zeros(1)
    task = advance_all(built, state)
    while task[0] >= 0:
        seen = observer.observe(state)
        row = seen.rows[0, pick(int(seen.action_mask[0].sum()))]
        rewarder.before(state, np.array([row]))
        decide_all(built, state, np.array([row]), devices)
        rewarder.placed(state)
        task = advance_all(built, state)
        rewards.append(float(rewarder.after(state, out)[0]))
        terms.append(rewarder.terms[0].copy())
    return state, np.array(terms), np.array(rewards)


def test_every_term_says_its_formula_unit_and_span() -> None:
    for name, term in REWARDS.items():
        assert term.name == name
        assert term.formula.startswith("−")
        assert term.unit
        assert term.doc
        assert term.span in ("placement", "step")


def test_two_tasks_by_hand() -> None:
    # One machine of 4 cores at 2 $/h, 117 W at full load. Tasks of 3 and 3 cores at 0 s and 1800 s, both for 3600 s:
    # the second is rejected; at 3600 s the third (1 core, 0 s long) comes, and the first has just left.
    fleet = Machines(
        machine_id=np.array(["m"], dtype=object),
        cpu_mcore=np.array([4000]),
        mem_mib=np.array([100]),
        power_curve=np.array([0]),
        power_curves=("hp_ml110_g4",),
        price_per_h=np.array([2.0]),
    )
    trace = Trace(
        task_id=np.array(["a", "b", "c"], dtype=object),
        arrive_s=np.array([0, 1800, 3600]),
        depart_s=np.array([3600, 5400, 3600]),
        cpu_mcore=np.array([3000, 3000, 1000]),
        mem_mib=np.array([1, 1, 1]),
    )
    built = World.build(trace, fleet)
    weights = {"rejected_cpu": 1.0, "energy": 10.0, "cost": 100.0}
    _, terms, rewards = play(built, built.whole, CPU_SETTINGS.model_copy(update={"shortlist": ()}), weights)
    # Step 1: 3 of 4 cores rejected; an hour at 75 % load, between 108 W (70 %) and 112 W (80 %); an hour paid.
    assert terms[0] == pytest.approx([-0.75, -110 / 117, -1.0])
    assert terms[1] == pytest.approx([0.0, 0.0, 0.0])
    assert rewards == pytest.approx([-0.75 - 10 * 110 / 117 - 100, 0.0])


def test_terms_add_up_to_what_the_meters_say() -> None:
    built = world(8, 400, gpus=True)
    draw = np.random.default_rng(1)
    names = ["rejected_cpu", "rejected_gpu", "energy", "cost"]
    state, terms, rewards = play(
        built, built.whole, GPU_SETTINGS, dict.fromkeys(names, 1.0), lambda n: int(draw.integers(n))
    )
    count, fleet = state.arrays.counter[0], built.fleets[0]
    rejected = count[st.C_ARRIVED_CPU] - count[st.C_PLACED_CPU]
    rejected_gpu = count[st.C_ARRIVED_GPU] - count[st.C_PLACED_GPU]
    assert rejected > 0
    assert rejected_gpu > 0
    total = dict(zip(names, terms.sum(axis=0), strict=True))
    assert total["rejected_cpu"] == pytest.approx(-rejected / fleet.cpu_mcore.sum())
    assert total["rejected_gpu"] == pytest.approx(-rejected_gpu / (fleet.gpu_count.sum() * 1000))
    priced = ~np.isnan(fleet.price_per_h)
    busy = state.arrays.machine_f[0, st.M_BUSY_S][: len(fleet)]
    paid = (busy * fleet.price_per_h)[priced].sum() / 3600 / fleet.price_per_h[priced].sum()
    assert total["cost"] == pytest.approx(-paid)
    full = {0: 117.0, 1: 135.0, -1: 0.0}
    watts = sum(full[int(curve)] for curve in fleet.power_curve)
    joule = state.arrays.machine_f[0, st.M_JOULE].sum()
    assert total["energy"] == pytest.approx(-joule / watts / 3600)
    assert rewards.sum() == pytest.approx(terms.sum())


def test_fragmentation_counts_placements_not_departures() -> None:
    built = world(8, 200, gpus=True, stay=True)
    state, terms, _ = play(built, built.whole, GPU_SETTINGS, {"fragmentation": 1.0})
    capacity = built.fleets[0].gpu_count.sum() * 1000
    empty = built.start([built.whole]).arrays.machine_f[0, st.M_FRAG].sum()
    assert terms.sum() == pytest.approx((empty - state.arrays.machine_f[0, st.M_FRAG].sum()) / capacity)
    leaving = world(8, 200, gpus=True)
    state, terms, _ = play(leaving, leaving.whole, GPU_SETTINGS, {"fragmentation": 1.0})
    now = state.arrays.machine_f[0, st.M_FRAG].sum()
    assert terms.sum() != pytest.approx((empty - now) / capacity), "departures changed fragmentation too"


def test_balance_counts_the_squared_load_of_the_chosen_machine() -> None:
    fleet = Machines(machine_id=np.arange(2), cpu_mcore=np.array([4000, 4000]), mem_mib=np.array([10, 10]))
    trace = Trace(
        task_id=np.arange(3),
        arrive_s=np.arange(3),
        depart_s=np.full(3, -1),
        cpu_mcore=np.array([2000, 1000, 1000]),
        mem_mib=np.array([1, 1, 8]),
    )
    built = World.build(trace, fleet)
    settings = CPU_SETTINGS.model_copy(update={"shortlist": ()})
    _, terms, _ = play(built, built.whole, settings, {"balance": 1.0})
    # Best fit puts all three on machine 0: 1/2, then 3/4 of its CPU, then all of its memory and CPU.
    assert terms[:, 0] == pytest.approx([-1 / 8, -(9 / 16 - 1 / 4) / 2, -(1 - 9 / 16) / 2])


def test_with_discount_zero_the_best_answer_is_the_fragmentation_heuristics() -> None:
    built = world(10, 120, gpus=True, stay=True)
    settings = GPU_SETTINGS.model_copy(update={"prior": {"fragmentation": 1.0}, "candidates": "all", "shortlist": ()})
    state = built.start([built.whole])
    observer, devices = Observer(built, 1, settings), device_choice(settings, built)
    out, checked = np.zeros(1), 0
    while advance_all(built, state)[0] >= 0:
        seen = observer.observe(state)
        rows = seen.rows[0][seen.action_mask[0] > 0]
        found = []
        for row in rows:
            trial, rewarder = state.copy(), Rewarder(built, 1, {"fragmentation": 1.0})
            rewarder.before(trial, np.array([row]))
            decide_all(built, trial, np.array([row]), devices)
            rewarder.placed(trial)
            found.append(float(rewarder.after(trial, out)[0]))
        assert found[0] == pytest.approx(max(found), abs=1e-12)
        checked += len(rows) > 1
        decide_all(built, state, rows[:1], devices)
    assert checked > 20


def test_what_happens_in_the_warm_up_is_not_mixed_with_what_is_metered() -> None:
    built = world(6, 300, gpus=False)
    window = Window(0, 300, start_s=float(built.trace.arrive_s[150]))
    state, terms, _ = play(built, window, CPU_SETTINGS, {"rejected_cpu": 1.0, "energy": 1.0})
    rejected = state.arrays.counter[0, st.C_ARRIVED_CPU] - state.arrays.counter[0, st.C_PLACED_CPU]
    joule = state.arrays.machine_f[0, st.M_JOULE].sum()
    fleet = built.fleets[0]
    watts = sum({0: 117.0, 1: 135.0, -1: 0.0}[int(curve)] for curve in fleet.power_curve)
    # From the step in which metering begins on, terms add up to the meters.
    began = next(i for i in range(len(terms)) if _starts(built, window, i))
    assert began > 50
    assert (terms[:began] == 0).all(), "nothing counts before"
    assert (terms[began:] != 0).any()
    assert terms[began:, 1].sum() == pytest.approx(-joule / watts / 3600)
    assert terms[began:, 0].sum() == pytest.approx(-rejected / fleet.cpu_mcore.sum())


def _starts(built: World, window: Window, step: int) -> bool:
    """True for the decision during whose step metering begins."""
    state = built.start([window])
    observer = Observer(built, 1, CPU_SETTINGS)
    advance_all(built, state)
    for _ in range(step):
        decide_all(built, state, observer.observe(state).rows[:, 0])
        advance_all(built, state)
    if state.over[0] or state.arrays.counter[0, st.C_METERED] == 1:
        return False
    decide_all(built, state, observer.observe(state).rows[:, 0])
    advance_all(built, state)
    return bool(state.arrays.counter[0, st.C_METERED] == 1)


def test_a_queued_task_counts_until_it_is_placed() -> None:
    fleet = Machines(machine_id=np.array(["m"], dtype=object), cpu_mcore=np.array([4000]), mem_mib=np.array([9]))
    trace = Trace(
        task_id=np.array(["a", "b", "c"], dtype=object),
        arrive_s=np.array([0, 10, 200]),
        depart_s=np.array([100, 60, 210]),
        cpu_mcore=np.array([4000, 2000, 1000]),
        mem_mib=np.array([1, 1, 1]),
    )
    built = World.build(trace, fleet, PlacementOptions(admission="queue"))
    settings = CPU_SETTINGS.model_copy(update={"shortlist": ()})
    state, terms, _ = play(built, built.whole, settings, {"rejected_cpu": 1.0})
    # a placed; b begins to wait (-0.5) before it is asked about at 100 s; placed (+0.5); c placed.
    assert terms[:, 0] == pytest.approx([-0.5, 0.5, 0.0])
    assert state.arrays.counter[0, st.C_PLACED] == 3


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "needs at least one term"),
        ({"fragmentaton": 1.0}, "Did you mean 'fragmentation'"),
        ({"energy": float("nan")}, "must be finite"),
        ({"fragmentation": 1.0}, "needs a world that measures it"),
    ],
)
def test_wrong_rewards_are_refused(weights: dict[str, float], message: str) -> None:
    built = world(4, 20, fragmentation="none")
    with pytest.raises(SpecError, match=message):
        Rewarder(built, 1, weights)

"""Small worlds whose outcome is worked out in the comments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlsched.errors import PolicyError, SpecError, TraceError
from rlsched.policies.heuristic import Heuristic
from rlsched.sim.events import FAIL, REPAIR, MachineEvents
from rlsched.sim.options import PlacementOptions
from rlsched.sim.outcome import outcome_of
from rlsched.sim.power import PowerCurve
from rlsched.sim.reference import Reference
from rlsched.sim.simulate import REFUSE, advance_all, decide_all, run_policy
from rlsched.sim.state import REASONS
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace

FIRST_FIT = Heuristic("first_fit", {"first_fit": 1.0})
BEST_FIT = Heuristic("best_fit", {"best_fit": 1.0})


def tasks(*rows: tuple[int, int, int], **columns: Any) -> Trace:
    """``(arrive_s, depart_s, cpu_mcore)`` rows; 1 MiB each."""
    arrive, depart, cpu = (np.array(column) for column in zip(*rows, strict=True))
    return Trace(np.arange(len(rows)), arrive, depart, cpu, np.ones(len(rows), int), **columns)


def machines(*cpu: int, **columns: Any) -> Machines:
    return Machines(np.arange(len(cpu)), np.array(cpu), np.full(len(cpu), 1000), **columns)


def outcome(
    trace: Trace,
    hosts: Machines,
    heuristic: Heuristic = FIRST_FIT,
    *,
    window: Window | None = None,
    events: MachineEvents | None = None,
    curves: dict[str, PowerCurve] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Run both twins; they must agree; return what happened."""
    chosen = PlacementOptions(**options)
    world = World.build(trace, hosts, chosen, events=events, curves=curves)
    window = window or world.whole
    state = world.start([window])
    policy = heuristic.arrays()
    run_policy(world, state, policy)
    fast = outcome_of(state)
    slow = Reference(trace, hosts, chosen, window, policy, events=events, curves=curves).run().outcome()
    assert fast == slow
    return fast


def test_a_departure_makes_room_for_an_arrival_at_the_same_second() -> None:
    got = outcome(tasks((0, 10, 1000), (10, 20, 1000)), machines(1000))
    assert got["placed"] == 2
    assert got["rejected"] == 0


def test_a_task_that_fits_nowhere_is_rejected_with_its_reason() -> None:
    # 1000 of 1500 in use: the second lacks cpu; the third could never be held.
    got = outcome(tasks((0, 10, 1000), (5, 20, 1000), (6, 9, 2000)), machines(1500))
    assert got["rejected"] == 2
    assert got["reasons"] == [1, 0, 0, 0, 0, 0, 1, 0]


def test_best_fit_leaves_the_least_and_ties_go_to_the_lowest_row() -> None:
    # Left over: 3/4, 1/2, 1/2 of the machine; rows 1 and 2 tie.
    assert outcome(tasks((0, 9, 1000)), machines(4000, 2000, 2000), BEST_FIT)["placed_on"] == [1]


def test_a_waiting_task_starts_when_capacity_is_freed_and_its_wait_is_counted() -> None:
    got = outcome(tasks((0, 10, 1000), (4, 14, 1000)), machines(1000), admission="queue")
    assert got["times"][1][:2] == [10.0, 20.0]  # waits 6 s, still runs its 10 s
    assert got["wait_s"] == 6.0
    assert got["queue_s"] == 6.0


def test_larger_priority_is_served_first_and_an_equal_one_by_arrival() -> None:
    trace = tasks((0, 10, 1000), (1, 11, 1000), (2, 12, 1000), (3, 13, 1000), priority=[0, 0, 0, 5])
    got = outcome(trace, machines(1000), admission="queue")
    assert [start for start, _, _ in got["times"]] == [0.0, 20.0, 30.0, 10.0]


def test_a_strict_queue_blocks_the_smaller_one_behind_that_a_skipping_queue_lets_through() -> None:
    trace = tasks((0, 10, 600), (1, 11, 1000), (2, 12, 300))
    assert outcome(trace, machines(1000), admission="queue")["times"][2][0] == 2.0
    # Strict: the big one runs 10..20, the small one only then.
    assert outcome(trace, machines(1000), admission="queue", queue_order="strict")["times"][2][0] == 20.0


def test_oversubscription_offers_the_floor_of_capacity_times_ratio() -> None:
    trace = tasks((0, 9, 1000), (0, 9, 500), (0, 9, 1))
    got = outcome(trace, machines(1001), cpu_ratio=1.5)  # floor(1501.5) = 1501
    assert got["placed"] == 3
    assert got["rejected"] == 0


def test_anti_affinity_spreads_a_group_and_rejects_what_is_left_for_that_reason() -> None:
    trace = tasks((0, 9, 10), (0, 9, 10), (0, 9, 10), group=[7, 7, 7], group_limit=[1, 1, 1])
    got = outcome(trace, machines(1000, 1000))
    assert got["placed_on"][:2] == [0, 1]
    assert got["reasons"][4] == 1


def test_a_group_limit_of_two_lets_two_share_a_machine() -> None:
    trace = tasks((0, 9, 10), (0, 9, 10), (0, 9, 10), group=[7, 7, 7], group_limit=[2, 2, 2])
    assert outcome(trace, machines(1000, 1000))["placed_on"] == [0, 0, 1]


def test_shared_gpus_are_devices_and_models_are_respected() -> None:
    # 600 + 600 do not fit one device although 2000 milli-GPU are free in all; a T4 is not an A10.
    trace = tasks(
        (0, 9, 1), (0, 9, 1), (0, 9, 1), (0, 9, 1),
        gpu_count=[1, 1, 1, 1], gpu_mgpu=[600, 600, 600, 1000],
        gpu_model_mask=[-1, -1, -1, 2], gpu_models=("A10", "T4"),
    )  # fmt: skip
    hosts = machines(1000, 1000, gpu_count=[2, 1], gpu_model=[0, 1], gpu_models=("A10", "T4"))
    got = outcome(trace, hosts)
    assert got["placed_on"][:3] == [0, 0, 1]
    assert got["gpus"][:3] == [0b01, 0b10, 0b1]
    assert got["reasons"][2] == 1  # the T4 has 400 left: the last lacks GPU there, the model elsewhere


def test_an_interrupted_task_starts_over_without_checkpoints_and_goes_on_with_them() -> None:
    trace = tasks((0, 100, 1000))
    fails = MachineEvents.of([(70.0, FAIL, 0)], 2)
    start_over = outcome(trace, machines(1000, 1000), events=fails)
    assert start_over["times"][0] == [70.0, 170.0, 0.0]
    assert start_over["lost_cpu_s"] == 70_000.0
    # Checkpoints at 30 and 60: 10 s are lost, 40 s remain.
    kept = outcome(trace, machines(1000, 1000), events=fails, checkpoint_interval_s=30.0)
    assert kept["times"][0] == [70.0, 110.0, 60.0]
    assert kept["lost_cpu_s"] == 10_000.0
    assert outcome(trace, machines(1000, 1000), events=fails, interrupted="lost")["status"] == ["lost"]


def test_a_task_waits_for_the_repair_of_the_only_machine() -> None:
    events = MachineEvents.of([(5.0, FAIL, 0), (50.0, REPAIR, 0)], 1)
    got = outcome(tasks((0, 10, 1000), (20, 30, 1000)), machines(1000), events=events)
    assert got["times"][0][:2] == [50.0, 60.0]
    assert got["rejected"] == 1  # arrivals are still turned away under admission="reject"


def test_energy_is_power_times_time_and_an_empty_machine_is_off() -> None:
    # Linear 100..200 W. Half loaded 0..10 s: 150 W * 10 s; full 10..20: 200 W * 10 s; then empty.
    curve = {"mine": PowerCurve("linear", (100.0, 200.0), "test")}
    hosts = machines(1000, power_curve=[0], power_curves=("mine",))
    trace = tasks((0, 20, 500), (10, 20, 500))
    window = Window(0, 2, -math.inf, 30.0)
    assert outcome(trace, hosts, curves=curve, window=window)["joule"] == [3500.0]
    assert outcome(trace, hosts, curves=curve, window=window, empty_machines="on")["joule"] == [4500.0]
    assert outcome(trace, hosts, curves=curve, window=window)["busy_s"] == [20.0]


def test_the_warm_up_fills_machines_but_is_not_metered() -> None:
    trace = tasks((0, 100, 600), (50, 100, 600))
    got = outcome(trace, machines(1000), window=Window(0, 2, 40.0, 60.0))
    assert got["arrived"] == 1  # the first came before the window
    assert got["rejected"] == 1
    assert got["cpu_s"] == 600 * 20.0


def test_a_life_of_zero_seconds_is_placed_and_gone() -> None:
    got = outcome(tasks((5, 5, 1000), (5, 9, 1000)), machines(1000))
    assert got["status"] == ["done", "done"]


def test_random_failures_do_not_depend_on_other_machines() -> None:
    few = MachineEvents.random(2, 0.0, 1e6, mtbf_s=1e5, mttr_s=1e4, seed=3)
    many = MachineEvents.random(5, 0.0, 1e6, mtbf_s=1e5, mttr_s=1e4, seed=3)
    kept = many.machine < 2
    assert np.array_equal(few.time_s, many.time_s[kept])
    assert len(few.time_s) > 10


def test_an_answer_that_cannot_be_is_refused_and_leaves_the_copy_alone() -> None:
    world = World.build(tasks((0, 9, 800), (1, 9, 800)), machines(1000, 2000))
    state = world.start([world.whole])
    advance_all(world, state)
    decide_all(world, state, np.array([0]))
    assert advance_all(world, state).tolist() == [1]
    before = state.copy()
    with pytest.raises(PolicyError, match=r"machine 0 \('0'\) cannot hold task 1"):
        decide_all(world, state, np.array([0]))
    with pytest.raises(PolicyError, match=r"must be in 0\.\.1"):
        decide_all(world, state, np.array([2]))
    assert state.same_as(before)
    decide_all(world, state, np.array([REFUSE]))
    assert outcome_of(state)["rejected"] == 1


def test_a_refusal_of_what_fits_has_a_reason_of_its_own() -> None:
    trace, fleet = tasks((0, 9, 800), (1, 9, 800), (2, 9, 800)), machines(1000, 2000)
    world = World.build(trace, fleet)
    state = world.start([world.whole])
    for answer in (1, REFUSE):  # the second task would fit on either machine
        advance_all(world, state)
        decide_all(world, state, np.array([answer]))
    advance_all(world, state)
    decide_all(world, state, np.array([0]))
    assert advance_all(world, state).tolist() == [-1]
    got = dict(zip(REASONS, outcome_of(state)["reasons"], strict=True))
    assert got == {**dict.fromkeys(REASONS, 0), "refused": 1}

    class Choosy(Reference):
        """First fit that refuses the second task."""

        def _choose(self, task):  # type: ignore[no-untyped-def]
            return -1 if task.row == 1 else super()._choose(task)

    slow = Choosy(trace, fleet, PlacementOptions(), world.whole, FIRST_FIT.arrays()).run().outcome()
    assert dict(zip(REASONS, slow["reasons"], strict=True)) == got


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"admission": "wait"}, "unknown admission 'wait'. Known: queue, reject."),
        ({"cpu_ratio": 0.0}, "cpu_ratio must be in (0, 100]: got 0.0"),
        ({"pue": 0.5}, "pue must be in 1..10: got 0.5"),
        ({"checkpoint_interval_s": -1.0}, "checkpoint_interval_s must be >= 0 or inf: got -1.0"),
        ({"queue_order": "stric"}, "unknown queue_order 'stric'. Did you mean 'strict'?"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        PlacementOptions(**options)
    assert message in str(caught.value)


def test_a_trace_no_machine_can_serve_is_refused_with_both_sides() -> None:
    with pytest.raises(TraceError, match=r"no machine can hold any task .* 5000 mcore.* 1000 mcore"):
        World.build(tasks((0, 9, 5000)), machines(1000))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window(0, 5), "must lie in task rows 0..1"),
        (Window(0, 1, 0.0, 0.0), "stop_s must be after start_s"),
        (Window(0, 1, fleet=1), "fleet must be in 0..0"),
    ],
)
def test_a_window_outside_the_world_is_refused(window: Window, message: str) -> None:
    world = World.build(tasks((0, 9, 100)), machines(1000))
    with pytest.raises(SpecError, match=message):
        world.start([window])

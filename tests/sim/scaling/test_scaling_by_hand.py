"""Small cases of the scaling simulator, worked out on paper; each on the reference and on the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import PolicyError, SpecError, TraceError, UserError
from rlsched.sim.scaling import reference, simulate
from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.state import LAST, State
from rlsched.sim.scaling.world import Window, World

from .worlds import demand, toy

Step = Callable[[World, State, int, list[tuple[int, int, int]]], float]


def compiled_step(world: World, state: State, n: int, decisions: list[tuple[int, int, int]]) -> float:
    return float(simulate.step(world, state, np.array([decisions], np.int64))[n])


@pytest.fixture(params=[reference.step, compiled_step], ids=["reference", "kernel"])
def step(request: pytest.FixtureRequest) -> Step:
    chosen: Step = request.param
    return chosen


def begin(world: World, lo: int = 0, rows: tuple[int, ...] = (0,)) -> State:
    return State.new(world, [Window(rows, lo, world.n_steps)], [0])


def last(state: State, name: str, service: int = 0) -> float:
    return float(state.code.last[0, service, LAST.index(name)])


def play(step: Step, world: World, decisions: list[tuple[int, int, int]], state: State | None = None) -> list[float]:
    state = state or begin(world)
    return [step(world, state, 0, [decision]) for decision in decisions]


def test_an_order_serves_two_intervals_later_and_is_billed_at_once(step: Step) -> None:
    # Two instances at first, two ordered in interval 0. Demand 4: 2 unmet in intervals 0 and 1, none in 2.
    costs = play(step, toy([4, 4, 4]), [(0, 4, 0)] * 3)
    assert costs == [4 + 2 * 3 + 2 * 10, 4 + 2 * 10, 4]


def test_a_stop_acts_at_once_and_costs_nothing(step: Step) -> None:
    assert play(step, toy([1, 1]), [(0, 1, 0)] * 2) == [1, 1]


def test_billed_when_ready_costs_nothing_while_booting(step: Step) -> None:
    world = toy([2, 2, 2])
    ready = World.build(demand([2, 2, 2]), world.types, world.services, ScalingOptions(billed_from="ready"))
    assert play(step, ready, [(0, 3, 0)] * 3) == [2 + 3, 2, 3]


def test_cancelled_orders_go_before_instances_that_serve(step: Step) -> None:
    world = toy([2] * 4)
    state = begin(world)
    play(step, world, [(0, 5, 0), (0, 2, 0)], state)
    assert (last(state, "cancelled"), last(state, "stopped"), last(state, "ready")) == (3, 0, 2)
    late = World.build(demand([2] * 4), world.types, world.services, ScalingOptions(cancel_booting="last"))
    state = begin(late)
    play(step, late, [(0, 5, 0), (0, 2, 0)], state)
    assert (last(state, "cancelled"), last(state, "stopped"), last(state, "ready")) == (1, 2, 0)


def test_an_instance_that_goes_early_is_billed_for_its_shortest_time(step: Step) -> None:
    kind = InstanceType(price_per_h=12, min_billing_s=900)  # three intervals, 1 USD each
    world = World.build(demand([0] * 5), [kind], Service(initial_instances=0))
    # Ordered in 0, gone in 1: one interval billed, two due. Ordered again in 2, kept to 4: nothing due.
    assert play(step, world, [(0, 1, 0), (0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0)]) == [1, 2, 1, 1, 1]


def test_the_first_instances_of_a_window_are_long_since_billed(step: Step) -> None:
    kind = InstanceType(price_per_h=12, min_billing_s=900)
    world = World.build(demand([3, 0]), [kind], Service())
    state = begin(world, lo=1)
    assert state.code.alive.sum() == 3  # as many as the demand of interval 0 fills
    assert step(world, state, 0, [(0, 0, 0)]) == 0


def test_waiting_work_is_served_before_what_has_just_arrived_and_lost_after_its_deadline(step: Step) -> None:
    kind = InstanceType(price_per_h=0)
    service = Service(deadline_s=300, unmet_usd_per_unit_h=120, late_usd_per_unit_h=12, initial_instances=1)
    world = World.build(demand([4, 0, 0]), [kind], service)
    state = begin(world)
    # Interval 0 serves 1 of 4, 3 wait (1 USD each). Interval 1 serves 1, 2 have waited one interval: lost (10 each).
    assert play(step, world, [(0, 1, 0)] * 3, state) == [3, 20, 0]
    assert state.meters(0)["served"] == 2
    assert state.meters(0)["lost"] == 2


def test_a_service_without_capacity_waits_as_long_as_anybody_can(step: Step) -> None:
    world = World.build(demand([1, 0]), [InstanceType()], Service(initial_instances=0, deadline_s=600))
    state = begin(world)
    step(world, state, 0, [(0, 0, 0)])
    assert last(state, "wait_s") == last(state, "wait_quantile_s") == 900
    assert last(state, "utilisation") == 0


def test_one_server_at_half_load_waits_as_long_as_it_serves(step: Step) -> None:
    # M/M/1 at 0.5: the mean wait equals the service time, here 1/10 s.
    world = World.build(demand([5], unit="requests/s"), [InstanceType(capacity=10)], Service(initial_instances=1))
    state = begin(world)
    step(world, state, 0, [(0, 1, 0)])
    assert last(state, "wait_s") == pytest.approx(0.1)
    # P(W > t) = 0.5 exp(-5 t) = 0.05
    assert last(state, "wait_quantile_s") == pytest.approx(np.log(10) / 5)


def test_old_instances_stay_until_those_of_the_new_type_serve(step: Step) -> None:
    small = InstanceType(name="small", capacity=1, price_per_h=12)
    large = InstanceType(name="large", capacity=4, price_per_h=36, boot_s=600)
    world = World.build(demand([4] * 4), [small, large], Service(initial_instances=5))
    state = begin(world)
    served = []
    costs = []
    for _ in range(4):
        costs.append(step(world, state, 0, [(1, 1, 0)]))
        served.append((last(state, "capacity"), last(state, "stopped")))
    # One large one is as much as four small ones: the fifth goes at once, four when the large one serves.
    assert served == [(4, 1), (4, 0), (4, 4), (4, 0)]
    assert costs == [4 + 3, 4 + 3, 3, 3]


def test_spot_instances_beyond_what_is_available_are_refused_and_taken_back(step: Step) -> None:
    kind = InstanceType(price_per_h=12, spot_price_per_h=6)
    world = World.build(
        demand([0, 0, 0]),
        [kind],
        Service(initial_instances=0),
        spot_available=np.array([[3.0, 1.5, np.inf]]),
        spot_price_per_h=np.array([[6.0, 12.0, 6.0]]),
    )
    state = begin(world)
    assert step(world, state, 0, [(0, 0, 5)]) == 3 * 0.5
    assert last(state, "refused") == 2
    assert step(world, state, 0, [(0, 0, 3)]) == 1
    assert last(state, "interrupted") == 2
    assert step(world, state, 0, [(0, 1, 1)]) == 1 + 0.5


def test_interruptions_come_at_the_rate_that_was_asked_for() -> None:
    kind = InstanceType(spot_price_per_h=1)
    world = World.build(
        demand(np.zeros(2001)), [kind], Service(initial_instances=0), ScalingOptions(interruptions_per_h=1.0)
    )
    state = begin(world)
    for _ in range(2000):
        simulate.step(world, state, np.array([[[0, 0, 10]]]))
    met = state.meters(0)
    chance = 1 - np.exp(-300 / 3600)
    # Each instance is at risk in every interval but the first of its life.
    at_risk = met["billed"] + met["interrupted"] - met["started"]
    share = met["interrupted"] / at_risk
    assert abs(share - chance) < 4 * np.sqrt(chance * (1 - chance) / at_risk)


def test_credits_give_back_the_largest_share_that_applies(step: Step) -> None:
    kind = InstanceType(price_per_h=12)
    service = Service(initial_instances=1, credits=((1.0, 0.1), (0.9, 0.5), (0.4, 1.0)))
    world = World.build(demand([1, 2, 0, 1]), [kind], service)
    state = begin(world)
    costs = play(step, world, [(0, 1, 0)] * 4, state)
    # One of three intervals with demand lost work: good in 2/3 of them, below 0.9 and above 0.4. Bill: 4 USD.
    assert costs == [1, 1, 1, 1 + 2]
    assert state.meters(0)["credit_usd"] == 2


def test_services_share_nothing_but_the_clock(step: Step) -> None:
    world = toy([[4, 4, 4], [1, 1, 1]])
    together = begin(world, rows=(1, 0))
    costs = [step(world, together, 0, [(0, 2, 0), (0, 4, 0)]) for _ in range(3)]
    alone = [play(step, world, [(0, n, 0)] * 3, begin(world, rows=(row,))) for row, n in ((1, 2), (0, 4))]
    assert costs == [a + b for a, b in zip(*alone, strict=True)]


def test_a_run_under_a_rule_equals_single_steps() -> None:
    from rlsched.sim.scaling.rules.table import RULES

    world = toy([[3, 5, 7, 2, 1, 6]])
    state, log = simulate.run(
        world, [Window((0,), 0, 6, "all")], [simulate.RuleChoice(list(RULES).index("static"), (4.0,))], log=True
    )
    single = begin(world)
    for t in range(6):
        simulate.step(world, single, np.array([[[0, 4, 0]]]))
        assert log[0, t].tobytes() == single.code.last[0].tobytes()
    assert state.meters(0) == single.meters(0)


def test_a_state_can_be_saved_and_loaded(tmp_path: Path) -> None:
    world = toy([3, 5, 7])
    state = begin(world)
    simulate.step(world, state, np.array([[[0, 4, 0]]]))
    state.save(tmp_path / "state.npz")
    loaded = State.load(tmp_path / "state.npz")
    assert loaded.same_as(state)
    assert simulate.step(world, loaded, np.array([[[0, 4, 0]]])) == simulate.step(world, state, np.array([[[0, 4, 0]]]))
    (tmp_path / "broken.npz").write_bytes(b"no state")
    with pytest.raises(UserError, match="not a saved scaling state"):
        State.load(tmp_path / "broken.npz")


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ((0, 51, 0), "instances must lie in 0..50"),
        ((0, -1, 0), "none negative"),
        ((1, 1, 0), "instance type must lie in 0..0"),
        ((0, 1, 1), "has no spot market"),
    ],
)
def test_a_decision_that_is_not_allowed_is_an_error(step: Step, decision: tuple[int, int, int], said: str) -> None:
    world = toy([1, 1])
    state = begin(world)
    before = state.copy()
    with pytest.raises(PolicyError, match=said):
        step(world, state, 0, [decision])
    assert state.same_as(before)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (Window((0,), 0, 4, "w"), "must lie inside the trace"),
        (Window((0,), 2, 2), "must lie inside the trace"),
        (Window((1,), 0, 2), "must name series"),
        (Window((), 0, 2), "must name series"),
    ],
)
def test_a_window_outside_the_trace_is_an_error(window: Window, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        State.new(toy([1, 1, 1]), [window], [0])


def test_a_window_at_the_very_beginning_needs_its_first_instances() -> None:
    with pytest.raises(SpecError, match="set initial_instances"):
        State.new(toy([1, 1], initial_instances=None), [Window((0,), 0, 2)], [0])


def test_missing_demand_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(TraceError, match="missing at step 1 of 'service-0'"):
        toy([1, np.nan, 2])


def test_a_rule_whose_answer_is_no_number_is_an_error() -> None:
    with pytest.raises(PolicyError, match="finite number of instances"):
        simulate.run(toy([1, 1]), [Window((0,), 0, 2)], [simulate.RuleChoice(0, (float("nan"),))])


def test_a_rule_held_back_by_the_limits_is_counted() -> None:
    state, _ = simulate.run(toy([1, 1]), [Window((0,), 0, 2)], [simulate.RuleChoice(0, (99.0,))])
    assert state.meters(0)["held"] == 2
    assert state.meters(0)["started"] == 48

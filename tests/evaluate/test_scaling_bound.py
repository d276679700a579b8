"""The clairvoyant bound: exact where it says so, and never beaten."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rlsched.evaluate.scaling_bound import clairvoyant, dp_bound, lp_bound
from rlsched.sim.scaling import reference, state
from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.simulate import RuleChoice, run
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

STEP = 3600  # one hour, so that prices an hour are prices an interval


def world(
    demand: Any, types: list[InstanceType], service: Service, options: ScalingOptions | None = None, **spot: Any
) -> World:
    rate = np.atleast_2d(np.array(demand, np.float64))
    ids = np.array([f"s{i}" for i in range(len(rate))], dtype=object)
    return World.build(Demand(ids, 0, STEP, rate, "units"), types, service, options, **spot)


def simple(boot: int = 1, start: float = 2.0, **changes: Any) -> tuple[list[InstanceType], Service]:
    kind = InstanceType(capacity=1.0, price_per_h=1.0, boot_s=boot * STEP, start_usd=start)
    fields = {"max_instances": 6, "initial_instances": 1, "unmet_usd_per_unit_h": 10.0, **changes}
    return [kind], Service(**fields)


def cost_of(one: World, window: Window, totals: tuple[int, ...]) -> float:
    """What a sequence of wanted totals costs in the reference."""
    run_state = state.State.new(one, [window], [0])
    return sum(reference.step(one, run_state, 0, [(0, total, 0)]) for total in totals)


def test_a_plan_by_hand():
    # One serves at first; demand 1, 1, 3, 1; a boot takes one interval. Two more for one interval cost
    # 2 * (2 start + 1 boot + 1) = 8; without them 2 * 10 is lost. 4 + 8 = 12.
    one = world([9.0, 1.0, 1.0, 3.0, 1.0], *simple())
    bound = dp_bound(one, 0, 1, 5)
    assert bound.cost_usd == pytest.approx(12.0)
    assert bound.serving.tolist() == [1, 1, 3, 1]
    assert bound.exact
    assert cost_of(one, Window((0,), 1, 5), (1, 3, 3, 1)) == pytest.approx(12.0)


def test_nothing_can_be_ordered_for_the_first_intervals():
    one = world([0.0, 3.0, 3.0], *simple(boot=2))
    # Both intervals lose two units, whatever is done.
    assert dp_bound(one, 0, 1, 3).cost_usd == pytest.approx(2 * (1 + 20))


def test_it_is_the_cheapest_of_all_sequences_of_decisions():
    rng = np.random.default_rng(5)
    for _ in range(12):
        boot, start = int(rng.integers(0, 3)), float(rng.choice([0.0, 1.0, 4.0]))
        kinds, service = simple(boot, start, max_instances=3, min_instances=int(rng.integers(0, 2)))
        one = world(rng.integers(0, 4, 6).astype(float), kinds, service)
        window = Window((0,), 1, 6)
        bound = dp_bound(one, 0, 1, 6)
        sequences = itertools.product(range(service.min_instances, 4), repeat=5)
        best = min(cost_of(one, window, totals) for totals in sequences)
        assert bound.cost_usd <= best + 1e-9
        if bound.exact:
            assert bound.cost_usd == pytest.approx(best)


def test_it_says_when_its_plan_may_not_be_a_run():
    for changes, options in (
        ({"credits": [[0.9, 0.1]]}, None),
        ({}, ScalingOptions(billed_from="ready")),
    ):
        kinds, service = simple(**changes)
        assert not dp_bound(world([1.0] * 4, kinds, service, options), 0, 1, 4).exact
    billed = InstanceType(capacity=1.0, price_per_h=1.0, min_billing_s=2 * STEP)
    assert not dp_bound(world([1.0] * 4, [billed], simple()[1]), 0, 1, 4).exact


def test_the_linear_programme_is_below_the_dynamic_one_and_near_it_with_many_instances():
    pytest.importorskip("scipy")
    rng = np.random.default_rng(6)
    kinds, service = simple(boot=2, start=3.0, max_instances=80, initial_instances=30)
    one = world(30 + 8 * rng.normal(size=40), kinds, service)
    whole, parts = dp_bound(one, 0, 2, 40).cost_usd, lp_bound(one, 0, 2, 40).cost_usd
    assert parts <= whole + 1e-6
    assert parts == pytest.approx(whole, rel=0.05)


def test_work_that_may_wait_costs_no_more_than_work_that_may_not():
    pytest.importorskip("scipy")
    kinds, now = simple(boot=1)
    later = now.model_copy(update={"deadline_s": 2.0 * STEP})
    demand = [1.0, 1.0, 3.0, 1.0, 0.0, 0.0]
    strict = lp_bound(world(demand, kinds, now), 0, 1, 6).cost_usd
    patient = clairvoyant(world(demand, kinds, later), Window((0,), 1, 6))[0]
    assert patient.method == "lp"
    assert patient.cost_usd < strict
    # One instance serves 1, 1, 1, 1, 1: the two extra units wait one and two intervals, at no price.
    assert patient.cost_usd == pytest.approx(5.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_no_policy_beats_it(data):
    """Random cards, demand and rules: several types, spot that closes, gets dearer and is taken back, deadlines, ..."""
    pytest.importorskip("scipy")
    draw = data.draw
    seed = draw(some.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    types = [
        InstanceType(
            name=f"type-{k}",
            capacity=float(rng.choice([1.0, 2.5])),
            price_per_h=float(rng.uniform(0.1, 2)),
            spot_price_per_h=float(rng.uniform(0.05, 1)) if rng.random() < 0.4 else None,
            boot_s=float(rng.integers(0, 4)) * STEP,
            min_billing_s=float(rng.integers(0, 3)) * STEP,
            start_usd=float(rng.uniform(0, 3)),
        )
        for k in range(draw(some.integers(1, 2)))
    ]
    service = Service(
        min_instances=int(rng.integers(0, 3)),
        max_instances=int(rng.integers(3, 12)),
        deadline_s=draw(some.sampled_from([0.0, STEP, 3.0 * STEP])),
        unmet_usd_per_unit_h=float(rng.uniform(0, 12)),
        late_usd_per_unit_h=float(rng.uniform(0, 2)),
        credits=((0.99, 0.1),) if rng.random() < 0.3 else (),
        latency_s=60.0 if rng.random() < 0.3 else None,
    )
    options = ScalingOptions(
        billed_from=draw(some.sampled_from(["order", "ready"])),
        cancel_booting=draw(some.sampled_from(["first", "last"])),
        interruptions_per_h=float(rng.choice([0.0, 0.2])),
    )
    constant = [[np.nan if kind.spot_price_per_h is None else kind.spot_price_per_h] for kind in types]
    price = np.array(constant) * rng.choice([0.2, 1.0, 5.0], (len(types), 24))
    available = rng.choice([0.0, 2.0, np.inf], (len(types), 24), p=[0.2, 0.2, 0.6])
    spot = {"spot_price_per_h": price, "spot_available": available} if rng.random() < 0.7 else {}
    one = world(np.maximum(0.0, 5 + 4 * rng.normal(size=(2, 24))), types, service, options, **spot)
    window = Window((0, 1), 3, 24, "w")
    rule = draw(some.sampled_from(sorted(RULES)))
    params = tuple(float(rng.uniform(p.low, p.high)) for p in RULES[rule].parameters)
    kind = int(rng.integers(len(types)))
    share = float(rng.random()) if types[kind].spot_price_per_h is not None else 0.0
    choice = RuleChoice(list(RULES).index(rule), params, kind, share, bool(rng.random() < 0.5))
    after, _ = run(one, [window], [choice], [seed])
    costs = after.code.sums[0, :, : len(state.COST)].sum(axis=1)
    for found, cost in zip(clairvoyant(one, window), costs, strict=True):
        assert found.cost_usd <= cost + 1e-6

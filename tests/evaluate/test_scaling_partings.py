"""Scaling policies watched interval by interval: the runs told are the runs metered, the gaps the largest there are."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from rlsched.evaluate.scaling_partings import APART_S, scaling_partings, watch_window
from rlsched.evaluate.scaling_timeline import scaling_timeline
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.policies.scaling import find_scaling
from rlsched.policies.scaling.learned import LearnedScaling
from rlsched.policies.scaling.residual import Residual
from rlsched.rng import stream_seed
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.simulate import run
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

BASE = "band:k_low=0.3,k_width=1.5,use_table=0"


@pytest.fixture(scope="module")
def world() -> World:
    """Two services over two days, one with steps in it."""
    t = np.arange(576)
    rates = np.stack([10 + 5 * np.sin(t / 40), np.where(t % 100 < 50, 6.0, 18.0)])
    demand = Demand(np.array(["a", "b"], object), 0, 300, rates, "cores")
    kind = InstanceType(name="one", capacity=2, price_per_h=0.1, boot_s=600, start_usd=0.02)
    return World.build(demand, [kind], Service(unmet_usd_per_unit_h=0.5, max_instances=50, initial_instances=4))


WINDOW = Window((0, 1), 288, 432, "w")


def agent(world: World, action: float) -> LearnedScaling:
    """An agent that always moves both numbers by the same share of their reach."""
    residual = Residual(find_scaling(BASE), {"k_low": 1.0, "k_width": 1.0}, ScalingObservation())
    fields = [one.name for one in residual.fields(world)]
    told = {"name": "still", "doc": "", "fields": fields, "step_s": 300}
    file = SimpleNamespace(metadata=told, actions=lambda seen: np.full((len(seen), 2), action, np.float32))
    return LearnedScaling(file, residual)  # type: ignore[arg-type]


def test_what_is_watched_is_what_is_metered(world: World) -> None:
    rule = find_scaling("reactive_max")
    log, numbers = watch_window(world, WINDOW, rule, 0)
    assert numbers is None
    state, _ = run(world, [WINDOW], [rule.choice()], [stream_seed(0, "window", "w")])
    for name in st.COST:
        at = st.LAST.index(name)
        np.testing.assert_allclose(log[:, :, at].sum(axis=0), state.code.sums[0, :, at], rtol=1e-12)


def test_an_agent_that_moves_nothing_is_its_base_and_one_that_does_is_told_of(world: World) -> None:
    base = find_scaling(BASE)
    still = agent(world, 0.0)
    mine, numbers = watch_window(world, WINDOW, still, 0)
    np.testing.assert_array_equal(mine, watch_window(world, WINDOW, base, 0)[0])
    assert numbers is not None
    assert numbers.shape[:2] == (144, 2)
    nothing = scaling_partings(world, WINDOW, ("still", still), ("base", base), 0)
    assert (nothing["apart"], nothing["decisions"]) == (0, [])
    found = scaling_partings(world, WINDOW, ("high", agent(world, 1.0)), ("base", base), 0)
    assert found["apart"] > 0
    one = found["decisions"][0]
    assert one["moved"]["k_low"] == pytest.approx([1.3, 0.3])
    assert one["why"][0] == "high set k_low to 1.3, tuned 0.3: orders up to more above the forecast"
    assert one["instances"][0] > one["instances"][1]


def test_the_largest_gaps_are_told_each_far_from_the_others(world: World) -> None:
    a, b = find_scaling("static:instances=3"), find_scaling("static:instances=9")
    found = scaling_partings(world, WINDOW, ("a", a), ("b", b), 0)
    logs = [watch_window(world, WINDOW, one, 0)[0][:, :, st.L_BILLED] for one in (a, b)]
    gap = np.abs(logs[0] - logs[1])
    assert found["apart"] == int((gap > 0).sum())
    told = [abs(one["instances"][0] - one["instances"][1]) for one in found["decisions"]]
    assert max(told) == gap.max()
    places = [(one["service"], one["at_h"]) for one in found["decisions"]]
    for service in (0, 1):
        hours = [at for where, at in places if where == service]
        assert all(y - x >= APART_S / 3600 - 1e-9 for x, y in pairwise(hours))
    for name, (mine, theirs) in found["parts"].items():
        at = st.LAST.index(name)
        whole = [watch_window(world, WINDOW, one, 0)[0][:, :, at].sum() for one in (a, b)]
        assert [mine, theirs] == pytest.approx(whole)


def test_an_agent_has_a_line_in_the_timeline(world: World) -> None:
    told = scaling_timeline(world, WINDOW, [("base", find_scaling(BASE)), ("still", agent(world, 0.0))], 0)
    assert told is not None
    lines = {one["policy"]: one["values"] for one in told["panels"][1]["series"]}
    assert lines["still"] == lines["base"]

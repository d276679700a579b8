"""The packing bound: by hand, and never beaten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sim.consolidation.worlds import policies, semantics, world, worlds

from rlsched.errors import SpecError, TraceError
from rlsched.evaluate.consolidation_bound import cost_bound, memory_power_w, pieces, why_not
from rlsched.evaluate.consolidation_metrics import COST, WEIGHTS, Finished, read_metrics
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.world import World
from rlsched.sim.semantics import Semantics

WEIGHT = st.sampled_from([0.0, 0.01, 1.0, 20.0])


def cost_of(w: World, policy: ConsolidationPolicy, s: Semantics, weights: dict[str, float], pue: float = 1.0) -> float:
    simulator = Simulator(w, s)
    run = simulator.run([policy], [0])[0]
    return read_metrics(Finished(w, run.meters, simulator.n_ticks, pue, weights))[COST]


@given(worlds(), policies(), semantics(), WEIGHT, WEIGHT, WEIGHT, st.sampled_from([1.0, 1.3]))
@settings(max_examples=60, deadline=None)
def test_no_policy_beats_the_bound(
    w: World, policy: ConsolidationPolicy, s: Semantics, energy: float, unmet: float, moves: float, pue: float
) -> None:
    weights = {"energy": energy, "unmet": unmet, "moves": moves}
    s = s.replace(
        {
            "zero_demand_removes_vm": False,
            "first_interval_free": False,
            "last_interval_simulated": True,
            "idle_host_is_off": False,
            "tick_offset_s": 0.0,
        }
    )
    try:
        reached = cost_of(w, policy, s, weights, pue)
    except TraceError:
        assume(False)
    assert reached >= cost_bound(w, s, weights, pue) * (1 - 1e-9)


def test_one_machine_that_is_just_full_by_hand() -> None:
    # One linear machine, 50 W idle and 150 W full, one VM that asks for all of it throughout.
    w = world([(1000.0, 1000.0, 4096, 2)], [(1000.0, 512)], [[100], [100]])
    s = Semantics()
    # Half an interval at 150 W and half at idle at least: (150 + 50) / 2 = 100 W of 150 W.
    assert cost_bound(w, s, WEIGHTS) == pytest.approx(100 * 100 / 150)
    assert cost_of(w, ConsolidationPolicy("dvfs"), s, WEIGHTS) == pytest.approx(100.0)


def test_memory_alone_keeps_machines_on() -> None:
    # Three VMs of 2,000 MiB, hardly any load: one and a half machines of 4,000 MiB at 50 W idle.
    w = world([(1000.0, 1000.0, 4000, 2)] * 3, [(100.0, 2000)] * 3, [[0, 0, 0]] * 3)
    assert memory_power_w(w) == pytest.approx(75.0)
    assert cost_bound(w, Semantics(), WEIGHTS) == pytest.approx(100 * 75 / 450)
    assert cost_bound(w, Semantics(memory_counts=False), WEIGHTS) == 0.0


def test_what_one_core_cannot_give_is_unmet_under_every_policy() -> None:
    w = world([(2000.0, 500.0, 4096, 2)], [(1000.0, 512)], [[100], [100]])
    free = {"energy": 0.0, "unmet": 20.0, "moves": 0.0}
    assert cost_bound(w, Semantics(), free) == pytest.approx(100 * 20 * 0.5)


def test_slopes_of_the_envelope_ascend_and_reach_the_whole_cluster() -> None:
    w = world([(3720.0, 1860.0, 4096, 0), (2600.0, 2600.0, 9000, 3)], [(500.0, 613)], [[50]] * 3)
    slopes, widths = pieces(w)
    assert (np.diff(slopes) >= 0).all()
    assert widths.sum() == pytest.approx(3720.0 + 2600.0)


def test_where_the_proof_does_not_hold_there_is_no_bound() -> None:
    w = world([(1000.0, 1000.0, 4096, 2)], [(100.0, 512)], [[10], [10]])
    assert why_not(Semantics(), WEIGHTS) == ""
    with pytest.raises(SpecError, match="no packing bound: it needs zero_demand_removes_vm = false"):
        cost_bound(w, Semantics.cloudsim_303(), WEIGHTS)
    with pytest.raises(SpecError, match="is negative"):
        cost_bound(w, Semantics(), {**WEIGHTS, "moves": -1.0})

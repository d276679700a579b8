"""A window over time, by hand."""

from __future__ import annotations

import numpy as np
from evaluate_worlds import CURVES, by_hand

from rlsched.evaluate.timeline import POINTS, placement_timeline
from rlsched.policies import find_heuristic
from rlsched.sim.events import FAIL, MachineEvents
from rlsched.sim.simulate import run_policy
from rlsched.sim.world import World


def at(found: dict, panel: str, name: str, hours: float) -> float:
    series = next(one for one in found["panels"] if one["label"] == panel)["series"]
    values = next(one for one in series if one["name"] == name)["values"]
    return float(values[int(np.searchsorted(found["x"], hours - 1e-9))])


def test_what_was_asked_for_allocated_in_use_and_turned_away_by_hand() -> None:
    trace, machines = by_hand()
    world = World.build(trace, machines, curves=CURVES)
    state = world.start([world.whole])
    run_policy(world, state, find_heuristic("first_fit").arrays())
    found = placement_timeline(world, [("first_fit", state)], clock=True)
    assert found is not None
    assert len(found["x"]) == POINTS
    assert found["metered_from"] is None
    # 0, 1 from 0 h, 2 from 0.5 h; 0 leaves at 1 h, when 3 (4 cores) is turned away; 2 leaves at 1.5 h, 1 at 2 h.
    assert at(found, "CPU", "capacity", 0.3) == 6
    assert [at(found, "CPU", "allocated", hours) for hours in (0.2, 0.7, 1.2, 1.7)] == [4, 6, 4, 2]
    assert [at(found, "CPU", "asked for", hours) for hours in (0.2, 0.7, 1.2, 1.7)] == [4, 6, 8, 6]
    assert [at(found, "Machines in use", "in use", hours) for hours in (0.2, 0.7, 1.7)] == [1, 2, 1]
    assert [at(found, "Turned away so far", "turned away", hours) for hours in (0.9, 1.1)] == [0, 1]


def test_where_nobody_leaves_the_axis_is_what_has_arrived() -> None:
    trace, machines = by_hand()
    world = World.build(trace, machines, curves=CURVES)
    state = world.start([world.whole])
    run_policy(world, state, find_heuristic("first_fit").arrays())
    found = placement_timeline(world, [("first_fit", state)], clock=False)
    assert found is not None
    assert found["x"][-1] == round(100 * 10 / 6, 3)
    assert "% of CPU" in found["x_label"]


def test_there_is_none_with_failures() -> None:
    trace, machines = by_hand()
    world = World.build(trace, machines, curves=CURVES, events=MachineEvents.of([(5.0, FAIL, 0)], 2))
    state = world.start([world.whole])
    run_policy(world, state, find_heuristic("first_fit").arrays())
    assert placement_timeline(world, [("first_fit", state)], clock=True) is None

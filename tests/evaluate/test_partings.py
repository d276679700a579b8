"""Where two policies part: each decision told is one state with two answers, in the runs that were evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import CURVES, by_hand

from rlsched.evaluate.consolidation import Windows
from rlsched.evaluate.consolidation_card import ConsolidationExperiment
from rlsched.evaluate.consolidation_partings import SUMMED, consolidation_partings, consolidation_timeline, watch_window
from rlsched.evaluate.contestants import Contestant
from rlsched.evaluate.partings import most_different, partings
from rlsched.evaluate.placement import run
from rlsched.policies import find_heuristic
from rlsched.report.differences import differences_of
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.state import TICK
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import World
from rlsched.spec import load


def contestant(name: str) -> Contestant:
    return Contestant(name, find_heuristic(name))


def test_the_first_parting_is_the_one_done_by_hand() -> None:
    # A has 4 cores, B 2. Task 0 asks for 2: first fit takes A, best fit B, which is then left full.
    trace, machines = by_hand()
    world = World.build(trace, (machines,), PlacementOptions(), curves=CURVES)
    told = partings(world, world.whole, contestant("first_fit"), contestant("best_fit"))
    assert told is not None
    first = told["decisions"][0]
    assert (first["number"], first["machines"]) == (1, ["A", "B"])
    assert first["request"]["cpu_mcore"] == 2000
    assert [one["cpu_mcore"] for one in first["free"]] == [4000, 2000]
    assert told["asked"] == 3  # task 3 has no room under first fit
    assert first["why"] == ["equal scores: the lower row wins"]


def test_every_decision_told_is_one_both_would_take_in_that_state() -> None:
    trace, machines = by_hand()
    world = World.build(trace, (machines,), PlacementOptions(), curves=CURVES)
    same = partings(world, world.whole, contestant("best_fit"), contestant("best_fit"))
    assert same is not None
    assert (same["apart"], same["decisions"]) == (0, [])


def test_policies_that_draw_are_not_followed() -> None:
    trace, machines = by_hand()
    world = World.build(trace, (machines,), PlacementOptions(), curves=CURVES)
    assert partings(world, world.whole, contestant("random"), contestant("best_fit")) is None


def test_an_experiment_tells_where_its_tuned_and_published_rules_part(card: Path) -> None:
    overrides = ["policies=worst_fit,best_fit,cosine", "references.tuned=cosine", "references.published=worst_fit"]
    document = run(card, overrides)
    found = document["differences"]
    assert (found["a"], found["b"]) == ("cosine", "worst_fit")
    assert found["window"] == most_different(document, "cosine", "worst_fit")
    assert found["decisions"]
    told = differences_of(document)
    assert told is not None
    assert told.head[2:4] == ("cosine chose", "worst_fit would choose")
    assert len(told.rows) == len(found["decisions"])
    assert run(card, ["policies=best_fit,cosine"])["differences"] is None  # nobody is tuned, nobody learned
    # Who sees other life spans plays in another world: they are not compared step by step.
    seen = 'policies=[{policy="cosine",lifetime="unknown"},"worst_fit"]'
    assert run(card, [seen, *overrides[1:]])["differences"] is None


def test_the_window_with_the_largest_gap_is_taken_over_seeds() -> None:
    rows = [
        {"policy": "a", "window": "w0", "seed": None, "m": 1.0},
        {"policy": "b", "window": "w0", "seed": 0, "m": 9.0},
        {"policy": "b", "window": "w0", "seed": 1, "m": -7.0},  # the mean is that of a
        {"policy": "a", "window": "w1", "seed": None, "m": 1.0},
        {"policy": "b", "window": "w1", "seed": 0, "m": 2.0},
        {"policy": "b", "window": "w1", "seed": 1, "m": None},
        {"policy": "a", "window": "w2", "seed": None, "m": 1.0},
    ]
    assert most_different({"rows": rows, "provenance": {"main_metric": "m"}}, "a", "b") == "w1"
    assert most_different({"rows": rows[-1:], "provenance": {"main_metric": "m"}}, "a", "b") is None


@pytest.fixture
def consolidation(tmp_path: Path) -> Windows:
    folder = tmp_path / "days" / "20110303"
    folder.mkdir(parents=True)
    for vm in range(16):
        (folder / f"vm {vm}").write_text("".join(f"{(vm * 7 + 13 * k) % 97}\n" for k in range(288)))
    path = tmp_path / "experiment.toml"
    path.write_text(f'kind = "consolidation"\ntraces = "{tmp_path}/days"\nhosts = 12\npolicies = ["thr_mmt"]\n')
    return Windows(load(ConsolidationExperiment, path).spec)


def test_a_consolidation_watched_tick_by_tick_is_the_one_that_is_metered(consolidation: Windows) -> None:
    world = consolidation.world(consolidation.days[0], 0, 0)
    policies = [ConsolidationPolicy("thr_mmt"), ConsolidationPolicy("lr_mmt", placement_cap=0.4)]
    logs = []
    for policy, run_ in zip(policies, Simulator(world, consolidation.semantics).run(policies, [0, 0]), strict=True):
        log, numbers = watch_window(world, consolidation.semantics, policy, 0)
        assert numbers is None
        np.testing.assert_array_equal(log[:, : len(TICK)], run_.ticks)
        assert log[-1, len(TICK) + SUMMED.index("energy_ws")] == run_.meters.energy_ws
        logs.append(log)
    found = consolidation_partings(("thr_mmt", policies[0]), (logs[0], logs[1]), None, 300.0)
    on = TICK.index("hosts_active_after")
    assert found["apart"] == int((logs[0][:, on] != logs[1][:, on]).sum()) > 0
    gaps = [abs(one["machines_on"][0] - one["machines_on"][1]) for one in found["decisions"]]
    assert max(gaps) == np.abs(logs[0][:, on] - logs[1][:, on]).max()
    told = consolidation_timeline("w", [("a", logs[0]), ("b", logs[1])], 300.0)
    assert told["x"][1] == pytest.approx(1 / 12, abs=1e-4)
    assert {len(one["values"]) for panel in told["panels"] for one in panel["series"]} == {len(logs[0])}

"""Recorded runs: kept whole, read at any moment, continued under another policy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_worlds import by_hand, long_trace
from whatif_worlds import even_machines, gpu_files

from rlsched.errors import PolicyError, SpecError, TraceError
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.whatif_log import Log, load_log, open_world, placements, record, run_on, save_log, start
from rlsched.evaluate.whatif_moment import fork, moment_of
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.store import load, save


def small() -> Log:
    trace, machines = by_hand()
    # Curves of its own are known to a card only.
    return record(trace, dataclasses.replace(machines, power_curves=("hp_ml110_g4", "hp_ml110_g5")), "first_fit")


def test_a_moment_by_hand() -> None:
    # Tasks 0 and 1 fill machine A at 0 s, 2 goes to B at 1800 s; 0 leaves at 3600 s, when 3 finds no room.
    run = small()
    assert run.machine.tolist() == [0, 0, 1, -1]
    before = moment_of(run, 1799.0)
    assert (before.arrived, before.running, before.finished, before.rejected) == (2, 2, 0, 0)
    assert before.used[:, 0].tolist() == [4000, 0]
    after = moment_of(run, 3600.0)
    assert (after.arrived, after.running, after.finished, after.rejected) == (4, 2, 1, 1)
    assert after.used[:, 0].tolist() == [2000, 2000]
    assert after.active == 2
    assert after.last.tolist() == [3, 2, 1, 0]


def test_a_moment_outside_the_run_is_refused() -> None:
    with pytest.raises(SpecError, match="--at must lie in the run, 0s to 2h on the trace's clock: got 3h"):
        moment_of(small(), 3 * 3600.0)


@pytest.mark.parametrize("world", [gpu_files, lambda: (long_trace(), even_machines(4, 6000))], ids=["gpu", "cpu"])
def test_a_log_comes_back_as_it_was_and_is_a_trace_as_well(world: Any, tmp_path: Path) -> None:
    trace, machines = world()
    run = record(trace, machines, "best_fit", seed=2)
    path = tmp_path / "run.parquet"
    save_log(run, path)
    again = load_log(path)
    assert (again.policy, again.seed) == ("best_fit", 2)
    for name in ("machine", "devices"):
        np.testing.assert_array_equal(getattr(again, name), getattr(run, name))
    for name in Machines.ROW_COLUMNS:
        np.testing.assert_array_equal(getattr(again.machines, name), getattr(machines, name))
    assert isinstance(load(path), Trace)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("policy", ["best_fit", "random", "fragmentation", "next_fit"])
def test_continued_under_the_same_policy_nothing_changes(policy: str) -> None:
    run = record(*gpu_files(), policy, seed=7)
    assert (run.machine == -1).any()
    assert (run.devices > 0).any()
    for at in (0.0, 1234.0, 3000.0):
        branch = fork(run, at, policy)
        assert branch.moved == 0
        assert all(mine == theirs for mine, theirs in branch.metrics.values())


def test_another_policy_from_the_first_moment_is_that_policy() -> None:
    trace, machines = long_trace(), even_machines(4, 6000)
    late = dataclasses.replace(
        trace, arrive_s=trace.arrive_s + 1, depart_s=trace.depart_s + 1, last_seen_s=trace.last_seen_s + 1
    )
    run = record(late, machines, "best_fit")
    branch = fork(run, 1.0, "worst_fit")  # the first task has arrived, on an empty cluster: row 0 either way
    np.testing.assert_array_equal(branch.machine, record(late, machines, "worst_fit").machine)
    assert branch.later == 239
    assert branch.moved == int((branch.machine != run.machine).sum()) > 0
    assert branch.first == int(np.flatnonzero(branch.machine != run.machine)[0])


def test_only_what_arrives_after_the_moment_is_counted() -> None:
    trace, machines = long_trace(), even_machines(4, 6000)
    run = record(trace, machines, "best_fit")
    at = float(trace.arrive_s[99])
    branch = fork(run, at, "worst_fit")
    assert branch.metrics["arrived_tasks"] == (140.0, 140.0)
    assert branch.metrics["rejected_tasks"] == (
        float((run.machine[100:] == -1).sum()),
        float((branch.machine[100:] == -1).sum()),
    )
    np.testing.assert_array_equal(branch.machine[:100], run.machine[:100])
    cost = branch.metrics["cost_usd"][0]
    used = branch.metrics["active_machines"][0]
    hours = (branch.stop_s - at) / 3600
    assert cost == pytest.approx(2.0 * hours * (used or 0))


def test_a_moment_after_the_last_arrival_has_nothing_to_go_on_with() -> None:
    with pytest.raises(SpecError, match="--what-if needs tasks that arrive after --at"):
        fork(small(), 3600.0, "best_fit")


def test_a_log_that_does_not_fit_its_machines_is_refused() -> None:
    run = small()
    broken = dataclasses.replace(run, machine=np.array([0, 0, 0, -1]))  # A is full when task 2 comes
    with pytest.raises(PolicyError, match="a log must fit its own trace and machines"):
        fork(broken, 2000.0, "best_fit")


def test_a_trace_that_is_no_log_is_refused(tmp_path: Path) -> None:
    save(long_trace(), tmp_path / "trace.parquet")
    with pytest.raises(TraceError, match="holds no recorded run"):
        load_log(tmp_path / "trace.parquet")


def test_a_watcher_sees_the_run_go_by() -> None:
    seen: list[float] = []
    record(long_trace(), even_machines(), "best_fit", watch=lambda _world, state: seen.append(float(state.clock_s[0])))
    assert len(seen) > 100
    assert seen == sorted(seen)


def test_a_recorded_run_is_the_run_an_evaluation_plays() -> None:
    trace, machines = long_trace(), even_machines(4, 6000)
    world = open_world(trace, machines, contestants_of(["best_fit"]))
    state = start(world, world.whole, 0)
    run_on(world, state, contestants_of(["best_fit"])[0].policy)
    np.testing.assert_array_equal(placements(state)[0], record(trace, machines, "best_fit").machine)


def test_a_learned_policy_goes_on_from_a_moment_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """It sees how much was turned away so far, which a window that begins at the moment would forget."""
    import torch
    from placement_worlds import GPU_SETTINGS

    from rlsched.agents.export import export_policy
    from rlsched.agents.network import CandidateScorer

    torch.manual_seed(0)
    network = CandidateScorer(12, 1.0)
    torch.nn.init.normal_(network.score.weight, std=1.0)
    file = tmp_path / "policy.onnx"
    export_policy(file, network, GPU_SETTINGS.observation, {"name": "toy", "fragmentation": "gpu", "residents": True})
    run = record(*gpu_files(), str(file))
    assert (run.machine == -1).any()
    for at in (600.0, 3000.0):
        assert fork(run, at, str(file)).moved == 0
    assert fork(run, 600.0, "worst_fit").moved > 0
    assert fork(record(*gpu_files(), "worst_fit"), 600.0, str(file)).moved > 0

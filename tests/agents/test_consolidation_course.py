"""Consolidation agents: they begin exactly at their policy, learn what can be learnt, and ship as one file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from consolidation_problems import problem

from rlsched.agents import checkpoint as ck
from rlsched.agents.consolidation_course import (
    ConsolidationValidation,
    ConsolidationVecEnv,
    base_rewards,
    settings_of,
    train_consolidation,
)
from rlsched.agents.course import CHECKPOINT
from rlsched.agents.export_consolidation import export_consolidation
from rlsched.agents.export_residual import residual_parity
from rlsched.agents.residual import ResidualNetwork
from rlsched.agents.spec import ConsolidationTrainSpec
from rlsched.errors import PolicyError, SpecError
from rlsched.policies.consolidation.learned import load_consolidation
from rlsched.policies.consolidation.residual import FIELDS, ConsolidationResidual
from rlsched.reward.consolidation import DEFAULT_WEIGHTS
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator

REACH = {"parameter": (0.0, 2.0), "placement_cap": (0.3, 1.0), "evacuate_below": (0.0, 1.0)}
TUNED = ConsolidationPolicy("mad_mmt", 0.7, 0.55, 0.4)
#: Moves whatever it can, all the time.
RESTLESS = ConsolidationPolicy("thr_mmt", 0.35, 1.0, 1.0)
TINY = ConsolidationTrainSpec(
    reach=REACH,
    steps=4 * 16 * 4,
    n_envs=4,
    rollout=16,
    minibatch=32,
    epochs=2,
    hidden=8,
    normaliser_steps=4,
    validate_every=2,
    learning_rate=1e-2,
    std=0.3,
)
MADE = problem()


def residual(base: ConsolidationPolicy = TUNED, **reach: tuple[float, float]) -> ConsolidationResidual:
    return ConsolidationResidual(base, reach or REACH)


def energy(meters) -> np.ndarray:
    return np.array([one.energy_ws / 3.6e6 + one.migrations for one in meters])


def judge(score=energy) -> ConsolidationValidation:
    simulator = Simulator(MADE.worlds, MADE.semantics)
    return ConsolidationValidation(
        simulator, [0] * len(MADE.worlds), "moves", score, lambda _world, meters, _ticks: float(energy([meters])[0])
    )


def train(out: Path, spec: ConsolidationTrainSpec = TINY, moves: ConsolidationResidual | None = None, **how):
    moves = moves or residual()
    return train_consolidation(spec, MADE, judge(), moves, settings_of(moves, DEFAULT_WEIGHTS, 1.0), out, **how)


def still(seen: np.ndarray) -> np.ndarray:
    return np.zeros((len(seen), 3), np.float32)


def test_action_zero_is_the_policy_itself_to_the_last_bit() -> None:
    simulator = Simulator(MADE.worlds, MADE.semantics)
    for base in (TUNED, ConsolidationPolicy("lr_rs", 1.1, 0.6, 0.5)):
        ours = residual(base, parameter=(0.0, 2.0), placement_cap=(0.3, 1.0), evacuate_below=(0.0, 1.0)).run(
            simulator, [3, 4, 5], still, [0, 1, 2]
        )
        theirs = [run.meters for run in simulator.run([base] * 3, [3, 4, 5], [0, 1, 2])]
        assert ours == theirs


def test_the_ends_of_an_action_are_the_ends_of_the_reach_and_nothing_lies_beyond() -> None:
    moves = residual(parameter=(0.1, 1.3), evacuate_below=(0.0, 0.9))
    ends = moves.numbers(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.5, -0.5]]))
    assert ends[0].tolist() == [0.1, 0.55, 0.0]
    assert ends[1].tolist() == [0.7, 0.55, 0.4], "what does not move stays"
    assert ends[2].tolist() == [1.3, 0.55, 0.9]
    assert ends[3] == pytest.approx([1.0, 0.55, 0.2])
    draw = np.random.default_rng(0).uniform(-1, 1, (20_000, 2)).astype(np.float32)
    numbers = moves.numbers(draw)
    assert numbers.min(axis=0).tolist()[0] >= 0.1
    assert numbers.max(axis=0).tolist()[2] <= 0.9
    for bad in (1.01, np.nan):
        with pytest.raises(PolicyError, match=r"no number in \[-1, 1\]"):
            moves.numbers(np.array([[0.0, bad]]))


@pytest.mark.parametrize(
    ("base", "reach", "message"),
    [
        (TUNED, {"cap": (0.3, 0.9)}, "unknown number 'cap'"),
        (TUNED, {"placement_cap": (0.6, 0.9)}, "around the tuned 0.55: got"),
        (TUNED, {"placement_cap": (0.55, 0.55)}, "around the tuned 0.55: got"),
        (TUNED, {"placement_cap": (0.3, 1.9)}, r"placement_cap of mad_mmt must be a number in 0..1: got 1.9"),
        (TUNED, {}, "name at least one number"),
        (ConsolidationPolicy("dvfs"), {"placement_cap": (0.3, 0.9)}, "moves no VM"),
    ],
)
def test_what_cannot_move_is_refused(base: ConsolidationPolicy, reach: dict, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        ConsolidationResidual(base, reach)


def test_the_environment_pays_what_the_replay_costs_less_a_constant() -> None:
    moves = residual()
    settings = settings_of(moves, {"moves": 1.0}, 1.0)
    env = ConsolidationVecEnv(MADE, moves, settings, 5, reward_mean=-0.25, reward_scale=2.0)
    env.seed(1)
    env.reset()
    first = [int(n) for n in env.episodes.state.code.world]
    total, paid = np.zeros(5), np.zeros(5)
    while not env.ended:
        env.step_async(np.zeros((5, 3), np.float32))
        reward = env.step_wait()[1]
        assert reward == pytest.approx((env.paid + 0.25) * 2.0, abs=1e-6)
        paid += env.paid
        total += reward
    assert len(env.ended) == 5
    simulator = Simulator(MADE.worlds, MADE.semantics)
    meters = moves.run(simulator, [0] * 5, still, first)
    vms = np.array([MADE.worlds[n].n_vms for n in first])
    assert -paid == pytest.approx([one.migrations / n for one, n in zip(meters, vms, strict=True)])
    assert base_rewards(MADE, moves, settings).shape == (simulator.n_ticks, 3)


def test_a_problem_with_forecasts_is_refused() -> None:
    ticks = len(MADE.worlds[0].tick_times(MADE.semantics))
    told = problem(forecasts=np.ones((3, ticks, 1)), forecast_names=("h1",))
    with pytest.raises(SpecError, match="not shown forecasts"):
        ConsolidationVecEnv(told, residual(), settings_of(residual(), DEFAULT_WEIGHTS, 1.0), 2)


def test_training_learns_to_be_less_restless(tmp_path: Path) -> None:
    moves = ConsolidationResidual(RESTLESS, {"parameter": (0.3, 1.0), "evacuate_below": (0.0, 1.0)})
    spec = TINY.model_copy(update={"steps": 16 * 32 * 20, "n_envs": 16, "rollout": 32, "minibatch": 128})
    outcome = train(tmp_path, spec, moves)
    assert outcome.learned
    assert np.mean(outcome.best) < 0.8 * np.mean(outcome.start)
    assert outcome.validations[0]["stage"] == "prior"
    base = Simulator(MADE.worlds, MADE.semantics).run([RESTLESS] * 3, [0] * 3, range(3))
    assert outcome.start == pytest.approx(energy([run.meters for run in base])), "checkpoint 0 is the policy itself"


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    assert train(tmp_path / "parts", stop_after=3) is None
    train(tmp_path / "parts", resume=True)
    whole, parts = (ck.load_arrays(tmp_path / name / CHECKPOINT)[0] for name in ("whole", "parts"))
    for name in whole:
        if name.startswith(("policy.", "best.", "env.")):
            assert whole[name].tobytes() == parts[name].tobytes(), name


def exported(path: Path, seed: int = 0) -> ResidualNetwork:
    torch.manual_seed(seed)
    network = ResidualNetwork(len(FIELDS), 3, 8)
    torch.nn.init.normal_(network.act.weight)
    assert export_consolidation(path, network, residual(), 300, {"name": "tiny"}) <= 1e-5
    return network


def test_the_file_answers_as_the_network_and_replays_by_itself(tmp_path: Path) -> None:
    network = exported(tmp_path / "policy.onnx")
    policy = load_consolidation(tmp_path)
    assert residual_parity(network, policy, len(FIELDS)) <= 1e-5
    assert policy.residual == residual()
    simulator = Simulator(MADE.worlds, MADE.semantics)
    own = policy.run(simulator, [0] * 3, range(3))
    assert own == policy.run(simulator, [0] * 3, range(3)), "it is deterministic"
    assert own != residual().run(simulator, [0] * 3, still, range(3)), "it does something of its own"


def rewritten(path: Path, **metadata: object) -> None:
    graph = onnx.load(str(path))
    kept = {one.key: one.value for one in graph.metadata_props}
    kept |= {key: json.dumps(value) for key, value in metadata.items()}
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {key: value for key, value in kept.items() if value != "null"})
    path.write_bytes(graph.SerializeToString())


def test_a_world_with_other_ticks_is_refused(tmp_path: Path) -> None:
    exported(tmp_path / "policy.onnx")
    rewritten(tmp_path / "policy.onnx", step_s=60)
    with pytest.raises(SpecError, match="learned with ticks of 60 s: this world's are 300 s apart"):
        load_consolidation(tmp_path).run(Simulator(MADE.worlds, MADE.semantics), [0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "rlsched scaling policy"}, "This policy is for something else"),
        ({"schema_version": 99}, "schema_version must be"),
        ({"base": {"name": "mad_mtm"}}, "Did you mean 'mad_mmt'"),
        ({"base": {"name": "mad_mmt", "cap": 1}}, "unknown key 'cap'"),
        ({"base": "mad_mmt"}, "metadata base must be a dict"),
        ({"reach": {**REACH, "placement_cap": "far"}}, r"must hold \[low, high\] of placement_cap"),
        ({"reach": {**REACH, "placement_cap": [0.1, "far"]}}, "must hold numbers"),
        ({"reach": {**REACH, "placement_cap": [0.8, 0.9]}}, "around the tuned 0.55"),
        ({"reach": {"placement_cap": [0.3, 0.9]}}, "the outputs must be action"),
        ({"fields": ["demand_1"]}, "unknown 'demand_1'"),
        ({"fields": list(FIELDS[::-1])}, "number or order differ"),
        ({"step_s": "soon"}, "metadata step_s must be a int"),
        ({"base": None}, "not a consolidation policy of rlsched: its metadata lacks base"),
    ],
)
def test_a_file_that_is_not_such_a_policy_is_one_clear_error(tmp_path: Path, changes: dict, message: str) -> None:
    exported(tmp_path / "policy.onnx")
    rewritten(tmp_path / "policy.onnx", **changes)
    with pytest.raises(PolicyError, match=message):
        load_consolidation(tmp_path / "policy.onnx")


def test_broken_bytes_and_broken_weights_are_refused(tmp_path: Path) -> None:
    exported(tmp_path / "policy.onnx")
    whole = (tmp_path / "policy.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PolicyError, match="is not an ONNX model"):
        load_consolidation(tmp_path / "cut.onnx")
    graph = onnx.load(str(tmp_path / "policy.onnx"))
    for one in graph.graph.initializer:
        weights = onnx.numpy_helper.to_array(one)
        if weights.dtype == np.float32:
            one.CopyFrom(onnx.numpy_helper.from_array(np.full_like(weights, np.nan), one.name))
    (tmp_path / "nan.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(PolicyError, match="weights that are not numbers"):
        load_consolidation(tmp_path / "nan.onnx")
    with pytest.raises(PolicyError, match=r"there is no policy.onnx in"):
        load_consolidation(Path(__file__).parent)

"""Scaling agents: they begin exactly at their rule, learn what can be learnt, and ship as one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from rlsched.agents import checkpoint as ck
from rlsched.agents.course import CHECKPOINT
from rlsched.agents.export_scaling import export_scaling, scaling_parity
from rlsched.agents.residual import ResidualNetwork
from rlsched.agents.scaling_course import ResidualVecEnv, ScalingValidation, base_rewards, train_scaling
from rlsched.agents.spec import ScalingTrainSpec
from rlsched.envs.scaling_problem import ScalingProblem
from rlsched.errors import PolicyError, SpecError
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.policies.scaling import find_scaling
from rlsched.policies.scaling.learned import is_learned, load_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.simulate import run
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

TINY = ScalingTrainSpec(
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
SEEN = ScalingObservation(lags=(1, 2, 3), level=6)
# Far too careful: it keeps five standard deviations more than it expects to need.
CAREFUL = "band:alpha=0.5,beta=0.1,k_low=5,k_width=1,use_table=0"


def problem(rows: int = 3, steps: int = 120, length: int = 30) -> ScalingProblem:
    draw = np.random.default_rng(3)
    wave = 10 + 4 * np.sin(np.arange(steps) / 9)[None] + draw.normal(0, 1.0, (rows, steps))
    demand = Demand(np.arange(rows), 0, 300, np.maximum(wave, 0.0), "cores")
    kind = InstanceType(name="small", capacity=1, price_per_h=12, boot_s=600, start_usd=3)
    world = World.build(demand, [kind], Service(min_instances=1, max_instances=40, unmet_usd_per_unit_h=120))
    windows = tuple(Window((row,), lo, lo + length, f"{row}-{lo}") for row in range(rows) for lo in (20, 50, 80))
    return ScalingProblem(world, windows)


def residual(base: str = CAREFUL, **reach: float) -> Residual:
    return Residual(find_scaling(base), reach or {"k_low": 4.0, "k_width": 1.0}, SEEN)


def judge(made: ScalingProblem) -> ScalingValidation:
    return ScalingValidation(made.world, made.windows[:4], [0] * 4)


def still(seen: np.ndarray) -> np.ndarray:
    return np.zeros((len(seen), 2), np.float32)


def test_action_zero_is_the_rule_itself_to_the_last_bit() -> None:
    made = problem()
    mixed = (*made.windows[:3], replace(made.windows[4], hi=made.windows[4].hi - 7))
    ours = residual().run(made.world, mixed, [0] * 4, still)
    state, _ = run(made.world, mixed, [find_scaling(CAREFUL).choice()] * 4, [0] * 4)
    cost = list(range(len(st.COST)))
    assert ours[:, :, cost].tobytes() == state.code.sums[:, :, cost].tobytes()


def test_the_environment_pays_what_the_replay_costs_and_the_control_variate_makes_the_base_nothing() -> None:
    made, moves = problem(), residual()
    base = base_rewards(made, moves)
    sums = moves.run(made.world, made.windows, [0] * len(made.windows), still)
    assert -base.sum(axis=1) == pytest.approx(sums[:, 0, : len(st.COST)].sum(axis=1))
    env = ResidualVecEnv(made, moves, 5, 1.0, base)
    env.seed(1)
    env.reset()
    for _ in range(70):
        env.step_async(np.zeros((5, 2), np.float32))
        reward = env.step_wait()[1]
        assert np.abs(reward).max() < 1e-6
    assert len(env.ended) == 10, "each copy has ended two windows of thirty intervals"


def test_training_learns_to_be_less_careful(tmp_path: Path) -> None:
    made = problem()
    spec = TINY.model_copy(update={"steps": 16 * 32 * 30, "n_envs": 16, "rollout": 32, "minibatch": 128})
    outcome = train_scaling(spec, made, judge(made), residual(), tmp_path)
    assert outcome is not None
    assert outcome.learned
    assert np.mean(outcome.best) < 0.97 * np.mean(outcome.start)
    assert outcome.validations[0]["stage"] == "prior"


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    made = problem()
    train_scaling(TINY, made, judge(made), residual(), tmp_path / "whole")
    assert train_scaling(TINY, made, judge(made), residual(), tmp_path / "parts", stop_after=3) is None
    train_scaling(TINY, made, judge(made), residual(), tmp_path / "parts", resume=True)
    whole, parts = (ck.load_arrays(tmp_path / name / CHECKPOINT)[0] for name in ("whole", "parts"))
    for name in whole:
        if name.startswith(("policy.", "best.")):
            assert whole[name].tobytes() == parts[name].tobytes(), name


def exported(path: Path, seed: int = 0) -> tuple[ResidualNetwork, ScalingProblem]:
    made, moves = problem(), residual()
    torch.manual_seed(seed)
    network = ResidualNetwork(len(moves.fields(made.world)), 2, 8)
    torch.nn.init.normal_(network.act.weight)
    assert export_scaling(path, network, moves, made.world, {"name": "tiny"}) <= 1e-5
    return network, made


def test_the_file_answers_as_the_network_and_replays_by_itself(tmp_path: Path) -> None:
    network, made = exported(tmp_path / "policy.onnx")
    policy = load_scaling(tmp_path)
    assert scaling_parity(network, policy, len(policy.fields)) <= 1e-5
    assert policy.residual.base.text == residual().base.text
    sums = policy.run(made.world, made.windows, [0] * len(made.windows))
    base = residual().run(made.world, made.windows, [0] * len(made.windows), still)
    assert sums[:, :, : len(st.COST)].sum() != base[:, :, : len(st.COST)].sum(), "it does something of its own"


def test_a_world_that_shows_something_else_is_refused(tmp_path: Path) -> None:
    _, made = exported(tmp_path / "policy.onnx")
    policy = load_scaling(tmp_path / "policy.onnx")
    slow = InstanceType(name="slow", capacity=1, price_per_h=12, boot_s=3000, start_usd=3)
    demand = Demand(np.arange(3), 0, 300, made.world.demand, "cores")
    other = World.build(demand, [slow], Service(min_instances=1, max_instances=40, unmet_usd_per_unit_h=120))
    with pytest.raises(SpecError, match="they differ in booting_2"):
        policy.check_world(other)
    with pytest.raises(PolicyError, match="the policy looks back 6"):
        policy.run(made.world, [Window((0,), 3, 30, "early")], [0])


def rewritten(path: Path, **metadata: object) -> None:
    graph = onnx.load(str(path))
    kept = {one.key: one.value for one in graph.metadata_props}
    kept |= {key: json.dumps(value) for key, value in metadata.items()}
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {key: value for key, value in kept.items() if value != "null"})
    path.write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "rlsched placement policy"}, "This policy is for something else"),
        ({"schema_version": 99}, "schema_version must be"),
        ({"base": "bandit:k=1"}, "unknown scaling rule"),
        ({"reach": {"k_hop": 1.0, "k_width": 1.0}}, "unknown parameter 'k_hop'"),
        ({"reach": {"k_low": "far", "k_width": 1.0}}, "must hold numbers"),
        ({"fields": ["demand_1"]}, "the inputs must be observation"),
        ({"observation": {"lags": [2, 1]}}, "lags"),
        ({"step_s": "soon"}, "metadata step_s must be a int"),
        ({"base": None}, "its metadata lacks base"),
    ],
)
def test_a_file_that_is_not_such_a_policy_is_one_clear_error(tmp_path: Path, changes: dict, message: str) -> None:
    exported(tmp_path / "policy.onnx")
    rewritten(tmp_path / "policy.onnx", **changes)
    with pytest.raises(PolicyError, match=message):
        load_scaling(tmp_path / "policy.onnx")


def test_broken_bytes_and_broken_weights_are_refused(tmp_path: Path) -> None:
    exported(tmp_path / "policy.onnx")
    whole = (tmp_path / "policy.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PolicyError, match="is not an ONNX model"):
        load_scaling(tmp_path / "cut.onnx")
    graph = onnx.load(str(tmp_path / "policy.onnx"))
    for one in graph.graph.initializer:
        weights = onnx.numpy_helper.to_array(one)
        if weights.dtype == np.float32:
            one.CopyFrom(onnx.numpy_helper.from_array(np.full_like(weights, np.nan), one.name))
    (tmp_path / "nan.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(PolicyError, match="weights that are not numbers"):
        load_scaling(tmp_path / "nan.onnx")


def test_rules_and_agents_are_told_apart_by_name() -> None:
    assert is_learned("runs/x/policy.onnx")
    assert is_learned("agents/scaling")
    assert not is_learned("hpa:target=0.7")


@pytest.mark.parametrize(
    ("reach", "message"),
    [({"k_hop": 1.0}, "Did you mean"), ({"k_low": 0.0}, "must be > 0"), ({"k_low": float("inf")}, "finite")],
)
def test_what_cannot_move_is_refused(reach: dict[str, float], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Residual(find_scaling(CAREFUL), reach, SEEN)

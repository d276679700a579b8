"""Evolution strategies: they begin at the heuristic, learn what few parameters can, and go on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlsched.agents import checkpoint as ck
from rlsched.agents.course import CHECKPOINT
from rlsched.agents.evolution import choose_for, form_of, put_parameters, ranks
from rlsched.agents.export_scaling import export_scaling
from rlsched.agents.residual import LinearResidual
from rlsched.agents.scaling_course import ScalingCourse, ScalingValidation, train_scaling
from rlsched.agents.spec import ScalingTrainSpec
from rlsched.envs.scaling_problem import ScalingProblem
from rlsched.errors import SpecError
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.policies.scaling import find_scaling
from rlsched.policies.scaling.learned import load_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

# Far too careful: it keeps five standard deviations more than it expects to need.
MOVES = Residual(
    find_scaling("band:alpha=0.5,beta=0.1,k_low=5,k_width=1,use_table=0"),
    {"k_low": 4.0, "k_width": 1.0},
    ScalingObservation(lags=(1, 2, 3), level=6),
)
SPEC = ScalingTrainSpec(
    method="evolution",
    steps=6_000,
    n_envs=4,
    rollout=16,
    minibatch=32,
    normaliser_steps=8,
    validate_every=30,
    evolution={"population": 8, "windows": 3, "sigma": 0.1, "rate": 0.1},
)


def problem() -> ScalingProblem:
    draw = np.random.default_rng(3)
    wave = 10 + 4 * np.sin(np.arange(120) / 9)[None] + draw.normal(0, 1.0, (3, 120))
    demand = Demand(np.arange(3), 0, 300, np.maximum(wave, 0.0), "cores")
    kind = InstanceType(name="small", capacity=1, price_per_h=12, boot_s=600, start_usd=3)
    world = World.build(demand, [kind], Service(min_instances=1, max_instances=40, unmet_usd_per_unit_h=120))
    # One window is shorter than the others, so that lengths are mixed in a generation.
    windows = [Window((row,), lo, lo + 30 - (lo == 80), f"{row}-{lo}") for row in range(3) for lo in (20, 50, 80)]
    return ScalingProblem(world, tuple(windows))


MADE = problem()
JUDGE = ScalingValidation(MADE.world, MADE.windows[:4], [0] * 4)


def train(out: Path, spec: ScalingTrainSpec = SPEC, **how):
    return train_scaling(spec, MADE, JUDGE, MOVES, out, **how)


def test_ranks_are_even_around_nothing_and_equal_costs_share() -> None:
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [-0.5, 0.5, 0.0]
    assert ranks(np.array([1.0, 1.0, 2.0, 2.0])) == pytest.approx([1 / 3, 1 / 3, -1 / 3, -1 / 3])
    assert not ranks(np.full(4, 7.0)).any()


def test_members_decide_as_the_network_that_is_exported_would() -> None:
    draw = np.random.default_rng(0)
    network = LinearResidual(5, 2)
    network.normalise_by(draw.random((30, 5)).astype(np.float32))
    members = draw.normal(0, 1, (3, 2 + 2 * 5))
    seen = draw.random((3 * 4, 5)).astype(np.float32)
    together = choose_for(network, members)(seen)
    for row, one in enumerate(members):
        put_parameters(network, one)
        with torch.no_grad():
            alone = network.actions(torch.from_numpy(seen[4 * row : 4 * row + 4])).numpy()
        assert together[4 * row : 4 * row + 4] == pytest.approx(alone, abs=1e-6)
    weights, offsets = form_of(members[:, :2], 5, 2)
    assert not weights.any()
    assert offsets.tolist() == members[:, :2].tolist()


def test_what_a_member_pays_is_what_its_windows_cost_one_by_one() -> None:
    course = ScalingCourse(SPEC, MADE, JUDGE, MOVES)
    network = LinearResidual(course.n_inputs, course.n_actions)
    members = np.array([[0.0, 0.0], [-1.0, 0.5]])
    rows = np.array([0, 2, 5])
    costs, played = course.costs(choose_for(network, members), 2, rows)
    assert played == 2 * (30 + 29 + 29)
    for cost, one in zip(costs, members, strict=True):
        put_parameters(network, one)

        def act(seen: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return network.actions(torch.from_numpy(seen.copy())).numpy()

        alone = [MOVES.run(MADE.world, [MADE.windows[row]], [0], act)[..., : len(st.COST)].sum() for row in rows]
        assert cost == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("form", ["linear", "constant"])
def test_it_learns_to_be_less_careful_and_ships_as_one_file(tmp_path: Path, form: str) -> None:
    spec = SPEC.model_copy(update={"steps": 40_000, "evolution": SPEC.evolution.model_copy(update={"form": form})})
    outcome = train(tmp_path, spec)
    assert outcome.stage == "evolution"
    assert np.mean(outcome.best) < 0.97 * np.mean(outcome.start)
    assert outcome.curve[-1]["steps"] >= spec.steps
    assert len(outcome.validations) > 3
    assert export_scaling(tmp_path / "policy.onnx", outcome.network, MOVES, MADE.world, {"name": "evolved"}) <= 1e-5
    policy = load_scaling(tmp_path / "policy.onnx")
    sums = policy.run(MADE.world, JUDGE.windows, JUDGE.streams)
    assert sums[:, :, : len(st.COST)].sum(axis=(1, 2)) == pytest.approx(outcome.best, rel=1e-4)


def test_a_stopped_evolution_goes_on_to_the_same_parameters(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    assert train(tmp_path / "parts", stop_after=6) is None
    train(tmp_path / "parts", resume=True)
    whole, parts = (ck.load_arrays(tmp_path / name / CHECKPOINT)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name in whole:
        assert whole[name].tobytes() == parts[name].tobytes(), name
    with pytest.raises(SpecError, match="already holds a training"):
        train(tmp_path / "whole")
    with pytest.raises(SpecError, match="evolution was"):
        train(
            tmp_path / "whole",
            SPEC.model_copy(update={"evolution": SPEC.evolution.model_copy(update={"sigma": 0.3})}),
            resume=True,
        )

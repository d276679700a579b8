"""The network: where it starts, what its mask does, what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from placement_worlds import GPU_SETTINGS, problem

from rlsched.agents.export import random_observation
from rlsched.agents.network import MASKED, CandidateScorer
from rlsched.agents.validate import greedy, logits_of
from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES
from rlsched.policies.heuristic import Heuristic
from rlsched.policies.learned import run_greedy
from rlsched.sim.simulate import run_policy


@pytest.fixture(params=[False, True], ids=["mean", "attention"])
def trained_like(request: pytest.FixtureRequest) -> CandidateScorer:
    """A network whose last layer is no longer zero."""
    torch.manual_seed(0)
    network = CandidateScorer(16, 5.0, attention=request.param)
    torch.nn.init.normal_(network.score.weight)
    return network


def test_an_untrained_network_chooses_what_the_prior_heuristic_chooses() -> None:
    made = problem()
    network = CandidateScorer(16, 20.0)
    draw = np.random.default_rng(0)
    seen = random_observation(draw, 50, 6)
    network.normalise_by(seen["candidates"].reshape(-1, seen["candidates"].shape[-1]), seen["globals"])
    mine = made.world.start(made.windows)
    run_greedy(made.world, mine, GPU_SETTINGS.observation, greedy(network))
    theirs = made.world.start(made.windows)
    run_policy(made.world, theirs, Heuristic("prior", GPU_SETTINGS.prior, devices="score").arrays())
    assert (mine.arrays.task_i == theirs.arrays.task_i).all()


def test_a_masked_candidate_is_never_the_largest_and_moves_no_other(trained_like: CandidateScorer) -> None:
    network = trained_like
    seen = random_observation(np.random.default_rng(1), 40, 8)
    before = logits_of(network, seen)
    assert (before[seen["action_mask"] == 0] == np.float32(MASKED)).all()
    # What stands in a masked slot changes nothing.
    seen["candidates"][seen["action_mask"] == 0] = 0.7
    assert (logits_of(network, seen) == before).all()


def test_what_attention_gathers_is_part_of_the_answer() -> None:
    torch.manual_seed(0)
    seen = random_observation(np.random.default_rng(6), 1, 4)
    seen["action_mask"][:] = 1
    network = CandidateScorer(16, 5.0, attention=True)
    torch.nn.init.normal_(network.score.weight)
    before = logits_of(network, seen)[0]
    with torch.no_grad():
        network.tell.weight.zero_()
    assert not np.allclose(logits_of(network, seen)[0], before)


def test_the_order_of_candidates_does_not_matter(trained_like: CandidateScorer) -> None:
    network = trained_like
    seen = random_observation(np.random.default_rng(2), 10, 7)
    turn = np.random.default_rng(3).permutation(7)
    turned = {**seen, "candidates": seen["candidates"][:, turn], "action_mask": seen["action_mask"][:, turn]}
    assert np.allclose(logits_of(network, seen)[:, turn], logits_of(network, turned), atol=1e-5)


def test_the_number_of_candidates_does_not_matter(trained_like: CandidateScorer) -> None:
    network = trained_like
    seen = random_observation(np.random.default_rng(4), 10, 5)
    wide = {
        "candidates": np.pad(seen["candidates"], ((0, 0), (0, 6), (0, 0))),
        "globals": seen["globals"],
        "action_mask": np.pad(seen["action_mask"], ((0, 0), (0, 6))),
    }
    assert np.allclose(logits_of(network, seen), logits_of(network, wide)[:, :5], atol=1e-5)


def test_a_situation_without_candidates_has_a_value(trained_like: CandidateScorer) -> None:
    network = trained_like
    k = 4
    seen = random_observation(np.random.default_rng(5), 3, k)
    mask = torch.zeros(3, k, dtype=torch.int8)
    value = network.values(
        torch.zeros_like(torch.from_numpy(seen["candidates"])), torch.from_numpy(seen["globals"]), mask
    )
    assert torch.isfinite(value).all()


def test_what_never_varied_is_not_seen_and_what_hardly_did_is_not_blown_up() -> None:
    network = CandidateScorer(8, 1.0)
    rows = np.zeros((100, len(CANDIDATE_NAMES)), np.float32)
    rows[:, 0] = np.linspace(0, 1, 100)
    rows[50, 1] = 1e-4
    network.normalise_by(rows, np.ones((100, len(GLOBAL_NAMES)), np.float32))
    assert float(network.candidate_scale[0]) == pytest.approx(1 / rows[:, 0].std(), rel=1e-5)
    assert network.candidate_scale[1] == 1
    assert (network.candidate_scale[2:] == 0).all()
    assert (network.global_mean == 1).all()
    assert (network.global_scale == 0).all()
    assert network.unseen == [*CANDIDATE_NAMES[2:], *GLOBAL_NAMES]
    torch.nn.init.ones_(network.score.weight)
    asked = [torch.rand(3, 4, len(CANDIDATE_NAMES)), torch.rand(3, len(GLOBAL_NAMES)), torch.ones(3, 4)]
    before = network.logits(*asked)
    asked[1] = asked[1] + 0.5
    assert torch.equal(network.logits(*asked), before)


def test_what_never_varied_where_an_agent_learned_is_seen_where_it_does_and_changes_nothing_yet() -> None:
    torch.manual_seed(3)
    agent, fitted = CandidateScorer(8, 20.0), CandidateScorer(8, 20.0)
    for one in agent.parameters():
        torch.nn.init.normal_(one, std=0.3)
    rows, situations = (torch.rand(40, len(names)).numpy() for names in (CANDIDATE_NAMES, GLOBAL_NAMES))
    fitted.normalise_by(rows, situations)
    rows[:, 3], situations[:, 8] = 0.5, 0.0
    agent.normalise_by(rows, situations)
    assert agent.unseen == [CANDIDATE_NAMES[3], GLOBAL_NAMES[8]]
    seen = random_observation(np.random.default_rng(0), 20, 6)
    before = logits_of(agent, seen)
    assert agent.see_also(fitted) == [CANDIDATE_NAMES[3], GLOBAL_NAMES[8]]
    assert agent.unseen == []
    assert np.array_equal(logits_of(agent, seen), before)
    assert agent.see_also(fitted) == []
    with torch.no_grad():  # and what is learned of them counts
        agent.bilinear.bias[3] = 1.0
        agent.embed_global.weight[:, 8] = 1.0
    assert not np.array_equal(logits_of(agent, seen), before)

"""Released agents read back into networks: every digit that matters, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlsched.agents.export import export_policy, parity
from rlsched.agents.export_residual import residual_parity
from rlsched.agents.network import CandidateScorer
from rlsched.agents.pretrained import open_pretrained, read_weights
from rlsched.agents.residual import ResidualNetwork
from rlsched.assets import find_asset
from rlsched.cli.train_inputs import begin_placement, read_train
from rlsched.errors import PolicyError, SpecError, UserError
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.consolidation.learned import load_consolidation
from rlsched.policies.consolidation.residual import FIELDS
from rlsched.policies.learned import KIND, load_policy
from rlsched.policies.scaling.learned import load_scaling

KINDS = {name: f"rlsched {name} policy" for name in ("scaling", "consolidation")}


@pytest.mark.parametrize("name", ["scaling", "consolidation"])
def test_a_shipped_agent_answers_the_same_once_it_is_a_network(name: str) -> None:
    load = load_scaling if name == "scaling" else load_consolidation
    policy = load(name)
    width = len(policy.fields) if name == "scaling" else len(FIELDS)
    begun = open_pretrained(name, KINDS[name], load, lambda net, one: residual_parity(net, one, width))
    network = ResidualNetwork(width, len(policy.residual.reach), begun.hidden)
    begun.put_into(network)
    assert begun.distance(network) <= 1e-6
    assert begun.facts["agent"] == name
    # The value estimate is not in the file: it begins anew, at zero.
    assert not network.value.weight.any()
    with pytest.raises(PolicyError, match="its network is not the one this version trains"):
        begun.put_into(ResidualNetwork(width, len(policy.residual.reach), begun.hidden + 1))


@pytest.mark.parametrize("attention", [False, True])
def test_a_placement_network_survives_the_way_through_a_file(tmp_path: Path, attention: bool) -> None:
    torch.manual_seed(0)
    network = CandidateScorer(8, 7.0, attention)
    for one in network.parameters():
        torch.nn.init.normal_(one, std=0.3)
    draw = np.random.default_rng(0)
    shapes = network.candidate_mean.shape[0], network.global_mean.shape[0]
    network.normalise_by(*(draw.random((50, width)).astype(np.float32) for width in shapes))
    export_policy(tmp_path / "policy.onnx", network, ObservationSettings(), {"name": "mine"})
    begun = open_pretrained(tmp_path / "policy.onnx", KIND, load_policy, parity)
    other = CandidateScorer(begun.hidden, 1.0, attention)
    begun.put_into(other)
    assert begun.distance(other) <= 1e-6
    for name, array in read_weights(tmp_path / "policy.onnx").items():
        assert np.array_equal(np.float32(array), network.state_dict()[name].numpy()), name


def test_weights_that_do_not_give_the_files_answers_are_refused() -> None:
    policy = load_scaling("scaling")
    begun = open_pretrained(
        "scaling", KINDS["scaling"], load_scaling, lambda net, one: residual_parity(net, one, len(one.fields))
    )
    begun.weights["act.bias"] = begun.weights["act.bias"] + np.float32(0.1)
    network = ResidualNetwork(len(policy.fields), 2, begun.hidden)
    with pytest.raises(PolicyError, match="away from what it answers; at most 1e-05 is rounding"):
        begun.put_into(network)


def test_another_kind_or_nothing_is_one_clear_error() -> None:
    with pytest.raises(PolicyError, match="is a rlsched consolidation policy: training begins here at"):
        open_pretrained("consolidation", KINDS["scaling"], load_scaling, lambda _net, _one: 0.0)
    with pytest.raises(UserError, match="no agent"):
        open_pretrained("scalling", KINDS["scaling"], load_scaling, lambda _net, _one: 0.0)
    assert find_asset("agents", "scaling").is_dir()


@pytest.mark.parametrize("name", ["placement-gpu", "placement-vm"])
def test_a_shipped_placement_agent_goes_on_learning_from_any_card_with_placement(name: str) -> None:
    began = begin_placement(name, [])
    card = find_asset("experiments", "placement-openb") / "train.toml"
    spec = read_train(card, [], began=began)
    network = CandidateScorer(spec.hidden, spec.prior_scale, spec.attention)
    began.put_into(network)
    # What looking ahead taught has taken the prior's place; what it sees is its own.
    assert float(network.prior_scale) == pytest.approx(spec.prior_scale)
    assert spec.placement.observation == began.policy.settings
    with pytest.raises(SpecError, match="a fresh network would place at random"):
        read_train(card, ["prior_scale=0"])

"""From network to file: the same answers, small, and honest about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from rlsched.agents import export
from rlsched.agents.export import MAX_EXPORT_BYTES, PARITY, export_policy, parity, random_observation
from rlsched.agents.network import CandidateScorer
from rlsched.agents.validate import greedy
from rlsched.errors import OurBug
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.learned import load_policy

SETTINGS = ObservationSettings(candidates=8, prior={"best_fit": 1.0}, shortlist=["dot_product"])


def network(hidden: int = 64, scale: float = 20.0, attention: bool = False) -> CandidateScorer:
    torch.manual_seed(1)
    made = CandidateScorer(hidden, scale, attention)
    torch.nn.init.normal_(made.score.weight)
    seen = random_observation(np.random.default_rng(0), 200, 8)
    made.normalise_by(seen["candidates"].reshape(-1, seen["candidates"].shape[-1]), seen["globals"])
    return made


@pytest.mark.parametrize("attention", [False, True])
def test_file_and_network_agree_to_one_in_a_hundred_thousand(tmp_path: Path, attention: bool) -> None:
    made = network(attention=attention)
    policy = export_policy(tmp_path / "p.onnx", made, SETTINGS, {"name": "x"})
    assert parity(made, policy, n=256, seed=3) <= PARITY
    seen = random_observation(np.random.default_rng(7), 500, 16)
    assert (policy.act(seen) == greedy(made)(seen)).mean() > 0.999
    assert (seen["action_mask"][np.arange(500), policy.act(seen)] == 1).all()


def test_the_file_is_small_and_holds_normaliser_mask_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "p.onnx"
    made = network()
    export_policy(path, made, SETTINGS, {"name": "x", "scores": {"metric": "m", "best": 1.5}})
    assert path.stat().st_size <= MAX_EXPORT_BYTES
    graph = onnx.load(str(path)).graph
    held = [onnx.numpy_helper.to_array(one) for one in graph.initializer]
    mean = made.candidate_mean.numpy()
    assert any(one.shape == mean.shape and np.allclose(one, mean) for one in held), "the normaliser is inside"
    assert {node.op_type for node in graph.node} >= {"Where", "ArgMax"}
    policy = load_policy(path)
    assert policy.settings == SETTINGS
    assert policy.metadata["scores"] == {"metric": "m", "best": 1.5}


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_policy(tmp_path / name, network(), SETTINGS, {"name": "x"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_that_answers_differently_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.onnx"
    path.write_bytes(b"the one before")
    monkeypatch.setattr(export, "PARITY", -1.0)
    with pytest.raises(OurBug, match="away from the network"):
        export_policy(path, network(), SETTINGS, {"name": "x"})
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]

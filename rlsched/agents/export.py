"""Network → ``policy.onnx``: normaliser and mask rule inside the graph, everything else in its metadata."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents.network import CandidateScorer
from rlsched.errors import OurBug
from rlsched.observe.features import (
    CANDIDATE_FEATURES,
    CANDIDATE_NAMES,
    GLOBAL_FEATURES,
    GLOBAL_NAMES,
    SCHEMA_VERSION,
    Feature,
)
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.learned import INPUTS, KIND, OUTPUTS, LearnedPolicy, load_policy

OPSET = 17
#: Largest difference of a logit between torch and onnxruntime.
PARITY = 1e-5
MAX_EXPORT_BYTES = 2**20


def export_policy(
    path: Path, network: CandidateScorer, settings: ObservationSettings, metadata: dict[str, Any]
) -> LearnedPolicy:
    """Write a policy file and check that it answers as the network does.

    Parameters
    ----------
    path : Path
        Replaced as a whole, or left alone.
    network : CandidateScorer
    settings : ObservationSettings
    metadata : dict
        ``name`` and what else the file should say of itself; JSON values.

    Returns
    -------
    LearnedPolicy
        The file, loaded.

    Raises
    ------
    OurBug
        When the file answers differently, or is larger than a policy should be.
    """
    network = network.eval()
    stated = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "candidate_features": list(CANDIDATE_NAMES),
        "global_features": list(GLOBAL_NAMES),
        "observation": settings.model_dump(mode="json"),
        **metadata,
    }
    n, k = 2, 3
    example = (
        torch.zeros(n, k, len(CANDIDATE_NAMES)),
        torch.zeros(n, len(GLOBAL_NAMES)),
        torch.ones(n, k, dtype=torch.int8),
    )
    axes = {name: {0: "n", 1: "k"} for name in ("candidates", "action_mask", "logits")}
    axes |= {"globals": {0: "n"}, "action": {0: "n"}}
    data = to_onnx(network, example, list(INPUTS), list(OUTPUTS), axes, stated)
    if len(data) > MAX_EXPORT_BYTES:
        raise OurBug(f"a policy file should be at most {MAX_EXPORT_BYTES:,} bytes: this one has {len(data):,}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    try:
        worst = parity(network, load_policy(partial))
        if not worst <= PARITY:
            raise OurBug(f"{path} answers {worst:g} away from the network; at most {PARITY:g} is allowed.")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return load_policy(path)


def parity(network: CandidateScorer, policy: LearnedPolicy, n: int = 64, seed: int = 0) -> float:
    """Largest difference between the logits of network and file, relative to their size beyond 1.

    Random observations inside the stated ranges, half of the candidates masked; masked logits
    must be equal.
    """
    from rlsched.agents.validate import logits_of

    worst = 0.0
    draw = np.random.Generator(np.random.PCG64(seed))
    for k in (1, 2, 16, 33):
        observation = random_observation(draw, n, k)
        ours, theirs = logits_of(network, observation), policy.logits(observation)
        worst = max(worst, float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours))).max()))
    return worst


def random_observation(draw: np.random.Generator, n: int, k: int) -> dict[str, Any]:
    """``n`` observations of ``k`` candidates, uniform in the stated ranges, at least one allowed."""

    def uniform(part: tuple[Feature, ...], *shape: int) -> npt.NDArray[np.float32]:
        low, high = (np.array([getattr(one, end) for one in part]) for end in ("low", "high"))
        values: npt.NDArray[np.float32] = (low + (high - low) * draw.random((*shape, len(part)))).astype(np.float32)
        return values

    candidates = uniform(CANDIDATE_FEATURES, n, k)
    mask = (draw.random((n, k)) < 0.5).astype(np.int8)
    mask[:, 0] = 1
    candidates *= mask[:, :, None]
    candidates[:, :, CANDIDATE_NAMES.index("prior")] *= np.float32(0.99)  # its end means infinitely far behind
    situation = uniform(GLOBAL_FEATURES, n)
    return {"candidates": candidates, "globals": situation, "action_mask": mask}


def to_onnx(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    stated: dict[str, Any],
) -> bytes:
    """A network as the bytes of an ONNX file.

    Parameters
    ----------
    network : torch.nn.Module
    example : tuple of torch.Tensor
        Inputs of the right rank and type.
    inputs, outputs : list of str
    axes : dict
        Name → axis → name of the axes whose length is free.
    stated : dict
        Metadata; JSON values.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is the smaller and quieter of torch's two; it says that it is the older one.
        warnings.simplefilter("ignore", DeprecationWarning)
        file = Path(folder) / "policy.onnx"
        torch.onnx.export(
            network,
            example,
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            do_constant_folding=True,
        )
        graph = onnx.load(str(file), load_external_data=False)
    onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in stated.items()})
    onnx.checker.check_model(graph, full_check=True)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data

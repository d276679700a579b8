"""Scaling network → ``policy.onnx``: normaliser inside the graph, rule and reach in its metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlsched.agents.export import MAX_EXPORT_BYTES, PARITY, to_onnx
from rlsched.agents.residual import ResidualNetwork
from rlsched.errors import OurBug
from rlsched.observe.scaling_fields import SCALING_SCHEMA_VERSION
from rlsched.policies.scaling.learned import INPUT, KIND, OUTPUT, LearnedScaling, load_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling.world import World


def export_scaling(
    path: Path, network: ResidualNetwork, residual: Residual, world: World, metadata: dict[str, Any]
) -> float:
    """Write a policy file and check that it answers as the network does.

    Parameters
    ----------
    path : Path
        Replaced as a whole, or left alone.
    network : ResidualNetwork
    residual : Residual
    world : World
        Learned in: says which fields there are.
    metadata : dict
        ``name`` and what else the file should say of itself; JSON values.

    Returns
    -------
    float
        Largest difference between the file's actions and the network's.

    Raises
    ------
    OurBug
        When the file answers differently, or is larger than a policy should be.
    """
    fields = [field.name for field in residual.fields(world)]
    stated = {
        "kind": KIND,
        "schema_version": SCALING_SCHEMA_VERSION,
        "fields": fields,
        "observation": residual.observation.model_dump(mode="json"),
        "base": residual.base.text,
        "reach": dict(residual.reach),
        "step_s": int(world.step_s),
        **metadata,
    }
    example = (torch.zeros(2, len(fields)),)
    data = to_onnx(network.eval(), example, [INPUT], [OUTPUT], {INPUT: {0: "n"}, OUTPUT: {0: "n"}}, stated)
    if len(data) > MAX_EXPORT_BYTES:
        raise OurBug(f"a policy file should be at most {MAX_EXPORT_BYTES:,} bytes: this one has {len(data):,}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    try:
        worst = scaling_parity(network, load_scaling(partial), len(fields))
        if not worst <= PARITY:
            raise OurBug(f"{path} answers {worst:g} away from the network; at most {PARITY:g} is allowed.")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


def scaling_parity(network: ResidualNetwork, policy: LearnedScaling, n_fields: int, n: int = 256) -> float:
    """Largest difference of an action between network and file, over random observations in [-1, 1]."""
    draw = np.random.Generator(np.random.PCG64(0))
    seen = draw.uniform(-1.0, 1.0, (n, n_fields)).astype(np.float32)
    with torch.no_grad():
        ours = network.actions(torch.from_numpy(seen)).numpy()
    return float(np.abs(ours - policy.actions(seen)).max())

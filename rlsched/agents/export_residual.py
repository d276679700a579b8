"""A network that moves a heuristic's numbers → ``policy.onnx``, normaliser inside the graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents.export import MAX_EXPORT_BYTES, PARITY, to_onnx
from rlsched.agents.residual import ResidualNetwork
from rlsched.errors import OurBug
from rlsched.policies.policy_file import PolicyKind

F32 = npt.NDArray[np.float32]


class Answers(Protocol):
    """What a loaded policy file can be asked."""

    def actions(self, seen: F32) -> F32:
        """Actions (N, A) for observations (N, F)."""
        ...


def export_residual(
    path: Path,
    network: ResidualNetwork,
    kind: PolicyKind,
    n_fields: int,
    stated: dict[str, Any],
    load: Callable[[Path], Answers],
) -> float:
    """Write a policy file and check that it answers as the network does.

    Parameters
    ----------
    path : Path
        Replaced as a whole, or left alone.
    network : ResidualNetwork
    kind : PolicyKind
    n_fields : int
    stated : dict
        What the file says of itself besides kind and schema version; JSON values.
    load : callable
        Reads the file back, with every check of its kind.

    Returns
    -------
    float
        Largest difference between the file's actions and the network's.

    Raises
    ------
    OurBug
        When the file answers differently, or is larger than a policy should be.
    """
    example = (torch.zeros(2, n_fields),)
    names = [kind.observation], [kind.action]
    axes = {kind.observation: {0: "n"}, kind.action: {0: "n"}}
    said = {"kind": kind.kind, "schema_version": kind.schema_version, **stated}
    data = to_onnx(network.eval(), example, *names, axes, said)
    if len(data) > MAX_EXPORT_BYTES:
        raise OurBug(f"a policy file should be at most {MAX_EXPORT_BYTES:,} bytes: this one has {len(data):,}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    try:
        worst = residual_parity(network, load(partial), n_fields)
        if not worst <= PARITY:
            raise OurBug(f"{path} answers {worst:g} away from the network; at most {PARITY:g} is allowed.")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


def residual_parity(network: ResidualNetwork, policy: Answers, n_fields: int, n: int = 256) -> float:
    """Largest difference of an action between network and file, over random observations in [-1, 1]."""
    draw = np.random.Generator(np.random.PCG64(0))
    seen = draw.uniform(-1.0, 1.0, (n, n_fields)).astype(np.float32)
    with torch.no_grad():
        ours = network.actions(torch.from_numpy(seen)).numpy()
    return float(np.abs(ours - policy.actions(seen)).max())

"""Consolidation network → ``policy.onnx``: normaliser inside the graph, policy and reach in its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlsched.agents.export_residual import export_residual
from rlsched.agents.residual import ResidualNetwork
from rlsched.policies.consolidation.learned import KIND, base_of, load_consolidation
from rlsched.policies.consolidation.residual import FIELDS, ConsolidationResidual


def export_consolidation(
    path: Path, network: ResidualNetwork, residual: ConsolidationResidual, step_s: int, metadata: dict[str, Any]
) -> float:
    """Write a policy file and check that it answers as the network does; see :func:`export_residual`.

    Parameters
    ----------
    path : Path
    network : ResidualNetwork
    residual : ConsolidationResidual
    step_s : int
        Seconds between two ticks where it learned.
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
    stated = {
        "fields": list(FIELDS),
        "base": base_of(residual.base),
        "reach": {name: list(ends) for name, ends in residual.reach.items()},
        "step_s": step_s,
        **metadata,
    }
    return export_residual(path, network, KIND, len(FIELDS), stated, load_consolidation)

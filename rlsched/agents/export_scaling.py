"""Scaling network → ``policy.onnx``: normaliser inside the graph, rule and reach in its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlsched.agents.export_residual import export_residual
from rlsched.agents.export_residual import residual_parity as scaling_parity
from rlsched.agents.residual import ResidualNetwork
from rlsched.policies.scaling.forecasts import PooledAr
from rlsched.policies.scaling.learned import KIND, load_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling.world import World

__all__ = ["export_scaling", "scaling_parity"]


def export_scaling(
    path: Path,
    network: ResidualNetwork,
    residual: Residual,
    world: World,
    metadata: dict[str, Any],
    forecaster: PooledAr | None = None,
) -> float:
    """Write a policy file and check that it answers as the network does; see :func:`export_residual`.

    Parameters
    ----------
    path : Path
    network : ResidualNetwork
    residual : Residual
    world : World
        Learned in: says which fields there are.
    metadata : dict
        ``name`` and what else the file should say of itself; JSON values.
    forecaster : PooledAr, optional
        Of the world's forecasts: goes into the file, so that the policy can be asked by itself.

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
        "fields": fields,
        "observation": residual.observation.model_dump(mode="json"),
        "base": residual.base.text,
        "reach": dict(residual.reach),
        "step_s": int(world.step_s),
        "forecaster": forecaster.to_dict() if forecaster is not None else None,
        "instance": instance_of(world, residual.base.kind),
        **metadata,
    }
    return export_residual(path, network, KIND, len(fields), stated, load_scaling)


def instance_of(world: World, kind: int) -> dict[str, Any] | None:
    """What a policy file says of the instances it ordered; None where services or types differ."""
    if len(world.types) > 1 or len(set(world.services)) > 1:
        return None
    instance, service = world.types[kind], world.services[0]
    return {
        "capacity": instance.capacity,
        "boot_steps": instance.boot_steps(float(world.step_s)),
        "min_instances": service.min_instances,
        "max_instances": service.max_instances,
    }

"""Observation → decision: heuristics, tuned families, learned policies.

``POLICIES`` is the one table of heuristics, one file each; ``find_policy`` also reads blends
(``blend:fragmentation=12,best_fit=2``) and hands the rest to the learned ones. Nothing here
loads the compiler: a heuristic is a description that the compiled loop reads.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rlsched.assets import list_assets
from rlsched.errors import MissingDataError, PolicyError, did_you_mean
from rlsched.policies.balanced_allocation import BALANCED_ALLOCATION
from rlsched.policies.best_fit import BEST_FIT
from rlsched.policies.blend import BLEND_PREFIX, blend, parse_blend
from rlsched.policies.cosine import COSINE
from rlsched.policies.dot_product import DOT_PRODUCT
from rlsched.policies.fgd import FGD
from rlsched.policies.fgd_best_fit import FGD_BEST_FIT
from rlsched.policies.fgd_dot_product import FGD_DOT_PRODUCT
from rlsched.policies.first_fit import FIRST_FIT
from rlsched.policies.fragmentation import FRAGMENTATION
from rlsched.policies.gpu_clustering import GPU_CLUSTERING
from rlsched.policies.gpu_packing import GPU_PACKING
from rlsched.policies.heuristic import Heuristic
from rlsched.policies.kubernetes import KUBERNETES
from rlsched.policies.least_allocated import LEAST_ALLOCATED
from rlsched.policies.most_allocated import MOST_ALLOCATED
from rlsched.policies.next_fit import NEXT_FIT
from rlsched.policies.nilas import NILAS
from rlsched.policies.norm_l2 import NORM_L2
from rlsched.policies.random import RANDOM
from rlsched.policies.requested_to_capacity import REQUESTED_TO_CAPACITY
from rlsched.policies.round_robin import ROUND_ROBIN
from rlsched.policies.tuning import tune
from rlsched.policies.worst_fit import WORST_FIT

__all__ = ["BLEND_PREFIX", "POLICIES", "Heuristic", "blend", "find_heuristic", "find_policy", "parse_blend", "tune"]

#: Name → heuristic, in the order of the documentation.
POLICIES: dict[str, Heuristic] = {
    policy.name: policy
    for policy in (
        RANDOM,
        ROUND_ROBIN,
        FIRST_FIT,
        NEXT_FIT,
        BEST_FIT,
        WORST_FIT,
        DOT_PRODUCT,
        NORM_L2,
        COSINE,
        GPU_PACKING,
        GPU_CLUSTERING,
        FGD,
        FRAGMENTATION,
        FGD_BEST_FIT,
        FGD_DOT_PRODUCT,
        NILAS,
        LEAST_ALLOCATED,
        MOST_ALLOCATED,
        REQUESTED_TO_CAPACITY,
        BALANCED_ALLOCATION,
        KUBERNETES,
    )
}


def find_heuristic(name: str) -> Heuristic:
    """Find a heuristic by name, or build a blend from its text.

    Parameters
    ----------
    name : str
        A key of :data:`POLICIES`, or ``blend:RULE=WEIGHT,...`` (see :func:`parse_blend`).

    Raises
    ------
    PolicyError
        When there is none of that name; names the nearest.
    SpecError
        When a blend breaks a rule.
    """
    if name.startswith(BLEND_PREFIX):
        return parse_blend(name)
    if name not in POLICIES:
        raise PolicyError(
            f"unknown policy {name!r}.{did_you_mean(name, POLICIES)} Or write a blend: "
            f"{BLEND_PREFIX}fragmentation=12,best_fit=2"
        )
    return POLICIES[name]


def find_policy(name: str) -> Any:
    """Find a policy of any kind: a heuristic, a blend, or a learned one.

    Parameters
    ----------
    name : str
        As :func:`find_heuristic` takes it, or the path or the name of a trained agent.

    Returns
    -------
    Heuristic, or what ``rlsched.policies.learned.load_policy`` gives
        A heuristic wins over an agent of the same name; write ``./NAME`` for the agent's folder.

    Raises
    ------
    PolicyError
        When there is no such policy, or its file cannot be used.
    MissingDataError
        When this installation cannot load learned policies.
    """
    if name in POLICIES or name.startswith(BLEND_PREFIX):
        return find_heuristic(name)
    agents = list_assets("agents")
    looks_like_path = "/" in name or "\\" in name or name.endswith(".onnx")
    if name not in agents and not looks_like_path:
        raise PolicyError(
            f"unknown policy {name!r}: neither a heuristic, nor a blend:RULE=WEIGHT, nor a trained agent."
            f"{did_you_mean(name, [*POLICIES, *agents])}"
        )
    try:
        learned = import_module("rlsched.policies.learned")
    except ModuleNotFoundError as error:
        raise MissingDataError(
            f"policy {name!r} is a learned one, and this installation cannot load those: there is no module "
            f"{error.name}. Install the package it belongs to, or use a heuristic: {', '.join(POLICIES)}."
        ) from None
    return learned.load_policy(name)

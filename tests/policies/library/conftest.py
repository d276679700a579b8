"""A policy file with a trained-looking network, and machines to place on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights on the GPU world's settings, its world in the metadata."""
    import torch
    from placement_worlds import GPU_SETTINGS, world

    from rlsched.agents.export import export_policy
    from rlsched.agents.network import CandidateScorer
    from rlsched.policies.library.terms import world_facts

    torch.manual_seed(0)
    network = CandidateScorer(12, 1.0)
    torch.nn.init.normal_(network.score.weight, std=1.0)
    path = tmp_path_factory.mktemp("library") / "policy.onnx"
    facts = {"name": "toy", "doc": "a toy", "fragmentation": "gpu", "residents": True, "world": world_facts(world())}
    export_policy(path, network, GPU_SETTINGS.observation, facts)
    return path


@pytest.fixture
def machines() -> dict[str, Any]:
    """Four machines: a busy one, an empty one, a full one, and one that is down."""
    return {
        "machine_id": np.array(["busy", "empty", "full", "down"], dtype=object),
        "cpu_mcore": np.array([16_000, 16_000, 16_000, 64_000]),
        "mem_mib": np.array([32_768, 32_768, 32_768, 65_536]),
        "cpu_free_mcore": np.array([6_000, 16_000, 0, 64_000]),
        "mem_free_mib": np.array([8_192, 32_768, 0, 65_536]),
        "gpu_count": np.array([2, 4, 0, 4]),
        "gpu_free_mgpu": np.array([[300, 700, -1, -1], [1000] * 4, [-1] * 4, [1000] * 4]),
        "gpu_model": np.array(["A", "B", None, "A"], dtype=object),
        "up": np.array([True, True, True, False]),
        "tasks": np.array([2, 0, 5, 0]),
        "busy_for_s": np.array([600.0, np.nan, 60.0, np.nan]),
        "in_use_s": np.array([7200.0, 0.0, 60.0, 0.0]),
        "gpu_kinds": np.array([[2, 0, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5]),
    }

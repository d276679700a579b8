"""Environments: steps a second with a random policy that respects the mask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rlsched.rng import stream

MACHINES = 1_000
TASKS = 400_000


def _problem() -> Any:
    """Sixty-four windows of VMs over 1,000 machines, warmed up."""
    from rlsched.cli.benches.replay import vm_trace
    from rlsched.envs.problem import PlacementProblem
    from rlsched.sim.fragmentation import typical_requests
    from rlsched.sim.options import PlacementOptions
    from rlsched.sim.world import Window, World

    trace, machines = vm_trace(TASKS, MACHINES)
    options = PlacementOptions(fragmentation="cpu")
    world = World.build(trace, machines, options, typical=typical_requests(trace))
    size = TASKS // 64
    windows = tuple(Window(i * size, (i + 1) * size, name=f"bench-{i}") for i in range(64))
    return PlacementProblem(world, windows)


def _random_allowed(mask: Any, draw: np.random.Generator) -> Any:
    """A uniform choice among the allowed candidates of each copy."""
    return (draw.random(mask.shape) * mask).argmax(axis=-1)


def placement_vector(copies: int = 64, steps: int = 500) -> Callable[[], float]:
    """Decisions a second of all copies together."""
    from rlsched.envs.vector import PlacementVectorEnv

    env = PlacementVectorEnv(copies, problem=_problem(), copy=False)
    draw = stream(0, "bench", "actions")
    observation, _ = env.reset(seed=0)

    def once() -> float:
        nonlocal observation
        begin = time.perf_counter()
        for _ in range(steps):
            observation, *_ = env.step(_random_allowed(observation["action_mask"], draw))
        return copies * steps / (time.perf_counter() - begin)

    once()
    return once


def placement_single(steps: int = 5_000) -> Callable[[], float]:
    """Decisions a second of one copy made with ``gymnasium.make``."""
    import gymnasium

    import rlsched.envs  # noqa: F401 - registers the environments

    env = gymnasium.make("rlsched/Placement-v0", problem=_problem())
    draw = stream(0, "bench", "actions")
    observation, _ = env.reset(seed=0)

    def once() -> float:
        nonlocal observation
        begin = time.perf_counter()
        for _ in range(steps):
            observation, _, terminated, truncated, _ = env.step(_random_allowed(observation["action_mask"], draw))
            if terminated or truncated:
                observation, _ = env.reset()
        return steps / (time.perf_counter() - begin)

    once()
    return once

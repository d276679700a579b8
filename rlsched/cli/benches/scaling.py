"""``rlsched/Scaling-v0``: steps a second of all copies together, observation and reward included."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from rlsched.rng import stream


def scaling_vector(copies: int = 64, steps: int = 5_000, card: str = "scaling") -> Callable[[], float]:
    """Copies of the bundled card under random numbers of instances, which are drawn beforehand."""
    from rlsched.envs.scaling_vector import ScalingVectorEnv

    env = ScalingVectorEnv(copies, card=card, copy=False)
    low, high = env.episodes.problem.limits
    actions = stream(0, "bench", "actions").uniform(low, high, (64, copies, 1)).astype(np.float32)
    env.reset(seed=0)

    def once() -> float:
        begin = time.perf_counter()
        for i in range(steps):
            env.step(actions[i % 64])
        return copies * steps / (time.perf_counter() - begin)

    once()
    return once

"""Consolidation-v0: ticks a second of 64 copies, 100 machines and 150 VMs each."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def vector(actions: str, copies: int = 64, steps: int = 574) -> Callable[[], float]:
    """Ticks a second of all copies together; two episodes a run, resets included.

    Parameters
    ----------
    actions : {"steady", "random"}
        ``steady``: the same knobs throughout, near those that tuning finds. ``random``: drawn anew for
        every copy and tick from the whole ranges, which moves one VM in eight at every tick.
    copies, steps : int
    """
    from rlsched.envs.consolidation import ConsolidationVectorEnv

    env = ConsolidationVectorEnv(copies, copy=False)
    env.reset(seed=0)
    env.action_space.seed(0)
    steady = np.tile(np.array([1.2, 0.55, 0.8], np.float32), (copies, 1))
    drawn = [steady if actions == "steady" else env.action_space.sample() for _ in range(97)]

    def once() -> float:
        begin = time.perf_counter()
        for step in range(steps):
            env.step(drawn[step % 97])
        return copies * steps / (time.perf_counter() - begin)

    once()
    return once

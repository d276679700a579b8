"""A learned policy as a library and in batches: seconds a decision, decisions a second.

The network has the shape of a released one (32 wide, 16 candidates) and random weights: what it
answers does not matter for how long it takes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.cli.benches.environments import MACHINES
from rlsched.cli.benches.environments import _problem as vm_problem
from rlsched.errors import MissingDataError
from rlsched.rng import stream

CANDIDATES = 16
REQUESTS = 200


@cache
def _world_and_policy() -> tuple[Any, Any]:
    """The windows of ``env.placement``, and a policy that was exported for them."""
    try:
        from rlsched.agents.export import export_policy
        from rlsched.agents.network import CandidateScorer
    except ModuleNotFoundError as error:
        raise MissingDataError(f"making a policy to measure needs {error.name}: install rlsched[train].") from None
    from rlsched.observe.settings import ObservationSettings
    from rlsched.policies.library.terms import world_facts

    problem = vm_problem()
    settings = ObservationSettings(
        candidates=CANDIDATES,
        prior={"best_fit": 1.0, "cosine": 0.5},
        shortlist=({"fragmentation": 1.0}, {"norm_l2": 1.0}, {"dot_product": 1.0}),
    )
    network = CandidateScorer(32, 20.0)
    network.score.weight.data.normal_(0.0, 0.1)
    facts = {"name": "bench", "fragmentation": "cpu", "residents": True, "world": world_facts(problem.world)}
    with tempfile.TemporaryDirectory() as folder:
        return problem, export_policy(Path(folder) / "policy.onnx", network, settings, facts)


def _moment() -> tuple[Any, list[dict[str, Any]], dict[str, Any], dict[str, int]]:
    """Policy, requests, and 1,000 machines in use between 10 and 95 %, no two alike."""
    from rlsched.policies.library.snapshot import snapshot
    from rlsched.sim.simulate import advance_all
    from rlsched.sim.world import Window

    problem, policy = _world_and_policy()
    world = problem.world
    state = world.start([Window(20_000, 40_000)])
    advance_all(world, state)
    _, machines, situation = snapshot(world, state)
    draw = stream(0, "bench", "library")
    for capacity, free in (("cpu_mcore", "cpu_free_mcore"), ("mem_mib", "mem_free_mib")):
        machines[free] = (machines[capacity] * draw.uniform(0.05, 0.9, MACHINES)).astype(np.int64)
    machines["tasks"] = draw.integers(1, 20, MACHINES)
    machines["busy_for_s"] = draw.uniform(0, 86_400, MACHINES)
    requests = [
        {"cpu_mcore": int(world.trace.cpu_mcore[row]), "mem_mib": int(world.trace.mem_mib[row]), "expected_s": 3600.0}
        for row in range(20_000, 20_000 + REQUESTS)
    ]
    return policy, requests, machines, situation


def place() -> Callable[[], float]:
    """Seconds a ``place``: 1,000 machines as a dict of arrays, of which one changed since the last call."""
    policy, requests, machines, situation = _moment()

    def once() -> float:
        taken = []
        for request in requests:
            begin = time.perf_counter()
            decision = policy.place(request, machines, situation=situation)
            taken.append(time.perf_counter() - begin)
            if decision:
                machines["cpu_free_mcore"][decision.row] -= request["cpu_mcore"]
                machines["mem_free_mib"][decision.row] -= request["mem_mib"]
                machines["tasks"][decision.row] += 1
        for column, capacity in (("cpu_free_mcore", "cpu_mcore"), ("mem_free_mib", "mem_mib")):
            machines[column][:] = np.maximum(machines[column], machines[capacity] // 20)
        return float(np.median(taken))

    once()
    return once


def network() -> Callable[[], float]:
    """Seconds an answer of the network alone, one request, 16 candidates."""
    from rlsched.agents.export import random_observation

    _, policy = _world_and_policy()
    observation = random_observation(stream(0, "bench", "network"), 1, CANDIDATES)

    def once() -> float:
        begin = time.perf_counter()
        for _ in range(2_000):
            policy.act(observation)
        return (time.perf_counter() - begin) / 2_000

    once()
    return once


def batch(copies: int = 64) -> Callable[[], float]:
    """Decisions a second of 64 clusters in lock-step, features included."""
    from rlsched.sim import state as st
    from rlsched.sim.world import Window

    problem, policy = _world_and_policy()
    windows = [Window(one.lo, one.lo + 400) for one in problem.windows[:copies]]

    def once() -> float:
        state = problem.world.start(windows)
        begin = time.perf_counter()
        policy.run(problem.world, state)
        return float(state.arrays.counter[:, st.C_DECISIONS].sum()) / (time.perf_counter() - begin)

    once()
    return once

"""The published experiments: one run each, through the kernel users run."""

from __future__ import annotations

import time
from collections.abc import Callable


def fgd_run() -> Callable[[], float]:
    """Seconds of one FGD run on the default list: some 10.8 thousand arrivals over 1,213 nodes."""
    from rlsched.evaluate.fgd import find_heuristic, play
    from rlsched.evaluate.fgd_inputs import build_world, draw_orders, read_inputs
    from rlsched.traces.datasets import locate

    _, _, pods = locate("alibaba-gpu-2023")
    _, _, nodes = locate("alibaba-gpu-2023", "gpu_nodes")
    inputs = read_inputs(pods, nodes)
    world = build_world(inputs, draw_orders(inputs, 130.0, 42))
    fgd = find_heuristic("FGD")

    def once() -> float:
        begin = time.perf_counter()
        play(world, fgd, 42)
        return time.perf_counter() - begin

    once()
    return once


def cloudsim_day() -> Callable[[], float]:
    """Seconds of one PlanetLab day with LR-MMT in compatibility mode."""
    from rlsched.sim.consolidation.policy import ConsolidationPolicy
    from rlsched.sim.consolidation.simulate import simulate
    from rlsched.sim.consolidation.world import planetlab_world
    from rlsched.sim.semantics import Semantics
    from rlsched.traces.datasets import locate
    from rlsched.traces.read import read_usage

    _, _, path = locate("planetlab-2011")
    semantics = Semantics.cloudsim_303()
    world = planetlab_world(read_usage(path, day="20110303"), semantics)
    policy = ConsolidationPolicy("lr_mmt")

    def once() -> float:
        begin = time.perf_counter()
        simulate(world, [policy], semantics)
        return time.perf_counter() - begin

    once()
    return once

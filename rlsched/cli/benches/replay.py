"""Replay: best fit in the compiled loop, over clusters of growing size."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rlsched.rng import stream
from rlsched.traces.columns import Machines, Trace

#: Flavours of the Azure V1 trace (cores, MiB) and about how often each is asked for.
FLAVOURS = np.array(
    [
        [1, 768], [1, 1792], [1, 2048], [2, 3584], [2, 4096], [2, 14336], [2, 16384], [4, 7168],
        [4, 8192], [4, 28672], [4, 32768], [8, 14336], [8, 16384], [8, 57344], [8, 65536], [16, 114688],
    ]
)  # fmt: skip
SHARES = np.array([4, 45, 3, 22, 3, 1, 0.5, 10, 2, 1, 0.5, 5, 1.5, 0.5, 0.5, 0.5]) / 100
CORES, MIB = 64, 256 * 1024
LOAD = 0.9


def vm_trace(n_tasks: int, n_machines: int) -> tuple[Trace, Machines]:
    """VMs of the Azure flavours with heavy-tailed lives, arriving so as to fill the machines to ``LOAD``.

    Lives are Pareto (shape 0.8, scale 600 s, at most 30 days), arrivals uniform. With many
    machines a million VMs do not reach the steady state: the cluster is still filling.
    """
    rng = stream(0, "bench", n_tasks, n_machines)
    flavour = rng.choice(len(FLAVOURS), n_tasks, p=SHARES / SHARES.sum())
    life = np.minimum(rng.pareto(0.8, n_tasks) * 600 + 60, 30 * 86_400).astype(np.int64)
    core_seconds = float((FLAVOURS[flavour, 0] * life).mean())
    span = n_tasks * core_seconds / (LOAD * n_machines * CORES)
    arrive = np.sort(rng.random(n_tasks) * span).astype(np.int64)
    trace = Trace(
        np.arange(n_tasks), arrive, arrive + life, FLAVOURS[flavour, 0] * 1000, FLAVOURS[flavour, 1], source="bench"
    )
    machines = Machines(np.arange(n_machines), np.full(n_machines, CORES * 1000), np.full(n_machines, MIB))
    return trace, machines


def best_fit(n_machines: int, n_tasks: int = 1_000_000) -> Callable[[], float]:
    """Decisions a second inside the compiled loop; opening the state is not counted."""
    from rlsched.policies.heuristic import Heuristic
    from rlsched.sim.simulate import run_policy
    from rlsched.sim.world import World

    world = World.build(*vm_trace(n_tasks, n_machines), residents=False)
    policy = Heuristic("best_fit", {"best_fit": 1.0}).arrays()

    def once() -> float:
        state = world.start([world.whole])
        begin = time.perf_counter()
        run_policy(world, state, policy)
        return n_tasks / (time.perf_counter() - begin)

    once()
    return once


def azure_scale(what: str = "time") -> Callable[[], float]:
    """A trace of the size of Azure 2019, from columns to meters, in a process of its own."""
    best_fit(100, 1000)  # compiled and on disk before the clock runs

    def once() -> float:
        code = "from rlsched.cli.benches.replay import report_azure_scale; report_azure_scale()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, mib = done.stdout.split()
        return float(seconds if what == "time" else mib)

    return once


def report_azure_scale() -> None:
    """Run the large replay; print seconds and peak MiB."""
    import resource

    from rlsched.policies.heuristic import Heuristic
    from rlsched.sim.simulate import run_policy
    from rlsched.sim.world import World

    columns: tuple[Any, ...] = vm_trace(2_700_000, 10_000)
    begin = time.perf_counter()
    world = World.build(*columns, residents=False)
    state = world.start([world.whole])
    run_policy(world, state, Heuristic("best_fit", {"best_fit": 1.0}).arrays())
    seconds = time.perf_counter() - begin
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

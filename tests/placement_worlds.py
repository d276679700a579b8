"""Small worlds for tests of observation, reward, environments and agents."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.rng import stream
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace

GPU_SETTINGS = PlacementSettings(
    candidates=6,
    prior={"fragmentation": 1.0, "best_fit": 0.2},
    shortlist=("best_fit", "dot_product", "gpu_packing"),
    devices="score",
    reward={"fragmentation": 1.0},
)
CPU_SETTINGS = PlacementSettings(
    candidates=5,
    prior={"best_fit": 1.0},
    shortlist=("fragmentation", "lifetime", "dot_product"),
    reward={"rejected_cpu": 1.0, "energy": 0.5, "cost": 0.25},
)


def machines(n: int, *, gpus: bool, seed: int = 0) -> Machines:
    """Machines of three sizes, with known power and partly known prices."""
    draw = stream(seed, "machines")
    size = draw.integers(1, 4, size=n)
    return Machines(
        machine_id=np.array([f"m{i}" for i in range(n)], dtype=object),
        cpu_mcore=16_000 * size,
        mem_mib=32_768 * size[::-1],
        gpu_count=np.where(np.arange(n) % 4 == 3, 0, 2 * size) if gpus else np.zeros(n, np.int64),
        gpu_model=np.where(np.arange(n) % 4 == 3, -1, np.arange(n) % 2) if gpus else np.full(n, -1),
        gpu_models=("A", "B") if gpus else (),
        power_curve=np.where(np.arange(n) % 5 == 4, -1, np.arange(n) % 2),
        power_curves=("hp_ml110_g4", "hp_ml110_g5"),
        price_per_h=np.where(np.arange(n) % 3 == 2, np.nan, 1.0 + size),
    ).validate()


def tasks(n: int, *, gpus: bool, seed: int = 0, stay: bool = False) -> Trace:
    """Tasks that arrive one after the other, some at the same moment, some without a known end."""
    draw = stream(seed, "tasks")
    arrive = np.sort(draw.integers(0, 30 * n, size=n))
    life = draw.integers(0, 3000, size=n)
    count = draw.choice([0, 1, 1, 1, 2], size=n) if gpus else np.zeros(n, np.int64)
    share = np.where(count == 1, draw.choice([250, 500, 1000], size=n), 1000)
    choosy = draw.random(n) < 0.2
    unknown = (draw.random(n) < 0.1) | stay
    return Trace(
        task_id=np.array([f"t{i}" for i in range(n)], dtype=object),
        arrive_s=arrive,
        depart_s=np.where(unknown, -1, arrive + life),
        last_seen_s=np.where(unknown, -1, arrive + life),
        cpu_mcore=draw.choice([500, 1000, 4000, 8000], size=n),
        mem_mib=draw.choice([1024, 2048, 8192], size=n),
        gpu_count=count,
        gpu_mgpu=np.where(count > 0, share, 0),
        gpu_model_mask=np.where((count > 0) & choosy, 1, -1),
        gpu_models=("A", "B") if gpus else (),
        group=np.where(draw.random(n) < 0.2, draw.integers(0, 5, size=n), -1),
        group_limit=np.zeros(n, np.int64),
        expected_s=np.where(draw.random(n) < 0.3, np.nan, 1.0 + life),
    ).validate()


def world(n_machines: int = 12, n_tasks: int = 300, *, gpus: bool = True, seed: int = 0, **options: Any) -> World:
    """A world that measures fragmentation, unless told otherwise."""
    stay = bool(options.pop("stay", False))
    trace = tasks(n_tasks, gpus=gpus, seed=seed, stay=stay)
    if options.pop("calendar", False):
        trace = dataclasses.replace(trace, meta={"time_origin_s": 1_600_000_000})
    chosen = PlacementOptions(**{"fragmentation": "gpu" if gpus else "cpu", **options})
    typical = None if chosen.fragmentation == "none" else typical_requests(trace)
    return World.build(trace, machines(n_machines, gpus=gpus, seed=seed), chosen, typical=typical)


def problem(n_windows: int = 4, *, cut: bool = False, **kwargs: Any) -> PlacementProblem:
    """Windows of a tenth of the tasks each; ``cut`` gives them an end in time."""
    built = world(**kwargs)
    n = len(built.trace)
    step = n // n_windows
    windows = []
    for i in range(n_windows):
        lo, hi = i * step, min(n, (i + 1) * step)
        stop = float(built.trace.arrive_s[hi - 1]) + 1.0 if cut else np.inf
        windows.append(Window(lo, hi, stop_s=stop, name=f"w{i}"))
    return PlacementProblem(built, tuple(windows))

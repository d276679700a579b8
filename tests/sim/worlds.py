"""Random small worlds for the property tests: traces, machines, options, failures, policies.

Hypothesis draws one seed and the sizes; the contents come from a generator seeded with it.
Drawn value by value, most worlds would be all but empty and hardly ever reach a failure, a
queue or a full machine (``test_random_worlds_reach_every_corner`` holds us to that).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as hs

from rlsched.policies.heuristic import Heuristic
from rlsched.sim.events import FAIL, REPAIR, MachineEvents
from rlsched.sim.options import PlacementOptions
from rlsched.sim.rules import RULES
from rlsched.sim.world import Typical, Window
from rlsched.traces.columns import Machines, Trace

MODELS = ("A10", "T4", "V100")
CURVES = ("hp_ml110_g4", "hp_ml110_g5")


def make_trace(rng: np.random.Generator, k: int, gpus: bool) -> Trace:
    """A trace of few sizes and times, so that ties are common and machines fill up."""
    arrive = np.sort(rng.integers(0, 13, k) * 100)
    life = rng.choice([0, 50, 100, 150, 400, 1000, 1000, -1], k)
    count = rng.choice([0, 1, 1, 1, 2], k) if gpus else np.zeros(k, int)
    share = np.where(count == 0, 0, np.where(count > 1, 1000, rng.choice([100, 250, 500, 700, 1000], k)))
    group = rng.choice([-1, -1, 0, 1, 2], k)
    return Trace(
        task_id=np.arange(k),
        arrive_s=arrive,
        depart_s=np.where(life < 0, -1, arrive + life),
        cpu_mcore=rng.choice([0, 500, 1000, 1000, 2000, 4000, 16000], k, p=[0.1, 0.2, 0.2, 0.2, 0.2, 0.08, 0.02])
        + (count == 0) * 250,
        mem_mib=rng.choice([0, 512, 1024, 2048, 65536], k, p=[0.1, 0.3, 0.3, 0.28, 0.02]),
        gpu_count=count,
        gpu_mgpu=share,
        gpu_model_mask=np.where(count > 0, rng.choice([-1, -1, 1, 3, 4, 6], k), -1),
        priority=rng.integers(0, 3, k),
        group=group,
        group_limit=np.where(group >= 0, rng.choice([0, 1, 2], k), 0),
        expected_s=rng.choice([math.nan, 60.0, 500.0, 5000.0], k),
        gpu_models=MODELS,
    )


def make_machines(rng: np.random.Generator, m: int, gpus: bool) -> Machines:
    """Machines of a few kinds; GPU models in another order than the trace's."""
    count = rng.choice([0, 1, 2, 4], m, p=[0.1, 0.3, 0.3, 0.3]) if gpus else np.zeros(m, int)
    return Machines(
        machine_id=np.arange(m),
        cpu_mcore=rng.choice([2000, 4000, 8000, 12345], m),
        mem_mib=rng.choice([2048, 8192, 16384], m),
        gpu_count=count,
        gpu_model=np.where(count > 0, rng.integers(0, 2, m), -1),
        power_curve=rng.integers(-1, 2, m),
        price_per_h=rng.choice([0.5, 1.25], m),
        gpu_models=("V100", "A10"),
        power_curves=CURVES,
    )


def make_typical(rng: np.random.Generator, gpus: bool) -> Typical:
    """Up to four typical requests with uneven shares."""
    j = int(rng.integers(1, 5))
    count = rng.choice([0, 1, 1, 2], j) if gpus else np.zeros(j, int)
    share = np.where(count == 0, 0, np.where(count > 1, 1000, rng.choice([250, 500, 1000], j)))
    mask = np.where(count > 0, rng.choice([-1, 1, 4], j), -1)
    rows = np.stack([rng.choice([500, 2000, 6000], j), rng.choice([512, 4096], j), count, share, mask], axis=1)
    weight = rng.integers(1, 10, j).astype(np.float64)
    return Typical(rows, weight / weight.sum(), MODELS)


def make_heuristic(rng: np.random.Generator, fragmentation: str) -> Heuristic:
    """Any rule, any blend of up to three, any way to choose."""
    usable = [rule for rule in RULES if fragmentation == "gpu" or rule != "fgd"]
    usable = [rule for rule in usable if fragmentation != "none" or rule != "fragmentation"]
    chosen = rng.choice(usable, int(rng.integers(1, 4)), replace=False).tolist()
    shapes = (((0.0, 0.0), (100.0, 100.0)), ((0.0, 10.0), (40.0, 90.0), (80.0, 5.0)))
    choices = ["score"] * 4 + ["random", "round_robin", "next_fit"]
    return Heuristic(
        "drawn",
        {rule: float(rng.choice([1.0, -1.0, 0.5, 3.25])) for rule in chosen},
        choice=str(rng.choice(choices)),  # type: ignore[arg-type]
        devices=str(rng.choice(["best", "score", "random"])) if fragmentation == "gpu" else "best",  # type: ignore[arg-type]
        shape=shapes[int(rng.integers(0, 2))],
    )


def make_events(rng: np.random.Generator, m: int) -> MachineEvents:
    """Failures and repairs at moments that coincide with arrivals and departures."""
    n = int(rng.integers(0, 9))
    times = rng.choice([0.0, 100.0, 150.0, 250.0, 400.0, 425.0, 800.0, 1500.0], n)
    kinds = rng.choice([FAIL, FAIL, REPAIR], n)
    return MachineEvents.of(
        [(float(t), int(kind), int(rng.integers(0, m))) for t, kind in zip(times, kinds, strict=True)], m
    )


@hs.composite
def worlds(draw: Any, max_tasks: int = 40, max_machines: int = 6) -> dict[str, Any]:
    """Everything a run needs, by name."""
    k = draw(hs.integers(6, max_tasks))
    m = draw(hs.integers(1, max_machines))
    rng = np.random.default_rng(draw(hs.integers(0, 2**32 - 1)))
    gpus = bool(rng.integers(0, 2))
    fragmentation = str(rng.choice(["none", "cpu", "gpu"] if gpus else ["none", "cpu"]))
    options = PlacementOptions(
        cpu_ratio=float(rng.choice([1.0, 1.5])),
        mem_ratio=float(rng.choice([1.0, 1.1])),
        admission=str(rng.choice(["reject", "queue"])),  # type: ignore[arg-type]
        queue_order=str(rng.choice(["skip", "strict"], p=[0.7, 0.3])),  # type: ignore[arg-type]
        interrupted=str(rng.choice(["requeue", "lost"], p=[0.7, 0.3])),  # type: ignore[arg-type]
        checkpoint_interval_s=float(rng.choice([math.inf, 0.0, 60.0])),
        empty_machines=str(rng.choice(["off", "on"])),  # type: ignore[arg-type]
        lifetime=str(rng.choice(["known", "predicted", "unknown"])),  # type: ignore[arg-type]
        fragmentation=fragmentation,  # type: ignore[arg-type]
    )
    lo = int(rng.integers(0, k // 2)) if rng.random() < 0.3 else 0
    hi = int(rng.integers(lo + 1, k + 1)) if rng.random() < 0.3 else k
    return {
        "trace": make_trace(rng, k, gpus),
        "machines": make_machines(rng, m, gpus),
        "options": options,
        "typical": None if fragmentation == "none" else make_typical(rng, gpus),
        "events": make_events(rng, m) if rng.random() < 0.6 else None,
        "window": Window(
            lo, hi, float(rng.choice([-math.inf, 0.0, 300.0, 700.0])), float(rng.choice([math.inf, 900.0, 2000.0]))
        ),
        "heuristic": make_heuristic(rng, fragmentation),
        "seed": int(rng.integers(0, 6)),
    }

"""A world small enough to do by hand, and an experiment's folder made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.sim.power import PowerCurve
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.store import save

CURVES = {"a": PowerCurve("linear", (100.0, 200.0)), "b": PowerCurve("linear", (50.0, 100.0))}


def by_hand() -> tuple[Trace, Machines]:
    """Four tasks on two machines; first fit puts 0 and 1 on A, 2 on B, and has no room for 3."""
    trace = Trace(
        task_id=np.arange(4),
        arrive_s=np.array([0, 0, 1800, 3600]),
        depart_s=np.array([3600, 7200, 5400, 7200]),
        cpu_mcore=np.array([2000, 2000, 2000, 4000]),
        mem_mib=np.array([2048, 2048, 1024, 1024]),
    )
    machines = Machines(
        machine_id=np.array(["A", "B"], dtype=object),
        cpu_mcore=np.array([4000, 2000]),
        mem_mib=np.array([8192, 4096]),
        power_curve=np.array([0, 1]),
        price_per_h=np.array([2.0, 1.0]),
        power_curves=("a", "b"),
    )
    return trace, machines


def long_trace(n: int = 240, seed: int = 3) -> Trace:
    """A task every five minutes, of four sizes, for up to 2.5 h: four machines are just too few."""
    draw = np.random.default_rng(seed)
    arrive = np.arange(n) * 300
    return Trace(
        task_id=np.arange(n),
        arrive_s=arrive,
        depart_s=arrive + draw.integers(600, 9000, n),
        cpu_mcore=draw.choice([500, 1000, 2000, 3000], n),
        mem_mib=draw.choice([512, 1024, 4096, 6144], n),
    )


CARD = """\
kind = "placement"
title = "Tiny"
question = "Who is better on a tiny cluster?"
main_metric = "rejected_cpu_share"
metrics = ["acceptance_share", "energy_kwh", "cost_usd"]
policies = ["first_fit", "best_fit", "worst_fit"]
seeds = 2

[references]
textbook = "best_fit"

[data]
trace = "tasks.parquet"

[machines]
source = "machines.parquet"

[splits]
train = [0, 24_000]
validation = [24_000, 36_000]
test = [36_000, 72_000]

[windows]
kind = "time"
length = "1h"
warmup = "2h"

[bootstrap]
resamples = 1000
"""


def write_experiment(folder: Path, card: str = CARD) -> Path:
    """``experiment.toml`` with its data beside it, in a folder that does not exist yet."""
    folder.mkdir()
    save(long_trace(), folder / "tasks.parquet")
    machines = Machines(
        machine_id=np.arange(4),
        cpu_mcore=np.array([8000, 8000, 6000, 4000]),
        mem_mib=np.array([16384, 8192, 16384, 16384]),
        power_curve=np.zeros(4, np.int64),
        power_curves=("hp_ml110_g4",),
    )
    save(machines, folder / "machines.parquet")
    path = folder / "experiment.toml"
    path.write_text(card)
    return path

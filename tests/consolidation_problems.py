"""Small consolidation problems to test the environment with."""

from __future__ import annotations

import numpy as np

from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.sim.consolidation.world import World
from rlsched.sim.power import POWER_CURVES
from rlsched.sim.semantics import Semantics

CURVES = (POWER_CURVES["hp_ml110_g4"], POWER_CURVES["hp_ml110_g5"])
KNOBS = ConsolidationSettings()
THRESHOLDS = ConsolidationSettings(detection="thr", reward={"energy": 1.0, "violation": 3.0, "shutdowns": 0.5})


def problem(
    n_worlds: int = 3, n_hosts: int = 8, n_vms: int = 12, ticks: int = 25, **given: object
) -> ConsolidationProblem:
    """Worlds of different sizes under random load that comes in waves."""
    worlds = []
    for i in range(n_worlds):
        draw = np.random.default_rng(i)
        hosts, vms = n_hosts + i, n_vms + 2 * i
        wave = 0.25 + 0.2 * np.sin(np.arange(ticks)[:, None] / 4 + draw.uniform(0, 6, vms))
        kinds = np.arange(hosts) % 2
        worlds.append(
            World(
                host_cpu=np.array([3720.0, 5320.0])[kinds],
                host_core=np.array([1860.0, 2660.0])[kinds],
                host_mem=np.full(hosts, 16_384),
                host_curve=kinds,
                curves=CURVES,
                vm_cpu=draw.choice([2500.0, 2000.0, 1000.0, 500.0], vms).clip(None, 1860.0),
                vm_mem=draw.choice([870, 1740, 613], vms),
                load=np.clip(wave + 0.1 * draw.standard_normal((ticks, vms)), 0.0, 1.0),
            )
        )
    return ConsolidationProblem(tuple(worlds), Semantics(), **given)  # type: ignore[arg-type]

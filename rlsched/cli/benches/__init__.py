"""What ``rlsched bench`` measures: one table of names, one file an area.

A bench is a function that prepares, runs once to warm up, and yields a callable whose return
value is the figure of one run. Where what it needs is missing (a dataset, an extra) it raises
``MissingDataError``; the bench is then reported as not measured, with the reason.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rlsched.errors import MissingDataError


@dataclass(frozen=True)
class Bench:
    """One line of the table.

    Parameters
    ----------
    where : str
        ``module:function`` under ``rlsched.cli.benches``; the function takes the bench's
        arguments and returns the callable that runs once.
    unit : str
    what : str
        One line for ``--list``.
    arguments : tuple
    """

    where: str
    unit: str
    what: str
    arguments: tuple[Any, ...] = ()


BENCHES: dict[str, Bench] = {
    **{
        f"replay.best_fit.m{m}": Bench(
            "replay:best_fit", "decisions/s", f"best fit of 1,000,000 VMs with lives over {m:,} machines", (m,)
        )
        for m in (100, 1_000, 10_000, 100_000)
    },
    "replay.azure_scale": Bench(
        "replay:azure_scale", "s", "2,700,000 VMs over 10,000 machines, columns to meters, in a process of its own"
    ),
    "replay.azure_scale.memory": Bench("replay:azure_scale", "MiB", "peak memory of the same process", ("memory",)),
    "read.openb": Bench("read:openb", "s", "the 8,152 pods of the openb list"),
    "read.csv_1m": Bench("read:csv_1m", "s", "a CSV of 1,000,000 rows through a column map"),
    "read.parquet_10m": Bench("read:parquet_10m", "s", "a Parquet file of 10,000,000 tasks, written by convert"),
    "traces.draw_1m": Bench("read:draw_1m", "s", "a million VMs over five days, with their usage, from profiles"),
    "traces.check": Bench("read:check_rows", "rows/s", "the linter over a CSV of 1,000,000 tasks, reading included"),
    "import.rlsched": Bench("start:import_rlsched", "s", "import rlsched in a fresh process"),
    "compile.cold": Bench("start:compile_cold", "s", "first best-fit replay with an empty cache"),
    "golden.fgd_run": Bench("golden:fgd_run", "s", "one FGD run, 10,866 arrivals over 1,213 nodes"),
    "golden.cloudsim_day_lr_mmt": Bench("golden:cloudsim_day", "s", "PlanetLab 20110303, LR-MMT, as CloudSim 3.0.3"),
    "env.placement.vec64.m1000": Bench("environments:placement_vector", "steps/s", "64 copies, 1,000 machines, K = 16"),
    "env.consolidation.vec64": Bench(
        "consolidation:vector", "steps/s", "64 copies of 100 machines and 150 VMs, steady knobs", ("steady",)
    ),
    "env.consolidation.vec64.random": Bench(
        "consolidation:vector", "steps/s", "the same, knobs drawn anew at every tick", ("random",)
    ),
    "env.placement.single.m1000": Bench("environments:placement_single", "steps/s", "one copy through gymnasium.make"),
    "env.scaling.vec64": Bench(
        "scaling:scaling_vector", "steps/s", "64 copies of the bundled card, with observation and reward"
    ),
    "policy.place.m1000": Bench("policies:place", "s", "one VM on 1,000 machines through place(), in plain numpy"),
    "policy.network": Bench("policies:network", "s", "the network alone: one request, 16 candidates, width 32"),
    "policy.batch": Bench(
        "policies:batch", "decisions/s", "64 clusters of 1,000 machines in lock-step, features included"
    ),
    "train.placement": Bench(
        "training:training", "steps/s", "PPO on placement-openb: K = 16, 64 copies", ("placement-openb", "n_windows=64")
    ),
    "train.scaling": Bench(
        "training:training", "steps/s", "PPO on scaling-bitbrains: 256 copies", ("scaling-bitbrains",)
    ),
    "train.consolidation": Bench(
        "training:training", "steps/s", "PPO on consolidation-planetlab: 32 copies", ("consolidation-planetlab",)
    ),
    "forecast.vm10000": Bench(
        "forecast:vms", "s", "10,000 VMs from 288-sample windows, 12 horizons, 9 quantiles", (10_000,)
    ),
    "forecast.vm1": Bench("forecast:vms", "s", "one VM of the same", (1,)),
}


def measure(name: str, runs: int) -> dict[str, Any]:
    """Run one bench; the entry of ``results`` in the JSON document."""
    entry = BENCHES[name]
    module, _, function = entry.where.partition(":")
    try:
        prepare: Callable[..., Callable[[], float]] = getattr(import_module(f"rlsched.cli.benches.{module}"), function)
        once = prepare(*entry.arguments)
        values = [once() for _ in range(runs)]
    except MissingDataError as error:
        return {"name": name, "value": None, "unit": entry.unit, "runs": 0, "min": None, "max": None,
                "note": str(error)}  # fmt: skip
    return {
        "name": name,
        "value": statistics.median(values),
        "unit": entry.unit,
        "runs": len(values),
        "min": min(values),
        "max": max(values),
    }


def occasion() -> dict[str, Any]:
    """When figures are taken, of which commit, and how many others wait for the processors (``load``, of a minute)."""
    from datetime import UTC, datetime

    from rlsched.evaluate.results import git_commit

    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": git_commit(), "load": round(os.getloadavg()[0], 2)}


def machine() -> dict[str, Any]:
    """What the figures were taken on: no host name, no path."""
    import numba
    import numpy as np

    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "system": platform.system(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

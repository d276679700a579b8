"""A stranger's two files: odd column names, dates, cores and GiB."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from evaluate_worlds import long_trace

from rlsched.traces.columns import UNKNOWN, Machines, Trace

TRACE_MAP = (
    "task_id=VM Name,arrive_s=Created At,depart_s=deletedAt,cpu_mcore=vCPUs,mem_mib=Memory (GiB),"
    "time_unit=datetime,time_origin=first,cpu_unit=cores,mem_unit=gib"
)
MACHINE_MAP = "machine_id=hostname,cpu_mcore=cores,mem_mib=RAM_GB,cpu_unit=cores,mem_unit=gib,price_per_h=usd_per_hour"


def odd_files(folder: Path, n: int = 240, *, prices: bool = True) -> tuple[Path, Path]:
    """``vms.csv`` and ``nodes.csv`` of :func:`evaluate_worlds.long_trace` and six machines."""
    trace = long_trace(n)
    begin = datetime(2026, 3, 1, tzinfo=UTC)

    def when(seconds: float) -> str:
        return "" if seconds == UNKNOWN else (begin + timedelta(seconds=float(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")

    with (folder / "vms.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["VM Name", "Created At", "deletedAt", "vCPUs", "Memory (GiB)", "colour"])
        for i in range(n):
            times = when(trace.arrive_s[i]), when(trace.depart_s[i])
            out.writerow([f"vm-{i}", *times, trace.cpu_mcore[i] / 1000, trace.mem_mib[i] / 1024, "red"])
    with (folder / "nodes.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["hostname", "cores", "RAM_GB", *(["usd_per_hour"] if prices else [])])
        for i in range(6):
            out.writerow([f"n{i}", 8 if i % 2 else 6, 16, *([1.5] if prices else [])])
    return folder / "vms.csv", folder / "nodes.csv"


def even_machines(n: int = 6, cpu_mcore: int = 8000) -> Machines:
    """Machines of one size, with a price and a power curve."""
    return Machines(
        machine_id=np.array([f"n{i}" for i in range(n)], dtype=object),
        cpu_mcore=np.full(n, cpu_mcore),
        mem_mib=np.full(n, 16384),
        power_curve=np.zeros(n, np.int64),
        power_curves=("hp_ml110_g4",),
        price_per_h=np.full(n, 2.0),
    )


def gpu_files() -> tuple[Trace, Machines]:
    """Shared GPUs on three machines: which device a task gets matters."""
    n = 90
    draw = np.random.default_rng(5)
    arrive = np.arange(n) * 60
    count = draw.choice([0, 1, 1, 2], n)
    trace = Trace(
        task_id=np.arange(n),
        arrive_s=arrive,
        depart_s=arrive + draw.integers(300, 2400, n),
        cpu_mcore=draw.choice([500, 2000], n),
        mem_mib=draw.choice([512, 4096], n),
        gpu_count=count,
        gpu_mgpu=np.where(count == 1, draw.choice([250, 500, 1000], n), np.where(count > 0, 1000, 0)),
    )
    machines = Machines(
        machine_id=np.arange(3),
        cpu_mcore=np.full(3, 16000),
        mem_mib=np.full(3, 65536),
        gpu_count=np.array([4, 2, 4]),
    )
    return trace, machines

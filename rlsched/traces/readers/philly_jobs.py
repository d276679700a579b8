"""Microsoft Philly, 2017: DNN training jobs (``timestamp, duration, num_gpus, gpu_time, cluster``).

The file has neither CPU nor memory (both 0) and no placement. A job of more GPUs than a machine
runs on several: it is split into tasks of at most ``gpus_per_machine`` (8) that arrive and leave
together and share a ``group``; ``<row>.<part>`` names them. ``gpus_per_machine=31`` is the most a
task can hold. ``tenant`` is the virtual cluster. The rows are not in order of time.

Source: Jeon et al., USENIX ATC 2019; table of ElasticFlow (ASPLOS 2023).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.errors import SpecError
from rlsched.traces.columns import MAX_GPUS, Drop, DropReport, Trace
from rlsched.traces.readers.source import header_names
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, codes
from rlsched.traces.readers.times import whole_number, whole_times
from rlsched.units import MGPU_PER_GPU

_COLUMNS = (
    Column("timestamp", "datetime"),
    Column("duration", "float"),
    Column("num_gpus"),
    Column("cluster", "text"),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the job table."""
    return {"timestamp", "duration", "num_gpus", "gpu_time", "cluster"} <= set(header_names(head))


def read(path: Path, *, gpus_per_machine: int = 8, on_bad_row: str = "error") -> Trace:
    """Read the job table.

    Parameters
    ----------
    path : Path
    gpus_per_machine : int
        1..31; larger jobs are split.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By submission, the first at 0 (``meta["time_origin_s"]``; the stamps name no zone and are
        taken as UTC); ``task_id`` is the row of the file, with the part where there are several;
        ``group`` the job.

    Raises
    ------
    TraceError
    """
    if (
        isinstance(gpus_per_machine, bool)
        or not isinstance(gpus_per_machine, int)
        or not 1 <= gpus_per_machine <= MAX_GPUS
    ):
        raise SpecError(f"gpus_per_machine must be in 1..{MAX_GPUS}: got {gpus_per_machine!r}.")
    table, sha256 = read_csv_file(path, _COLUMNS, on_bad_row=on_bad_row)
    table.require("duration", table["duration"] >= 0, ">= 0")
    table.require("num_gpus", (table["num_gpus"] > 0) & (table["num_gpus"] <= 10_000), "in 1..10000")
    table.sort_by("timestamp")
    parts = -(-table["num_gpus"] // gpus_per_machine)
    job = np.repeat(np.arange(len(table)), parts)
    part = np.arange(job.size) - np.repeat(np.cumsum(parts) - parts, parts)
    gpus = np.minimum(gpus_per_machine, table["num_gpus"][job] - part * gpus_per_machine)
    arrive, depart = whole_times(
        (table["timestamp"] - table["timestamp"][0])[job],
        (table["timestamp"] - table["timestamp"][0] + table["duration"])[job],
    )
    ids = [f"{row}.{i}" if n > 1 else f"{row}" for row, i, n in zip(table.rows[job], part, parts[job], strict=True)]
    table.note(np.ones(len(table), bool), "no CPU and no memory in the file", "given 0 of both")
    report = table.report()
    drops = report.drops
    if job.size > len(table):
        drops = (
            *drops,
            Drop(f"a job of more than {gpus_per_machine} GPUs", "split: further parts", job.size - len(table)),
        )
    tenant, names = codes(table["cluster"], np.zeros(len(table), bool))
    zero = np.zeros(job.size, np.int64)
    return Trace(
        task_id=np.array(ids, object),
        arrive_s=arrive,
        depart_s=depart,
        cpu_mcore=zero,
        mem_mib=zero,
        gpu_count=gpus,
        gpu_mgpu=np.full(job.size, MGPU_PER_GPU),
        tenant=tenant[job],
        group=job,
        source=str(path),
        meta={
            "files": {str(path): sha256},
            "time_origin_s": whole_number(float(table["timestamp"][0])),
            "tenants": list(names),
            "gpus_per_machine": gpus_per_machine,
        },
        report=DropReport(report.rows_read, job.size, drops),
    )

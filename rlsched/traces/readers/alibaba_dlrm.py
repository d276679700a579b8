"""Alibaba cluster-trace-gpu-v2025: instances of disaggregated recommendation serving.

One row an instance: ``role`` HN (the GPU part) or CN (the CPU part) of an ``app_name``. Creation
empty: it existed at the begin, arrival 0. Deletion empty: alive at the end, departure unknown,
last seen at the latest moment in the file. ``tenant`` is the application, ``group`` application
and role, ``group_limit`` is ``max_instance_per_node`` (-1 is no limit). Share of the NIC, disk
and limits have no place in a trace; ``meta["columns_ignored"]`` names them.

Source: Yang et al., "GPU-Disaggregated Serving for DLRM at Scale", NSDI 2025.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import MAX_GPUS, MAX_QUANTITY, UNKNOWN, Trace
from rlsched.traces.readers.source import header_names
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, codes
from rlsched.traces.readers.times import whole_times
from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, MIB_PER_GIB

_COLUMNS = (
    Column("instance_sn", "text"),
    Column("role", "text"),
    Column("app_name", "text"),
    Column("cpu_request", "float"),
    Column("gpu_request"),
    Column("memory_request", "float"),
    Column("max_instance_per_node"),
    Column("creation_time", "float", may_be_empty=True),
    Column("deletion_time", "float", may_be_empty=True),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the instance table."""
    return {"instance_sn", "role", "app_name", "max_instance_per_node"} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Trace:
    """Read the instance table.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By creation, ties in the order of the file.

    Raises
    ------
    TraceError
    """
    table, sha256 = read_csv_file(path, _COLUMNS, on_bad_row=on_bad_row)
    table.require("role", np.isin(table["role"].astype(str), ("HN", "CN")), "HN or CN")
    for name, factor in (("cpu_request", MCORE_PER_CORE), ("memory_request", MIB_PER_GIB)):
        most = MAX_QUANTITY // factor
        table.require(name, (table[name] >= 0) & (table[name] <= most), f"in 0..{most}")
    table.require("gpu_request", (table["gpu_request"] >= 0) & (table["gpu_request"] <= MAX_GPUS), f"in 0..{MAX_GPUS}")
    limit_ok = (table["max_instance_per_node"] == UNKNOWN) | (table["max_instance_per_node"] > 0)
    table.require("max_instance_per_node", limit_ok, "> 0, or -1 for no limit")
    created, deleted = table["creation_time"], table["deletion_time"]
    table.require("creation_time", np.isnan(created) | (created >= 0), ">= 0, or empty")
    created, deleted = table["creation_time"], table["deletion_time"]
    since = np.where(np.isnan(created), 0.0, created)
    table.require("deletion_time", np.isnan(deleted) | (deleted >= since), ">= creation_time, or empty")
    table.require_unique("instance_sn")
    created, deleted = table["creation_time"], table["deletion_time"]
    end = float(np.nanmax(np.concatenate([created, deleted, [0.0]])))
    table.note(np.isnan(created), "no creation: there at the begin", "kept, arriving at 0")
    table.note(np.isnan(deleted), "no deletion: there at the end", "kept with an unknown departure (censored)")
    table.add("ours.arrive_s", np.where(np.isnan(created), 0.0, created))
    table.sort_by("ours.arrive_s", "creation_time")
    cpu = table["cpu_request"] * MCORE_PER_CORE
    mem = table["memory_request"] * MIB_PER_GIB
    table.note((cpu != np.ceil(cpu)) | (mem != np.ceil(mem)), "a request that is not whole", "rounded up")
    deleted = table["deletion_time"]
    known = ~np.isnan(deleted)
    arrive, depart, seen = whole_times(
        table["ours.arrive_s"], np.where(known, deleted, UNKNOWN), np.where(known, deleted, end)
    )
    nothing = np.zeros(len(table), bool)
    app, _ = codes(table["app_name"], nothing)
    group, _ = codes(table["app_name"] + "/" + table["role"], nothing)
    return Trace(
        task_id=table["instance_sn"],
        arrive_s=arrive,
        depart_s=depart,
        last_seen_s=seen,
        cpu_mcore=np.ceil(cpu).astype(np.int64),
        mem_mib=np.ceil(mem).astype(np.int64),
        gpu_count=table["gpu_request"],
        gpu_mgpu=np.where(table["gpu_request"] > 0, MGPU_PER_GPU, 0),
        tenant=app,
        group=group,
        group_limit=np.maximum(table["max_instance_per_node"], 0),
        source=str(path),
        meta={"files": {str(path): sha256}, "columns_ignored": list(table.ignored)},
        report=table.report(),
    )

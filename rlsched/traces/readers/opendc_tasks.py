"""OpenDC workload traces (Parquet), the table of tasks: VMs of Bitbrains, jobs of SURF's Lisa.

Columns ``id`` (text or number), ``submission_time`` (timestamp, or ms since 1970), ``duration``
(ms), ``cpu_count``, ``cpu_capacity`` (MHz over all cores), ``mem_capacity``. A duration of 0 is
kept: the task leaves the moment it comes.

``mem_capacity`` has no unit in the format: of the Bitbrains VMs it is KB (not MB), and SURF has
the constant 100,000, which says nothing. ``mem_unit`` names the unit, KiB by default; a constant
is reported. ``deferrable`` and ``deadline`` of the month of SURF do not fit a trace's columns: where
the deadline is a constant time after the submission, ``meta["deadline_after_arrival_s"]`` has it.

Source: Mastenbroek et al., "OpenDC 2.0", CCGrid 2021; Shen et al., CCGrid 2015 (Bitbrains).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.traces.columns import F64, MAX_QUANTITY, Trace
from rlsched.traces.readers.parquet_table import parquet_names, read_parquet, time_kind
from rlsched.traces.readers.source import hash_file
from rlsched.traces.readers.table import Column, Table, check_choice
from rlsched.traces.readers.times import whole_number, whole_times
from rlsched.traces.store import PARQUET_MAGIC
from rlsched.units import MCORE_PER_CORE

MEM_UNITS = {"bytes": 1 / 2**20, "kib": 1 / 1024, "mib": 1.0}
NAMES = {"id", "submission_time", "duration", "cpu_count", "cpu_capacity", "mem_capacity"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a Parquet file with the columns of a task table."""
    return head.startswith(PARQUET_MAGIC) and set(parquet_names(path)) >= NAMES


def read(path: Path, *, mem_unit: str = "kib", on_bad_row: str = "error") -> Trace:
    """Read ``tasks.parquet``.

    Parameters
    ----------
    path : Path
    mem_unit : {"kib", "mib", "bytes"}
        Of ``mem_capacity``; rounded up to whole MiB.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By submission (ties in the order of the file), the first at 0; ``task_id`` is text;
        ``meta["time_origin_s"]`` is the first submission in seconds since 1970.

    Raises
    ------
    TraceError
    """
    table, meta = read_tasks(path, mem_unit, on_bad_row)
    arrive, depart = whole_times(table["ours.arrive_s"], table["ours.arrive_s"] + table["duration"] / 1000)
    return Trace(
        task_id=table["id"],
        arrive_s=arrive,
        depart_s=depart,
        cpu_mcore=table["cpu_count"] * MCORE_PER_CORE,
        mem_mib=table["ours.mem_mib"],
        source=str(path),
        meta=meta,
        report=table.report(),
    )


def read_tasks(path: Path, mem_unit: str, on_bad_row: str) -> tuple[Table, dict[str, Any]]:
    """The checked table in the order of the trace, with ``ours.arrive_s`` and ``ours.mem_mib``; provenance."""
    check_choice("mem_unit", mem_unit, list(MEM_UNITS))
    stamp = time_kind(path, "submission_time")
    has_deadline = "deadline" in parquet_names(path)
    columns = [
        Column("id", "text"),
        Column("submission_time", stamp),
        Column("duration"),
        Column("cpu_count"),
        Column("cpu_capacity", "float"),
        Column("mem_capacity"),
    ]
    if has_deadline:
        columns.append(Column("deadline", time_kind(path, "deadline"), may_be_empty=True))
    table = read_parquet(path, columns, on_bad_row=on_bad_row)
    table.require("duration", table["duration"] >= 0, ">= 0")
    table.require("cpu_count", (table["cpu_count"] > 0) & (table["cpu_count"] < MAX_QUANTITY / 1000), "> 0")
    table.require("cpu_capacity", table["cpu_capacity"] > 0, "> 0")
    table.require("mem_capacity", table["mem_capacity"] >= 0, ">= 0")
    table.require_unique("id")
    submitted = _seconds(table["submission_time"], stamp)
    origin = float(submitted.min()) if submitted.size else 0.0
    table.add("ours.arrive_s", submitted - origin)
    table.sort_by("ours.arrive_s", "submission_time")
    mem = table["mem_capacity"] * MEM_UNITS[mem_unit]
    table.add("ours.mem_mib", np.ceil(mem).astype(np.int64))
    table.note(table["duration"] == 0, "duration 0", "kept, leaving the moment it comes")
    table.note(mem != np.ceil(mem), f"mem_capacity (in {mem_unit}) is not whole MiB", "with mem_mib rounded up")
    if len(table) > 1 and np.unique(table["mem_capacity"]).size == 1:
        constant = int(table["mem_capacity"][0])
        table.note(np.ones(len(table), bool), f"mem_capacity is {constant} in every row", "kept: it says nothing")
    meta: dict[str, Any] = {
        "files": {str(path): hash_file(path)},
        "time_origin_s": whole_number(origin),
        "memory_unit": f"mem_capacity taken as {mem_unit}",
        "columns_ignored": [name for name in table.ignored if name != "deadline"],
    }
    if has_deadline:
        after = _seconds(table["deadline"], time_kind(path, "deadline")) - origin - table["ours.arrive_s"]
        constant_after = np.unique(after[~table.missing["deadline"]])
        if constant_after.size == 1 and not table.missing["deadline"].any():
            meta["deadline_after_arrival_s"] = whole_number(float(constant_after[0]))
        else:
            table.note(np.ones(len(table), bool), "a trace has no column for a deadline", "read without its deadline")
    return table, meta


def _seconds(values: F64, kind: str) -> F64:
    return values if kind == "datetime" else values / 1000

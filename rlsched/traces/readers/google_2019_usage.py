"""Google 2019: ``instance_usage`` of single tasks, as flattened CSV.

Columns of the BigQuery table, among them ``time`` (us, start of the window), ``unique_id``,
``avg_cpu_usage, max_cpu_usage, avg_memory_usage``, ``cpu_limit``, ``memory_limit`` (normalised units). The
share is the average over the limit of the same row; a row whose limit is 0 has a missing share.
CPU passes the limit (up to 4.3 times in job 382), which is kept and counted. Windows may be shorter
than five minutes: they are averaged into their slot (unweighted). A slot in which the task did not run is
missing. Sizes are unknown, as the units are normalised.

Source: Tirmazi et al., "Borg: the Next Generation", EuroSys 2020.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import F64, DropReport, Usage
from rlsched.traces.readers.slots import Slots, gridded, merge_reports
from rlsched.traces.readers.source import first_head, header_names, list_tree
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column, Table

US = 1_000_000
_USED = ("avg_cpu_usage", "max_cpu_usage", "avg_memory_usage")
_LIMITS = ("cpu_limit", "memory_limit")
_MARKS = {"time", "unique_id", "collection_id", "instance_index", *_USED, *_LIMITS}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is that of the table."""
    return set(header_names(first_head(path) if path.is_dir() else head)) >= _MARKS


def read(path: Path, *, step_s: int = 300, on_bad_row: str = "error") -> Usage:
    """Read one task, or a folder of them.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a slot.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        A series a ``unique_id``, on the clock of the trace (which begins at 600 s, some windows
        at 300). ``extra``: ``cpu_max_share`` of the limit, and ``cpu_ncu``, ``mem_ncu``: the
        normalised averages.

    Raises
    ------
    TraceError
    """
    slots = Slots(step_s, ("cpu", "cpu_max", "mem", "cpu_ncu", "mem_ncu"))
    columns = (
        Column("time"),
        Column("unique_id", "text"),
        *(Column(name, "float", may_be_empty=True) for name in (*_USED, *_LIMITS)),
    )
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    paths = list_tree(path) if path.is_dir() else [path]
    for file in paths:
        blocks = CsvBlocks(file, columns, on_bad_row=on_bad_row)
        for table in blocks:
            table.require("time", table["time"] >= 0, ">= 0")
            for name in (*_USED, *_LIMITS):
                table.require(name, np.isnan(table[name]) | (table[name] >= 0), ">= 0, or empty")
            values = {
                "cpu": _share(table, "avg_cpu_usage", "cpu_limit"),
                "cpu_max": _share(table, "max_cpu_usage", "cpu_limit"),
                "mem": _share(table, "avg_memory_usage", "memory_limit"),
                "cpu_ncu": table["avg_cpu_usage"],
                "mem_ncu": table["avg_memory_usage"],
            }
            table.note(values["cpu"] > 1, "more CPU than the limit", "kept with a cpu_share above 1")
            table.note(values["mem"] > 1, "more memory than the limit", "kept with a mem_share above 1")
            for name in _LIMITS:
                table.note(~(table[name] > 0), f"no {name}", "given a missing share")
            slots.add(table["unique_id"], table["time"] / US, values)
            reports.append(table.report())
        hashes[str(file)] = blocks.sha256
    series = slots.ragged(str(path))
    return Usage(
        series_id=series.ids,
        offset=series.offset,
        start_s=series.start_s,
        step_s=step_s,
        cpu_share=series.values["cpu"],
        mem_share=series.values["mem"],
        extra={
            "cpu_max_share": series.values["cpu_max"],
            "cpu_ncu": series.values["cpu_ncu"],
            "mem_ncu": series.values["mem_ncu"],
        },
        source=str(path),
        meta={"files": hashes},
        report=gridded(merge_reports(reports, len(paths) > 1), step_s, series.merged, series.gaps),
    )


def _share(table: Table, used: str, limit: str) -> F64:
    out = np.full(len(table), np.nan)
    np.divide(table[used], table[limit], out=out, where=table[limit] > 0)
    return out

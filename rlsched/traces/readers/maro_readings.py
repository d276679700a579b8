"""CPU readings as MARO prepares them from Azure 2019: ``timestamp, vmid, maxcpu``, by tick.

The one value is the maximum of the five minutes, in percent: ``cpu_share`` holds it. One of MARO's
files ends its lines with a carriage return alone; that is understood, too.

Source: microsoft/maro, tests/data/vm_scheduling.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rlsched.traces.columns import DropReport, Usage
from rlsched.traces.readers.slots import Slots, gridded, merge_reports
from rlsched.traces.readers.source import first_head, header_names, list_tree, read_source
from rlsched.traces.readers.table import Column, read_csv

TICK_S = 300


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is ``timestamp,vmid,maxcpu``."""
    head = first_head(path) if path.is_dir() else head
    return header_names(_lines(head)) == ["timestamp", "vmid", "maxcpu"]


def read(path: Path, *, tick_s: int = TICK_S, on_bad_row: str = "error") -> Usage:
    """Read one file, or a folder of them.

    Parameters
    ----------
    path : Path
    tick_s : int
        Seconds a tick.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        A series a VM, by number.

    Raises
    ------
    TraceError
    """
    slots = Slots(tick_s, ("maxcpu",))
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    paths = list_tree(path) if path.is_dir() else [path]
    for file in paths:
        columns = (Column("timestamp"), Column("vmid", "text"), Column("maxcpu", "float"))
        source = read_source(file)
        table = read_csv(dataclasses.replace(source, data=_lines(source.data)), columns, on_bad_row=on_bad_row)
        table.require("timestamp", table["timestamp"] >= 0, ">= 0")
        table.require("maxcpu", (table["maxcpu"] >= 0) & (table["maxcpu"] <= 100), "in 0..100")
        slots.add(table["vmid"], table["timestamp"] * tick_s, {"maxcpu": table["maxcpu"] / 100})
        reports.append(table.report())
        hashes[source.name] = source.sha256
    series = slots.ragged(str(path))
    return Usage(
        series_id=series.ids,
        offset=series.offset,
        start_s=series.start_s,
        step_s=tick_s,
        cpu_share=series.values["maxcpu"],
        source=str(path),
        meta={"files": hashes, "tick_s": tick_s, "cpu_share": "the maximum of the step, not its mean"},
        report=gridded(merge_reports(reports, len(paths) > 1), tick_s, series.merged, series.gaps),
    )


def _lines(data: bytes) -> bytes:
    """Line feeds for carriage returns."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

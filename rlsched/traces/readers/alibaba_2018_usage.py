"""Alibaba cluster-trace-v2018: ``machine_usage.csv``, load of machines.

No header: machine, time (s), CPU and memory in percent, memory bandwidth, cache misses (both empty
in most rows), network in and out, disk in percent. Irregular (median a minute) and not in order:
samples are put on a grid of ``step_s`` seconds. A percentage outside 0..100 is invalid by the
trace's own words (-1 and 101 stand for it): missing, and counted.

The file is read in blocks: the original of 8.5 GB needs the memory of its grid, about
100 bytes a machine and step.

Source: Guo et al., "Who Limits the Resource Efficiency of My Datacenter", IWQoS 2019.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.traces.columns import DropReport, Usage
from rlsched.traces.readers.slots import Slots, gridded, label_order, merge_reports
from rlsched.traces.readers.source import first_line
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column

_NAMES = ("machine", "time", "cpu", "memory", "mem_gps", "mkpi", "net_in", "net_out", "disk_io")
_PERCENT = ("cpu", "memory", "net_in", "net_out", "disk_io")
_OTHER = ("mem_gps", "mkpi")
_HEAD = re.compile(r"m_\d+,\d+(,(-?\d+(\.\d+)?)?){7}")
#: Column of the file → name of the extra column, and what it is divided by.
EXTRA = {
    "net_in": ("net_in_share", 100),
    "net_out": ("net_out_share", 100),
    "disk_io": ("disk_io_share", 100),
    "mem_gps": ("mem_bandwidth", 1),
    "mkpi": ("cache_misses_per_kilo_instruction", 1),
}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line is a machine, a time and seven numbers or gaps."""
    return bool(_HEAD.fullmatch(first_line(head)))


def read(path: Path, *, step_s: int = 300, on_bad_row: str = "error") -> Usage:
    """Read the table.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a slot.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        A series a machine, by number. ``extra``: ``net_in_share, net_out_share, disk_io_share``
        (normalised by the source), ``mem_bandwidth`` (normalised) and
        ``cache_misses_per_kilo_instruction``.

    Raises
    ------
    TraceError
    """
    slots = Slots(step_s, (*_PERCENT, *_OTHER))
    columns = (
        Column("machine", "text"),
        Column("time"),
        *(Column(name, "float", may_be_empty=True) for name in (*_PERCENT, *_OTHER)),
    )
    reports: list[DropReport] = []
    blocks = CsvBlocks(path, columns, names=_NAMES, on_bad_row=on_bad_row)
    for table in blocks:
        table.require("time", table["time"] >= 0, ">= 0")
        for name in _OTHER:
            table.require(name, np.isnan(table[name]) | (table[name] >= 0), ">= 0, or empty")
        values = {name: table[name] for name in _OTHER}
        for name in _PERCENT:
            invalid = (table[name] < 0) | (table[name] > 100)
            table.note(invalid, f"{name} outside 0..100 (-1 and 101 mean invalid)", "marked missing")
            values[name] = np.where(invalid, np.nan, table[name])
        slots.add(table["machine"], table["time"], values)
        reports.append(table.report())
    series = slots.ragged(str(path))
    order = _by_number(series.ids)
    length = np.diff(series.offset)
    rows = np.concatenate([np.arange(series.offset[i], series.offset[i + 1]) for i in order])
    return Usage(
        series_id=series.ids[order],
        offset=np.concatenate([[0], np.cumsum(length[order])]),
        start_s=series.start_s[order],
        step_s=step_s,
        cpu_share=series.values["cpu"][rows] / 100,
        mem_share=series.values["memory"][rows] / 100,
        extra={ours: series.values[theirs][rows] / divisor for theirs, (ours, divisor) in EXTRA.items()},
        source=str(path),
        meta={"files": {str(path): blocks.sha256}},
        report=gridded(merge_reports(reports, several=False), step_s, series.merged, series.gaps),
    )


def _by_number(ids: np.ndarray[tuple[int], np.dtype[np.object_]]) -> list[int]:
    """m_2 before m_10."""
    return sorted(range(len(ids)), key=lambda i: label_order(str(ids[i]).removeprefix("m_")))

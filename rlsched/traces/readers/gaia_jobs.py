"""GAIA: 100,000 batch jobs a year, sampled from Azure and Alibaba PAI (``arrival_time, length, cpus``).

Times are hours; they become whole seconds (the nearest, which is what the authors divided by
3,600). The file has no memory (0 MiB). Core counts above 8 are buckets (24 and 30) in the Azure
file. The authors stretched weeks to a year: for shifting jobs in time, not for bursts.

Source: Hanafy et al., "Going Green for Less Green", ASPLOS 2024.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import MAX_QUANTITY, Trace
from rlsched.traces.readers.source import header_names
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column
from rlsched.units import MCORE_PER_CORE, SECONDS_PER_HOUR

_LONGEST_H = 10**9  # an hour count beyond it is no time
_NEAR_S = 1e-3  # an hour count printed with 15 figures is off by less


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is ``arrival_time,length,cpus``."""
    return header_names(head) == ["arrival_time", "length", "cpus"]


def read(path: Path, *, on_bad_row: str = "error") -> Trace:
    """Read the jobs.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        int64 seconds from the begin of the year; ``task_id`` is the row of the file.

    Raises
    ------
    TraceError
    """
    columns = (Column("arrival_time", "float"), Column("length", "float"), Column("cpus", "float"))
    table, sha256 = read_csv_file(path, columns, on_bad_row=on_bad_row)
    for name, zero in (("arrival_time", True), ("length", False)):
        good = (table[name] > 0) | (zero & (table[name] == 0))
        table.require(
            name, good & (table[name] <= _LONGEST_H), f"{'>=' if zero else '>'} 0 and at most {_LONGEST_H:,} h"
        )
    most = MAX_QUANTITY // MCORE_PER_CORE
    table.require("cpus", (table["cpus"] > 0) & (table["cpus"] <= most), f"> 0 and at most {most}")
    table.sort_by("arrival_time")
    arrive = table["arrival_time"] * SECONDS_PER_HOUR
    life = table["length"] * SECONDS_PER_HOUR
    off = np.maximum(np.abs(arrive - np.rint(arrive)), np.abs(life - np.rint(life))) > _NEAR_S
    table.note(off, "a time that is not whole seconds", "rounded to the nearest second")
    cpu = table["cpus"] * MCORE_PER_CORE
    table.note(cpu != np.ceil(cpu), "cpus that are not whole millicores", "rounded up")
    table.note(np.ones(len(table), bool), "no memory in the file", "given 0 MiB")
    start = np.rint(arrive).astype(np.int64)
    return Trace(
        task_id=table.rows,
        arrive_s=start,
        depart_s=start + np.rint(life).astype(np.int64),
        cpu_mcore=np.ceil(cpu).astype(np.int64),
        mem_mib=np.zeros(len(table), np.int64),
        source=str(path),
        meta={"files": {str(path): sha256}},
        report=table.report(),
    )

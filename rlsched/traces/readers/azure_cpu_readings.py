"""Azure V1 and V2: the original ``vm_cpu_readings-file-*.csv``, 5-minute CPU of VMs.

No header: time (s), VM, minimum, maximum and average CPU in percent of the VM's cores. A folder of
such files is one measurement. The files are read in blocks, so what it takes is the grid: about
60 bytes a VM and five minutes.

Source: Cortez et al., "Resource Central", SOSP 2017; Azure Public Dataset.
"""

from __future__ import annotations

import re
from pathlib import Path

from rlsched.traces.columns import DropReport, Usage
from rlsched.traces.readers.slots import Slots, gridded, merge_reports
from rlsched.traces.readers.source import first_head, first_line, list_tree
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column

STEP_S = 300
_NAMES = ("time", "vm", "min_cpu", "max_cpu", "avg_cpu")
_VALUES = ("min_cpu", "max_cpu", "avg_cpu")
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line, or that of a folder's first file, is a time, a hash and three numbers."""
    fields = first_line(first_head(path) if path.is_dir() else head).split(",")
    return (
        len(fields) == len(_NAMES)
        and fields[0].isdigit()
        and len(fields[1]) >= 16
        and not fields[1].isdigit()
        and all(_NUMBER.fullmatch(one) for one in fields[2:])
    )


def read(path: Path, *, step_s: int = STEP_S, on_bad_row: str = "error") -> Usage:
    """Read one file, or a folder of them.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a slot.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        A series a VM, by name; ``cpu_share`` is the average, ``extra`` has ``cpu_min_share`` and
        ``cpu_max_share``.

    Raises
    ------
    TraceError
    """
    slots = Slots(step_s, _VALUES)
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    columns = (Column("time"), Column("vm", "text"), *(Column(name, "float") for name in _VALUES))
    paths = list_tree(path) if path.is_dir() else [path]
    for file in paths:
        blocks = CsvBlocks(file, columns, names=_NAMES, on_bad_row=on_bad_row)
        for table in blocks:
            for name in _VALUES:
                table.require(name, (table[name] >= 0) & (table[name] <= 100), "in 0..100")
            slots.add(table["vm"], table["time"], {name: table[name] / 100 for name in _VALUES})
            reports.append(table.report())
        hashes[str(file)] = blocks.sha256
    series = slots.ragged(str(path))
    return Usage(
        series_id=series.ids,
        offset=series.offset,
        start_s=series.start_s,
        step_s=step_s,
        cpu_share=series.values["avg_cpu"],
        extra={"cpu_min_share": series.values["min_cpu"], "cpu_max_share": series.values["max_cpu"]},
        source=str(path),
        meta={"files": hashes},
        report=gridded(merge_reports(reports, len(paths) > 1), step_s, series.merged, series.gaps),
    )

"""Cloud Cluster Capacity, 2024: CPU and memory in use by the pools of a company's clusters, 30 s.

Month files (no header): pool, time, a second time (mostly empty, not read), CPU in use (cores),
memory in use (GiB by size; the source does not say). Day files (no header): time, CPU. A folder
is read with everything below it; ``files`` chooses which of the two kinds. Samples are put on a
30 s grid; the source itself repeats values where it had none. A slot without a row is missing:
about three days between the two files of August.

Source: Cloud-Cluster-Capacity-Dataset (Apache-2.0).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand, Drop, DropReport
from rlsched.traces.readers.slots import Slots, gridded, merge_reports
from rlsched.traces.readers.source import Source, first_head, first_line, list_tree, read_source
from rlsched.traces.readers.table import Column, Table, check_choice, read_csv

STEP_S = 30
_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_MONTH = re.compile(rf"[^,\d][^,]*,{_STAMP},({_STAMP})?,[\d.]+,[\d.]+")
_DAY = re.compile(rf"{_STAMP},[\d.]+")
_MONTH_NAMES = ("pool", "time", "second_time", "cpu", "memory")
UNITS = {"cpu": "cores", "memory": "GiB"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line, or that of a folder's first file, is of a month or a day."""
    line = first_line(first_head(path) if path.is_dir() else head)
    return bool(_MONTH.fullmatch(line) or _DAY.fullmatch(line))


def read(path: Path, *, measure: str = "cpu", files: str = "months", on_bad_row: str = "error") -> Demand:
    """Read a month or day file, a pool's folder, or a folder of pools.

    Parameters
    ----------
    path : Path
    measure : {"cpu", "memory"}
        Cores, or GiB; day files have no memory.
    files : {"months", "days"}
        Which files of a folder.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A service a pool, in ``cores`` or ``GiB``; 30 s a step, the first at 0
        (``meta["time_origin_s"]``). The pool of a day file is the name of its folder.

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(UNITS))
    check_choice("files", files, ("months", "days"))
    slots = Slots(STEP_S, ("value",))
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    left = 0
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        is_month = bool(_MONTH.fullmatch(first_line(source.data[:4096])))
        if path.is_dir() and is_month != (files == "months"):
            left += 1
            continue
        table = _table(source, measure, on_bad_row, is_month)
        pool = table["pool"] if is_month else np.full(len(table), file.absolute().parent.name, object)
        slots.add(pool, table["time"], {"value": table[measure]})
        reports.append(table.report())
        hashes[source.name] = source.sha256
    if not reports:
        raise TraceError(f"there must be files of {files}: {path} holds none. Choose the others with files=.")
    grid = slots.dense(str(path))
    report = gridded(merge_reports(reports, len(reports) > 1), STEP_S, grid.merged, grid.gaps)
    if left:
        aside = Drop(f"a file of {'days' if files == 'months' else 'months'}", "left aside, unread", left)
        report = DropReport(report.rows_read, report.rows_kept, (*report.drops, aside))
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=STEP_S,
        rate=grid.values["value"],
        unit=UNITS[measure],
        source=str(path),
        meta={"files": hashes, "time_origin_s": grid.start_s},
        report=report,
    )


def _table(source: Source, measure: str, on_bad_row: str, is_month: bool) -> Table:
    if not is_month and measure != "cpu":
        raise TraceError(f"a day file has CPU only: {source.name} has no {measure}. Read month files, or measure=cpu.")
    columns = [Column("time", "datetime"), Column(measure, "float")]
    names = _MONTH_NAMES if is_month else ("time", "cpu")
    if is_month:
        columns.append(Column("pool", "text"))
    table = read_csv(source, columns, names=names, on_bad_row=on_bad_row)
    table.require(measure, table[measure] >= 0, ">= 0")
    table.sort_by("time")
    return table

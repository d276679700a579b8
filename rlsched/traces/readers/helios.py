"""SenseTime Helios, 2020: jobs and GPUs of virtual clusters by the minute.

``<virtual cluster>/cluster_sequence_vc.csv``: ``time``, jobs and GPUs that are there, running,
pending and idle, and their split by size. The name of the virtual cluster is that of the folder.
A folder is read with everything below it; other files in it are left aside.

Source: Hu, Sun, Yan, Wen, Zhang, SC 2021 (reconstructed by the authors from the job log).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand, Drop, DropReport
from rlsched.traces.readers.slots import Slots, gridded, merge_reports
from rlsched.traces.readers.source import header_names, list_tree, read_head
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, check_choice

STEP_S = 60
#: What is asked for → the columns that are added up, and their unit.
MEASURES = {
    "gpus_in_use": (("running_gpu_num",), "gpus"),
    "gpus_wanted": (("running_gpu_num", "pending_gpu_num"), "gpus"),
    "gpus_pending": (("pending_gpu_num",), "gpus"),
    "gpus_total": (("total_gpu_num",), "gpus"),
    "jobs_running": (("running_job_num",), "jobs"),
    "jobs_pending": (("pending_job_num",), "jobs"),
}
_MARKS = {"time", "total_gpu_num", "running_gpu_num", "pending_gpu_num", "gpu_utilization"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of one of a folder's first three files, is that of a sequence."""
    if path.is_dir():
        return any(set(header_names(read_head(file))) >= _MARKS for file in list_tree(path)[:3])
    return set(header_names(head)) >= _MARKS


def read(path: Path, *, measure: str = "gpus_in_use", on_bad_row: str = "error") -> Demand:
    """Read one virtual cluster, or a folder of them.

    Parameters
    ----------
    path : Path
    measure : {"gpus_in_use", "gpus_wanted", "gpus_pending", "gpus_total", "jobs_running", "jobs_pending"}
        ``gpus_wanted`` is those in use and those pending jobs ask for.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A row a virtual cluster, in ``gpus`` or ``jobs``; the first minute is 0
        (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(MEASURES))
    names, unit = MEASURES[measure]
    slots = Slots(STEP_S, ("value",))
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    left = 0
    for file in list_tree(path) if path.is_dir() else [path]:
        if path.is_dir() and not set(header_names(read_head(file))) >= _MARKS:
            left += 1
            continue
        columns = [Column("time", "datetime"), *(Column(name, "float") for name in names)]
        table, sha256 = read_csv_file(file, columns, on_bad_row=on_bad_row)
        for name in names:
            table.require(name, table[name] >= 0, ">= 0")
        table.sort_by("time")
        cluster = np.full(len(table), file.absolute().parent.name, object)
        slots.add(cluster, table["time"], {"value": np.sum([table[name] for name in names], axis=0)})
        reports.append(table.report())
        hashes[str(file)] = sha256
    if not reports:
        raise TraceError(f"a folder must hold sequences of virtual clusters: {path} holds none. Name another folder.")
    grid = slots.dense(str(path))
    report = gridded(merge_reports(reports, len(reports) > 1), STEP_S, grid.merged, grid.gaps)
    if left:
        aside = Drop("a file that is no sequence of a virtual cluster", "left aside, unread", left)
        report = DropReport(report.rows_read, report.rows_kept, (*report.drops, aside))
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=STEP_S,
        rate=grid.values["value"],
        unit=unit,
        source=str(path),
        meta={"files": hashes, "time_origin_s": grid.start_s, "measure": measure},
        report=report,
    )

"""Alibaba cluster-trace-v2018: mean over all machines, a day a file, without times.

``machine_usage_day_<k>_grouped_<s>_seconds.csv``: mean of ``cpu_util_percent, mem_util_percent, net_in,
net_out, disk_io_percent`` over all machines, one row each ``s`` seconds. There is no time column: row
``i`` is taken for second ``(k - 1) * 86,400 + i * s``. That is right only where no row is missing. Day 2
has 6,762 of 8,640 rows and does not say which are gone, so its later times are wrong by up to
5.2 hours; the report says how many rows a day lacks or has too many. Each day is a series.

Source: Guo et al., IWQoS 2019; DataCenter-Traces-Datasets (doi:10.5281/zenodo.14564847).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import Drop, DropReport, Usage
from rlsched.traces.readers.slots import merge_reports
from rlsched.traces.readers.source import first_head, header_names, list_tree, plain_name, read_source
from rlsched.traces.readers.table import Column, Table, read_csv

DAY_S = 86_400
_VALUES = ("cpu_util_percent", "mem_util_percent", "net_in", "net_out", "disk_io_percent")
_NAME = re.compile(r".*day_(\d+)_grouped_(\d+)_seconds")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is that of the means."""
    return header_names(first_head(path) if path.is_dir() else head) == list(_VALUES)


def read(path: Path, *, step_s: int = 0) -> Usage:
    """Read one day, or a folder of days.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a row. 0 takes it from the name of the file; of a folder, 300, and files of
        another step are left aside.

    Returns
    -------
    Usage
        A series a day, ``day_<k>``; ``extra`` has ``net_in_share, net_out_share, disk_io_share``.

    Raises
    ------
    TraceError
        A bad row is never skipped: without times that would shift the rest.
    """
    days: list[tuple[int, Table]] = []
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    left = 0
    if step_s < 0:
        raise SpecError(f"step_s must be > 0, or 0 for that of the name: got {step_s}.")
    wanted = step_s or 300
    for file in list_tree(path) if path.is_dir() else [path]:
        name = _NAME.fullmatch(plain_name(file))
        step = int(name[2]) if name else step_s
        if path.is_dir() and step != wanted:
            left += 1
            continue
        if not path.is_dir():
            if step == 0:
                raise TraceError(f"the seconds of a row must be known: the name of {file} does not say. Give step_s=.")
            wanted = step
        source = read_source(file)
        table = read_csv(source, [Column(one, "float") for one in _VALUES])
        for one in _VALUES:
            table.require(one, (table[one] >= 0) & (table[one] <= 100), "in 0..100", "Fix the row.")
        day = int(name[1]) if name else 1
        if day in [one for one, _ in days]:
            raise TraceError(f"a day must have one file: {path} has several for day {day}. Keep one.")
        lack = DAY_S // wanted - len(table)
        report = table.report()
        if lack:
            what = f"day {day} has {abs(lack)} rows {'less' if lack > 0 else 'more'} than {DAY_S // wanted}"
            odd = Drop(what, "kept, taken as if none were missing", len(table))
            report = DropReport(report.rows_read, report.rows_kept, (*report.drops, odd))
        days.append((day, table))
        reports.append(report)
        hashes[source.name] = source.sha256
    if not days:
        raise TraceError(f"there must be files of {wanted} s a row: {path} holds none. Choose step_s=.")
    days.sort(key=lambda one: one[0])
    values = {one: np.concatenate([table[one] for _, table in days]) / 100 for one in _VALUES}
    report = merge_reports(reports, len(days) > 1)
    if left:
        aside = Drop(f"a file that has not {wanted} s a row", "left aside, unread", left)
        report = DropReport(report.rows_read, report.rows_kept, (*report.drops, aside))
    return Usage(
        series_id=np.array([f"day_{day}" for day, _ in days], object),
        offset=np.concatenate([[0], np.cumsum([len(table) for _, table in days])]),
        start_s=np.array([(day - 1) * DAY_S for day, _ in days], np.int64),
        step_s=wanted,
        cpu_share=values["cpu_util_percent"],
        mem_share=values["mem_util_percent"],
        extra={
            "net_in_share": values["net_in"],
            "net_out_share": values["net_out"],
            "disk_io_share": values["disk_io_percent"],
        },
        source=str(path),
        meta={"files": hashes},
        report=report,
    )

"""Azure Functions, 2021: single invocations (``app, func, end_timestamp, duration``), binned to a rate.

An invocation starts at ``end_timestamp - duration`` (seconds); that is the moment it is counted. A step
without one has the rate 0; before a service's first and after its last it is missing where others were seen.

Source: Zhang et al., "Faster and Cheaper Serverless Computing on Harvested Resources", SOSP 2021.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand, DropReport
from rlsched.traces.readers.slots import Slots, merge_reports, outside_missing
from rlsched.traces.readers.source import header_names
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column, check_choice


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the trace."""
    return header_names(head) == ["app", "func", "end_timestamp", "duration"]


def read(path: Path, *, step_s: int = 60, by: str = "all", on_bad_row: str = "error") -> Demand:
    """Read the invocations.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a step.
    by : {"all", "app", "func"}
        What a row is: everything together, an application, or a function of one.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        In requests/s, on the clock of the file.

    Raises
    ------
    TraceError
    """
    check_choice("by", by, ("all", "app", "func"))
    columns = (
        Column("app", "text"),
        Column("func", "text"),
        Column("end_timestamp", "float"),
        Column("duration", "float"),
    )
    slots = Slots(step_s, ("amount",))
    reports: list[DropReport] = []
    blocks = CsvBlocks(path, columns, on_bad_row=on_bad_row)
    for table in blocks:
        table.require("duration", table["duration"] >= 0, ">= 0")
        start = table["end_timestamp"] - table["duration"]
        table.note(start < 0, "started before second 0", "counted before it")
        label = {
            "all": np.full(len(table), "all", object),
            "app": table["app"],
            "func": table["app"] + "/" + table["func"],
        }[by]
        slots.add(label, start, {"amount": np.ones(len(table))})
        reports.append(table.report())
    grid = slots.dense(str(path), add_up=True, empty=0.0)
    rate, report = outside_missing(grid, grid.values["amount"] / step_s, merge_reports(reports, several=False))
    return Demand(
        service_id=grid.ids,
        start_s=grid.start_s,
        step_s=step_s,
        rate=rate,
        unit="requests/s",
        source=str(path),
        meta={"files": {str(path): blocks.sha256}},
        report=report,
    )

"""Alibaba GenAI 2026 (GenTD26): user requests for images, binned to a rate.

``lora_request_trace.csv``: one row a request, ``gmt_create`` (taken as UTC) and what was asked for. A step
without a request has the rate 0. Requests that failed or are pending are demand, too; the report counts
them. ``measure`` chooses what is added up: requests, seconds of execution (so that the rate is the mean
number of busy executors), or images.

Source: Lin et al., "Understanding Diffusion Model Serving in Production", SoCC 2025.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand, DropReport
from rlsched.traces.readers.slots import Slots, merge_reports, outside_missing
from rlsched.traces.readers.source import header_names
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column, check_choice

#: What is added up → its column, and the unit of the rate.
MEASURES = {
    "requests": ("", "requests/s"),
    "busy": ("exec_time_seconds", "busy executors"),
    "images": ("num_images_per_prompt", "images/s"),
}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the requests."""
    return {"gmt_create", "predict_status", "exec_time_seconds", "num_lora"} <= set(header_names(head))


def read(path: Path, *, step_s: int = 600, measure: str = "requests", on_bad_row: str = "error") -> Demand:
    """Read the requests.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a step.
    measure : {"requests", "busy", "images"}
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A row a ``predict_type``; the first step is 0 (``meta["time_origin_s"]``). An amount is
        counted in the step its request came in.

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(MEASURES))
    name, unit = MEASURES[measure]
    columns = [Column("gmt_create", "datetime"), Column("predict_type", "text"), Column("predict_status", "text")]
    if name:
        columns.append(Column(name, "float", may_be_empty=True))
    slots = Slots(step_s, ("amount",))
    reports: list[DropReport] = []
    blocks = CsvBlocks(path, columns, on_bad_row=on_bad_row)
    for table in blocks:
        table.note(table["predict_status"] != "SUCCEED", "the request did not succeed", "kept: it was demand")
        amount = np.ones(len(table))
        if name:
            table.require(name, np.isnan(table[name]) | (table[name] >= 0), ">= 0, or empty")
            table.note(np.isnan(table[name]), f"no {name}", "counted as 0")
            amount = np.nan_to_num(table[name])
        slots.add(table["predict_type"], table["gmt_create"], {"amount": amount})
        reports.append(table.report())
    grid = slots.dense(str(path), add_up=True, empty=0.0)
    rate, report = outside_missing(grid, grid.values["amount"] / step_s, merge_reports(reports, several=False))
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=step_s,
        rate=rate,
        unit=unit,
        source=str(path),
        meta={"files": {str(path): blocks.sha256}, "time_origin_s": grid.start_s, "measure": measure},
        report=report,
    )

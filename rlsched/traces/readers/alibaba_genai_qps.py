"""Alibaba GenAI 2026 (GenTD26): requests a second of containers, by kind of request.

``timestamp_anon, value, container_ip, request_type`` in any order, in a ``.tar.gz`` of one file or
unpacked. The rate of a tick is the sum over the containers. The clock was scaled by the authors: a
tick is 57 s and the day 0.95 days, which is left as it is (``meta["clock_scale"]``). Values are
rescaled, too. A tick without a row is missing before a service's first and after its last, 0 between.

Source: Lin et al., "Understanding Diffusion Model Serving in Production", SoCC 2025.
"""

from __future__ import annotations

from pathlib import Path

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, outside_missing
from rlsched.traces.readers.source import header_names, is_tar, only_member, read_source, tar_head
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 57
CLOCK_SCALE = 0.95
_MARKS = {"timestamp_anon", "value", "container_ip"}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header, inside the archive or not, is that of the rates."""
    names = set(header_names(tar_head(head)[1] if is_tar(head) else head))
    return names >= _MARKS and "request_type" in names


def read(path: Path, *, step_s: int = STEP_S, on_bad_row: str = "error") -> Demand:
    """Read the rates.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a step; the sum over the containers is a mean over its ticks of 57 s only where it
        is 57.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A row a kind of request, in requests/s; the first step is 0 (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    columns = (Column("timestamp_anon", "float"), Column("value", "float"), Column("request_type", "text"))
    table = read_csv(only_member(source), columns, on_bad_row=on_bad_row)
    table.require("value", table["value"] >= 0, ">= 0")
    slots = Slots(step_s, ("value",))
    slots.add(table["request_type"], table["timestamp_anon"], {"value": table["value"] * (STEP_S / step_s)})
    grid = slots.dense(source.name, add_up=True, empty=0.0)
    rate, report = outside_missing(grid, grid.values["value"], table.report())
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=step_s,
        rate=rate,
        unit="requests/s",
        source=source.name,
        meta={
            "files": {source.name: source.sha256},
            "time_origin_s": grid.start_s,
            "clock_scale": CLOCK_SCALE,
        },
        report=report,
    )

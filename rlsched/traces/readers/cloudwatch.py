"""AWS CloudWatch metrics of the Numenta Anomaly Benchmark: ``timestamp, value``, 5 minutes.

What is measured is in the name of the file only; ``metric`` names it otherwise. Percent stay percent;
bytes and requests of five minutes become a rate by the second. Stamps that repeat (clock changes) are
averaged into their slot, slots without a row are missing. The series hold known anomalies on purpose.

Source: Ahmad, Lavin, Purdy, Agha, Neurocomputing 262, 2017.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, plain_name, read_source
from rlsched.traces.readers.table import Column, check_choice, read_csv

STEP_S = 300
#: Metric → unit after reading, and what the value is divided by.
METRICS = {
    "cpu": ("percent", 1),
    "disk_write": ("bytes/s", STEP_S),
    "network_in": ("bytes/s", STEP_S),
    "requests": ("requests/s", STEP_S),
    "latency": ("as measured", 1),
}
_IN_NAME = {
    "cpu_utilization": "cpu",
    "asg_anomaly": "cpu",
    "disk_write_bytes": "disk_write",
    "network_in": "network_in",
    "NetworkIn": "network_in",
    "request_count": "requests",
    "request_latency": "latency",
}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is ``timestamp,value``."""
    return header_names(head) == ["timestamp", "value"]


def read(path: Path, *, metric: str = "auto", on_bad_row: str = "error") -> Demand:
    """Read one metric.

    Parameters
    ----------
    path : Path
    metric : {"auto", "cpu", "disk_write", "network_in", "requests", "latency"}
        What is measured; ``auto`` takes it from the name of the file.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        One row, named as the file; the first slot is 0 (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    check_choice("metric", metric, ["auto", *METRICS])
    if metric == "auto":
        found = [kind for mark, kind in _IN_NAME.items() if mark in path.name]
        if not found:
            raise TraceError(
                f"what is measured must be known: the name of {path} does not say. Give metric=, one of "
                f"{', '.join(METRICS)}."
            )
        metric = found[0]
    unit, divisor = METRICS[metric]
    source = read_source(path)
    table = read_csv(source, (Column("timestamp", "datetime"), Column("value", "float")), on_bad_row=on_bad_row)
    table.require("value", table["value"] >= 0, ">= 0")
    table.sort_by("timestamp")
    slots = Slots(STEP_S, ("value",))
    slots.add(np.full(len(table), plain_name(path), object), table["timestamp"], {"value": table["value"] / divisor})
    grid = slots.dense(source.name)
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=STEP_S,
        rate=grid.values["value"],
        unit=unit,
        source=source.name,
        meta={"files": {source.name: source.sha256}, "time_origin_s": grid.start_s, "metric": metric},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

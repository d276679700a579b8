"""Azure V2 (2019), region total: ``timestamp`` (s), ``cpu_usage``, ``assigned_mem`` (GB), 5 minutes.

``cpu_usage`` is the sum over the VMs of percent times cores: divided by 100, busy cores.

Source: Cortez et al., SOSP 2017 (dataset V2); amcs1729/Predicting-cloud-CPU-usage-on-Azure-data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, check_choice, read_csv

STEP_S = 300
#: What is asked for → column, divisor, unit.
MEASURES = {"cpu": ("cpu_usage", 100.0, "cores"), "memory": ("assigned_mem", 1.0, "GB")}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the total."""
    return header_names(head) == ["timestamp", "cpu_usage", "assigned_mem"]


def read(path: Path, *, measure: str = "cpu", on_bad_row: str = "error") -> Demand:
    """Read the total.

    Parameters
    ----------
    path : Path
    measure : {"cpu", "memory"}
        Busy cores, or memory assigned to VMs.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        One row ``region``, in ``cores`` or ``GB``, on the clock of the file.

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(MEASURES))
    name, divisor, unit = MEASURES[measure]
    source = read_source(path)
    table = read_csv(source, (Column("timestamp"), Column(name, "float")), on_bad_row=on_bad_row)
    table.require(name, table[name] >= 0, ">= 0")
    slots = Slots(STEP_S, (name,))
    slots.add(np.full(len(table), "region", object), table["timestamp"], {name: table[name] / divisor})
    grid = slots.dense(source.name)
    return Demand(
        service_id=grid.ids,
        start_s=grid.start_s,
        step_s=STEP_S,
        rate=grid.values[name],
        unit=unit,
        source=source.name,
        meta={"files": {source.name: source.sha256}, "measure": measure},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

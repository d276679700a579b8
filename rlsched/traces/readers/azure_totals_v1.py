"""Azure V1 (2017), region total: ``timestamp, min cpu, max cpu, avg cpu``, 5 minutes.

Sums over all VMs of the region of their utilisation in percent — as we read it; the source does
not say. Use it normalised. The date (2017-01-01) is nominal.

Source: Cortez et al., SOSP 2017; DataCenter-Traces-Datasets (doi:10.5281/zenodo.14564847).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 300
_ROWS = ("avg cpu", "max cpu", "min cpu")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header has a stamp and the three sums."""
    return {"timestamp", *_ROWS} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Demand:
    """Read the totals.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        Rows ``avg cpu``, ``max cpu``, ``min cpu``, in ``percent, summed over VMs``; the first step
        is 0.

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    columns = (Column("timestamp", "datetime"), *(Column(name, "float") for name in _ROWS))
    table = read_csv(source, columns, on_bad_row=on_bad_row)
    for name in _ROWS:
        table.require(name, table[name] >= 0, ">= 0")
    slots = Slots(STEP_S, _ROWS)
    slots.add(np.zeros(len(table), np.int64), table["timestamp"], {name: table[name] for name in _ROWS})
    grid = slots.dense(source.name)
    return Demand(
        service_id=np.array(_ROWS, object),
        start_s=0,
        step_s=STEP_S,
        rate=np.concatenate([grid.values[name] for name in _ROWS]),
        unit="percent, summed over VMs",
        source=source.name,
        meta={"files": {source.name: source.sha256}, "nominal_date_s": grid.start_s},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

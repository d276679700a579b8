"""SenseTime Helios, 2020: GPUs of each virtual cluster of Earth by the day (``Earth_gpu_number.csv``).

Columns ``date``, one a virtual cluster, and ``total``, which must be their sum.

Source: Hu, Sun, Yan, Wen, Zhang, SC 2021.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 86_400


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is a date, virtual clusters, and a total."""
    names = header_names(head)
    return (
        len(names) > 2 and names[0] == "date" and names[-1] == "total" and all(n.startswith("vc") for n in names[1:-1])
    )


def read(path: Path, *, on_bad_row: str = "error") -> Demand:
    """Read the numbers of GPUs.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A row a virtual cluster (the total is left out), in ``gpus``; a step is a day, the first
        is 0 (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    names = [name for name in header_names(source.data[:65_536]) if name not in ("date", "total")]
    columns = [Column("date", "datetime"), *(Column(name) for name in names), Column("total")]
    table = read_csv(source, columns, on_bad_row=on_bad_row)
    for name in names:
        table.require(name, table[name] >= 0, ">= 0")
    table.require("total", table["total"] == np.sum([table[name] for name in names], axis=0), "the sum of the row")
    slots = Slots(STEP_S, names)
    slots.add(np.zeros(len(table), np.int64), table["date"], {name: table[name] for name in names})
    grid = slots.dense(source.name)
    return Demand(
        service_id=np.array(names, object),
        start_s=0,
        step_s=STEP_S,
        rate=np.concatenate([grid.values[name] for name in names]),
        unit="gpus",
        source=source.name,
        meta={"files": {source.name: source.sha256}, "time_origin_s": grid.start_s},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

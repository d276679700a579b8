"""Microsoft Philly, 2017: nodes in use by the minute (``time, active, total``).

A minute without a row is missing: the file has a gap of ten hours.

Source: Jeon et al., USENIX ATC 2019; sequence of the Helios artifact (SC 2021).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 60


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is ``time,active,total``."""
    return header_names(head) == ["time", "active", "total"]


def read(path: Path, *, on_bad_row: str = "error") -> Demand:
    """Read the sequence.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        Rows ``active`` and ``total``, in nodes; the first minute is 0 (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    table = read_csv(source, (Column("time", "datetime"), Column("active"), Column("total")), on_bad_row=on_bad_row)
    table.require("active", (table["active"] >= 0), ">= 0")
    table.require("total", table["total"] >= table["active"], ">= active")
    table.sort_by("time")
    slots = Slots(STEP_S, ("active", "total"))
    slots.add(np.zeros(len(table), np.int64), table["time"], {name: table[name] for name in ("active", "total")})
    grid = slots.dense(source.name)
    return Demand(
        service_id=np.array(["active", "total"], object),
        start_s=0,
        step_s=STEP_S,
        rate=np.concatenate([grid.values["active"], grid.values["total"]]),
        unit="nodes",
        source=source.name,
        meta={"files": {source.name: source.sha256}, "time_origin_s": grid.start_s},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

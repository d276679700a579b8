"""FIFA World Cup 1998: requests to all servers by the minute.

Columns ``period`` (the minute, GMT) and ``count``. A minute without a row is missing, not 0: the
log has ten of them. The rate is the count over 60 seconds.

Source: Arlitt, Jin, "Workload Characterization of the 1998 World Cup Web Site", HPL-1999-35.
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
    """Whether the header is ``period,count``."""
    return header_names(head) == ["period", "count"]


def read(path: Path, *, on_bad_row: str = "error") -> Demand:
    """Read the counts, plain or gzip.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        In requests/s; 60 s a step, the first at 0 (``meta["time_origin_s"]`` is its second).

    Raises
    ------
    TraceError
        A stamp that is no whole minute, or twice the same.
    """
    source = read_source(path)
    table = read_csv(source, (Column("period", "datetime"), Column("count")), on_bad_row=on_bad_row)
    table.require("count", table["count"] >= 0, ">= 0")
    table.require("period", table["period"] % STEP_S == 0, "a whole minute (in seconds since 1970)")
    table.require_unique("period")
    slots = Slots(STEP_S, ("count",))
    slots.add(np.full(len(table), "worldcup98", object), table["period"], {"count": table["count"]})
    grid = slots.dense(source.name)
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=STEP_S,
        rate=grid.values["count"] / STEP_S,
        unit="requests/s",
        source=source.name,
        meta={"files": {source.name: source.sha256}, "time_origin_s": grid.start_s},
        report=gridded(table.report(), STEP_S, grid.merged, grid.gaps),
    )

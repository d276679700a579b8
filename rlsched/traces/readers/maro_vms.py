"""VM tables as MARO prepares them from Azure 2019 (a header, ticks of five minutes).

Columns ``vmid, subscriptionid, deploymentid, vmcreated, [vmlifetime,] vmdeleted, vmcategory,
vmcorecountbucket, vmmemorybucket``; times are ticks, memory GB (taken as GiB). A lifetime that is
not ``vmdeleted - vmcreated`` is refused. The values of MARO's own test files are made up.

Source: microsoft/maro, tests/data/vm_scheduling.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import MAX_QUANTITY, Trace
from rlsched.traces.readers.source import header_names, read_head
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, codes
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB

TICK_S = 300
_COLUMNS = (
    Column("vmid", "text"),
    Column("subscriptionid", "text"),
    Column("deploymentid", "text"),
    *(Column(name) for name in ("vmcreated", "vmdeleted", "vmcategory", "vmcorecountbucket", "vmmemorybucket")),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the table."""
    return {"vmid", "vmcreated", "vmdeleted", "vmcorecountbucket", "vmmemorybucket"} <= set(header_names(head))


def read(path: Path, *, tick_s: int = TICK_S, on_bad_row: str = "error") -> Trace:
    """Read the table.

    Parameters
    ----------
    path : Path
    tick_s : int
        Seconds a tick.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By creation; ``tenant`` the subscription, ``group`` the deployment, priority the category.

    Raises
    ------
    TraceError
    """
    lifetime = "vmlifetime" in header_names(read_head(path))
    columns = (*_COLUMNS, Column("vmlifetime")) if lifetime else _COLUMNS
    table, sha256 = read_csv_file(path, columns, on_bad_row=on_bad_row)
    table.require("vmcreated", table["vmcreated"] >= 0, ">= 0")
    table.require("vmdeleted", table["vmdeleted"] >= table["vmcreated"], ">= vmcreated")
    if lifetime:
        same = table["vmlifetime"] == table["vmdeleted"] - table["vmcreated"]
        table.require("vmlifetime", same, "vmdeleted - vmcreated")
    for name in ("vmcorecountbucket", "vmmemorybucket"):
        table.require(name, (table[name] > 0) & (table[name] < MAX_QUANTITY // MIB_PER_GIB), "> 0")
    table.require_unique("vmid")
    table.sort_by("vmcreated")
    nothing = np.zeros(len(table), bool)
    return Trace(
        task_id=table["vmid"],
        arrive_s=table["vmcreated"] * tick_s,
        depart_s=table["vmdeleted"] * tick_s,
        cpu_mcore=table["vmcorecountbucket"] * MCORE_PER_CORE,
        mem_mib=table["vmmemorybucket"] * MIB_PER_GIB,
        priority=table["vmcategory"],
        tenant=codes(table["subscriptionid"], nothing)[0],
        group=codes(table["deploymentid"], nothing)[0],
        source=str(path),
        meta={"files": {str(path): sha256}, "tick_s": tick_s, "memory_unit": "1 GB of the source is 1 GiB"},
        report=table.report(),
    )

"""Alibaba cluster-trace-v2026-spot-gpu, node list: ``gpu_model, gpu_capacity_num, cpu_num, node_name``.

The list has no memory. ``mem_mib`` states one for every node; it is 0 by default, so that no task
that asks for memory fits until somebody said how much there is.

Source: Duan et al., "GFS", ASPLOS 2026.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.errors import SpecError
from rlsched.traces.columns import MAX_GPUS, Machines
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, codes, read_csv
from rlsched.units import MCORE_PER_CORE

_COLUMNS = (
    Column("gpu_model", "text", may_be_empty=True),
    Column("gpu_capacity_num"),
    Column("cpu_num"),
    Column("node_name", "text"),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the node list."""
    return {column.name for column in _COLUMNS} <= set(header_names(head))


def read(path: Path, *, mem_mib: int = 0, on_bad_row: str = "error") -> Machines:
    """Read the node list.

    Parameters
    ----------
    path : Path
    mem_mib : int
        Memory of every node; the file does not say.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Machines
        In the order of the file; ``gpu_models`` in order of first appearance.

    Raises
    ------
    TraceError
    """
    if isinstance(mem_mib, bool) or not isinstance(mem_mib, int) or mem_mib < 0:
        raise SpecError(f"mem_mib must be a whole number >= 0: got {mem_mib!r}.")
    source = read_source(path)
    table = read_csv(source, _COLUMNS, on_bad_row=on_bad_row)
    gpus = table["gpu_capacity_num"]
    table.require("gpu_capacity_num", (gpus >= 0) & (gpus <= MAX_GPUS), f"in 0..{MAX_GPUS}")
    table.require("cpu_num", table["cpu_num"] > 0, "> 0")
    named = ~table.missing["gpu_model"] | (table["gpu_capacity_num"] == 0)
    table.require("gpu_model", named, "named where gpu_capacity_num > 0")
    table.require_unique("node_name")
    table.note(np.ones(len(table), bool), "the list has no memory", f"given {mem_mib} MiB (mem_mib=)")
    model, names = codes(table["gpu_model"], table.missing["gpu_model"] | (table["gpu_capacity_num"] == 0))
    return Machines(
        machine_id=table["node_name"],
        cpu_mcore=table["cpu_num"] * MCORE_PER_CORE,
        mem_mib=np.full(len(table), mem_mib, np.int64),
        gpu_count=table["gpu_capacity_num"],
        gpu_model=model,
        gpu_models=names,
        source=source.name,
        meta={"files": {source.name: source.sha256}},
        report=table.report(),
    )

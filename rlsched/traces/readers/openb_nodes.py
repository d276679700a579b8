"""Alibaba cluster-trace-gpu-v2023 ("openb"), node lists.

Columns ``sn, cpu_milli, memory_mib, gpu, model``. Power curve, site and price are not known.
"""

from __future__ import annotations

from pathlib import Path

from rlsched.traces.columns import MAX_GPUS, Machines
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, codes, read_csv

COLUMNS = (
    Column("sn", "text"),
    Column("cpu_milli"),
    Column("memory_mib"),
    Column("gpu"),
    Column("model", "text", may_be_empty=True),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of a node list."""
    return {"sn", "cpu_milli", "gpu", "model"} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Machines:
    """Read a node list, plain or gzip.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Machines
        In the order of the file; ``gpu_models`` in order of first appearance.

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    table = read_csv(source, COLUMNS, on_bad_row=on_bad_row)
    table.require("cpu_milli", table["cpu_milli"] >= 0, ">= 0")
    table.require("memory_mib", table["memory_mib"] >= 0, ">= 0")
    table.require("gpu", (table["gpu"] >= 0) & (table["gpu"] <= MAX_GPUS), f"in 0..{MAX_GPUS}")
    table.require("model", ~(table.missing["model"] & (table["gpu"] > 0)), "named where gpu > 0")
    table.require("model", table.missing["model"] | (table["gpu"] > 0), "empty where gpu is 0")
    table.require_unique("sn")
    model, names = codes(table["model"], table.missing["model"])
    return Machines(
        machine_id=table["sn"],
        cpu_mcore=table["cpu_milli"],
        mem_mib=table["memory_mib"],
        gpu_count=table["gpu"],
        gpu_model=model,
        gpu_models=names,
        source=source.name,
        meta={"files": {source.name: source.sha256}},
        report=table.report(),
    )

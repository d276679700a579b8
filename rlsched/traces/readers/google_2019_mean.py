"""Google 2019: mean of a cell every five minutes (``avg_cpu, avg_mem, avg_assigned_mem, ...``).

No times: row ``i`` is second ``300 i`` of the excerpt. Values are shares as the source normalised them.

Source: Tirmazi et al., EuroSys 2020; DataCenter-Traces-Datasets (doi:10.5281/zenodo.14564847).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Usage
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 300
_VALUES = ("avg_cpu", "avg_mem", "avg_assigned_mem", "avg_cycles_per_instruction")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the means."""
    return header_names(head) == list(_VALUES)


def read(path: Path) -> Usage:
    """Read the means.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Usage
        One series ``cell``; ``extra`` has ``assigned_mem_share`` and ``cycles_per_instruction``.

    Raises
    ------
    TraceError
        A negative value. A bad row is never skipped: without times that would shift the rest.
    """
    source = read_source(path)
    table = read_csv(source, [Column(name, "float") for name in _VALUES])
    for name in _VALUES:
        table.require(name, table[name] >= 0, ">= 0", "Fix the row.")
    return Usage(
        series_id=np.array(["cell"], object),
        offset=np.array([0, len(table)]),
        start_s=np.zeros(1, np.int64),
        step_s=STEP_S,
        cpu_share=table["avg_cpu"],
        mem_share=table["avg_mem"],
        extra={
            "assigned_mem_share": table["avg_assigned_mem"],
            "cycles_per_instruction": table["avg_cycles_per_instruction"],
        },
        source=source.name,
        meta={"files": {source.name: source.sha256}},
        report=table.report(),
    )

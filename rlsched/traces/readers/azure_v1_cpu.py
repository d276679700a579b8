"""Azure V1 (2017): 5-minute CPU of long-lived VMs, one column a VM (carlonlv/DataCenterSim).

Columns ``row`` (1, 2, ...: 5-minute slots) and one a VM, named by its number; percent of the VM's
cores, averages in one file (``..._avg_...``), maxima in another (``..._max_...``). The file of
maxima beside the averages becomes ``extra["cpu_max_share"]``. The time of day of row 1 is not
known. VMs were chosen for being complete over a month: long-lived ones only, without sizes.

Source: Cortez et al., "Resource Central", SOSP 2017.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import F64, DropReport, Usage
from rlsched.traces.readers.source import Source, beside, header_names, quote, read_source
from rlsched.traces.readers.table import Column, read_csv

STEP_S = 300
_HEADER = re.compile(r"\"?row\"?(,\"?\d+\"?)+")
_ID = re.compile(r"0|[1-9][0-9]{0,14}")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is ``row`` and numbers of VMs."""
    return bool(_HEADER.fullmatch(head.split(b"\n", 1)[0].decode("utf-8", "replace").strip()))


def read(path: Path, *, maxima: str = "auto") -> Usage:
    """Read the averages, with the maxima beside them.

    Parameters
    ----------
    path : Path
        The averages.
    maxima : str
        The file of maxima; ``"auto"`` takes the one whose name has ``max`` for ``avg``, if it is
        there; ``"none"`` reads averages only.

    Returns
    -------
    Usage
        A series a VM in the order of the columns, from second 0.

    Raises
    ------
    TraceError
        Rows out of order, a value outside 0..100, files that do not fit each other.
    """
    source = read_source(path)
    ids, average = _table(source)
    files = {source.name: source.sha256}
    extra: dict[str, F64] = {}
    rows = average.shape[0]
    if maxima == "auto":
        other = beside(path, path.name.replace("avg", "max")) if "avg" in path.name else None
    else:
        other = None if maxima == "none" else Path(maxima)
    if other is not None:
        top = read_source(other)
        top_ids, top_values = _table(top)
        if top_ids != ids or top_values.shape != average.shape:
            raise TraceError(
                f"maxima must be of the same VMs and rows: {top.name} differs from {source.name}. Name the right file "
                'with maxima=, or read with maxima="none".'
            )
        files[top.name] = top.sha256
        extra["cpu_max_share"] = top_values.T.ravel() / 100
        rows *= 2
    steps = average.shape[0]
    return Usage(
        series_id=np.array([int(name) for name in ids], np.int64),
        offset=np.arange(len(ids) + 1) * steps,
        start_s=np.zeros(len(ids), np.int64),
        step_s=STEP_S,
        cpu_share=average.T.ravel() / 100,
        extra=extra,
        source=source.name,
        meta={"files": files},
        report=DropReport(rows, rows),
    )


def _table(source: Source) -> tuple[list[str], F64]:
    """Names of the VMs, and percent (T, S)."""
    names = header_names(source.data[: source.data.find(b"\n") + 1] or source.data)
    ids = [name for name in names if name != "row"]
    strange = next((name for name in ids if not _ID.fullmatch(name)), None)
    if strange is not None:
        raise TraceError(
            f"columns must be row and numbers of VMs: got {quote(strange)} in the header (line 1) of {source.name}. "
            "Download the file again."
        )
    table = read_csv(source, [Column("row"), *(Column(name, "float") for name in ids)])
    table.require("row", table["row"] == np.arange(1, len(table) + 1), "1, 2, 3, ... in order", "Sort the file.")
    for name in ids:
        table.require(name, (table[name] >= 0) & (table[name] <= 100), "in 0..100", "Fix the row.")
    return ids, np.stack([table[name] for name in ids], axis=1)

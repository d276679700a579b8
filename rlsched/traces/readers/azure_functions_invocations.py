"""Azure Functions, 2019: invocations of functions by the minute of a day.

``HashOwner, HashApp, HashFunction, Trigger, 1, 2, ..., 1440``. Durations and memory, where their files lie
beside it (same name with ``invocations_per_function_md`` or ``invocations`` replaced), are kept per row in
``meta["mean_duration_ms"]`` and ``meta["mean_memory_mb"]`` (None where a function has none); memory is of the
function's app in the original, of the function in some samples.

Source: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand
from rlsched.traces.readers.source import Source, beside, header_names, read_source
from rlsched.traces.readers.table import Column, Table, read_csv

STEP_S = 60
_IDS = ("HashOwner", "HashApp", "HashFunction")
_BESIDE = {
    "mean_duration_ms": ("function_durations_percentiles", "durations", "Average"),
    "mean_memory_mb": ("app_memory_percentiles", "memory", "AverageAllocatedMb"),
}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header has the three hashes and minutes."""
    names = header_names(head)
    return set(_IDS) <= set(names) and {"Trigger", "1", "2"} <= set(names)


def read(path: Path, *, on_bad_row: str = "error") -> Demand:
    """Read the invocations of a day.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A row a function, ``<owner>/<app>/<function>``, in requests/s; 60 s a step from 0.
        ``meta["trigger"]`` has the trigger of each.

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    minutes = [name for name in header_names(source.data[: source.data.find(b"\n") + 1]) if name.isdecimal()]
    if [int(name) for name in minutes] != list(range(1, len(minutes) + 1)):
        raise TraceError(f"minutes must be the columns 1, 2, 3, ...: {path} has others, or misses some. Get it again.")
    columns = [*(Column(name, "text") for name in (*_IDS, "Trigger")), *(Column(name) for name in minutes)]
    table = read_csv(source, columns, on_bad_row=on_bad_row)
    for name in minutes:
        table.require(name, table[name] >= 0, ">= 0")
    functions = _labels(table)
    files = {source.name: source.sha256}
    meta: dict[str, Any] = {"files": files, "trigger": table["Trigger"].tolist()}
    for key, (long, short, column) in _BESIDE.items():
        replaced = path.name.replace("invocations_per_function_md", long).replace("invocations", short)
        other = beside(path, replaced) if replaced != path.name else None
        if other is not None:
            extra = read_source(other)
            files[extra.name] = extra.sha256
            values = _of_functions(extra, column)
            meta[key] = [values.get(label, values.get(label.rsplit("/", 1)[0])) for label in functions]
    return Demand(
        service_id=np.array(functions, object),
        start_s=0,
        step_s=STEP_S,
        rate=np.stack([table[name] for name in minutes], axis=1) / STEP_S,
        unit="requests/s",
        source=source.name,
        meta=meta,
        report=table.report(),
    )


def _labels(table: Table) -> list[str]:
    names = [name for name in _IDS if name in table.values]
    return ["/".join(parts) for parts in zip(*(table[name].tolist() for name in names), strict=True)]


def _of_functions(source: Source, column: str) -> dict[str, float]:
    """A column by function, or by app where the file has no functions."""
    ids = [name for name in _IDS if name in header_names(source.data[:4096])]
    table = read_csv(source, [*(Column(name, "text") for name in ids), Column(column, "float")])
    return dict(zip(_labels(table), table[column].tolist(), strict=True))

"""Azure Traces for Packing 2020, as instances of temporal bin packing (wotzlaff/tbpp-instances).

First line ``n capacity 0 0``; then ``index start end size``, tab-separated: minutes from the begin of
the trace (0..20,160), size in units of which a machine has ``capacity`` (100: percent of its cores).
``machine_cpu_mcore`` states what a machine is, 100,000 millicores by default, so that a percent is
one core; ``meta["reference"]`` keeps it. There is one dimension only: memory is 0.

A VM that ends with the last minute of the window (20,160) may have gone on: its departure is
unknown (censored there). Starts are clipped at 0 by the source.

Source: Hadary et al., "Protean", OSDI 2020.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.advice import option
from rlsched.traces.columns import UNKNOWN, Trace
from rlsched.traces.readers.google_2011_machines import check_reference, shares
from rlsched.traces.readers.source import Source, first_line, quote, read_source
from rlsched.traces.readers.table import Column, read_csv

WINDOW_MIN = 20_160
_LARGEST = 10**9  # capacity of a machine in units of the sizes
_FIRST = re.compile(r"(\d+)\t(\d+)\t0\t0")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line is a number of VMs, a capacity and two zeros, tab-separated."""
    return bool(_FIRST.fullmatch(first_line(head)))


def read(path: Path, *, machine_cpu_mcore: int = 100_000, on_bad_row: str = "error") -> Trace:
    """Read an instance.

    Parameters
    ----------
    path : Path
    machine_cpu_mcore : int
        Cores of one machine, to which the sizes are relative.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        int64 seconds; ``task_id`` is the index.

    Raises
    ------
    TraceError
    """
    check_reference(machine_cpu_mcore, 1)
    source = read_source(path)
    line, _, body = source.data.partition(b"\n")
    first = _FIRST.fullmatch(line.decode("utf-8", "replace").rstrip("\r"))
    if first is None:
        got = quote(line.decode("utf-8", "replace"))
        raise TraceError(
            f"the first line must be '<n> <capacity> 0 0' with tabs: got {got} in {path}. Name another "
            f"{option('format')}."
        )
    expected, capacity = int(first[1]), int(first[2])
    if capacity > _LARGEST:
        raise TraceError(f"a capacity must be in 1..{_LARGEST:,}: got {quote(first[2])} in line 1 of {path}. Fix it.")
    if not body.strip() or capacity == 0:
        raise TraceError(f"an instance must have a capacity and VMs: {path} has {capacity} and no rows. Get it again.")
    names = ("index", "start", "end", "size")
    rest = Source(f"{source.name} after its first line", body, source.sha256)
    table = read_csv(rest, [Column(name) for name in names], delimiter="\t", names=names, on_bad_row=on_bad_row)
    if table.rows_read != expected:
        raise TraceError(
            f"an instance must have as many rows as it says: {path} says {expected} and has {table.rows_read}."
        )
    table.require("start", table["start"] >= 0, ">= 0")
    table.require("end", table["end"] > table["start"], "> start")
    table.require("size", (table["size"] > 0) & (table["size"] <= capacity), f"in 1..{capacity}")
    table.require_unique("index")
    table.sort_by("start")
    cpu = shares(table["size"] / capacity, machine_cpu_mcore)
    exact = table["size"] * machine_cpu_mcore % capacity == 0
    table.note(~exact, "a size that is not whole millicores", "rounded up")
    table.note(np.ones(len(table), bool), "no memory in the file", "given 0 MiB")
    last = table["end"] >= WINDOW_MIN
    table.note(last, f"ends with the window (minute {WINDOW_MIN})", "kept with an unknown departure (censored)")
    end = table["end"] * 60
    return Trace(
        task_id=table["index"],
        arrive_s=table["start"] * 60,
        depart_s=np.where(last, UNKNOWN, end),
        last_seen_s=end,
        cpu_mcore=cpu,
        mem_mib=np.zeros(len(table), np.int64),
        source=source.name,
        meta={"files": {source.name: source.sha256}, "reference": {"machine_cpu_mcore": machine_cpu_mcore}},
        report=table.report(),
    )

"""Standard Workload Format (Parallel Workloads Archive): 18 numbers a job, plain, gzip or zip.

Lines that begin with ``;`` are comments; their ``Key: value`` pairs are kept in
``meta["header"]``. -1 stands for unknown.

**Times.** The arrival is the submission (field 2). A job occupies its processors for its run time
(field 4), so by default the departure is arrival + run: the wait (field 3) belongs to the machine
the log comes from. ``wait="keep"`` adds it, which gives the moments at which things happened. A run
time of -1 is an unknown departure. ``expected_s`` is the requested time (field 9), the user's own
estimate.

**Sizes.** Processors allocated (field 5), or requested (8) where that is unknown, become cores.
Memory is the requested one a processor (field 10), or the used one (7) where that is unknown, times
the processors, KB taken as KiB and rounded up to MiB; where neither is known it is 0. A job may ask
for more cores than a machine has: these are parallel jobs.

Source: Feitelson, Tsafrir, Krakov, JPDC 74(10), 2014, and the archive's definition of the format.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import UNKNOWN, Trace
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, Table, check_choice
from rlsched.traces.readers.times import whole_times
from rlsched.units import MCORE_PER_CORE

KIB_PER_MIB = 1024
_NAMES = (
    "job", "submit", "wait", "run", "processors", "cpu_time", "used_memory", "requested_processors",
    "requested_time", "requested_memory", "status", "user", "group", "executable", "queue", "partition", "preceding",
    "think_time",
)  # fmt: skip
_TIMES = ("submit", "wait", "run", "requested_time")
_WHOLE = ("job", "processors", "requested_processors", "user")
_MEMORY = ("used_memory", "requested_memory")
_HEADER = re.compile(r";\s*([A-Za-z][\w ]*?):\s+(.*?)\s*")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether comment lines of the format, or none, are followed by 18 numbers."""
    lines = head.split(b"\n")[:-1] if b"\n" in head else [head]
    data = [line.split() for line in lines if line.strip() and not line.lstrip().startswith(b";")]
    if not data:
        return bool(re.search(rb"(?m)^;\s*(MaxJobs|MaxNodes|MaxProcs|UnixStartTime|Computer):", head))
    return all(len(row) == len(_NAMES) for row in data[:3]) and all(
        re.fullmatch(rb"-?\d+(\.\d+)?", one) for one in data[0]
    )


def read(path: Path, *, wait: str = "leave_out", on_bad_row: str = "error") -> Trace:
    """Read a log.

    Parameters
    ----------
    path : Path
    wait : {"leave_out", "keep"}
        Whether the departure includes the time the job waited in the log; see the module.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By submission, on the clock of the log; ``task_id`` the job number, ``tenant`` the user.
        ``meta["time_origin_s"]`` is ``UnixStartTime`` where the header has it.

    Raises
    ------
    TraceError
    """
    check_choice("wait", wait, ("leave_out", "keep"))
    header: dict[str, str] = {}
    columns = [Column(name) for name in _WHOLE] + [Column(name, "float") for name in (*_TIMES, *_MEMORY)]
    table, sha256 = read_csv_file(
        path, columns, names=_NAMES, on_bad_row=on_bad_row, lines=lambda data: _rows(data, header)
    )
    table.first_line = 0  # comments shift the lines
    table.require("submit", table["submit"] >= 0, ">= 0")
    for name in ("wait", "run"):
        table.require(name, (table[name] >= 0) | (table[name] == UNKNOWN), ">= 0, or -1 for unknown")
    table.require_unique("job")
    cores = np.where(table["processors"] > 0, table["processors"], table["requested_processors"])
    borrowed = (table["processors"] <= 0) & (cores > 0)
    table.note(borrowed, "processors allocated unknown", "given those requested")
    table.add("ours.cores", cores)
    table.drop(cores <= 0, "a job without processors")
    if len(table) == 0:
        raise TraceError(f"a trace must have at least one job: {path} has none with processors. Check the log.")
    table.sort_by("submit")
    mem = _memory(table)
    life = table["run"].copy()
    unknown = life == UNKNOWN
    table.note(unknown, "run time unknown", "kept with an unknown departure")
    if wait == "keep":
        no_wait = table["wait"] == UNKNOWN
        table.note(no_wait & ~unknown, "wait unknown", "taken as 0")
        life = life + np.where(no_wait, 0, table["wait"])
    arrive, depart = whole_times(table["submit"], np.where(unknown, UNKNOWN, table["submit"] + life))
    expected = np.where(table["requested_time"] > 0, table["requested_time"], np.nan)
    meta: dict[str, object] = {"files": {str(path): sha256}, "header": header, "wait": wait}
    if header.get("UnixStartTime", "").isdigit():
        meta["time_origin_s"] = int(header["UnixStartTime"])
    return Trace(
        task_id=table["job"],
        arrive_s=arrive,
        depart_s=depart,
        cpu_mcore=table["ours.cores"] * MCORE_PER_CORE,
        mem_mib=mem,
        tenant=np.maximum(table["user"], UNKNOWN),
        expected_s=expected,
        source=str(path),
        meta=meta,
        report=table.report(),
    )


def _rows(data: bytes, header: dict[str, str]) -> bytes:
    """The jobs as CSV; the pairs of comments go into the header (the first of each key)."""
    rows: list[bytes] = []
    for line in data.split(b"\n"):
        text = line.strip()
        if text.startswith(b";"):
            pair = _HEADER.fullmatch(text.decode("utf-8", "replace"))
            if pair and pair[2]:
                header.setdefault(pair[1], pair[2])
        elif text:
            rows.append(b",".join(text.split()))
    return b"\n".join(rows)


def _memory(table: Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    requested, used = table["requested_memory"], table["used_memory"]
    kib = np.where(requested > 0, requested, np.where(used > 0, used, 0.0))
    table.note((requested <= 0) & (used > 0), "memory requested unknown", "given the memory used")
    table.note(kib == 0, "no memory known", "given 0 MiB")
    out: np.ndarray[tuple[int], np.dtype[np.int64]] = np.ceil(kib * table["ours.cores"] / KIB_PER_MIB).astype(np.int64)
    return out

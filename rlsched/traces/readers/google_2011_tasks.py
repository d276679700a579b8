"""Google 2011, task events: one task a submission, from part files of the original trace.

No header: time (us), missing info, job, task index, machine, event, user, scheduling class,
priority, CPU, memory and disk request, different-machine flag. Events: 0 submit, 1 schedule, 2
evict, 3 fail, 4 finish, 5 kill, 6 lost, 7 and 8 update.

**Tasks.** Each submit event opens an attempt, ``<job>-<index>-<attempt>``; the next end (2 to 6) of the
same job and index closes it. The arrival is the submission, or with ``arrival="schedule"`` the
moment it was placed (attempts that never were are then dropped). An attempt that is still there at
the last event read is censored there; one that was submitted again without an end is censored at
that submission. ``tenant`` is the user, ``group`` the job, and the different-machine flag is a
``group_limit`` of 1.

**Clock.** Seconds of the trace: 0 stands for "before the trace", which begins at 600 s.

**Requests** are shares of the largest machine, as in `google_2011_machines`, with the same
reference. Rows without a request (0.1 %) take that of a later event of the attempt, or are dropped.

The file is read in blocks; what it takes is about 60 bytes an event.

Source: Reiss, Wilkes, Hellerstein, "Google cluster-usage traces: format + schema", 2011.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import F64, I64, UNKNOWN, Drop, DropReport, Trace
from rlsched.traces.readers.google_2011_machines import (
    AFTER,
    REFERENCE_MCORE,
    REFERENCE_MIB,
    US,
    check_reference,
    shares,
)
from rlsched.traces.readers.slots import merge_reports
from rlsched.traces.readers.source import first_head, first_line, list_tree
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column, check_choice
from rlsched.traces.readers.times import whole_times

_NAMES = (
    "time", "missing_info", "job", "index", "machine", "event", "user", "scheduling_class", "priority", "cpu",
    "memory", "disk", "different_machine",
)  # fmt: skip
_COLUMNS = (
    Column("time", may_be_empty=True),
    Column("job"),
    Column("index"),
    Column("event"),
    Column("user", "text", may_be_empty=True),
    Column("priority"),
    Column("cpu", "float", may_be_empty=True),
    Column("memory", "float", may_be_empty=True),
    Column("different_machine", may_be_empty=True, fill=0),
)
_SUBMIT, _SCHEDULE, _LAST_EVENT = 0, 1, 8
_ENDS = (2, 6)


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line, or that of a folder's first file, has thirteen such fields."""
    fields = first_line(first_head(path) if path.is_dir() else head).split(",")
    return (
        len(fields) == len(_NAMES)
        and all(fields[i].isdigit() for i in (0, 2, 3, 5, 7, 8))
        and int(fields[5]) <= _LAST_EVENT
    )


def read(
    path: Path,
    *,
    arrival: str = "submit",
    machine_cpu_mcore: int = REFERENCE_MCORE,
    machine_mem_mib: int = REFERENCE_MIB,
    on_bad_row: str = "error",
) -> Trace:
    """Read one part, or a folder of consecutive parts.

    Parameters
    ----------
    path : Path
        Parts are taken in ascending order of their names.
    arrival : {"submit", "schedule"}
    machine_cpu_mcore, machine_mem_mib : int
        What the share 1.0 stands for.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By arrival, ties in the order of the events.

    Raises
    ------
    TraceError
    """
    check_choice("arrival", arrival, ("submit", "schedule"))
    check_reference(machine_cpu_mcore, machine_mem_mib)
    events, hashes, report = _events(path, on_bad_row)
    order = np.lexsort((np.arange(events["time"].size), events["index"], events["job"]))
    one = {name: value[order] for name, value in events.items()}
    task = np.cumsum(np.append(True, (np.diff(one["job"]) != 0) | (np.diff(one["index"]) != 0))) - 1
    submit = one["event"] == _SUBMIT
    attempt = np.cumsum(submit) - 1  # of all; -1 or another task's before the first submission of a task
    opened = np.flatnonzero(submit)
    if opened.size == 0:
        raise TraceError(f"there must be submissions: {path} has none. Read the part they are in, too.")
    orphan = (attempt < 0) | (task != task[opened[np.maximum(attempt, 0)]])
    out = _attempts(one, attempt, opened, orphan, task)
    drops = list(report.drops)

    def drop(rows: npt.NDArray[np.bool_], rule: str, action: str) -> None:
        if rows.any():
            drops.append(Drop(rule, action, int(rows.sum())))

    drop(orphan, "an event of a task that was not submitted here", "dropped")
    drop(~submit & ~orphan, "a later event of an attempt", "merged into its submission")
    drop(out["changed"], "a later event of the attempt asks for something else", "kept with the request submitted")
    drop(out["borrowed"], "a submission without a request", "given that of a later event of the attempt")
    keep = ~np.isnan(out["cpu"]) & ~np.isnan(out["memory"])
    drop(~keep, "an attempt without a request", "dropped")
    cpu, mem = np.zeros(opened.size, np.int64), np.zeros(opened.size, np.int64)
    cpu[keep], mem[keep] = shares(out["cpu"][keep], machine_cpu_mcore), shares(out["memory"][keep], machine_mem_mib)
    nothing = keep & (cpu == 0) & (mem == 0)
    drop(nothing, "an attempt that asks for nothing", "dropped")
    keep &= ~nothing
    if arrival == "schedule":
        never = keep & np.isnan(out["schedule_s"])
        drop(never, "an attempt that was never scheduled", "dropped")
        keep &= ~never
    end = float(events["time"].max()) / US
    arrive = out["schedule_s"] if arrival == "schedule" else out["submit_s"]
    again = keep & np.isnan(out["end_s"]) & ~np.isnan(out["next_s"])
    drop(again, "submitted again without an end", "kept, censored at that submission")
    still = keep & np.isnan(out["end_s"]) & np.isnan(out["next_s"])
    drop(still, "still there at the last event", "kept with an unknown departure (censored)")
    early = keep & (one["time"][opened] == 0)
    drop(early, "there before the trace", "kept, arriving at 0")
    seen = np.where(np.isnan(out["end_s"]), np.where(np.isnan(out["next_s"]), end, out["next_s"]), out["end_s"])
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((order[opened][rows], arrive[rows]))]
    if rows.size == 0:
        raise TraceError(f"a trace must have at least one task: all of {path} were dropped. See the rules.")
    number = np.arange(opened.size) - np.searchsorted(task[opened], task[opened], side="left")
    labels = (one["job"][opened], one["index"][opened], number)
    ids = ["-".join(map(str, label)) for label in zip(*(part[rows].tolist() for part in labels), strict=True)]
    known = ~np.isnan(out["end_s"])
    whole = whole_times(arrive[rows], np.where(known, out["end_s"], UNKNOWN)[rows], seen[rows])
    group = np.unique(one["job"][opened][rows], return_inverse=True)[1]
    limit = one["different_machine"][opened][rows]
    removed = sum(item.count for item in drops if item.action.startswith(("dropped", "merged")))
    assert report.rows_read - removed == rows.size  # every event is in the account
    return Trace(
        task_id=np.array(ids, object),
        arrive_s=whole[0],
        depart_s=whole[1],
        last_seen_s=whole[2],
        cpu_mcore=cpu[rows],
        mem_mib=mem[rows],
        priority=one["priority"][opened][rows],
        tenant=one["user"][opened][rows],
        group=group,
        group_limit=(limit == 1).astype(np.int64),
        source=str(path),
        meta={
            "files": hashes,
            "reference": {"machine_cpu_mcore": machine_cpu_mcore, "machine_mem_mib": machine_mem_mib},
        },
        report=DropReport(report.rows_read, rows.size, tuple(drops)),
    )


def _events(path: Path, on_bad_row: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str], DropReport]:
    """Columns of all events in the order of the files, the user as a code; hashes; the account."""
    import pandas as pd

    kept: dict[str, list[npt.NDArray[Any]]] = {}
    reports: list[DropReport] = []
    hashes: dict[str, str] = {}
    users: dict[str, int] = {"": UNKNOWN}
    paths = list_tree(path) if path.is_dir() else [path]
    late = 0
    previous = 0
    for file in paths:
        blocks = CsvBlocks(file, _COLUMNS, names=_NAMES, markers=("", AFTER), on_bad_row=on_bad_row)
        for table in blocks:
            table.require("event", (table["event"] >= 0) & (table["event"] <= _LAST_EVENT), f"in 0..{_LAST_EVENT}")
            table.require("different_machine", np.isin(table["different_machine"], (0, 1)), "0 or 1")
            for name in ("cpu", "memory"):
                table.require(name, np.isnan(table[name]) | ((table[name] >= 0) & (table[name] <= 1)), "in 0..1")
            table.drop(table.missing["time"], "after the trace (time 2**63 - 1)")
            time = np.concatenate([[previous], table["time"]])
            late += int((time[1:] < np.maximum.accumulate(time)[:-1]).sum())
            previous = int(time.max())
            for name, dtype in (
                ("time", np.int64), ("job", np.int64), ("index", np.int32), ("event", np.int8),
                ("priority", np.int16), ("cpu", np.float64), ("memory", np.float64), ("different_machine", np.int8),
            ):  # fmt: skip
                kept.setdefault(name, []).append(table[name].astype(dtype))
            code, names = pd.factorize(table["user"])
            known = np.array([users.setdefault(name, len(users) - 1) for name in names.tolist()], np.int32)
            kept.setdefault("user", []).append(known[code])
            reports.append(table.report())
        hashes[str(file)] = blocks.sha256
    events = {name: np.concatenate(parts) for name, parts in kept.items()}
    report = merge_reports(reports, len(paths) > 1)
    if late:
        order = np.argsort(events["time"], kind="stable")
        events = {name: value[order] for name, value in events.items()}
        sorted_in = Drop("time smaller than in an earlier row", "sorted into place", late)
        report = DropReport(report.rows_read, report.rows_kept, (*report.drops, sorted_in))
    return events, hashes, report


def _attempts(
    one: dict[str, npt.NDArray[Any]],
    attempt: I64,
    opened: I64,
    orphan: npt.NDArray[np.bool_],
    task: I64,
) -> dict[str, npt.NDArray[Any]]:
    """Of each attempt: its moments (NaN where there is none), its request, and what was odd about it."""
    n = opened.size
    time: F64 = one["time"] / US

    def first_time(rows: npt.NDArray[np.bool_]) -> F64:
        at = np.flatnonzero(rows & ~orphan)
        out = np.full(n, np.nan)
        out[attempt[at[::-1]]] = time[at[::-1]]  # the first one is written last
        return out

    event = one["event"]
    follows = np.append((np.diff(task[opened]) == 0), False)
    following = np.where(follows, np.append(time[opened[1:]], np.nan), np.nan)
    request: dict[str, F64] = {}
    borrowed = np.zeros(n, bool)
    changed = np.zeros(n, bool)
    for name in ("cpu", "memory"):
        value = one[name]
        own = value[opened].copy()
        at = np.flatnonzero(~np.isnan(value) & ~orphan)
        first = np.full(n, np.nan)
        first[attempt[at[::-1]]] = value[at[::-1]]
        borrowed |= np.isnan(own) & ~np.isnan(first)
        request[name] = np.where(np.isnan(own), first, own)
        differs = at[value[at] != request[name][attempt[at]]]
        changed[attempt[differs]] = True
    return {
        "submit_s": time[opened],
        "schedule_s": first_time(event == _SCHEDULE),
        "end_s": first_time((event >= _ENDS[0]) & (event <= _ENDS[1])),
        "next_s": following,
        "cpu": request["cpu"],
        "memory": request["memory"],
        "borrowed": borrowed,
        "changed": changed,
    }

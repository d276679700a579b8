"""Google 2011, machine events: which machines are up at a moment, and how large.

No header: time (us), machine, event (0 add, 1 remove, 2 update), platform, CPUs, memory. Sizes are
shares of the largest machine, whose size is secret: ``machine_cpu_mcore`` and
``machine_mem_mib`` state what 1.0 stands for, 100,000 millicores and 100,000 MiB by default (a
decimal reference, so that the shares of machines and of `google_2011_tasks` stay exact; give both
readers the same). ``meta["reference"]`` keeps it. A row without sizes keeps those of the machine's
earlier rows.

Source: Reiss, Wilkes, Hellerstein, "Google cluster-usage traces: format + schema", 2011.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import F64, I64, Machines
from rlsched.traces.readers.source import first_line, read_source
from rlsched.traces.readers.table import Column, read_csv

US = 1_000_000
AFTER = "9223372036854775807"  # 2**63 - 1: after the trace
REFERENCE_MCORE = 100_000
REFERENCE_MIB = 100_000
_NAMES = ("time", "machine", "event", "platform", "cpus", "memory")
_ADD, _REMOVE, _UPDATE = 0, 1, 2


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line has six fields: time, machine, event 0 to 2, platform, two shares."""
    fields = first_line(head).split(",")
    return (
        len(fields) == len(_NAMES)
        and fields[0].isdigit()
        and fields[1].isdigit()
        and fields[2] in ("0", "1", "2")
        and not fields[3].replace(".", "").isdigit()
        and len(fields[3]) >= 8
        and all(not one or one.replace(".", "").isdigit() for one in fields[4:])
    )


def read(
    path: Path,
    *,
    at_s: float = 0.0,
    machine_cpu_mcore: int = REFERENCE_MCORE,
    machine_mem_mib: int = REFERENCE_MIB,
    on_bad_row: str = "error",
) -> Machines:
    """Read the machines that are up at a moment.

    Parameters
    ----------
    path : Path
    at_s : float, seconds
        On the clock of the trace, whose first events (time 0) are those that were there before;
        recording begins at 600 s. Infinity takes the last state.
    machine_cpu_mcore, machine_mem_mib : int
        What the share 1.0 stands for.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Machines
        Ascending by machine number. ``meta["platforms"]`` counts platforms.

    Raises
    ------
    TraceError
    """
    check_reference(machine_cpu_mcore, machine_mem_mib)
    source = read_source(path)
    columns = (
        Column("time", may_be_empty=True),
        Column("machine"),
        Column("event"),
        Column("platform", "text", may_be_empty=True),
        Column("cpus", "float", may_be_empty=True),
        Column("memory", "float", may_be_empty=True),
    )
    table = read_csv(source, columns, names=_NAMES, markers=("", AFTER), on_bad_row=on_bad_row)
    table.require("event", (table["event"] >= _ADD) & (table["event"] <= _UPDATE), "0, 1 or 2")
    for name in ("cpus", "memory"):
        share_ok = np.isnan(table[name]) | ((table[name] >= 0) & (table[name] <= 1))
        table.require(name, share_ok, "a share in 0..1")
    table.drop(table.missing["time"] | (table["time"] > at_s * US), f"an event after {at_s:g} s")
    if len(table) == 0:
        raise TraceError(f"there must be machines at {at_s:g} s: {path} has no event until then. Choose a later at_s=.")
    table.sort_by("time")
    order = np.lexsort((np.arange(len(table)), table["machine"]))
    table.add("ours.cpus", _carried(table["machine"], table["cpus"], order))
    table.add("ours.memory", _carried(table["machine"], table["memory"], order))
    last = np.zeros(len(table), bool)
    last[order[np.append(np.diff(table["machine"][order]) != 0, True)]] = True
    borrowed = last & np.isnan(table["cpus"]) & ~np.isnan(table["ours.cpus"])
    table.note(borrowed, "an event without sizes", "given those of the machine's earlier event")
    removed = last & (table["event"] == _REMOVE)
    table.note(~last, "an earlier event of a machine", "merged into its last")
    table.keep(np.flatnonzero(last))
    table.drop(removed[last], "a machine that was removed")
    unknown = np.isnan(table["ours.cpus"]) | np.isnan(table["ours.memory"])
    table.drop(unknown, "a machine of unknown size")
    cpu = shares(table["ours.cpus"], machine_cpu_mcore)
    mem = shares(table["ours.memory"], machine_mem_mib)
    table.note((cpu != table["ours.cpus"] * machine_cpu_mcore), "a size that is not whole", "rounded up")
    nothing = (cpu == 0) & (mem == 0)
    table.drop(nothing, "a machine of size 0")
    order = np.argsort(table["machine"], kind="stable")
    names, counts = np.unique(table["platform"].astype(str), return_counts=True)
    meta: dict[str, Any] = {
        "files": {source.name: source.sha256},
        "reference": {"machine_cpu_mcore": machine_cpu_mcore, "machine_mem_mib": machine_mem_mib},
        "platforms": {str(name): int(count) for name, count in zip(names, counts, strict=True)},
    }
    return Machines(
        machine_id=table["machine"][order],
        cpu_mcore=cpu[~nothing][order],
        mem_mib=mem[~nothing][order],
        source=source.name,
        meta=meta,
        report=table.report(),
    )


def check_reference(cpu_mcore: object, mem_mib: object) -> None:
    """Refuse a size of the largest machine that is no whole number > 0."""
    for name, value in (("machine_cpu_mcore", cpu_mcore), ("machine_mem_mib", mem_mib)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 2**40:
            raise SpecError(f"{name} must be a whole number > 0, what the share 1.0 stands for: got {value!r}.")


def shares(share: F64, whole: int) -> I64:
    """Shares of a machine as whole units, rounded up; a product one bit off a whole number is that number."""
    amount = share * whole
    near = np.rint(amount)
    out: I64 = np.where(np.abs(amount - near) <= 4 * np.spacing(near), near, np.ceil(amount)).astype(np.int64)
    return out


def _carried(machine: I64, value: F64, order: I64) -> F64:
    """Each row's value, or the last one before it of the same machine; NaN where there is none."""
    sorted_value, sorted_machine = value[order], machine[order]
    at = np.where(~np.isnan(sorted_value), np.arange(value.size), -1)
    latest = np.maximum.accumulate(at)
    own = (latest >= 0) & (sorted_machine[np.maximum(latest, 0)] == sorted_machine)
    out = np.full(value.size, np.nan)
    out[order] = np.where(own, sorted_value[np.maximum(latest, 0)], np.nan)
    return out

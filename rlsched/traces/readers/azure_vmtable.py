"""Azure V1 (2017) and V2 (2019): the original ``vmtable.csv``, one row a VM.

No header; eleven fields: VM, subscription, deployment, created (s), deleted (s), maximum, average
and 95th percentile of CPU (%), category, cores, memory (GB). V1 has sizes, V2 the upper bound of a
bucket, the last of which is open (``>24`` cores, ``>64`` GB): ``over_cores`` and ``over_gib`` state what
those stand for, 32 and 128 by default (the next power of two); the report counts them and
``meta["reference"]`` keeps them. GB are taken as GiB.

A VM created at 0 was there before; one deleted at ``window_end_s`` or later (2,591,700 by default,
the last five minutes of the 30 days) was alive at the end: censored. ``tenant`` is the
subscription, ``group`` the deployment; priority is 1 for Interactive, 0 for Delay-insensitive and
Unknown (which the files also spell Unkown).

Source: Cortez et al., "Resource Central", SOSP 2017; Azure Public Dataset.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import F64, UNKNOWN, Trace
from rlsched.traces.readers.source import first_line
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, Table, codes
from rlsched.traces.readers.times import whole_times
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB

WINDOW_END_S = 2_591_700
CATEGORIES = {"Interactive": 1, "Delay-insensitive": 0, "Unknown": 0}
_NAMES = (
    "vm", "subscription", "deployment", "created", "deleted", "max_cpu", "avg_cpu", "p95_cpu", "category", "cores",
    "memory",
)  # fmt: skip
_LARGEST = 10**9  # cores or GiB of one VM
_OVER = re.compile(r">\s*\d+(\.\d+)?")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line has eleven fields, of which the ninth is a category."""
    fields = first_line(head).split(",")
    return len(fields) == len(_NAMES) and fields[8] in (*CATEGORIES, "Unkown") and fields[3].isdigit()


def read(
    path: Path,
    *,
    over_cores: int = 32,
    over_gib: int = 128,
    window_end_s: int = WINDOW_END_S,
    on_bad_row: str = "error",
) -> Trace:
    """Read the VM table.

    Parameters
    ----------
    path : Path
    over_cores, over_gib : int
        What the open buckets of V2 stand for.
    window_end_s : int
        When the observation ended.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        By creation, ties in the order of the file.

    Raises
    ------
    TraceError
    """
    for name, value in (("over_cores", over_cores), ("over_gib", over_gib)):
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise SpecError(f"{name} must be a whole number > 0: got {value!r}.")
    columns = (
        *(Column(name, "text") for name in ("vm", "subscription", "deployment", "category", "cores", "memory")),
        Column("created"),
        Column("deleted"),
    )
    table, sha256 = read_csv_file(path, columns, names=_NAMES, on_bad_row=on_bad_row)
    nothing = np.zeros(len(table), bool)
    for name in ("subscription", "deployment"):  # what is done with goes, or the table outweighs its result
        table.add(name, codes(table[name], nothing)[0].astype(np.int32))
    misspelt = table["category"] == "Unkown"
    table.note(misspelt, "category 'Unkown'", "read as Unknown")
    table.add("category", np.where(misspelt, "Unknown", table["category"]))
    code, texts = codes(table["category"], nothing)
    table.add("ours.priority", np.array([CATEGORIES.get(text, UNKNOWN) for text in texts], np.int8)[code])
    del code
    table.require("category", table["ours.priority"] != UNKNOWN, f"one of {', '.join(CATEGORIES)}")
    table.forget("category")
    table.require("created", table["created"] >= 0, ">= 0")
    table.require("deleted", table["deleted"] >= table["created"], ">= created")
    table.require_unique("vm")
    for name, over in (("cores", over_cores), ("memory", over_gib)):
        table.add(f"ours.{name}", _sizes(table, name, over))
        size = table[f"ours.{name}"]
        table.require(name, size > 0, "a number > 0, or an open bucket such as '>24'")
        table.require(name, table[f"ours.{name}"] <= _LARGEST, f"at most {_LARGEST:,}")
        table.forget(name)
        del size
    if len(table) == 0:
        raise TraceError(f"a trace must have at least one VM: {path} has no good row. See the rows' faults.")
    table.sort_by("created")
    table.note(table["created"] == 0, "created at 0: there before", "kept, arriving at 0")
    still = table["deleted"] >= window_end_s
    table.note(still, f"deleted at {window_end_s} or later", "kept with an unknown departure (censored)")
    cpu, mem = table["ours.cores"] * MCORE_PER_CORE, table["ours.memory"] * MIB_PER_GIB
    table.note((cpu != np.ceil(cpu)) | (mem != np.ceil(mem)), "a size that is not whole", "rounded up")
    table.forget("ours.cores")
    table.forget("ours.memory")
    cpu, mem = np.ceil(cpu).astype(np.int64), np.ceil(mem).astype(np.int64)
    arrive, depart, seen = whole_times(table["created"], np.where(still, UNKNOWN, table["deleted"]), table["deleted"])
    table.forget("created")
    table.forget("deleted")
    nothing = np.zeros(len(table), bool)
    return Trace(
        task_id=table["vm"],
        arrive_s=arrive,
        depart_s=depart,
        last_seen_s=seen,
        cpu_mcore=cpu,
        mem_mib=mem,
        priority=table["ours.priority"].astype(np.int64),
        tenant=codes(table["subscription"], nothing)[0],
        group=codes(table["deployment"], nothing)[0],
        source=str(path),
        meta={
            "files": {str(path): sha256},
            "reference": {"over_cores": over_cores, "over_gib": over_gib},
            "memory_unit": "1 GB of the source is 1 GiB",
        },
        report=table.report(),
    )


def _sizes(table: Table, name: str, over: int) -> F64:
    """Numbers of a text column; open buckets as stated, NaN where it is neither."""
    code, texts = codes(table[name], np.zeros(len(table), bool))
    value: list[float] = []
    for text in texts:
        try:
            plain = text.isascii() and "_" not in text  # Python takes 1_000 for a number; the file means something else
            number = float(over) if _OVER.fullmatch(text.strip()) else float(text) if plain else np.nan
        except ValueError:
            number = np.nan
        value.append(number if np.isfinite(number) else np.nan)
    is_open = np.array([bool(_OVER.fullmatch(text.strip())) for text in texts], bool)
    opened: npt.NDArray[np.bool_] = is_open[code]
    table.note(opened, f"{name} is an open bucket, {', '.join(t for t in texts if t.startswith('>'))}", f"given {over}")
    return np.array(value, np.float64)[code]

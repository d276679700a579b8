"""Alibaba cluster-trace-v2018: ``machine_meta.csv``, machines and their failure domains.

No header: machine, time (s), failure domain 1 and 2, cores, memory (normalised, 100 is a whole
machine), status. ``machine_mem_mib`` states what a memory of 100 stands for: 393,216 MiB by default
(4 GiB a core of the 96), which is ours, not Alibaba's; ``meta["reference"]`` keeps it. The last row of
a machine counts; machines whose last status is not ``USING`` are dropped. ``site`` is failure
domain 1.

Source: Guo et al., IWQoS 2019; Alibaba Cluster Trace Program.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Machines
from rlsched.traces.readers.google_2011_machines import check_reference
from rlsched.traces.readers.source import first_line
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, codes
from rlsched.units import MCORE_PER_CORE

_NAMES = ("machine", "time", "domain_1", "domain_2", "cpu_num", "mem_size", "status")
_HEAD = re.compile(r"m_\d+,\d+,\d*,\d*,\d+,\d+(\.\d+)?,[A-Z_]+")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line is a machine, five numbers and a status."""
    return bool(_HEAD.fullmatch(first_line(head)))


def read(path: Path, *, machine_mem_mib: int = 393_216, on_bad_row: str = "error") -> Machines:
    """Read the table.

    Parameters
    ----------
    path : Path
    machine_mem_mib : int
        What a memory of 100 stands for.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Machines
        Ascending by number.

    Raises
    ------
    TraceError
    """
    check_reference(1, machine_mem_mib)
    columns = (
        Column("machine", "text"),
        Column("time"),
        Column("domain_1", "text", may_be_empty=True),
        Column("cpu_num"),
        Column("mem_size", "float"),
        Column("status", "text"),
    )
    table, sha256 = read_csv_file(path, columns, names=_NAMES, on_bad_row=on_bad_row)
    table.require("cpu_num", table["cpu_num"] > 0, "> 0")
    table.require("mem_size", (table["mem_size"] > 0) & (table["mem_size"] <= 100), "in 0..100")
    code, _ = codes(table["machine"], np.zeros(len(table), bool))
    order = np.lexsort((np.arange(len(table)), table["time"], code))
    last = np.zeros(len(table), bool)
    last[order[np.append(np.diff(code[order]) != 0, True)]] = True
    table.note(~last, "an earlier row of a machine", "merged into its last")
    table.keep(np.flatnonzero(last))
    table.drop(table["status"] != "USING", "last status is not USING")
    if len(table) == 0:
        raise TraceError(f"a machine list must have at least one row: {path} has none in use. Check the file.")
    number = [int(one[2:]) if one[2:].isdigit() else -1 for one in table["machine"].tolist()]
    table.keep(np.argsort(np.array(number), kind="stable"))
    mem = table["mem_size"] * machine_mem_mib / 100
    table.note(mem != np.ceil(mem), "a memory that is not whole MiB", "rounded up")
    site, sites = codes(table["domain_1"], table.missing["domain_1"])
    return Machines(
        machine_id=table["machine"],
        cpu_mcore=table["cpu_num"] * MCORE_PER_CORE,
        mem_mib=np.ceil(mem).astype(np.int64),
        site=site,
        sites=sites,
        source=str(path),
        meta={"files": {str(path): sha256}, "reference": {"machine_mem_mib": machine_mem_mib}},
        report=table.report(),
    )

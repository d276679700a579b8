"""Huawei Cloud, topology-aware placement: requests for VMs in order of arrival.

Columns ``flavor_vcpus, flavor_ram`` (GB, taken as GiB), ``numa`` (1 or 2 nodes), ``strategy`` (empty,
affinity, anti-affinity, fault_domain), ``group``, ``domain``. There are no times: ``arrive_s`` is the row
number from 0, the departure unknown.

A ``group`` is numbered anew within each strategy, so the pair is the group of a trace.
Anti-affinity is a ``group_limit`` of 1. Affinity (all on one rack or host) and fault domains cannot be
said with a limit a machine: they keep their group without one, and the report counts them;
``meta["strategy"]``, ``meta["domain"]`` and ``meta["numa"]`` keep what the file says, a row each (domain
-1 is none).

Source: mdl1104/Dataset-for-topology-aware-VM-placement (CC0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import UNKNOWN, Trace
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, codes, read_csv
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB

STRATEGIES = ("", "affinity", "anti-affinity", "fault_domain")
_COLUMNS = (
    Column("flavor_vcpus"),
    Column("flavor_ram"),
    Column("numa"),
    Column("strategy", "text", may_be_empty=True),
    Column("group", may_be_empty=True),
    Column("domain", may_be_empty=True),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the requests."""
    return {"flavor_vcpus", "flavor_ram", "numa", "strategy"} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Trace:
    """Read a sequence of requests.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        ``task_id`` is the row of the file.

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    table = read_csv(source, _COLUMNS, on_bad_row=on_bad_row)
    for name in ("flavor_vcpus", "flavor_ram"):
        table.require(name, (table[name] > 0) & (table[name] < 10**6), "> 0")
    table.require("numa", (table["numa"] == 1) | (table["numa"] == 2), "1 or 2")
    known = np.isin(table["strategy"].astype(str), STRATEGIES)
    table.require("strategy", known, f"empty or one of {', '.join(STRATEGIES[1:])}")
    paired = table.missing["strategy"] == table.missing["group"]
    table.require("group", paired, "given where there is a strategy, and only there")
    table.note(
        np.ones(len(table), bool),
        "the list has no times",
        "given their row number (from 0) as arrive_s, and no departure",
    )
    strategy = table["strategy"]
    table.note(strategy == "affinity", "affinity has no place in a trace", "kept with a group, without its rule")
    table.note(
        strategy == "fault_domain", "fault domains have no place in a trace", "kept with a group, without its rule"
    )
    label = np.array([f"{name}/{number}" for name, number in zip(strategy, table["group"], strict=True)], object)
    group, _ = codes(label, table.missing["strategy"])
    return Trace(
        task_id=table.rows,
        arrive_s=table.rows - 1,
        depart_s=np.full(len(table), UNKNOWN),
        cpu_mcore=table["flavor_vcpus"] * MCORE_PER_CORE,
        mem_mib=table["flavor_ram"] * MIB_PER_GIB,
        group=group,
        group_limit=(strategy == "anti-affinity").astype(np.int64),
        source=source.name,
        meta={
            "files": {source.name: source.sha256},
            "strategy": strategy.tolist(),
            "domain": table["domain"].tolist(),
            "numa": table["numa"].tolist(),
            "memory_unit": "1 GB of the source is 1 GiB",
        },
        report=table.report(),
    )

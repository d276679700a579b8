"""Huawei Cloud, topology-aware placement: servers (``CPU1, RAM1, CPU2, RAM2``).

What is *free* on the two NUMA nodes of each server, in cores and GB (taken as GiB): it is the
capacity a new request sees. Both nodes are added up, as our machines have no NUMA nodes;
``meta["numa_free"]`` keeps the four numbers of each row. Names and racks are not given: the list of
hosts and racks of the same source cannot be joined to it.

Source: mdl1104/Dataset-for-topology-aware-VM-placement (CC0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Machines
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB

_NAMES = ("CPU1", "RAM1", "CPU2", "RAM2")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of the servers."""
    return header_names(head) == list(_NAMES)


def read(path: Path, *, on_bad_row: str = "error") -> Machines:
    """Read the servers.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Machines
        ``machine_id`` is the row of the file.

    Raises
    ------
    TraceError
    """
    source = read_source(path)
    table = read_csv(source, [Column(name) for name in _NAMES], on_bad_row=on_bad_row)
    for name in _NAMES:
        table.require(name, (table[name] >= 0) & (table[name] < 10**6), ">= 0")
    return Machines(
        machine_id=table.rows,
        cpu_mcore=(table["CPU1"] + table["CPU2"]) * MCORE_PER_CORE,
        mem_mib=(table["RAM1"] + table["RAM2"]) * MIB_PER_GIB,
        source=source.name,
        meta={
            "files": {source.name: source.sha256},
            "numa_free": np.stack([table[name] for name in _NAMES], axis=1).tolist(),
            "memory_unit": "1 GB of the source is 1 GiB",
        },
        report=table.report(),
    )

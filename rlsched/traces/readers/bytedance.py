"""ByteDance, VM rescheduling: a snapshot of VMs on hosts with two NUMA nodes (JSON).

``cluster_list[]`` with ``host_info[]`` and ``vm_instance[]``. One file holds two clusters and two nouns:
``cluster`` and ``what`` choose. A host is one machine of both its NUMA nodes together, as our nouns
have no NUMA nodes; ``meta["host_of_task"]`` has the host row (in the list that ``what="hosts"``
gives) and ``meta["numa_of_task"]`` the NUMA nodes of each VM, so that the snapshot can be rebuilt. There
are no times: every VM arrives at 0 and has no known departure. MB are taken as MiB.

Source: Ding et al., "Towards VM Rescheduling Optimization Through Deep RL", EuroSys 2025.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.traces.columns import UNKNOWN, Drop, DropReport, Machines, Trace
from rlsched.traces.readers.source import Source, quote, read_source
from rlsched.traces.readers.table import check_choice
from rlsched.units import MCORE_PER_CORE


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether it is JSON with a list of clusters of hosts."""
    return head.lstrip()[:1] == b"{" and b'"cluster_list"' in head and b'"host_info"' in head


def read(path: Path, *, what: str = "vms", cluster: str = "") -> Trace | Machines:
    """Read the VMs or the hosts of one cluster.

    Parameters
    ----------
    path : Path
    what : {"vms", "hosts"}
    cluster : str
        Its name; the first by default.

    Returns
    -------
    Trace or Machines
        In the order of the file; ``site`` of a host is its rack.

    Raises
    ------
    TraceError
    SpecError
        A cluster that is not there.
    """
    check_choice("what", what, ("vms", "hosts"))
    source = read_source(path)
    try:
        document: Any = json.loads(source.data)
        clusters = {str(one["cluster_name"]): one for one in document["cluster_list"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TraceError(
            f"a snapshot must be JSON with cluster_list: {path} is not ({quote(repr(error), 200)}). Get it again."
        ) from None
    name = cluster or next(iter(clusters), "")
    if name not in clusters:
        raise SpecError(f"no cluster {name!r} in {path}.{did_you_mean(name, clusters)}")
    try:
        chosen = clusters[name]
        return _hosts(source, chosen, name) if what == "hosts" else _vms(source, chosen, name)
    except (KeyError, TypeError, AttributeError) as error:
        raise TraceError(
            f"a snapshot must be complete: {path} lacks {error} in cluster {name}. Get it again."
        ) from None


def _meta(source: Source, name: str) -> dict[str, Any]:
    return {"files": {source.name: source.sha256}, "cluster": name, "memory_unit": "1 MB of the source is 1 MiB"}


def _whole(value: Any, what: str, source: Source) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53 or value != int(value):
        raise TraceError(f"{what} must be a whole number >= 0: got {value!r} in {source.name}. Fix the file.")
    return int(value)


def _hosts(source: Source, cluster: dict[str, Any], name: str) -> Machines:
    hosts = cluster["host_info"]
    cpu = [_whole(host["node_cpu"], "node_cpu", source) for host in hosts]
    mem = [math.ceil(host["node_mem_mb"]) for host in hosts]
    for host in hosts:
        if sum(node["total_cpu"] for node in host["numa"]) != host["node_cpu"]:
            raise TraceError(
                f"the NUMA nodes of a host must add up to its cores: {quote(host['node_id'])} of {source.name} does "
                "not. Fix the file."
            )
    racks = [str(host["rack_id"]) for host in hosts]
    sites = tuple(dict.fromkeys(racks))
    idle = [host for host in hosts if host["status"] != "ACTIVE"]
    drops = (Drop("status is not ACTIVE", "kept", len(idle)),) if idle else ()
    return Machines(
        machine_id=np.array([str(host["node_id"]) for host in hosts], object),
        cpu_mcore=np.array(cpu, np.int64) * MCORE_PER_CORE,
        mem_mib=np.array(mem, np.int64),
        site=np.array([sites.index(rack) for rack in racks], np.int64),
        sites=sites,
        source=source.name,
        meta=_meta(source, name),
        report=DropReport(len(hosts), len(hosts), drops),
    )


def _vms(source: Source, cluster: dict[str, Any], name: str) -> Trace:
    vms = cluster["vm_instance"]
    row_of = {str(host["node_id"]): row for row, host in enumerate(cluster["host_info"])}
    strange = next((vm for vm in vms if str(vm["host_id"]) not in row_of), None)
    if strange is not None:
        raise TraceError(
            f"a VM must be on a host of its cluster: {quote(strange['instance_id'])} of {source.name} is on "
            f"{quote(strange['host_id'])}. Fix the file."
        )
    n = len(vms)
    cpu = [sum(_whole(node["cpu"], "cpu", source) for node in vm["numa"]) for vm in vms]
    mem = [math.ceil(sum(node["mem_mb"] for node in vm["numa"])) for vm in vms]
    drops = [Drop("a snapshot has no times", "given arrival 0 and no departure", n)]
    fixed = sum(not vm["allow_migration"] for vm in vms)
    if fixed:
        drops.append(Drop("allow_migration is false", "kept", fixed))
    meta = _meta(source, name)
    meta["host_of_task"] = [row_of[str(vm["host_id"])] for vm in vms]
    meta["numa_of_task"] = [[int(node["node"]) for node in vm["numa"]] for vm in vms]
    meta["may_move"] = [bool(vm["allow_migration"]) for vm in vms]
    return Trace(
        task_id=np.array([str(vm["instance_id"]) for vm in vms], object),
        arrive_s=np.zeros(n, np.int64),
        depart_s=np.full(n, UNKNOWN),
        cpu_mcore=np.array(cpu, np.int64) * MCORE_PER_CORE,
        mem_mib=np.array(mem, np.int64),
        source=source.name,
        meta=meta,
        report=DropReport(n, n, tuple(drops)),
    )

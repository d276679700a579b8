"""OpenDC topologies (JSON): hosts of a data centre by cluster.

``clusters[].hosts[]`` with ``count``, ``cpu.coreCount``, ``cpu.coreSpeed`` (MHz) and
``memory.memorySize``, whose unit the format does not state: KiB by default, which makes the
128,000,000 of SURF's Lisa 122 GiB. Core speed and power model are in ``meta["hosts"]``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Drop, DropReport, Machines
from rlsched.traces.readers.opendc_tasks import MEM_UNITS
from rlsched.traces.readers.source import Source, read_source
from rlsched.traces.readers.table import check_choice
from rlsched.units import MCORE_PER_CORE

_MOST = 10_000_000  # hosts; a larger count is a mistake, and would fill the memory


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether it is JSON with clusters of hosts that have cores."""
    return head.lstrip()[:1] == b"{" and b'"clusters"' in head and b'"coreCount"' in head


def read(path: Path, *, mem_unit: str = "kib") -> Machines:
    """Read a topology.

    Parameters
    ----------
    path : Path
    mem_unit : {"kib", "mib", "bytes"}
        Of ``memorySize``; rounded up to whole MiB.

    Returns
    -------
    Machines
        A row a host, ``<cluster>/<host>/<number>``; ``site`` is the cluster.

    Raises
    ------
    TraceError
    """
    check_choice("mem_unit", mem_unit, list(MEM_UNITS))
    source = read_source(path)
    ids: list[str] = []
    cpu: list[int] = []
    mem: list[int] = []
    site: list[int] = []
    sites: list[str] = []
    kinds: list[dict[str, Any]] = []
    rounded = 0
    for cluster in _part(source, _document(source), "clusters", list):
        hosts = _part(source, cluster, "hosts", list)
        sites.append(str(cluster.get("name", f"cluster{len(sites)}")))
        for host in hosts:
            cores = _number(source, _part(source, host, "cpu", dict), "coreCount")
            count = _number(source, host, "count", 1)
            if len(ids) + count > _MOST:
                raise TraceError(
                    f"a topology may have at most {_MOST:,} hosts: got a count of {count:.0f} in {source.name}."
                )
            size = _number(source, _part(source, host, "memory", dict), "memorySize") * MEM_UNITS[mem_unit]
            rounded += int(count) if size != math.ceil(size) else 0
            name = str(host.get("name", f"host{len(kinds)}"))
            for number in range(int(count)):
                ids.append(f"{sites[-1]}/{name}/{number}")
                cpu.append(int(cores) * MCORE_PER_CORE)
                mem.append(math.ceil(size))
                site.append(len(sites) - 1)
            kinds.append({"name": name, "count": int(count), "cpu": host["cpu"], "power": host.get("powerModel")})
    drops = (
        (Drop(f"memorySize (in {mem_unit}) is not whole MiB", "with mem_mib rounded up", rounded),) if rounded else ()
    )
    return Machines(
        machine_id=np.array(ids, object),
        cpu_mcore=np.array(cpu, np.int64),
        mem_mib=np.array(mem, np.int64),
        site=np.array(site, np.int64),
        sites=tuple(sites),
        source=source.name,
        meta={
            "files": {source.name: source.sha256},
            "memory_unit": f"memorySize taken as {mem_unit}",
            "hosts": kinds,
        },
        report=DropReport(len(ids), len(ids), drops),
    ).validate()


def _document(source: Source) -> dict[str, Any]:
    try:
        document = json.loads(source.data)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"a topology must be JSON: {source.name} is not ({error}). Export it again.") from None
    if not isinstance(document, dict):
        raise TraceError(f"a topology must be a JSON object: {source.name} holds a {type(document).__name__}.")
    return document


def _part(source: Source, holder: Any, name: str, kind: type) -> Any:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or not value:
        wanted = "a list with entries" if kind is list else "an object"
        raise TraceError(f"{name} must be {wanted}: got {str(value)[:60]} in {source.name}. Complete the topology.")
    return value


def _number(source: Source, holder: dict[str, Any], name: str, default: int | None = None) -> float:
    value = holder.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 2**53:
        raise TraceError(f"{name} must be a number > 0: got {value!r} in {source.name}. Complete the topology.")
    if name != "memorySize" and value != int(value):
        raise TraceError(f"{name} must be whole: got {value!r} in {source.name}. Complete the topology.")
    return value

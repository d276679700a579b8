"""``Reader``: a frame of machines, read again and again.

A scheduler asks about the same machines, of which one or two changed. Columns that hold the very
bytes that were checked last time are not checked again; of whole numbers only the rows that
differ are; whatever else differs is read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsched.policies.library import cluster as cl
from rlsched.policies.library.cluster import CHANGING, Cluster, read_cluster, read_columns, renew
from rlsched.policies.library.frame import COLUMNS, Table, as_column, columns_of
from rlsched.policies.library.terms import Terms
from rlsched.traces.columns import MAX_QUANTITY, Machines

#: Types whose values cannot change while they are held.
_STILL = {str, int, float, bool, type(None)}
#: Columns of which single rows are read again.
_BY_ROW = frozenset(("cpu_free_mcore", "mem_free_mib", "tasks", "gpu_free_mgpu", "gpu_kinds"))
#: Where what is free goes, and where it finds the most it can be.
_FREE = {"cpu_free_mcore": (cl.CPU, cl.CAP_CPU), "mem_free_mib": (cl.MEM, cl.CAP_MEM)}
#: Of a column, so many rows at most.
_FEW = 8


@dataclass(frozen=True, eq=False, slots=True)
class _Print:
    """What tells a column from another."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: bytes
    held: Any
    plain: bool


@dataclass
class _Kept:
    """A cluster as it was read, and the columns it was read from."""

    cluster: Cluster
    terms: Terms
    names: tuple[str, ...]
    n: int
    prints: dict[str, _Print]
    index: Any


class Reader:
    """Reads machines; keeps the last cluster, which the next reading changes in place."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def read(self, machines: Any, terms: Terms) -> Cluster:
        """As :func:`rlsched.policies.library.cluster.read_cluster`, with the same errors.

        Returns
        -------
        Cluster
            Good until the next reading.
        """
        if isinstance(machines, (Cluster, Machines)):
            return read_cluster(machines, terms)
        columns, n, index = columns_of(machines)
        kept, self._kept = self._kept, None  # a cluster that is half renewed when an error comes is not kept
        names = tuple(columns)
        if kept is not None and (kept.terms is not terms or kept.n != n or kept.names != names):
            kept = None
        before = kept.prints if kept is not None else {}
        prints = _prints(columns, before)
        cluster = None if kept is None else _renewed(kept, columns, prints, index, terms)
        if cluster is None:
            cluster = read_columns(columns, n, index, terms)
        self._kept = _Kept(cluster, terms, names, n, prints, index)
        return cluster


def _prints(columns: dict[str, Any], before: dict[str, _Print]) -> dict[str, _Print]:
    """Prints of the columns that are looked at: those of last time where a column is the same."""
    out = {}
    for name, values in columns.items():
        if name not in COLUMNS:
            continue
        array = values if type(values) is np.ndarray else as_column(values)
        columns[name] = array
        data = array.tobytes()  # of objects: where they are
        one = before.get(name)
        same = one is not None and one.data == data and one.shape == array.shape and one.dtype == array.dtype
        if one is not None and same and one.plain:
            out[name] = one
        elif array.dtype != object:
            out[name] = _Print(array.dtype, array.shape, data, None, True)
        else:
            # A list in a cell can change, and would still be the same object. Holding the objects
            # keeps others from taking their place.
            still = set(map(type, array.tolist())) <= _STILL
            out[name] = _Print(array.dtype, array.shape, data, array.copy(), still)
    return out


def _renewed(
    kept: _Kept, columns: dict[str, Any], prints: dict[str, _Print], index: Any, terms: Terms
) -> Cluster | None:
    """The cluster that was kept, brought up to date; None where all has to be read."""
    changed = {name for name, one in prints.items() if one is not kept.prints[name]}
    named = index is not kept.index if "machine_id" not in prints else "machine_id" in changed
    changed.discard("machine_id")
    if not changed and not named:
        return kept.cluster
    if not changed.issubset(CHANGING):
        return None
    cluster, devices = kept.cluster, "gpu_free_mgpu" in changed
    if changed and not _BY_ROW.isdisjoint(changed):
        changed = _amend(kept, columns, changed)
    if changed or named:
        table = Table(columns, kept.n, index)
        if changed:
            renew(cluster, table, terms, changed)
        if named:
            cluster.ids = table.ids(check=True)
    if devices and "gpu_kinds" not in columns:  # is assumed as soon as a device is in use
        used = bool((cluster.whole[cl.GPU] < cluster.whole[cl.CAP_GPU]).any())
        if used != any(one.startswith("no column gpu_kinds:") for one in cluster.assumed):
            return None
    return cluster


def _amend(kept: _Kept, columns: dict[str, Any], changed: set[str]) -> set[str]:
    """Read again the rows of whole numbers that differ, where they are few and nothing about them is odd.

    Returns
    -------
    set of str
        Columns that are still to be read: all of ``changed`` where a row is odd, so that reading them
        says what is wrong.
    """
    cluster, whole = kept.cluster, kept.cluster.whole
    differ: dict[str, list[int]] = {}
    for name in changed & _BY_ROW:
        one, array = kept.prints[name], columns[name]
        wide = {"gpu_free_mgpu": cluster.device.shape[1], "gpu_kinds": 5}.get(name)
        fit = array.ndim == 1 if wide is None else array.ndim == 2 and array.shape[1] >= wide
        if not fit or one.shape != array.shape or one.dtype != array.dtype or array.dtype.kind not in "iu":
            return changed
        unlike = np.frombuffer(one.data, one.dtype).reshape(one.shape) != array
        rows = (unlike if wide is None else unlike.any(axis=1)).nonzero()[0]
        if rows.size > _FEW:
            return changed
        differ[name] = rows.tolist()
    puts: list[tuple[int, int, int]] = []
    for name, (to, most) in _FREE.items():
        for row in differ.get(name, ()):
            value = columns[name].item(row)
            if not 0 <= value <= whole.item(most, row):
                return changed
            puts.append((to, row, value))
    for row in differ.get("tasks", ()):
        value = columns["tasks"].item(row)
        if not 0 <= value <= MAX_QUANTITY or (value > 0) != (whole.item(cl.TASKS, row) > 0):
            return changed  # of a machine that is taken or left, more has to be read
        puts.append((cl.TASKS, row, value))
    devices = {row: columns["gpu_free_mgpu"][row].tolist() for row in differ.get("gpu_free_mgpu", ())}
    for row, values in devices.items():
        del values[whole.item(cl.GPUS, row) :]
        if values and not 0 <= min(values) <= max(values) <= 1000:
            return changed
        puts.append((cl.GPU, row, sum(values)))
    kinds = {row: columns["gpu_kinds"][row].tolist() for row in differ.get("gpu_kinds", ())}
    if any(len(values) != 5 or min(values) < 0 for values in kinds.values()):
        return changed
    for to, row, value in puts:
        whole[to, row] = value
    for row, values in devices.items():
        cluster.device[row, : len(values)] = values
    for row, values in kinds.items():
        whole[cl.KIND :, row] = values
    moved = sorted(set().union(*differ.values()))
    if "tasks" not in columns:  # what is allocated tells
        for row in moved:
            cpu, mem, gpu, tasks = (whole.item(at, row) for at in (cl.CPU, cl.MEM, cl.GPU, cl.TASKS))
            full = (whole.item(cl.CAP_CPU, row), whole.item(cl.CAP_MEM, row), whole.item(cl.CAP_GPU, row))
            if (tasks > 0) == ((cpu, mem, gpu) == full):
                return changed
    cluster.touch(np.array(moved, np.int64))
    return changed - _BY_ROW

"""``Reader``: a frame of machines, read again and again.

A scheduler asks about the same machines, of which one or two changed. Columns that hold the very
bytes that were checked last time are not checked again; whatever differs is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsched.policies.library.cluster import CHANGING, Cluster, read_cluster, read_columns, renew
from rlsched.policies.library.frame import COLUMNS, Table, as_column, columns_of
from rlsched.policies.library.terms import Terms
from rlsched.traces.columns import Machines


@dataclass(frozen=True, eq=False)
class _Print:
    """What tells a column from another."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: bytes
    held: Any
    plain: bool

    def same(self, array: Any, data: bytes) -> bool:
        """True when a column holds the very same."""
        return self.data == data and self.dtype == array.dtype and self.shape == array.shape


@dataclass
class _Kept:
    """A cluster as it was read, and the columns it was read from."""

    cluster: Cluster
    terms: Terms
    names: tuple[str, ...]
    n: int
    prints: dict[str, _Print]


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
        before = kept.prints if kept is not None else {}
        prints = {
            name: _print(columns, name, before.get(name))
            for name in columns
            if name in COLUMNS and name != "machine_id"
        }
        changed = None if kept is None else _changed(kept, prints, tuple(columns), n, terms)
        if kept is None or changed is None:
            cluster = read_columns(columns, n, index, terms)
        else:
            cluster = kept.cluster
            table = Table(columns, n, index)
            if changed:
                renew(cluster, table, terms, changed)
            cluster.ids = table.ids()
        self._kept = _Kept(cluster, terms, tuple(columns), n, prints)
        return cluster


def _changed(kept: _Kept, prints: dict[str, _Print], names: tuple[str, ...], n: int, terms: Terms) -> set[str] | None:
    """Columns that differ from those kept; None where all have to be read."""
    if kept.terms is not terms or kept.names != names or kept.n != n:
        return None
    changed = {name for name, one in prints.items() if one is not kept.prints[name]}
    return changed if changed.issubset(CHANGING) else None


def _print(columns: dict[str, Any], name: str, before: _Print | None) -> _Print:
    """The print of a column: that of last time where the column is the same."""
    array = columns[name] = as_column(columns[name])
    data = array.tobytes()  # of objects: where they are
    if before is not None and before.plain and before.same(array, data):
        return before
    if array.dtype != object:
        return _Print(array.dtype, array.shape, data, None, True)
    # Texts cannot change; a list in a cell can, and would still be the same object. Holding the
    # objects keeps others from taking their place.
    return _Print(array.dtype, array.shape, data, array.copy(), set(map(type, array.tolist())) <= {str, type(None)})

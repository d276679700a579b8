"""AWS EC2 spot prices of 2015: ``timestamp``, ``spot_price_usd_per_hour``.

One row a change, and one a day where nothing changes: a price holds until the next, the last one
for a day. The market is the name of the file, ``<zone>-<system>-<instance type>``.

Source: Sharma et al., "SpotCheck", EuroSys 2015, and their repository of price histories.
"""

from __future__ import annotations

import math
from pathlib import Path

from rlsched.errors import TraceError
from rlsched.traces.columns import Signal
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import first_head, header_names, list_tree, read_source
from rlsched.traces.readers.table import Column, read_csv
from rlsched.units import SECONDS_PER_HOUR

PRICE = "spot_price_usd_per_hour"


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, has a spot price."""
    head = first_head(path) if path.is_dir() else head
    return header_names(head) == ["timestamp", PRICE]


def market(path: Path) -> str:
    """Name of the file without ``.csv`` and ``.gz``; instance types have a dot of their own."""
    return path.name.removesuffix(".gz").removesuffix(".csv")


def read(path: Path, *, on_bad_row: str = "error") -> Signal:
    """Read one market, or a folder of them.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Signal
        A signal a market, USD/h, at irregular times. Second 0 is the earliest
        (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        table = read_csv(source, (Column("timestamp", "datetime"), Column(PRICE, "float")), on_bad_row=on_bad_row)
        table.require(PRICE, table[PRICE] > 0, "> 0")
        if len(table) == 0:
            raise TraceError(f"a market must have at least one good row: {source.name} has none. See the rows' faults.")
        name = market(file)
        pieces.append(Piece(name, table["timestamp"], table[PRICE], source.name, table.report()))
        hashes[source.name] = source.sha256
    day = 24.0 * SECONDS_PER_HOUR
    return join(pieces, "USD/h", str(path), {"files": hashes}, hold_s=math.inf, last_s=day)

"""Electricity price of market zones by the hour (SustainCluster's standardized files).

Columns ``Datetime (UTC)``, ``Datetime (Local)``, ``Price (USD/MWh)``. The zone is in the name of
the file only: what stands before ``_electricity_prices``. A folder is read with everything below
it, the years of a zone joined. Prices may be negative (down to -539) and have heavy tails (up to
8,994 in Texas, February 2021); nothing is clipped. They were converted with one fixed rate.

Source: Guillen et al., "SustainCluster", NeurIPS 2025.
"""

from __future__ import annotations

from pathlib import Path

from rlsched.errors import TraceError
from rlsched.traces.columns import Signal
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import first_head, header_names, list_tree, plain_name, read_source
from rlsched.traces.readers.table import Column, read_csv

HOLD_S = 3600
PRICE = "Price (USD/MWh)"


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, has a price by UTC hour."""
    head = first_head(path) if path.is_dir() else head
    return {"Datetime (UTC)", PRICE} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Signal:
    """Read a file, or a folder of zones and years.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Signal
        A signal a zone, USD/MWh; a value holds an hour. Second 0 is the earliest
        (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        table = read_csv(source, (Column("Datetime (UTC)", "datetime"), Column(PRICE, "float")), on_bad_row=on_bad_row)
        if len(table) == 0:
            raise TraceError(f"a zone must have at least one good row: {source.name} has none. See the rows' faults.")
        table.note(table[PRICE] < 0, "a negative price", "kept")
        zone = plain_name(file).split("_electricity_prices")[0]
        pieces.append(Piece(zone, table["Datetime (UTC)"], table[PRICE], source.name, table.report()))
        hashes[source.name] = source.sha256
    return join(pieces, "USD/MWh", str(path), {"files": hashes}, hold_s=HOLD_S, last_s=HOLD_S)

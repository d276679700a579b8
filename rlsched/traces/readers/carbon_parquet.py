"""Carbon intensity of countries in OpenDC's Parquet: ``timestamp``, ``carbon_intensity``.

With a time zone (2023) or without (2022, taken as UTC). A value holds until the next, at most an
hour: what lies in a longer gap is missing. The levels of these files look too low (France has a
mean of 3.9 g/kWh in 2023): use their shape. The zone is the two capitals in the name of the file.

Source: ENTSO-E data in the trace archive and the tests of OpenDC (MIT).
"""

from __future__ import annotations

import re
from pathlib import Path

from rlsched.traces.columns import Signal
from rlsched.traces.readers.parquet_table import parquet_names, read_parquet
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import first_head, hash_file, list_tree, plain_name
from rlsched.traces.readers.table import Column
from rlsched.traces.store import PARQUET_MAGIC

HOLD_S = 3600
_ZONE = re.compile(r"(?:^|[-_])([A-Z]{2})(?:[-_.]|$)")


def sniff(head: bytes, path: Path) -> bool:
    """Whether a Parquet file, or a folder's first, has the two columns."""
    if path.is_dir():
        return first_head(path).startswith(PARQUET_MAGIC) and sniff(PARQUET_MAGIC, list_tree(path)[0])
    return head.startswith(PARQUET_MAGIC) and {"timestamp", "carbon_intensity"} <= set(parquet_names(path))


def read(path: Path, *, on_bad_row: str = "error") -> Signal:
    """Read one country, or a folder of them.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Signal
        A signal a file, g/kWh. Second 0 is the earliest (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    for file in list_tree(path) if path.is_dir() else [path]:
        columns = (Column("timestamp", "datetime"), Column("carbon_intensity", "float"))
        table = read_parquet(file, columns, on_bad_row=on_bad_row)
        table.require("carbon_intensity", table["carbon_intensity"] >= 0, ">= 0")
        zone = _ZONE.search(plain_name(file))
        name = zone[1] if zone else plain_name(file)
        pieces.append(Piece(name, table["timestamp"], table["carbon_intensity"], str(file), table.report()))
        hashes[str(file)] = hash_file(file)
    return join(pieces, "g/kWh", str(path), {"files": hashes}, hold_s=HOLD_S, last_s=None)

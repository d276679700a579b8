"""Carbon intensity of countries in 2020 ("Let's Wait Awhile"): ``Time``, ``Carbon Intensity``.

Steps of 15 or 30 minutes, which change inside a file (Great Britain on 31 October 2020) and are
doubled twice in the German one: the time stamps count, not the row number. A value holds until
the next, at most an hour. The zone is the name of the file without ``_ci``.

Source: Wiesner et al., "Let's Wait Awhile", Middleware 2021; ENTSO-E data.
"""

from __future__ import annotations

from pathlib import Path

from rlsched.errors import TraceError
from rlsched.traces.columns import Signal
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import first_head, header_names, list_tree, plain_name, read_source
from rlsched.traces.readers.table import Column, read_csv

HOLD_S = 3600
VALUE = "Carbon Intensity"


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is ``Time,Carbon Intensity``."""
    head = first_head(path) if path.is_dir() else head
    return header_names(head) == ["Time", VALUE]


def read(path: Path, *, on_bad_row: str = "error") -> Signal:
    """Read one country, or a folder of them.

    Parameters
    ----------
    path : Path
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Signal
        A signal a file, g/kWh. Second 0 is the earliest (``meta["time_origin_s"]``; the stamps
        name no zone and are taken as UTC).

    Raises
    ------
    TraceError
    """
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        table = read_csv(source, (Column("Time", "datetime"), Column(VALUE, "float")), on_bad_row=on_bad_row)
        table.require(VALUE, table[VALUE] >= 0, ">= 0")
        if len(table) == 0:
            raise TraceError(f"a zone must have at least one good row: {source.name} has none. See the rows' faults.")
        zone = plain_name(file).removesuffix("_ci")
        pieces.append(Piece(zone, table["Time"], table[VALUE], source.name, table.report()))
        hashes[source.name] = source.sha256
    return join(pieces, "g/kWh", str(path), {"files": hashes}, hold_s=HOLD_S, last_s=None)

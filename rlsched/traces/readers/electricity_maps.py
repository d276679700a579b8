"""Carbon intensity of power grids by the hour (Electricity Maps, as SustainCluster stores it).

Columns ``Datetime (UTC)``, ``Zone Id``, ``Carbon Intensity gCO₂eq/kWh (direct)`` and ``(LCA)``,
``Data Estimated`` and others. A folder is read with everything below it: the years of a zone are
joined, zones are separate signals, called as the file is (``<zone>_<year>_hourly``), which is how
the prices beside them are called; ``meta["zone_ids"]`` keeps the ``Zone Id`` of Electricity Maps
(``BR-SP`` is ``BR-CS``, ``CL-SIC`` is ``CL-SEN``, ``DE-LU`` is ``DE``).
Rows that Electricity Maps modelled instead of measured are kept and counted.

Source: Guillen et al., "SustainCluster", NeurIPS 2025; data under ODbL.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Signal
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import first_head, header_names, list_tree, plain_name, read_source
from rlsched.traces.readers.table import Column, check_choice, read_csv

HOLD_S = 3600
_FILE = re.compile(r"(.+)_\d{4}_hourly")
ACCOUNTS = {
    "direct": "Carbon Intensity gCO₂eq/kWh (direct)",
    "life_cycle": "Carbon Intensity gCO₂eq/kWh (LCA)",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is that of an hourly export."""
    head = first_head(path) if path.is_dir() else head
    return {"Datetime (UTC)", "Zone Id", *ACCOUNTS.values()} <= set(header_names(head))


def read(path: Path, *, account: str = "direct", on_bad_row: str = "error") -> Signal:
    """Read a file, or a folder of zones and years.

    Parameters
    ----------
    path : Path
    account : {"direct", "life_cycle"}
        Emissions of operation, or of the life cycle of the plants.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Signal
        A signal a zone, g/kWh; called by ``Zone Id`` where the file has another name. A value
        holds an hour. Second 0 is the earliest (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    check_choice("account", account, list(ACCOUNTS))
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    zone_ids: dict[str, str] = {}
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        columns = (
            Column("Datetime (UTC)", "datetime"),
            Column("Zone Id", "text"),
            Column(ACCOUNTS[account], "float"),
            Column("Data Estimated", "text"),
        )
        table = read_csv(source, columns, on_bad_row=on_bad_row)
        table.require(ACCOUNTS[account], table[ACCOUNTS[account]] >= 0, ">= 0")
        if len(table) == 0:
            raise TraceError(f"a zone must have at least one good row: {source.name} has none. See the rows' faults.")
        estimated = np.char.lower(table["Data Estimated"].astype(str)) == "true"
        table.note(estimated, "estimated by the source, not measured", "kept")
        report = table.report()
        zones = np.unique(table["Zone Id"].astype(str))
        if zones.size != 1:
            raise TraceError(
                f"a file must be of one zone: {source.name} has {', '.join(zones[:4])}. Split it by Zone Id."
            )
        named = _FILE.fullmatch(plain_name(file))
        zone = named[1] if named else str(zones[0])
        zone_ids[zone] = str(zones[0])
        pieces.append(Piece(zone, table["Datetime (UTC)"], table[ACCOUNTS[account]], source.name, report))
        hashes[source.name] = source.sha256
    meta = {"files": hashes, "account": account, "zone_ids": zone_ids}
    return join(pieces, "g/kWh", str(path), meta, hold_s=HOLD_S, last_s=HOLD_S)

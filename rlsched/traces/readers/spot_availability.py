"""Availability of spot instances (SkyPilot's probes on AWS and GCP, 2022 and 2023).

JSON: ``metadata.gap_seconds`` and ``data``, a list of the number of instances that could be had
at each probe (0 or 1 for one node; up to 4 or 16), some as floats; in some files ``prices`` of the
same length, USD an hour. A value holds until the next probe. The moment of the first is not known:
the clock of every file starts at 0, and files of one campaign differ in length. Read one campaign
(folder) at a time: the same zone occurs in several.

Source: Wu et al., "Can't Be Late", NSDI 2024.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import F64, DropReport, Signal
from rlsched.traces.readers.signals import Piece, join
from rlsched.traces.readers.source import Source, first_head, list_tree, plain_name, read_source
from rlsched.traces.readers.table import check_choice

MEASURES = {"data": "instances", "prices": "USD/h"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether a file, or a folder's first, is JSON with the seconds between probes."""
    head = first_head(path) if path.is_dir() else head
    return head.lstrip()[:1] == b"{" and b'"gap_seconds"' in head and b'"data"' in head


def read(path: Path, *, measure: str = "data") -> Signal:
    """Read one zone, or the folder of a campaign.

    Parameters
    ----------
    path : Path
    measure : {"data", "prices"}
        Instances that could be had, or the price of one; files without prices are refused.

    Returns
    -------
    Signal
        A signal a file, in ``instances`` or ``USD/h``, from second 0.

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(MEASURES))
    pieces: list[Piece] = []
    hashes: dict[str, str] = {}
    gaps: set[float] = set()
    for file in list_tree(path) if path.is_dir() else [path]:
        source = read_source(file)
        gap, values = _probes(source, measure)
        n = values.size
        name = plain_name(file)
        if any(piece.name == name for piece in pieces):
            raise TraceError(
                f"a zone must occur once: {path} has {name!r} in several campaigns. Read one campaign's folder."
            )
        pieces.append(Piece(name, (np.arange(n) * gap).astype(np.float64), values, source.name, DropReport(n, n)))
        hashes[source.name] = source.sha256
        gaps.add(gap)
    last = max(gaps) if len(gaps) == 1 else None
    columns = join(pieces, MEASURES[measure], str(path), {"files": hashes}, hold_s=math.inf, last_s=last)
    del columns.meta["time_origin_s"]  # there is no such moment in the files
    return columns


def _probes(source: Source, measure: str) -> tuple[float, F64]:
    try:
        document: Any = json.loads(source.data)
        gap, values = document["metadata"]["gap_seconds"], document[measure]
    except KeyError as error:
        raise TraceError(
            f"probes must have {error.args[0]!r}: {source.name} has none. Choose another measure=."
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise TraceError(f"probes must be JSON with metadata and data: {source.name} is not ({error}).") from None
    if isinstance(gap, bool) or not isinstance(gap, (int, float)) or not 0 < gap < 1e6:
        raise TraceError(f"gap_seconds must be a number > 0: got {gap!r} in {source.name}. Fix the file.")
    if not isinstance(values, list) or not values:
        raise TraceError(f"{measure} must be a list with entries: {source.name} has none. Fix the file.")
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
            raise TraceError(f"{measure} must be numbers >= 0: got {value!r} at probe {i} of {source.name}. Fix it.")
    return gap, np.array(values, np.float64)

"""Every table of a report as data: tidy rows, written as CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlsched.errors import SpecError
from rlsched.evaluate.answer import leader_of
from rlsched.evaluate.results import Document
from rlsched.report.differences import differences_rows
from rlsched.report.tables import role_of, table_rows, verdict_matrix, window_means
from rlsched.traces.store import replacing

Rows = list[dict[str, Any]]
FORMATS = ("csv", "parquet")


def tables_of(document: Document) -> dict[str, Rows]:
    """Name → rows, each table that has any.

    Returns
    -------
    dict
        ``policies`` (rank and role), ``summary``, ``verdicts``, ``matrix``, ``windows`` (the main
        metric by policy and window, and the difference to the leader), ``bounds``, ``gaps``,
        ``timeline``, ``differences``, ``rows``. The keys are those of ``docs/json.md``.
    """
    opponents, marks = verdict_matrix(document)
    matrix = [
        {"policy": policy, "metric": opponent.metric, "against": opponent.policy, "verdict": mark.word}
        for policy, row in marks.items()
        for opponent, mark in zip(opponents, row, strict=True)
        if mark is not None
    ]
    found: dict[str, Rows] = {
        "policies": [
            {"rank": rank, "policy": name, "role": role_of(document, name)}
            for rank, name in enumerate(table_rows(document), start=1)
        ],
        "summary": document["summary"],
        "verdicts": document["verdicts"],
        "matrix": matrix,
        "windows": _windows(document),
        "bounds": document.get("bounds", []),
        "gaps": document.get("gaps", []),
        "timeline": _timeline(document.get("timeline")),
        "differences": [dict(row) for row in differences_rows(document)],
        "rows": document["rows"],
    }
    return {name: rows for name, rows in found.items() if rows}


def write_tables(document: Document, folder: Path, kind: str, tables: Mapping[str, Rows] | None = None) -> list[Path]:
    """Write every table into a folder, one file each; those of an earlier time are replaced.

    Parameters
    ----------
    document : dict
    folder : Path
        Made where it is not there.
    kind : {"csv", "parquet"}
        CSV has an empty field for what is not known.
    tables : mapping of str to list of dict, optional
        Instead of :func:`tables_of`.

    Raises
    ------
    SpecError
        When the folder cannot be written.
    """
    out = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in (tables_of(document) if tables is None else tables).items():
            path = folder / f"{name}.{kind}"
            with replacing(path) as temporary:
                (_write_csv if kind == "csv" else _write_parquet)(rows, temporary)
            out.append(path)
    except OSError as error:
        raise SpecError(f"cannot write tables to {folder}: {error.strerror}. Name another folder.") from None
    return out


def _windows(document: Document) -> Rows:
    metric = document["provenance"].get("main_metric")
    first = leader_of(document)
    if not metric or not first:
        return []
    values = window_means(document, metric)
    return [
        {
            "policy": policy,
            "window": window,
            metric: value,
            "minus_leader": value - values[first][window] if window in values[first] else None,
        }
        for policy, windows in values.items()
        for window, value in windows.items()
    ]


def _timeline(timeline: Mapping[str, Any] | None) -> Rows:
    if not timeline:
        return []
    return [
        {
            "window": timeline["window"],
            "panel": panel["label"],
            "unit": panel["unit"],
            "series": one["name"],
            "policy": one["policy"],
            "x": x,
            "value": float(value),
        }
        for panel in timeline["panels"]
        for one in panel["series"]
        for x, value in zip(timeline["x"], one["values"], strict=True)
    ]


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _write_csv(rows: Rows, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _keys(rows), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Rows, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    keys = _keys(rows)
    table = pa.Table.from_pylist([{key: row.get(key) for key in keys} for row in rows])
    # A column nobody knows would have no type of its own.
    fields = [pa.field(one.name, pa.float64() if pa.types.is_null(one.type) else one.type) for one in table.schema]
    parquet.write_table(table.cast(pa.schema(fields)), path, compression="zstd")

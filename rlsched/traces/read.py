"""The door for files: ``read_trace``, ``read_machines``, ``read_usage``, ``read_demand``, ``read_signal``.

The format is recognised from the content, or named with ``format``. Every result is validated
and carries its provenance in ``meta``: reader, options, SHA-256 of the files, version.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.traces.advice import option
from rlsched.traces.columns import Columns, Demand, Machines, Signal, Trace, Usage
from rlsched.traces.readers import READERS, Reader
from rlsched.traces.readers.source import first_line, list_tree, quote, read_head

_KIND = {Trace: "trace", Machines: "machines", Usage: "usage", Demand: "demand", Signal: "signal"}
_LOOKED_AT = 20  # files of a folder of no format, to find one that could be named instead
_FUNCTION = {
    "trace": "read_trace",
    "machines": "read_machines",
    "usage": "read_usage",
    "demand": "read_demand",
    "signal": "read_signal",
}


def _hint() -> str:
    return (
        f"{len(READERS)} formats are known ('rlsched traces list' names them). Name one with {option('format')}, or "
        f"describe the columns in a card with {option('card')}."
    )


def kind_of(columns: Columns) -> str:
    """``"trace"``, ``"machines"``, ``"usage"``, ``"demand"`` or ``"signal"``."""
    return _KIND[type(columns)]


def read_any(path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any) -> Columns:
    """Read whatever a file or directory holds.

    Parameters
    ----------
    path : str or Path
        A file (plain or gzip), or a directory for the formats that are directories.
    format : str, optional
        A name in `rlsched.traces.readers.READERS`; recognised from the content by default.
    card : str or Path, optional
        A card (name or TOML file) that names the reader, and for ``generic`` the columns and units.
    **options
        Of the reader, e.g. ``bin_rule="lower"`` for ``azure_v1``.

    Returns
    -------
    Trace, Machines, Usage, Demand or Signal
        Validated; ``report`` says what was dropped or changed.

    Raises
    ------
    TraceError
        The file is not there, damaged, of no known format, or breaks a rule.
    SpecError
        An unknown format or option.
    """
    path = Path(path)
    if card is not None:
        from rlsched.traces.card import load_card

        named = load_card(card).spec.reader
        if not named:
            raise SpecError(
                f"card {card} names no reader for a file of yours: it describes a dataset. Read a part of that with "
                "rlsched.traces.datasets.read_dataset, or name the dataset in the place of the file."
            )
        format = named if format is None else format
        if format == "generic":
            options["card"] = card
    reader = _named(format) if format is not None else recognise(path)
    _check_options(reader, options)
    columns = reader.read(path, **options)
    from rlsched import __version__

    meta = {
        "reader": reader.name,
        "options": {name: _plain(value) for name, value in options.items()},
        "rlsched": __version__,
        **columns.meta,
    }
    return dataclasses.replace(columns, meta=meta).validate()


def read_trace(path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any) -> Trace:
    """Read a trace of tasks; see :func:`read_any`.

    Examples
    --------
    >>> trace = read_trace("openb_pod_list_default.csv.gz")  # doctest: +SKIP
    """
    columns = read_any(path, format=format, card=card, **options)
    if not isinstance(columns, Trace):
        raise _wrong_kind(path, columns, "trace")
    return columns


def read_machines(
    path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any
) -> Machines:
    """Read a list of machines; see :func:`read_any`."""
    columns = read_any(path, format=format, card=card, **options)
    if not isinstance(columns, Machines):
        raise _wrong_kind(path, columns, "machines")
    return columns


def read_usage(path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any) -> Usage:
    """Read measured load; see :func:`read_any`."""
    columns = read_any(path, format=format, card=card, **options)
    if not isinstance(columns, Usage):
        raise _wrong_kind(path, columns, "usage")
    return columns


def read_demand(
    path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any
) -> Demand:
    """Read demand on services; see :func:`read_any`."""
    columns = read_any(path, format=format, card=card, **options)
    if not isinstance(columns, Demand):
        raise _wrong_kind(path, columns, "demand")
    return columns


def read_signal(
    path: str | Path, *, format: str | None = None, card: str | Path | None = None, **options: Any
) -> Signal:
    """Read carbon, price or spot series; see :func:`read_any`."""
    columns = read_any(path, format=format, card=card, **options)
    if not isinstance(columns, Signal):
        raise _wrong_kind(path, columns, "a signal")
    return columns


def recognise(path: str | Path) -> Reader:
    """Find the reader whose format the content has; the first in the table where several match.

    Raises
    ------
    TraceError
        No such file, empty, damaged, or of no known format.
    """
    path = Path(path)
    if path.is_dir():
        found = _sniffed(b"", path)
        if found is None:
            raise TraceError(_no_format_of_a_folder(path))
        return found
    head = read_head(path)
    if not head.strip():
        raise TraceError(f"a trace file must not be empty: {path} holds nothing. Download or write it again.")
    found = _sniffed(head, path)
    if found is None:
        raise TraceError(
            f"the content must be of a known format: {path}, which starts with {quote(first_line(head))}, is of none. "
            f"{_hint()}"
        )
    return found


def _sniffed(head: bytes, path: Path) -> Reader | None:
    return next((reader for reader in READERS.values() if reader.sniff(head, path)), None)


def _no_format_of_a_folder(path: Path) -> str:
    """What to say of a folder that is no trace: which of its files or folders are."""
    files = list_tree(path)  # raises where there is none
    folders = sorted({folder for file in files[:_LOOKED_AT] for folder in file.parents if path in folder.parents})
    for inner in (*folders, *files[:_LOOKED_AT]):
        try:
            reader = _sniffed(b"" if inner.is_dir() else read_head(inner), inner)
        except TraceError:  # damaged: not the one to name
            continue
        if reader is not None:
            return (
                f"a folder must be a trace as a whole: {path} is none, and {inner} in it is one ({reader.name}). "
                "Name that, or another file."
            )
    return (
        f"the content must be of a known format: the directory {path}, first file {files[0].name!r}, is of none. "
        f"{_hint()}"
    )


def _named(name: str) -> Reader:
    if name not in READERS:
        raise SpecError(f"unknown format {name!r}.{did_you_mean(name, READERS)}")
    return READERS[name]


def _check_options(reader: Reader, options: dict[str, Any]) -> None:
    parameters = inspect.signature(reader.read).parameters.values()
    known = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise SpecError(f"format {reader.name!r} has no option {name!r}.{did_you_mean(name, known)}")


def _wrong_kind(path: str | Path, columns: Columns, wanted: str) -> TraceError:
    kind = kind_of(columns)
    return TraceError(f"{path} must hold {wanted}: it holds {kind}. Read it with rlsched.{_FUNCTION[kind]}.")


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)

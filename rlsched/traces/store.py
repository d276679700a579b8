"""Columns ↔ Parquet: one file, with schema version, kind, names and provenance in its metadata.

A ``Usage`` has one row a series and its samples as lists, and so has a ``Signal``; a ``Demand`` has
one row a service. The
file's metadata key ``rlsched`` holds one JSON document; NaN stays NaN and no value is null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.traces.advice import option
from rlsched.traces.columns import (
    SCHEMA_VERSION,
    Columns,
    Demand,
    Drop,
    DropReport,
    Machines,
    Signal,
    Trace,
    Usage,
)
from rlsched.traces.readers.source import check_parquet_size
from rlsched.traces.readers.table import import_pyarrow

METADATA_KEY = b"rlsched"
PARQUET_MAGIC = b"PAR1"
KINDS: dict[str, type[Columns]] = {
    "trace": Trace,
    "machines": Machines,
    "usage": Usage,
    "demand": Demand,
    "signal": Signal,
}
_NAME_LISTS = {"trace": ("gpu_models",), "machines": ("gpu_models", "power_curves", "sites")}
_SCALARS = {"usage": ("step_s",), "demand": ("start_s", "step_s", "unit"), "signal": ("unit",)}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename on success, leave nothing on failure.

    Raises
    ------
    SpecError
        When the directory is not there or cannot be written.
    """
    path = Path(path)
    check_writable(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | Path, suffix: str = "", inputs: Sequence[str | Path] = ()) -> None:
    """Refuse a place that a file cannot, or should not, be written to.

    Parameters
    ----------
    path : str or Path
    suffix : str, optional
        What its name has to end with: a Parquet file called ``.csv`` helps nobody.
    inputs : sequence of str or Path
        What is read for it, which must not be overwritten.

    Raises
    ------
    SpecError
        A directory, a folder that is not there or no folder, no permission, another ending, or
        one of the inputs.
    """
    path = Path(path)
    if not path.name.endswith(suffix):
        raise SpecError(f"cannot write {path}: the name must end with {suffix}, as that is what is written.")
    if any(Path(one).exists() and path.exists() and os.path.samefile(one, path) for one in inputs):
        raise SpecError(f"cannot write {path}: it is read for this, and would be overwritten. Name another file.")
    if path.is_dir():
        raise SpecError(f"cannot write {path}: it is a directory. Name a file in it.")
    if path.parent.exists() and not path.parent.is_dir():
        raise SpecError(f"cannot write {path}: {path.parent} is a file. Name a folder.")
    if not path.parent.is_dir():
        raise SpecError(f"cannot write {path}: there is no folder {path.parent}. Make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SpecError(f"cannot write {path}: no permission to write in {path.parent}. Name another folder.")


def _unwritable(path: Path, error: OSError) -> SpecError:
    # Not the library's own words: they name our temporary file.
    why = os.strerror(error.errno).lower() if error.errno else "the system refused"
    return SpecError(f"cannot write {path}: {why}. Check the folder, its permissions and the room on the disk.")


def save(columns: Columns, path: str | Path) -> None:
    """Write columns to one Parquet file, all or nothing.

    Parameters
    ----------
    columns : Trace, Machines, Usage, Demand or Signal
        Validated first.
    path : str or Path
        Replaced when it exists.

    Raises
    ------
    TraceError
        When an invariant does not hold, an id is neither text nor a whole number, or ``meta``
        cannot be written as JSON.
    SpecError
        When the place cannot be written.
    """
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    columns.validate()
    kind = next(name for name, noun in KINDS.items() if isinstance(columns, noun))
    arrays = _arrow_columns(pa, columns)
    header = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "source": columns.source,
        "meta": columns.meta,
        "report": {
            "rows_read": columns.report.rows_read,
            "rows_kept": columns.report.rows_kept,
            "drops": [[drop.rule, drop.action, drop.count, list(drop.rows)] for drop in columns.report.drops],
        },
        "names": {name: list(getattr(columns, name)) for name in _NAME_LISTS.get(kind, ())},
        "scalars": {name: getattr(columns, name) for name in _SCALARS.get(kind, ())},
        "extra": sorted(columns.extra) if isinstance(columns, Usage) else [],
    }
    try:
        text = json.dumps(header, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TraceError(f"meta must be plain values that JSON can hold: {error}. Store text or numbers.") from None
    table = pa.table(arrays).replace_schema_metadata({METADATA_KEY: text.encode()})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def load(path: str | Path) -> Columns:
    """Read what :func:`save` wrote.

    Returns
    -------
    Trace, Machines, Usage, Demand or Signal
        Validated; equal in every column to what was saved.

    Raises
    ------
    TraceError
        Not there, not Parquet, cut short, not ours, or of another schema version.
    """
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    header = read_header(path)
    if header is None:
        raise TraceError(
            f"{path} was not saved by rlsched: its metadata has no key 'rlsched'. "
            f"Describe its columns in a card ({option('card')}) to read it."
        )
    version = header.get("schema_version")
    if version != SCHEMA_VERSION:
        raise TraceError(
            f"schema version must be {SCHEMA_VERSION}: got {version!r} in {path}. Convert the original again with "
            "'rlsched traces convert', or use the version of rlsched that wrote it."
        )
    try:
        check_parquet_size(path, parquet.read_metadata(path))
        table = parquet.read_table(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    try:
        return _from_arrow(header, table).validate()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from None


def read_header(path: str | Path) -> dict[str, Any] | None:
    """The metadata document of a Parquet file; None when rlsched did not write the file.

    Raises
    ------
    TraceError
        Not there, or not a whole Parquet file.
    """
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    path = Path(path)
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "is not there"
        raise TraceError(f"a Parquet file is needed: {path} {what}. Check the path.")
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise TraceError(f"a Parquet file is compressed inside: {path} is a gzip around it. Unpack it first.")
    try:
        metadata = parquet.read_schema(path).metadata or {}
        if METADATA_KEY not in metadata:
            return None
        header: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _damaged(path, error) from None
    return header


def _damaged(path: str | Path, error: Exception) -> TraceError:
    return TraceError(
        f"a Parquet file must be whole: {path} is not ({' '.join(str(error).split())[:160]}). Convert or copy it again."
    )


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _arrow_columns(pa: Any, columns: Columns) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in columns.ROW_COLUMNS:
        value = getattr(columns, name)
        out[name] = _arrow_ids(pa, name, value) if value.dtype == object else pa.array(value)
    if isinstance(columns, Usage):
        samples = {"cpu_share": columns.cpu_share, "mem_share": columns.mem_share}
        samples |= {f"extra.{name}": value for name, value in sorted(columns.extra.items())}
        for name, value in samples.items():
            out[name] = pa.LargeListArray.from_arrays(pa.array(columns.offset), pa.array(value))
    if isinstance(columns, Signal):
        for name in Signal.SAMPLE_COLUMNS:
            out[name] = pa.LargeListArray.from_arrays(pa.array(columns.offset), pa.array(getattr(columns, name)))
    if isinstance(columns, Demand):
        s, t = columns.rate.shape
        out["rate"] = pa.LargeListArray.from_arrays(pa.array(np.arange(s + 1) * t), pa.array(columns.rate.ravel()))
    return out


def _arrow_ids(pa: Any, name: str, value: npt.NDArray[Any]) -> Any:
    strange = next((one for one in value if not isinstance(one, str)), None)
    if strange is not None:
        raise TraceError(f"{name} must be all text or all whole numbers: got {strange!r} among text. Convert it.")
    return pa.array(value, pa.string())


def _from_arrow(header: dict[str, Any], table: Any) -> Columns:
    noun = KINDS[header["kind"]]
    given: dict[str, Any] = {name: _numpy(table.column(name)) for name in noun.ROW_COLUMNS}
    if noun is Usage or noun is Signal:
        lists = table.column(noun.SAMPLE_COLUMNS[0]).combine_chunks()
        given["offset"] = np.asarray(lists.offsets) - lists.offsets[0].as_py()
        for name in noun.SAMPLE_COLUMNS:
            given[name] = _values(table, name)
    if noun is Signal:
        given["time_s"] = given["time_s"].astype(given["end_s"].dtype)
    if noun is Usage:
        given["extra"] = {name: _values(table, f"extra.{name}") for name in header["extra"]}
    if noun is Demand:
        given["rate"] = _values(table, "rate").reshape(table.num_rows, -1)
    given |= header["scalars"]
    given |= {name: tuple(names) for name, names in header["names"].items()}
    report = header["report"]
    drops = tuple(Drop(rule, action, count, tuple(rows)) for rule, action, count, rows in report["drops"])
    given["report"] = DropReport(report["rows_read"], report["rows_kept"], drops)
    return noun(**given, source=header["source"], meta=header["meta"])


def _numpy(column: Any) -> npt.NDArray[Any]:
    if column.null_count:
        raise ValueError("a value is null")
    out: npt.NDArray[Any] = column.to_numpy()
    return out


def _values(table: Any, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(table.column(name).combine_chunks().flatten(), dtype=np.float64)

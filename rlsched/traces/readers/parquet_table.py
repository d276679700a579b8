"""Parquet → the same checked columns as a CSV; a fault is named by its row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import MAX_QUANTITY
from rlsched.traces.readers.source import check_parquet_size
from rlsched.traces.readers.table import Column, Kind, Table, check_choice, import_pyarrow, missing_columns


def parquet_names(path: Path) -> list[str]:
    """Column names of a Parquet file."""
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    try:
        return list(parquet.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def time_kind(path: Path, name: str) -> Kind:
    """How to read a time column that is a timestamp in some files and a number in others.

    Returns
    -------
    {"datetime", "int"}
        ``"int"`` also where the column is missing: reading then says so.
    """
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    try:
        schema = parquet.read_schema(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    at = schema.get_field_index(name)
    return "datetime" if at >= 0 and pa.types.is_timestamp(schema.field(at).type) else "int"


def read_parquet(path: Path, columns: Sequence[Column], *, on_bad_row: str = "error") -> Table:
    """Read the named columns of a Parquet file.

    Parameters
    ----------
    path : Path
    columns : sequence of Column
        Null, and NaN in a ``float`` column, are missing.
    on_bad_row : {"error", "skip"}

    Raises
    ------
    TraceError
        Damaged, a column that is missing or of the wrong type, a missing value, no rows.
    """
    check_choice("on_bad_row", on_bad_row, ("error", "skip"))
    pa = import_pyarrow()
    import pyarrow.parquet as parquet

    found = parquet_names(path)
    absent = [column.name for column in columns if column.name not in found]
    if absent:
        raise missing_columns(absent, found, {column.name for column in columns}, f"the schema of {path}")
    try:
        check_parquet_size(path, parquet.read_metadata(path))
        read = parquet.read_table(path, columns=[column.name for column in columns])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    n = read.num_rows
    if n == 0:
        raise TraceError(f"a trace file must have rows: {path} has columns and no rows. Export it again.")
    values: dict[str, npt.NDArray[Any]] = {}
    missing: dict[str, npt.NDArray[np.bool_]] = {}
    for column in columns:
        try:
            values[column.name], missing[column.name] = _convert(pa, read.column(column.name), column, path)
        except (
            pa.ArrowException,
            UnicodeDecodeError,
        ) as error:  # a moment beyond microseconds, say
            what = " ".join(str(error).split())[:160]
            raise TraceError(
                f"column {column.name!r} must be readable: {path} is not ({what}). Fix the value."
            ) from None
    table = Table(str(path), np.arange(1, n + 1), 0, values, missing, on_bad_row=on_bad_row, rows_read=n)
    for column in columns:
        if not column.may_be_empty:
            table.require(column.name, ~table.missing[column.name], "given (not null, not NaN)")
        if column.kind in ("int", "float"):
            value, gone = table[column.name], table.missing[column.name]
            table.require(column.name, gone | (np.abs(value) <= MAX_QUANTITY), "finite, and at most 2**53")
    wanted = {column.name for column in columns}
    table.ignored = tuple(name for name in found if name not in wanted)
    return table


def _convert(pa: Any, array: Any, column: Column, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    kind = array.type
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if column.kind == "text":
        text = array.cast(pa.string())
        return text.fill_null("").to_numpy(), np.asarray(array.is_null())
    if column.kind == "datetime":
        if not is_time:
            raise TraceError(_wrong_type(column, kind, path, "a timestamp", 'set time_unit = "s" (or "ms", "us")'))
        stamp = array.cast(pa.timestamp("us", tz=getattr(kind, "tz", None))).cast(pa.int64())
        gone = np.asarray(array.is_null())
        return np.where(gone, np.nan, stamp.fill_null(0).to_numpy() / 1e6), gone
    if is_time:
        raise TraceError(_wrong_type(column, kind, path, "a number", 'set time_unit = "datetime"'))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise TraceError(_wrong_type(column, kind, path, "a number", "convert the column"))
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int64())
    number = np.asarray(array.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy())
    gone = np.isnan(number)
    if column.kind == "int":
        return np.where(gone, column.fill, number), gone
    return number, gone


def _wrong_type(column: Column, kind: object, path: Path, wanted: str, fix: str) -> str:
    return f"column {column.name!r} must be {wanted}: got type {kind} in {path}. In the card, {fix}, or map another."


def _damaged(path: Path, error: Exception) -> TraceError:
    return TraceError(
        f"a Parquet file must be whole: {path} is not ({' '.join(str(error).split())[:160]}). Convert or copy it again."
    )

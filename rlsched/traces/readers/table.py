"""CSV → checked columns, with every fault named by row and line.

Written twice: pyarrow reads the well-formed file in one go; a row-by-row reader in plain Python is the
definition. Whenever pyarrow stumbles, or meets a value it should not have accepted, that one decides: it
raises with the place of the first fault, or, with ``on_bad_row="skip"``, leaves the row out and counts it.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, TraceError, did_you_mean
from rlsched.traces.advice import option, skip_hint
from rlsched.traces.columns import MAX_QUANTITY, Drop, DropReport
from rlsched.traces.nouns.base import repeated
from rlsched.traces.readers.csv_text import only_plain
from rlsched.traces.readers.source import Source, quote
from rlsched.traces.readers.stamps import second_of, seconds_of

Kind = Literal["int", "float", "text", "datetime"]
Mask = npt.NDArray[np.bool_]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FIRST_ROWS = 5  # of a drop, for the report
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a blank"}


@dataclass(frozen=True)
class Column:
    """One column to read.

    Parameters
    ----------
    name : str
        In the file.
    kind : {"int", "float", "text", "datetime"}
        ``int`` takes whole numbers up to 2**53 however they are written (``4``, ``4.0``, ``4e3``);
        ``datetime`` ISO 8601 text, which becomes float64 seconds since 1970 (UTC where it names
        no zone).
    may_be_empty : bool
        A missing value is then ``fill`` (int), NaN (float, datetime) or ``""`` (text), and is marked in
        ``Table.missing``; otherwise it is a fault.
    fill : int
        Stands for missing in an ``int`` column.
    """

    name: str
    kind: Kind = "int"
    may_be_empty: bool = False
    fill: int = -1


@dataclass
class Table:
    """Columns of a file under judgement, and the account of what happened to its rows.

    Parameters
    ----------
    name : str
        The file, for messages.
    rows : (n,) int64
        Number of each row in the file, 1 = first data row.
    first_line : int
        Line of row 1, for messages; 0 where the file has no lines (Parquet).
    values, missing : dict of str to (n,) array
    on_bad_row : {"error", "skip"}
    """

    name: str
    rows: npt.NDArray[np.int64]
    first_line: int
    values: dict[str, npt.NDArray[Any]]
    missing: dict[str, Mask]
    on_bad_row: str = "error"
    rows_read: int = 0
    drops: list[Drop] = field(default_factory=list)
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.values[name]

    def place(self, index: int) -> str:
        """Where a row is: ``"row 3 (line 4) of pods.csv"``."""
        return _place(int(self.rows[index]), self.first_line, self.name)

    def require(self, column: str, ok: Mask, rule: str, fix: str | None = None) -> None:
        """Refuse, or with ``on_bad_row="skip"`` drop and count, the rows that break a rule.

        Arrays taken from the table before this call have the old length.

        Raises
        ------
        TraceError
            Column, rule, value, row and line of the first bad row.
        """
        bad = np.flatnonzero(~ok)
        if bad.size == 0:
            return
        if self.on_bad_row == "skip":
            self.drop(~ok, f"{column} must be {rule}")
            return
        more = f" (and in {bad.size - 1:,} more rows)" if bad.size > 1 else ""
        value = quote(self.values[column][bad[0]])
        raise TraceError(
            f"{column} must be {rule}: got {value} in {self.place(int(bad[0]))}{more}. {fix or skip_hint()}"
        )

    def require_unique(self, column: str) -> None:
        """Refuse or drop the second and later rows with the same value."""
        self.require(column, ~repeated(self.values[column]), "unique")

    def drop(self, rows: Mask, rule: str) -> None:
        """Leave rows out, and count them."""
        self.note(rows, rule, "dropped")
        self.keep(~rows)

    def note(self, rows: Mask, rule: str, action: str) -> None:
        """Count rows that something was done to; no entry where there is none."""
        concerned = np.flatnonzero(rows)
        if concerned.size:
            first = tuple(int(row) for row in self.rows[concerned[:FIRST_ROWS]])
            self.drops.append(Drop(rule, action, int(concerned.size), first))

    def add(self, name: str, values: npt.NDArray[Any]) -> None:
        """Put a derived column beside those of the file; it follows drops and sorting."""
        self.values[name] = values

    def sort_by(self, column: str, label: str = "") -> None:
        """Sort rows ascending (ties keep the order of the file), and count those that came too late."""
        key = self.values[column]
        if key.size and bool((np.diff(key) < 0).any()):
            late = key < np.maximum.accumulate(key)
            self.note(late, f"{label or column} smaller than in an earlier row", "sorted into place")
            self.keep(np.argsort(key, kind="stable"))

    def forget(self, name: str) -> None:
        """Let a column go that is no longer needed."""
        del self.values[name]
        self.missing.pop(name, None)

    def report(self) -> DropReport:
        """The account so far."""
        return DropReport(self.rows_read, len(self), tuple(self.drops))

    def keep(self, which: npt.NDArray[Any]) -> None:
        """Take the given rows (a mask or an order); the caller counts what is gone."""
        self.rows = self.rows[which]
        for columns in (self.values, self.missing):
            for name in columns:  # one by one, so that only one is held twice
                columns[name] = columns[name][which]


def read_csv(
    source: Source,
    columns: Sequence[Column],
    *,
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    markers: Sequence[str] = ("",),
    on_bad_row: str = "error",
    first_row: int = 0,
) -> Table:
    """Read the named columns of a CSV file.

    Parameters
    ----------
    source : Source
    columns : sequence of Column
        Others in the file are not read; their names are in ``Table.ignored``.
    delimiter : str
        One character.
    names : sequence of str, optional
        Column names in order, for a file without a header line.
    markers : sequence of str
        What stands for a missing value.
    on_bad_row : {"error", "skip"}
    first_row : int
        Rows of the file before these, where ``source`` is a piece of one (`stream.py`).

    Raises
    ------
    TraceError
        Wrong delimiter, missing column, no rows, a wrong number of fields, text or NaN in a
        number, an empty field, bytes that are not UTF-8: thing, rule, value, row and line.
    """
    check_choice("on_bad_row", on_bad_row, ("error", "skip"))
    data = source.data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    found = list(names) if names is not None else _header(data, delimiter, source.name)
    skip = 0 if names is not None else 1
    _check_header(found, columns, delimiter, source.name)
    if skip and b"\n" not in data:
        raise TraceError(f"a trace file must have rows: {source.name} holds only a header. Export it again.")
    ignored = tuple(name for name in found if name not in {column.name for column in columns})
    table = _read_fast(data, source.name, columns, found, skip, delimiter, markers)
    if table is None:
        table = _read_rows(data, source.name, columns, found, skip, delimiter, markers, on_bad_row, first_row)
    else:
        table.rows = table.rows + first_row
    table.ignored = ignored
    table.on_bad_row = on_bad_row
    return table


def check_choice(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse an option's value that is not one of the known ones."""
    if value not in known:
        raise SpecError(f"{name} must have a known value: got {value!r}.{did_you_mean(str(value), known)}")


def import_pyarrow() -> Any:
    """Import pyarrow, or say how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingDataError("reading traces needs pyarrow. Install it with: pip install 'rlsched[sim]'") from None
    return pyarrow


def _place(row: int, first_line: int, name: str) -> str:
    line = f" (line {row + first_line - 1})" if first_line else ""
    return f"row {row}{line} of {name}"


def _header(data: bytes, delimiter: str, name: str) -> list[str]:
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise TraceError(
            f"a CSV file must be UTF-8 text: line 1 of {name} is not. Name the right {option('format')}."
        ) from None
    try:
        return [field.strip() for field in next(csv.reader([text], delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise TraceError(f"a CSV file must be well formed: line 1 of {name} is not ({error}).") from None


def _check_header(found: list[str], columns: Sequence[Column], delimiter: str, name: str) -> None:
    twice = next((field for field in found if found.count(field) > 1), None)
    wanted = {column.name for column in columns}
    if twice in wanted:
        raise TraceError(f"column names must be unique: {quote(twice)} appears twice in the header of {name}.")
    absent = [column.name for column in columns if column.name not in found]
    if not absent:
        return
    if len(found) == 1:
        other = max((mark for mark in _SEPARATORS if mark != delimiter), key=found[0].count)
        if found[0].count(other) >= len(columns) - 1 > 0:
            raise TraceError(
                f"fields must be separated by {_SEPARATORS.get(delimiter, repr(delimiter))}: the header of {name} is "
                f"separated by {_SEPARATORS[other]}. Convert the file, or describe it in a card ({option('card')}) "
                f"with delimiter = {other!r}."
            )
    raise missing_columns(absent, found, wanted, f"the header (line 1) of {name}")


def missing_columns(absent: list[str], found: list[str], wanted: set[str], place: str) -> TraceError:
    """The error for columns that are not there; names the nearest one that nobody else wants."""
    shown = ", ".join(quote(field, 30) for field in found[:15]) + (", …" if len(found) > 15 else "")
    near = difflib.get_close_matches(absent[0], [name for name in found if name not in wanted], n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return TraceError(
        f"column {absent[0]!r} is missing{_others(absent)}: {place} has {shown}.{guess} "
        f"Add the column, name another {option('format')}, or map the columns in a card ({option('card')})."
    )


def _others(absent: list[str]) -> str:
    return f" (and {', '.join(map(repr, absent[1:]))})" if len(absent) > 1 else ""


def _read_fast(
    data: bytes,
    name: str,
    columns: Sequence[Column],
    found: list[str],
    skip: int,
    delimiter: str,
    markers: Sequence[str],
) -> Table | None:
    """Read with pyarrow; None as soon as anything needs a closer look."""
    pa = import_pyarrow()
    from pyarrow import csv as arrow_csv

    if only_plain(data, delimiter):
        return None
    arrow = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "datetime": pa.string()}

    def attempt(int_as: Kind) -> Any:
        kinds = {column.name: int_as if column.kind == "int" else column.kind for column in columns}
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(column_names=found, skip_rows=skip),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(kinds),
                column_types={field: arrow[kind] for field, kind in kinds.items()},
                null_values=list(markers),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )

    try:
        try:
            read = attempt("int")
        except pa.ArrowInvalid:
            read = attempt("float")  # whole numbers written as 4.0 or 4e3
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    n = read.num_rows
    values: dict[str, npt.NDArray[Any]] = {}
    missing: dict[str, Mask] = {}
    for column in columns:
        array = read.column(column.name)
        empty = array.is_null().to_numpy() if array.null_count else np.zeros(n, bool)
        if empty.any() and not column.may_be_empty:
            return None
        if column.kind == "text":
            values[column.name] = (array.fill_null("") if array.null_count else array).to_numpy()
        elif column.kind == "datetime":
            seconds = seconds_of(array)
            if bool((np.isnan(seconds) & ~empty).any()):
                return None
            values[column.name] = seconds
        else:
            filled = array.fill_null(column.fill) if array.null_count else array
            number = np.asarray(filled.to_numpy())
            if not _acceptable(number, column):
                return None
            out = number.astype(np.int64 if column.kind == "int" else np.float64)
            if column.kind == "float" and empty.any():
                out[empty] = np.nan
            values[column.name] = out
        missing[column.name] = empty
    return Table(name, np.arange(1, n + 1), 1 + skip, values, missing, rows_read=n)


def _acceptable(number: npt.NDArray[Any], column: Column) -> bool:
    if number.dtype.kind == "f":
        if not (np.abs(number) <= MAX_QUANTITY).all():  # NaN is not, either
            return False
        if column.kind == "int":  # 2**53 may be 2**53 + 1, rounded
            return bool(((number == np.rint(number)) & (np.abs(number) < MAX_QUANTITY)).all())
    return column.kind != "int" or bool((np.abs(number) <= MAX_QUANTITY).all())


def _value(text: str, column: Column) -> int | float | str:
    if column.kind == "text":
        return text
    return second_of(text) if column.kind == "datetime" else _number(text, column)


def _number(text: str, column: Column) -> int | float:
    """Turn one field into a number; ValueError holds the rule it breaks."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("a whole number" if column.kind == "int" else "a finite number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a finite number")
    if column.kind == "float":
        if abs(value) > MAX_QUANTITY:
            raise ValueError("at most 2**53, beyond which nothing is measured")
        return value
    if value != round(value):
        raise ValueError("a whole number")
    exact = int(text) if text.lstrip("+-").isdigit() else round(value)
    if abs(exact) > MAX_QUANTITY:
        raise ValueError("at most 2**53, where whole numbers stop being exact")
    return exact


def _read_rows(
    data: bytes,
    name: str,
    columns: Sequence[Column],
    found: list[str],
    skip: int,
    delimiter: str,
    markers: Sequence[str],
    on_bad_row: str,
    first_row: int = 0,
) -> Table:
    """Read row by row: the definition of what is a fault, and of where it is."""
    at = [found.index(column.name) for column in columns]
    gone = set(markers)
    kept: list[int] = []
    taken: list[list[Any]] = [[] for _ in columns]
    empties: list[list[bool]] = [[] for _ in columns]
    faults: dict[str, list[int]] = {}
    row = first_row
    for row, fields in enumerate(_fields(data, name, skip, delimiter, first_row), start=first_row + 1):
        values: list[Any] = []
        empty: list[bool] = []
        fault: tuple[str, str] | None = None
        if len(fields) != len(found):
            fault = (f"a row must have {len(found)} fields", f"{len(fields)}")
        else:
            for column, position in zip(columns, at, strict=True):
                text = fields[position].strip(" \t") if column.kind != "text" else fields[position]
                absent = text in gone
                if absent and not column.may_be_empty:
                    fault = (f"{column.name} must not be empty", quote(text))
                    break
                try:
                    if absent:
                        values.append(_filled(column))
                    else:
                        values.append(_value(text, column))
                except ValueError as broken:
                    fault = (f"{column.name} must be {broken}", quote(text))
                    break
                empty.append(absent)
        if fault is not None:
            rule, got = fault
            if on_bad_row == "error":
                raise TraceError(f"{rule}: got {got} in {_place(row, 1 + skip, name)}. {skip_hint()}")
            faults.setdefault(rule, []).append(row)
            continue
        kept.append(row)
        for store, value in zip(taken, values, strict=True):
            store.append(value)
        for marks, mark in zip(empties, empty, strict=True):
            marks.append(mark)
    dtype: dict[str, type] = {"int": np.int64, "float": np.float64, "text": object, "datetime": np.float64}
    return Table(
        name,
        np.array(kept, np.int64),
        1 + skip,
        {column.name: np.array(value, dtype[column.kind]) for column, value in zip(columns, taken, strict=True)},
        {column.name: np.array(mark, bool) for column, mark in zip(columns, empties, strict=True)},
        rows_read=row - first_row,
        drops=[Drop(rule, "dropped", len(rows), tuple(rows[:FIRST_ROWS])) for rule, rows in faults.items()],
    )


def _filled(column: Column) -> int | float | str:
    if column.kind == "int":
        return column.fill
    return "" if column.kind == "text" else math.nan


def _fields(data: bytes, name: str, skip: int, delimiter: str, first_row: int) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        row = _place(line - skip + first_row, 1 + skip, name) if line > skip else f"line {line} of {name}"
        raise TraceError(
            f"a CSV file must be UTF-8 text: got byte 0x{data[error.start]:02x} in {row}. Convert the encoding."
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for _ in range(skip):
            next(reader, None)
        yield from reader
    except csv.Error as error:
        raise TraceError(
            f"a CSV file must be well formed: line {reader.line_num + first_row} of {name} is not ({error})."
        ) from None


def codes(values: npt.NDArray[Any], missing: Mask) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Number text values in the order of their first row; -1 where missing.

    Returns
    -------
    (n,) int64, tuple of str
        The code of each row, and the name of each code.
    """
    import pandas as pd

    code, names = pd.factorize(values[~missing])
    out = np.full(values.shape[0], -1, np.int64)
    out[~missing] = code
    return out, tuple(str(name) for name in names)

"""A CSV larger than memory → checked tables, one block of rows at a time, with progress.

Each block goes through `table.read_csv`, so rows are judged, named and numbered as those of a
file read whole. A reader that adds blocks up (`slots.py`) needs the memory of its result and of
one block, whatever the size of the file. The limit on unpacked bytes does not apply here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.advice import option
from rlsched.traces.columns import Drop
from rlsched.traces.readers.source import GZIP_MAGIC, ZIP_MAGIC, Source, max_bytes, open_file, read_source, too_big
from rlsched.traces.readers.table import FIRST_ROWS, Column, Table, read_csv

BLOCK_BYTES = 1 << 23
WHOLE_BYTES = 1 << 24  # a file that is smaller as stored is held in memory
_LEAP = 16  # a column that outgrows its room gets at most so many times its size
_FEW = 10  # texts of a block of which one in so many was there before are held once
_SHORT_LINE = 1 << 10  # a line is allowed at least so many bytes, however small the blocks
#: ``progress(file, bytes read, bytes in all)``, of the file as stored.
Progress = Callable[[str, int, int], None]
_PROGRESS: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def reporting(progress: Progress) -> Iterator[None]:
    """Have ``progress`` called after each block that is read inside the ``with``."""
    token = _PROGRESS.set(progress)
    try:
        yield
    finally:
        _PROGRESS.reset(token)


class _Hashing(io.RawIOBase):
    """A file that counts and hashes what is read from it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        chunk = self.file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self.sha256.update(chunk)
        self.done += len(chunk)
        return len(chunk)


class CsvBlocks:
    """Iterate over the tables of a CSV file, plain or gzip; afterwards ``sha256`` is known.

    Parameters
    ----------
    path : Path
    columns, delimiter, names, markers, on_bad_row
        As `table.read_csv`. A quoted field that holds a line end must be shorter than four blocks.
    block_bytes : int
        About how much is unpacked at a time; ``BLOCK_BYTES`` by default.
    max_bytes : int, optional
        Refuse a file that unpacks to more.
    lines : callable, optional
        Turns whole lines of the file into rows of a CSV, or into nothing (a comment);
        messages then count the lines that are left.

    Raises
    ------
    TraceError
        What `table.read_csv` and `source.read_source` raise, with the row of the whole file.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[Column],
        *,
        delimiter: str = ",",
        names: Sequence[str] | None = None,
        markers: Sequence[str] = ("",),
        on_bad_row: str = "error",
        block_bytes: int | None = None,
        max_bytes: int | None = None,
        lines: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.path = path
        self.columns = columns
        self.delimiter, self.names, self.markers, self.on_bad_row = delimiter, names, markers, on_bad_row
        self.block_bytes = BLOCK_BYTES if block_bytes is None else block_bytes
        self.lines = lines
        self.max_bytes = max_bytes
        self.sha256 = ""
        self.share = 0.0  # of the file that is read, 0..1

    def __iter__(self) -> Iterator[Table]:
        rows = 0
        header = b""
        for block in self._blocks() if self.lines is None else filter(None, map(self.lines, self._blocks())):
            if self.names is None and not header:
                header = block.split(b"\n", 1)[0].rstrip(b"\r\n") + b"\n"
                if not block[len(header) :].strip(b"\r\n"):
                    continue  # the header alone filled a block
                table = self._table(block, rows)
            else:
                table = self._table(header + block, rows)
            rows += table.rows_read
            yield table
        if rows == 0 and self.lines is not None:
            raise no_rows(self.path)
        if rows == 0:
            self._table(header, 0)  # raises: there is only a header

    def _table(self, data: bytes, first_row: int) -> Table:
        return read_csv(
            Source(_named(self.path, self.lines), data, ""),
            self.columns,
            delimiter=self.delimiter,
            names=self.names,
            markers=self.markers,
            on_bad_row=self.on_bad_row,
            first_row=first_row,
        )

    def _blocks(self) -> Iterator[bytes]:
        """Pieces of whole lines; the hash is complete when the last is handed out."""
        name = str(self.path)
        with open_file(self.path) as file:
            total = os.fstat(file.fileno()).st_size
            raw = _Hashing(file)
            if file.peek(4)[:4] == ZIP_MAGIC:  # its index is at its end: it is held in memory
                source = read_source(self.path)
                self.sha256, self.share = source.sha256, 1.0
                yield source.data
                return
            packed = file.peek(2)[:2] == GZIP_MAGIC
            stored = io.BufferedReader(raw, 1 << 20)  # type: ignore[type-var]
            content: io.BufferedIOBase = gzip.GzipFile(fileobj=stored) if packed else stored
            rest = b""
            empty = True
            unpacked = 0
            while True:
                piece = _read(content, self.block_bytes, name)
                unpacked += len(piece)
                self.share = raw.done / max(total, 1)
                if self.max_bytes is not None and unpacked > self.max_bytes:
                    raise too_big(name)
                progress = _PROGRESS.get()
                if progress is not None:
                    progress(name, raw.done, total)
                if not piece:
                    break
                rest += piece
                # Blank lines stay with what follows them, so that they are judged there.
                cut = len(rest[: rest.rfind(b"\n") + 1].rstrip(b"\r\n"))
                cut = rest.find(b"\n", cut) + 1 if cut else 0
                if cut == 0 and len(rest) > max(4 * self.block_bytes, _SHORT_LINE):
                    raise TraceError(
                        f"a CSV file must have lines: {name} has none in {len(rest):,} bytes. Name the right "
                        f"{option('format')}."
                    )
                if len(rest) <= 4 * self.block_bytes and rest.count(b'"', 0, cut) % 2:
                    continue  # a quoted field may hold the line end; where it never closes, the reader says so
                block, rest = rest[:cut], rest[cut:]
                if block.strip(b"\r\n"):
                    empty = False
                    yield block
            while stored.read(1 << 20):
                pass  # what follows the gzip, so that the hash is that of the file
            self.sha256 = raw.sha256.hexdigest()
            if rest.strip(b"\r\n"):
                empty = False
                yield rest
            if empty:
                raise TraceError(f"a trace file must not be empty: {name} holds nothing. Download or write it again.")


def _named(path: Path, lines: Callable[[bytes], bytes] | None) -> str:
    return str(path) if lines is None else f"{path} without its comments"


def no_rows(path: Path) -> TraceError:
    """The error for a file of which no line is a row."""
    return TraceError(f"a trace file must have rows: {path} has only comments. Download it again.")


def _read(content: io.BufferedIOBase, size: int, name: str) -> bytes:
    try:
        return content.read(size)
    except EOFError:
        raise TraceError(
            f"a gzip file must be complete: {name} is cut off before its end mark. Download or copy it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(
            f"a gzip file must be intact: {name} is damaged ({error}). Download or copy it again."
        ) from None


def read_csv_file(
    path: Path,
    columns: Sequence[Column],
    *,
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    markers: Sequence[str] = ("",),
    on_bad_row: str = "error",
    whole_bytes: int | None = None,
    block_bytes: int | None = None,
    lines: Callable[[bytes], bytes] | None = None,
) -> tuple[Table, str]:
    """Read the named columns of a CSV file of any size; what is kept are those columns, not the file.

    Parameters
    ----------
    path : Path
        Plain, gzip, or a zip of one file (which is held in memory).
    columns, delimiter, names, markers, on_bad_row
        As `table.read_csv`.
    lines : callable, optional
        As `CsvBlocks`.
    whole_bytes : int
        A file that is smaller as stored is read at once; ``WHOLE_BYTES`` by default.
    block_bytes : int
        As `CsvBlocks`.

    Returns
    -------
    Table, str
        The same whichever way it was read; texts that repeat are held once. The hash of the file.

    Raises
    ------
    TraceError
        What `table.read_csv` and `source.read_source` raise.
    """
    least = WHOLE_BYTES if whole_bytes is None else whole_bytes
    with open_file(path) as file:
        small = os.fstat(file.fileno()).st_size < least or file.peek(4)[:4] == ZIP_MAGIC
    if small:
        source = read_source(path)
        rows = source if lines is None else Source(_named(path, lines), lines(source.data), "")
        if not rows.data:
            raise no_rows(path)
        table = read_csv(
            rows, columns, delimiter=delimiter, names=names, markers=markers, on_bad_row=on_bad_row
        )  # fmt: skip
        return table, source.sha256
    blocks = CsvBlocks(
        path,
        columns,
        delimiter=delimiter,
        names=names,
        markers=markers,
        on_bad_row=on_bad_row,
        block_bytes=block_bytes,
        max_bytes=max_bytes(),
        lines=lines,
    )
    return _joined(blocks, columns), blocks.sha256


def _shared(blocks: CsvBlocks, columns: Sequence[Column]) -> Iterator[Table]:
    """The blocks, with equal texts of a column as one object where they repeat."""
    import pandas as pd

    known: dict[str, dict[str, str]] = {column.name: {} for column in columns if column.kind == "text"}
    for table in blocks:
        for name, seen in known.items():
            code, texts = pd.factorize(table[name])
            again = sum(text in seen for text in texts)
            # Ids, of which each is another, are not looked up beyond those of the first block.
            if 2 * texts.size <= code.size or _FEW * again >= texts.size or not seen:
                table.values[name] = np.array([seen.setdefault(text, text) for text in texts], object)[code]
        yield table


class _Growing:
    """An array that blocks are appended to; what is not filled yet takes no memory.

    One piece from early on: blocks kept side by side would leave holes of their size in the heap.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.room: npt.NDArray[Any] = np.empty(0, dtype)
        self.size = 0

    def append(self, values: npt.NDArray[Any], share: float) -> None:
        """Add a block after which ``share`` of the file is read."""
        size = self.size + values.size
        if size > self.room.size:
            wanted = min(1.05 * size / max(share, 1 / _LEAP), _LEAP * size)
            room: npt.NDArray[Any] = np.empty(max(int(wanted), size + size // 4), self.room.dtype)
            room[: self.size] = self.room[: self.size]
            self.room = room
        self.room[self.size : size] = values
        self.size = size

    def whole(self) -> npt.NDArray[Any]:
        """What was appended."""
        return self.room[: self.size]


def _joined(blocks: CsvBlocks, columns: Sequence[Column]) -> Table:
    """One table of many."""
    drops: dict[tuple[str, str], Drop] = {}
    rows = _Growing(np.dtype(np.int64))
    values: dict[str, _Growing] = {}
    missing = {column.name: _Growing(np.dtype(bool)) for column in columns}
    rows_read = 0
    for table in _shared(blocks, columns):
        for drop in table.drops:
            old = drops.get((drop.rule, drop.action), Drop(drop.rule, drop.action, 0, ()))
            first = (*old.rows, *drop.rows)[:FIRST_ROWS]
            drops[drop.rule, drop.action] = Drop(drop.rule, drop.action, old.count + drop.count, first)
        rows_read += table.rows_read
        rows.append(table.rows, blocks.share)
        for name in missing:
            values.setdefault(name, _Growing(table[name].dtype)).append(table[name], blocks.share)
            missing[name].append(table.missing[name], blocks.share)
    return Table(
        table.name,
        rows.whole(),
        table.first_line,
        {name: column.whole() for name, column in values.items()},
        {name: column.whole() for name, column in missing.items()},
        on_bad_row=table.on_bad_row,
        rows_read=rows_read,
        drops=list(drops.values()),
        ignored=table.ignored,
    )

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

from rlsched.errors import TraceError
from rlsched.traces.readers.source import GZIP_MAGIC, Source, open_file
from rlsched.traces.readers.table import Column, Table, read_csv

BLOCK_BYTES = 1 << 23
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
        As `table.read_csv`. No field may hold a line end.
    block_bytes : int
        About how much is unpacked at a time.

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
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.path = path
        self.columns = columns
        self.delimiter, self.names, self.markers, self.on_bad_row = delimiter, names, markers, on_bad_row
        self.block_bytes = block_bytes
        self.sha256 = ""

    def __iter__(self) -> Iterator[Table]:
        rows = 0
        header = b""
        for block in self._blocks():
            if self.names is None and not header:
                header = block.split(b"\n", 1)[0].rstrip(b"\r\n") + b"\n"
                if not block[len(header) :].strip(b"\r\n"):
                    continue  # the header alone filled a block
                table = self._table(block, rows)
            else:
                table = self._table(header + block, rows)
            rows += table.rows_read
            yield table
        if rows == 0:
            self._table(header, 0)  # raises: there is only a header

    def _table(self, data: bytes, first_row: int) -> Table:
        return read_csv(
            Source(str(self.path), data, ""),
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
            packed = file.peek(2)[:2] == GZIP_MAGIC
            stored = io.BufferedReader(raw, 1 << 20)  # type: ignore[type-var]
            content: io.BufferedIOBase = gzip.GzipFile(fileobj=stored) if packed else stored
            rest = b""
            empty = True
            while True:
                piece = _read(content, self.block_bytes, name)
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
                        f"a CSV file must have lines: {name} has none in {len(rest):,} bytes. Name the right --format."
                    )
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

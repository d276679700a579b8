"""Files → bytes: plain, gzip, a zip of one file, or members of a tar archive, whole or refused.

A truncated or damaged gzip, a directory where a file is meant, an empty file and a file that
unpacks to more than `max_bytes()` are each one clear `TraceError`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.errors import SpecError, TraceError
from rlsched.traces.advice import option

HEAD_BYTES = 65_536  # what a reader's sniff() sees
_CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
_TAR_MAGIC = slice(257, 262)
_TAR_BLOCK = 512
_LIMIT_VARIABLE = "RLSCHED_MAX_TRACE_GIB"
_DEFAULT_LIMIT_GIB = 4.0


@dataclass(frozen=True)
class Source:
    """The unpacked content of one file.

    Parameters
    ----------
    name : str
        As messages name it: the path the user gave, or ``archive:member``.
    data : bytes
        Unpacked, not empty.
    sha256 : str
        Of the bytes as stored on disk (for a member of an archive: of the member).
    """

    name: str
    data: bytes
    sha256: str


def max_bytes() -> int:
    """Largest unpacked size that is read: 4 GiB, or ``RLSCHED_MAX_TRACE_GIB``.

    The limit keeps a damaged or hostile gzip from filling the memory.
    """
    text = os.environ.get(_LIMIT_VARIABLE, "")
    try:
        gib = float(text) if text else _DEFAULT_LIMIT_GIB
        if not 0 < gib < 2**20:
            raise ValueError
    except ValueError:
        raise SpecError(f"{_LIMIT_VARIABLE} must be a number of GiB > 0: got {text!r}. Unset it for 4.") from None
    return int(gib * 2**30)


def too_big(name: str) -> TraceError:
    """The error for a file that unpacks to more than :func:`max_bytes`."""
    gib = max_bytes() / 2**30
    return TraceError(
        f"a trace file may unpack to at most {gib:g} GiB: {name} is larger. "
        f"Check that it is what you think it is; if so, set {_LIMIT_VARIABLE} to allow more."
    )


def check_parquet_size(path: str | Path, metadata: Any) -> None:
    """Refuse a Parquet file whose rows take more than :func:`max_bytes`, at eight bytes a column.

    Equal values take no room in the file, so that a small one may hold any number of them.
    """
    # Of the file, not of its row groups: asking a damaged one of those ends the process (pyarrow 25).
    if 8 * metadata.num_rows * metadata.num_columns > max_bytes():
        raise too_big(str(path))


def _no_file(path: Path) -> TraceError:
    if path.is_dir():
        return TraceError(
            f"a file is needed here: {path} is a directory. Name a file in it, or force a format that reads "
            f"directories with {option('format')} (bitbrains, planetlab)."
        )
    return TraceError(f"no file at {path}. Check the path, or list what there is with 'rlsched traces list'.")


def open_file(path: Path) -> io.BufferedReader:
    """Open a file for reading, or say why that cannot be."""
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise _no_file(path) from None
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror}. Check its permissions.") from None


def _gunzip(raw: io.BufferedIOBase, name: str, limit: int) -> bytes:
    """Unpack at most ``limit + 1`` bytes, so that the caller can tell 'full' from 'too much'."""
    out = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=raw) as unpacked:
            while out.tell() <= limit:
                chunk = unpacked.read(min(_CHUNK, limit + 1 - out.tell()))
                if not chunk:
                    break
                out.write(chunk)
    except EOFError:
        raise TraceError(
            f"a gzip file must be complete: {name} is cut off before its end mark. Download or copy it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(
            f"a gzip file must be intact: {name} is damaged ({error}). Download or copy it again."
        ) from None
    return out.getvalue()


def _unzip(stored: io.BufferedIOBase, name: str, limit: int) -> bytes:
    """The one file of a zip archive, at most ``limit + 1`` bytes of it."""
    try:
        with zipfile.ZipFile(stored) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) != 1:
                raise TraceError(f"a zip archive must hold one file: {name} holds {len(members)}. Unpack it first.")
            with archive.open(members[0]) as member:
                return member.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise TraceError(f"a zip archive must be intact: {name} is not ({error}). Download or copy it again.") from None


def read_source(path: str | Path) -> Source:
    """Read one file whole, unpacking gzip or a zip of one file (recognised by content, not by name).

    Raises
    ------
    TraceError
        No such file, a directory, not readable, empty, truncated, damaged, or larger than
        :func:`max_bytes`.
    """
    path = Path(path)
    limit = max_bytes()
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise too_big(str(path))
        stored = file.read()
    data = stored
    if stored.startswith(GZIP_MAGIC):
        data = _gunzip(io.BytesIO(stored), str(path), limit)
    elif stored.startswith(ZIP_MAGIC):
        data = _unzip(io.BytesIO(stored), str(path), limit)
    if len(data) > limit:
        raise too_big(str(path))
    if not data.strip():
        raise TraceError(f"a trace file must not be empty: {path} holds nothing. Download or write it again.")
    return Source(str(path), data, hashlib.sha256(stored).hexdigest())


def hash_file(path: Path) -> str:
    """SHA-256 of a file as stored, in hexadecimal."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_head(path: str | Path) -> bytes:
    """The first unpacked bytes of a file, at most `HEAD_BYTES`; what a format is recognised from."""
    path = Path(path)
    with open_file(path) as file:
        start = file.read(4)
        file.seek(0)
        if start == ZIP_MAGIC:
            try:
                return _unzip(file, str(path), HEAD_BYTES)[:HEAD_BYTES]
            except TraceError:  # of several files, or damaged: no format of ours is one
                return start
        if not start.startswith(GZIP_MAGIC):
            return file.read(HEAD_BYTES)
        return _gunzip(file, str(path), HEAD_BYTES)[:HEAD_BYTES]


def read_tar(source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield ``(name, content)`` of the regular files of an unpacked tar, in stored order.

    Nothing is written to disk, so a member's name can do no harm.

    Raises
    ------
    TraceError
        Where the archive is cut short or damaged.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(source.data), mode="r:") as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None  # isfile() says so
                    yield member.name.removeprefix("./"), content.read()
    except tarfile.TarError as error:
        raise TraceError(
            f"a tar archive must be complete: {source.name} is not ({error}). Download or copy it again."
        ) from None


def is_tar(data: bytes) -> bool:
    """Whether unpacked content, or its head, is a tar archive."""
    return data[_TAR_MAGIC] == b"ustar"


def tar_head(head: bytes) -> tuple[str, bytes]:
    """Name and first bytes of the first member of a tar archive, from the archive's head."""
    return head[:100].split(b"\0", 1)[0].decode("utf-8", "replace"), head[_TAR_BLOCK:]


def only_member(source: Source) -> Source:
    """The one file of a tar archive, as a source of its own; what is no archive comes back as it is.

    Raises
    ------
    TraceError
        Where the archive holds several files, or none.
    """
    if not is_tar(source.data):
        return source
    members = list(read_tar(source))
    if len(members) != 1:
        raise TraceError(f"an archive must hold one file here: {source.name} holds {len(members)}. Unpack it first.")
    name, data = members[0]
    if not data.strip():
        raise TraceError(f"a trace file must not be empty: {source.name}:{name} holds nothing. Download it again.")
    return Source(source.name, data, source.sha256)


def plain_name(path: Path) -> str:
    """Name of a file without ``.gz`` and without its last suffix; how series are called."""
    return Path(path.name.removesuffix(".gz")).stem


def beside(path: Path, name: str) -> Path | None:
    """A file of that name in the folder of ``path``, plain or ``.gz``; None where there is neither."""
    plain = path.with_name(name.removesuffix(".gz"))
    found = [one for one in (plain, plain.with_name(f"{plain.name}.gz")) if one.is_file()]
    return found[0] if found else None


def list_tree(path: Path) -> list[Path]:
    """The files below a directory at any depth, byte-wise ascending by path; hidden ones are left out.

    Raises
    ------
    TraceError
        When there is none.
    """

    def cannot(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone since its parent was listed: there is nothing to read
            raise TraceError(f"cannot list {error.filename}: {error.strerror}. Check its permissions.") from None

    found: list[Path] = []
    for folder, below, files in os.walk(path, onerror=cannot):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [entry for name in files if not name.startswith(".") and (entry := Path(folder) / name).is_file()]
    if not found:
        raise TraceError(f"a trace directory must hold files: {path} holds none. Name the folder the files lie in.")
    return sorted(found, key=os.fsencode)


def first_head(path: Path) -> bytes:
    """Head of the first file below a directory; empty where there is none or it cannot be unpacked."""
    try:
        return read_head(list_tree(path)[0])
    except TraceError:
        return b""


def list_files(path: Path) -> list[Path]:
    """The files directly in a directory, byte-wise ascending by name.

    Raises
    ------
    TraceError
        When there is none.
    """
    try:
        files = [entry for entry in path.iterdir() if entry.is_file()]
    except OSError as error:
        raise TraceError(f"cannot list {path}: {error.strerror}. Check its permissions.") from None
    if not files:
        deeper = list_tree(path)[0].parent  # raises where there is none at any depth
        raise TraceError(f"a trace directory must hold files: {path} holds none, {deeper} does. Name the folder.")
    return sorted(files, key=lambda entry: os.fsencode(entry.name))


def first_line(head: bytes) -> str:
    """The first line of a file's head as text, without byte-order mark and line end."""
    return head.split(b"\n", 1)[0].decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")


def header_names(head: bytes) -> list[str]:
    """Column names of a CSV head, whatever its separator; for recognising, not for reading."""
    line = first_line(head)
    for mark in (";", "\t", "|"):
        line = line.replace(mark, ",")
    return [name.strip().strip('"') for name in line.split(",") if name.strip()]


def quote(value: object, length: int = 60) -> str:
    """A value from a file as it goes into a message: text quoted, escaped, and not too long."""
    if not isinstance(value, str):
        return str(value)
    text = value
    return repr(text if len(text) <= length else text[: length - 1] + "…")

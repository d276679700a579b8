"""The contract of a trace reader, to be run on any entry of ``READERS`` or on one's own.

::

    from rlsched.testing.readers import check_reader

    def test_my_reader_keeps_the_contract(tmp_path):
        check_reader(Reader("mine", "trace", "My format", "mypackage.mine"), [Path("tests/data/mine.csv")], tmp_path)
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlsched.errors import TraceError, UserError
from rlsched.traces import store
from rlsched.traces.columns import Columns, Demand, Machines, Signal, Trace, Usage
from rlsched.traces.readers import Reader
from rlsched.traces.readers.source import read_head

_GZIP = b"\x1f\x8b"
_NOUN: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "trace": Trace,
    "machines": Machines,
    "usage": Usage,
    "demand": Demand,
    "signal": Signal,
    "any": (Trace, Machines, Usage, Demand, Signal),
}
_REMOVES = ("dropped", "merged")  # actions after which a row is no row of its own any more
_ADDS = ("split",)  # actions that made further rows out of one


def check_reader(
    reader: Reader,
    good: Sequence[Path],
    scratch: Path,
    *,
    together: Path | None = None,
    options: Mapping[str, Any] | None = None,
    others: Sequence[Reader] = (),
) -> None:
    """Hold a reader to the contract, on files it must be able to read.

    Parameters
    ----------
    reader : Reader
    good : sequence of Path
        Files, or directories where the format is one; at least one.
    scratch : Path
        An empty directory the checks may fill.
    together : Path, optional
        The folder to copy when a file needs its neighbours; each of ``good`` lies below it.
    options : mapping, optional
        Passed to every ``read``.
    others : sequence of Reader
        Readers that must not take these files for theirs.

    Raises
    ------
    AssertionError
        Says which clause does not hold, and for which file:

        1. the content is recognised, whatever the file is called, and by none of ``others``;
        2. the result is of the reader's kind, keeps every invariant, and names source and hashes;
        3. reading twice gives the same columns and the same report;
        4. gzip and plain give the same columns (not asked of Parquet);
        5. the report adds up: rows read + rows split off = rows kept + rows dropped or merged;
        6. Parquet gives back the same columns and the same report;
        7. a file cut short, an empty file, and an empty directory are each a `TraceError`;
        8. nothing is written beside the files.
    """
    _expect(len(good) > 0, f"{reader.name}: give at least one good file")
    given = dict(options or {})
    for number, path in enumerate(good):
        _check_recognised(reader, others, path, scratch / f"{number}-name")
        columns = _check_read(reader, path, given)
        _check_gzip(reader, path, columns, scratch / f"{number}-gzip", together, given)
        _check_round_trip(reader, path, columns, scratch / f"{number}.parquet")
        _check_damage(reader, path, scratch / f"{number}-damage", together, given)


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _check_recognised(reader: Reader, others: Sequence[Reader], path: Path, scratch: Path) -> None:
    if path.is_dir():
        target = Path(shutil.copytree(path, scratch / "a folder"))
        head = b""
    else:
        scratch.mkdir(parents=True)
        target = Path(shutil.copyfile(path, scratch / "some-name.bin"))
        head = read_head(target)
    _expect(reader.sniff(head, target), f"{reader.name}: {path} must be recognised by its content, under any name")
    for other in others:
        if other.name != reader.name:
            _expect(not other.sniff(head, target), f"{reader.name}: {path} must not be taken for {other.name}")


def _check_read(reader: Reader, path: Path, options: dict[str, Any]) -> Columns:
    before = _listing(path)
    columns = reader.read(path, **options)
    _expect(
        isinstance(columns, _NOUN[reader.kind]), f"{reader.name}: {path} must give {reader.kind}, not {type(columns)}"
    )
    columns.validate()
    _expect(bool(columns.source), f"{reader.name}: source must name the file")
    _expect(bool(columns.meta.get("files")), f"{reader.name}: meta['files'] must map each file to its SHA-256")
    again = reader.read(path, **options)
    _expect(columns.same_as(again), f"{reader.name}: reading {path} twice must give the same columns")
    _expect(columns.report == again.report, f"{reader.name}: reading {path} twice must give the same report")
    _expect(_listing(path) == before, f"{reader.name}: nothing may be written beside {path}")
    report = columns.report
    added = sum(drop.count for drop in report.drops if drop.action.startswith(_ADDS))
    removed = sum(drop.count for drop in report.drops if drop.action.startswith(_REMOVES))
    _expect(
        report.rows_read + added == report.rows_kept + removed,
        f"{reader.name}: {report.rows_read} rows read + {added} split off must be {report.rows_kept} kept + {removed} "
        "dropped or merged",
    )
    _expect(report.rows_read > 0, f"{reader.name}: the report must count the rows of {path}")
    if isinstance(columns, (Trace, Machines)):
        _expect(report.rows_kept == len(columns), f"{reader.name}: rows kept must be the rows of the result")
    return columns


def _check_gzip(
    reader: Reader, path: Path, columns: Columns, scratch: Path, together: Path | None, options: dict[str, Any]
) -> None:
    moved = _copy(path, scratch, together)
    files = [entry for entry in sorted(moved.iterdir()) if entry.is_file()] if moved.is_dir() else [moved]
    if files[0].read_bytes().startswith(store.PARQUET_MAGIC):
        return
    for file in files:
        data = file.read_bytes()
        if data.startswith(_GZIP):
            other, content = file.with_name(file.name.removesuffix(".gz")), gzip.decompress(data)
        else:
            other, content = file.with_name(f"{file.name}.gz"), gzip.compress(data, mtime=0)
        file.unlink()
        other.write_bytes(content)
        if moved is not path and not moved.is_dir() and file == moved:
            moved = other
    converted = reader.read(moved, **options)
    _expect(columns.same_as(converted), f"{reader.name}: gzip and plain of {path} must give the same columns")


def _check_round_trip(reader: Reader, path: Path, columns: Columns, parquet: Path) -> None:
    store.save(columns, parquet)
    back = store.load(parquet)
    _expect(columns.same_as(back), f"{reader.name}: {path} saved as Parquet must come back the same")
    _expect(columns.report == back.report, f"{reader.name}: the report of {path} must survive Parquet")


def _check_damage(reader: Reader, path: Path, scratch: Path, together: Path | None, options: dict[str, Any]) -> None:
    moved = _copy(path, scratch, together)
    victim = moved
    if moved.is_dir():
        victim = next(entry for entry in sorted(moved.iterdir()) if entry.is_file())
    data = victim.read_bytes()
    whole = data if data.startswith((_GZIP, store.PARQUET_MAGIC)) else gzip.compress(data, mtime=0)
    for what, content in (("cut short", whole[: len(whole) * 2 // 3]), ("empty", b"")):
        victim.write_bytes(content)
        before = _listing(moved)
        _refuses(reader, moved, options, f"{victim.name} {what}")
        _expect(_listing(moved) == before, f"{reader.name}: nothing may be left behind by {victim.name} {what}")
    nothing = scratch / "empty folder"
    nothing.mkdir()
    _refuses(reader, nothing, options, "an empty directory")


def _refuses(reader: Reader, path: Path, options: dict[str, Any], what: str) -> None:
    try:
        reader.read(path, **options)
    except TraceError:
        return
    except UserError as error:
        raise AssertionError(f"{reader.name}: {what} must be a TraceError, not {type(error).__name__}") from error
    raise AssertionError(f"{reader.name}: {what} must be a TraceError, and was read without one")


def _copy(path: Path, scratch: Path, together: Path | None) -> Path:
    """Copy what is read, with its neighbours where it needs them; return the copy's path."""
    if together is not None:
        shutil.copytree(together, scratch / "copy")
        return scratch / "copy" / path.relative_to(together)
    if path.is_dir():
        return Path(shutil.copytree(path, scratch / "copy" / path.name))
    (scratch / "copy").mkdir(parents=True)
    return Path(shutil.copyfile(path, scratch / "copy" / path.name))


def _listing(path: Path) -> list[str]:
    folder = path if path.is_dir() else path.parent
    return sorted(entry.name for entry in folder.iterdir())

import gzip
from pathlib import Path

import pytest

from rlsched.errors import SpecError, TraceError
from rlsched.traces.readers.source import header_names, list_files, quote, read_head, read_source


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "not-called-gz"
    path.write_bytes(gzip.compress(b"hello") + gzip.compress(b" world"))
    assert read_source(path).data == b"hello world"
    assert read_head(path) == b"hello world"


def test_the_hash_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    import hashlib

    stored = gzip.compress(b"hello")
    (tmp_path / "x").write_bytes(stored)
    assert read_source(tmp_path / "x").sha256 == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize("cut", [3, 12, -9, -1])
def test_a_truncated_gzip_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"hello " * 1000)[:cut])
    with pytest.raises(TraceError, match=r"a gzip file must be (complete|intact): .*x\.gz is .*again"):
        read_source(tmp_path / "x.gz")


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"hello " * 1000))
    data[-6] ^= 0xFF
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(TraceError, match="a gzip file must be intact"):
        read_source(tmp_path / "x.gz")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", str(1000 / 2**30))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"0" * 1001))
    (tmp_path / "just.gz").write_bytes(gzip.compress(b"0" * 1000))
    with pytest.raises(TraceError, match=r"may unpack to at most .* GiB: .*bomb\.gz is larger"):
        read_source(tmp_path / "bomb.gz")
    assert len(read_source(tmp_path / "just.gz").data) == 1000


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", "lots")
    (tmp_path / "x").write_text("a")
    with pytest.raises(SpecError, match="RLSCHED_MAX_TRACE_GIB must be a number of GiB > 0: got 'lots'"):
        read_source(tmp_path / "x")


def test_nothing_empty_directory_and_absence_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b" \n"))
    for name in ("empty", "empty.gz"):
        with pytest.raises(TraceError, match="must not be empty"):
            read_source(tmp_path / name)
    with pytest.raises(TraceError, match=r"a file is needed here: .* is a directory"):
        read_source(tmp_path)
    with pytest.raises(TraceError, match="no file at"):
        read_source(tmp_path / "absent")


def test_files_are_listed_in_byte_order(tmp_path: Path) -> None:
    for name in ("b", "B", "a b", "_"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in list_files(tmp_path)] == ["B", "_", "a b", "b"]


def test_header_names_do_not_depend_on_the_separator() -> None:
    for mark in (",", ";", "\t", ";\t", "|"):
        assert header_names(f'"a"{mark}b c{mark}d\n1'.encode()) == ["a", "b c", "d"]


def test_values_in_messages_are_short() -> None:
    assert quote("x" * 100, 10) == "'xxxxxxxxx…'"
    assert quote(5) == "5"

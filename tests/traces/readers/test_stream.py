import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import TraceError
from rlsched.traces.readers.source import read_source
from rlsched.traces.readers.stream import CsvBlocks, read_csv_file, reporting
from rlsched.traces.readers.table import Column, read_csv

COLUMNS = (Column("a"), Column("b", "float", may_be_empty=True))
WORDS = (Column("a"), Column("b", "text", may_be_empty=True))
TEXT = "a,b\n" + "".join(f"{i},{i / 4 if i % 3 else ''}\n" for i in range(50))


@pytest.mark.parametrize("block_bytes", [1, 7, 40, 10_000])
@pytest.mark.parametrize("packed", [False, True])
def test_blocks_hold_what_the_whole_file_holds(tmp_path: Path, block_bytes: int, packed: bool) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    whole = read_csv(read_source(path), COLUMNS)
    blocks = CsvBlocks(path, COLUMNS, block_bytes=block_bytes)
    tables = list(blocks)
    for name in ("a", "b"):
        np.testing.assert_array_equal(np.concatenate([table[name] for table in tables]), whole[name])
    assert np.concatenate([table.rows for table in tables]).tolist() == list(range(1, 51))
    assert sum(table.rows_read for table in tables) == 50
    assert blocks.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    if block_bytes < 100:
        assert len(tables) > 5


def test_a_file_without_header_and_without_last_line_end_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2\r\n3,4\r\n5,6")
    tables = list(CsvBlocks(tmp_path / "x.csv", COLUMNS, names=("a", "b"), block_bytes=4))
    assert np.concatenate([table["a"] for table in tables]).tolist() == [1, 3, 5]


@pytest.mark.parametrize("block_bytes", [1, 30, 10_000])
def test_a_fault_is_named_by_its_row_in_the_whole_file(tmp_path: Path, block_bytes: int) -> None:
    (tmp_path / "x.csv").write_text(TEXT.replace("\n40,", "\nforty,"))
    with pytest.raises(TraceError, match=r"a must be a whole number: got 'forty' in row 41 \(line 42\) of "):
        list(CsvBlocks(tmp_path / "x.csv", COLUMNS, block_bytes=block_bytes))
    tables = list(CsvBlocks(tmp_path / "x.csv", COLUMNS, block_bytes=block_bytes, on_bad_row="skip"))
    drops = [drop for table in tables for drop in table.drops]
    assert [(drop.count, drop.rows) for drop in drops] == [(1, (41,))]


@pytest.mark.parametrize("block_bytes", [1, 30, 10_000])
def test_a_blank_line_inside_is_a_fault_wherever_a_block_ends(tmp_path: Path, block_bytes: int) -> None:
    (tmp_path / "x.csv").write_text(TEXT.replace("\n40,", "\n\n40,"))
    with pytest.raises(TraceError, match=r"a row must have 2 fields: got 0 in row 41 \(line 42\)"):
        list(CsvBlocks(tmp_path / "x.csv", COLUMNS, block_bytes=block_bytes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must not be empty"),
        (b"\n\n", "must not be empty"),
        (b"a,b\n", "holds only a header"),
        (gzip.compress(TEXT.encode())[:-9], "must be complete|must be intact"),
        (gzip.compress(TEXT.encode(), mtime=0)[:40] + b"xxxxxxxxxxxxxxxxxxxx", "must be complete|must be intact"),
        (b"x" * 2000, "must have lines"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(TraceError, match=message):
        list(CsvBlocks(tmp_path / "x.csv", COLUMNS, block_bytes=10))


@pytest.mark.parametrize(
    "content", [TEXT, TEXT + "x,bad\n" * 9 + '9,"two\nlines"\n' * 40, "\ufeff" + TEXT, TEXT.replace("\n", "\r\n")]
)
def test_a_file_in_blocks_is_the_table_of_the_whole_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(content.encode()))
    whole, sha256 = read_csv_file(path, WORDS, on_bad_row="skip")
    blocks, again = read_csv_file(path, WORDS, on_bad_row="skip", whole_bytes=0, block_bytes=64)
    assert again == sha256
    assert blocks.rows_read == whole.rows_read
    assert blocks.drops == whole.drops
    np.testing.assert_array_equal(blocks.rows, whole.rows)
    for name, value in whole.values.items():
        np.testing.assert_array_equal(blocks[name], value)
        np.testing.assert_array_equal(blocks.missing[name], whole.missing[name])


def test_a_file_in_blocks_may_not_unpack_to_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(("a,b\n" + "1,x\n" * 400_000).encode()))
    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", str(1_000_000 / 2**30))
    with pytest.raises(TraceError, match="may unpack to at most"):
        read_csv_file(path, WORDS, whole_bytes=0)


def test_texts_that_repeat_are_held_once(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "".join(f"{i},{'one' if i % 2 else 'two'} and more\n" for i in range(100)))
    table = read_csv_file(path, WORDS, whole_bytes=0)[0]
    assert len({id(text) for text in table["b"]}) == 2


def test_progress_is_reported_up_to_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TEXT)
    seen: list[tuple[int, int]] = []
    with reporting(lambda name, done, total: seen.append((done, total))):
        list(CsvBlocks(tmp_path / "x.csv", COLUMNS, block_bytes=100))
    size = len(TEXT)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    list(CsvBlocks(tmp_path / "x.csv", COLUMNS))
    assert seen[-1] == (size, size)


def peak_mib(path: Path, format: str) -> tuple[int, int, int]:
    """Rows read, series, and the peak memory in MiB of a process of its own that reads a file."""
    code = (
        "import resource, sys\n"
        "from rlsched.traces.read import read_any\n"
        "usage = read_any(sys.argv[1], format=sys.argv[2])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "print(usage.report.rows_read, len(usage), peak)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path), format], capture_output=True, text=True, check=True)
    rows, series, peak = map(int, run.stdout.split())
    return rows, series, peak


@pytest.mark.slow
def test_two_gigabytes_are_read_in_less_than_one(tmp_path: Path) -> None:
    """A table like Alibaba's machine usage: 400 machines, a sample every 7 s or so."""
    path = tmp_path / "usage.csv"
    second = 0
    rows = 0
    with path.open("w") as file:
        while file.tell() < 2 * 10**9:
            block = [
                f"m_{m},{second},{(m + second) % 101},{m % 101},,,43.04,33.08,{second % 101}\n" for m in range(400)
            ]
            file.write("".join(block))
            rows += 400
            second += 7
    read, series, peak = peak_mib(path, "alibaba_2018_usage")
    assert (read, series) == (rows, 400)
    assert peak < 1000

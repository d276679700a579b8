"""Every reader of large tables gives, in blocks of a few rows, what it gives of the whole file."""

from __future__ import annotations

import dataclasses
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "testing"))

from test_readers import good_files

from rlsched.errors import TraceError
from rlsched.traces.columns import Columns, Drop, Trace
from rlsched.traces.read import read_any
from rlsched.traces.readers import stream
from rlsched.traces.readers.table import Table

#: Readers of CSV that read files of any size in blocks.
IN_BLOCKS = (
    "alibaba_2018_machines", "alibaba_2018_usage", "alibaba_dlrm", "alibaba_genai_requests", "azure_cpu_readings",
    "azure_functions_2021", "azure_llm", "azure_vmtable", "gaia_jobs", "generic", "google_2011_tasks",
    "google_2019_usage", "helios", "maro_vms", "philly_jobs", "swf",
)  # fmt: skip


def as_blocks(monkeypatch: pytest.MonkeyPatch, size: int) -> list[int]:
    """Have every file read in blocks of about ``size`` bytes; returns where the rows of each are counted."""
    counted: list[int] = []
    tables = stream.CsvBlocks.__iter__

    def counting(self: stream.CsvBlocks) -> Iterator[Table]:
        for table in tables(self):
            counted.append(table.rows_read)
            yield table

    monkeypatch.setattr(stream.CsvBlocks, "__iter__", counting)
    monkeypatch.setattr(stream, "WHOLE_BYTES", 0)
    monkeypatch.setattr(stream, "BLOCK_BYTES", size)
    return counted


def account(columns: Columns) -> tuple[int, int, list[Drop]]:
    report = columns.report
    return report.rows_read, report.rows_kept, sorted(report.drops, key=lambda drop: (drop.rule, drop.action))


@pytest.mark.parametrize("size", [10, 20])
@pytest.mark.parametrize("name", IN_BLOCKS)
def test_a_reader_gives_in_blocks_what_it_gives_of_the_whole_file(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = 0
    for path in good_files(name, tmp_path)[0]:
        whole = read_any(path, format=name)
        with monkeypatch.context() as patch:
            counted = as_blocks(patch, size)
            blocks = read_any(path, format=name)
        assert blocks.same_as(whole)
        assert blocks.meta == whole.meta
        assert account(blocks) == account(whole)
        several += len(counted) > 1
    assert several > 0, "no file was read in more than one block"


def test_a_log_whose_comments_lie_between_its_jobs_is_read_the_same_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [f"{i} {10 * i} -1 60 2 " + "-1 " * 12 + "-1" for i in range(1, 60)]
    lines = ["; UnixStartTime: 7", "; Computer: one 'and\" a half", *jobs[:30], "; Note: in between", "", *jobs[30:]]
    path = tmp_path / "log.swf.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    whole = read_any(path, format="swf")
    counted = as_blocks(monkeypatch, 50)
    blocks = read_any(path, format="swf")
    assert len(counted) > 1
    assert sum(counted) == len(jobs)
    assert blocks.same_as(whole)
    assert blocks.meta["header"] == whole.meta["header"] == {
        "UnixStartTime": "7", "Computer": "one 'and\" a half", "Note": "in between",
    }  # fmt: skip
    path.write_bytes(gzip.compress("\n".join(lines).replace("\n45 ", "\nforty ").encode()))
    with pytest.raises(TraceError, match=r"job must be a whole number: got 'forty' in row 45 \(line 45\) of .*log.swf"):
        read_any(path, format="swf")
    path.write_bytes(gzip.compress(b"; Computer: none\n" * 20))
    with pytest.raises(TraceError, match="has only comments"):
        read_any(path, format="swf")


def test_a_zip_of_one_file_is_read_by_readers_that_read_in_blocks(tmp_path: Path) -> None:
    import zipfile

    plain = good_files("azure_functions_2021", tmp_path)[0][0]
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(plain, "invocations.csv")
    packed = read_any(tmp_path / "packed.zip", format="azure_functions_2021")
    assert packed.same_as(read_any(plain, format="azure_functions_2021"))


def test_vms_out_of_order_and_twice_are_judged_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("Interactive", "Unkown", "Unknown", "Delay-insensitive")
    rows = [
        f"vm{i},sub{i % 7},dep{i % 11},{300 * ((i * 37) % 50)},2591700,9.5,2.5,5,{kinds[i % 4]},"
        f"{(2, 4, '>24')[i % 3]},{(1.75, '>64')[i % 2]}"
        for i in range(80)
    ]
    path = tmp_path / "vmtable.csv"
    path.write_text("\n".join([*rows, rows[3], rows[4].replace("Interactive", "Idle").replace("vm4", "vm400")]))
    whole = read_any(path, format="azure_vmtable", on_bad_row="skip")
    with pytest.raises(TraceError) as raised:
        read_any(path, format="azure_vmtable")
    counted = as_blocks(monkeypatch, 100)
    blocks = read_any(path, format="azure_vmtable", on_bad_row="skip")
    assert len(counted) > 1
    assert isinstance(blocks, Trace)
    assert dataclasses.asdict(blocks.report) == dataclasses.asdict(whole.report)
    assert blocks.same_as(whole)
    assert len(blocks) == 80
    with pytest.raises(TraceError) as again:
        read_any(path, format="azure_vmtable")
    assert str(again.value) == str(raised.value)

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlsched import read_machines, read_trace
from rlsched.errors import SpecError, TraceError
from rlsched.traces.card import ColumnMap
from rlsched.traces.readers.generic import read

BASE = {"task_id": "id", "arrive_s": "t", "cpu_mcore": "c"}


def write(tmp_path: Path, text: str, name: str = "mine.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_with_our_names_needs_no_card(samples: Path) -> None:
    trace = read_trace(samples / "own_names.csv")
    assert trace.meta["reader"] == "generic"
    assert trace.task_id.tolist() == ["t0", "t1", "t2"]
    assert trace.depart_s.tolist() == [10, -1, -1]
    assert trace.gpu_models == ("G2", "T4")
    assert trace.gpu_model_mask.tolist() == [-1, 0b11, 0b01]
    assert trace.gpu_mgpu.tolist() == [0, 250, 1000]
    assert trace.tenant.tolist() == [0, 1, 0]


def test_machines_with_our_names_need_no_card(samples: Path) -> None:
    machines = read_machines(samples / "own_machines.csv")
    assert machines.gpu_model.tolist() == [-1, 0]
    assert machines.sites == ("east", "west")
    np.testing.assert_array_equal(machines.price_per_h, [1.5, np.nan])


def test_a_card_maps_names_units_separator_and_missing_marks(samples: Path) -> None:
    trace = read_trace(samples / "foreign.csv", card=samples / "foreign.toml")
    assert trace.task_id.tolist() == ["x", "z", "y"]
    assert trace.arrive_s.tolist() == [0.0, 0.5, 1.0]
    assert trace.depart_s.tolist() == [60.0, 2.0, -1.0]
    assert trace.cpu_mcore.tolist() == [500, 1000, 2000]
    assert trace.mem_mib.tolist() == [1024, 1, 513]
    assert trace.meta["time_origin_s"] == 1_600_000_000
    assert trace.meta["columns_ignored"] == ["rank"]
    lines = trace.report.lines()
    assert "1 row rounded up: bytes is not whole in mib (row 2)" in lines
    assert "1 row sorted into place: created smaller than in an earlier row (row 3)" in lines


def test_whole_milliseconds_become_whole_seconds(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t,c\na,1600000001000,1\nb,1600000002000,1\n")
    trace = read(path, card=ColumnMap(columns=BASE, time_unit="ms"))
    assert trace.arrive_s.dtype == np.int64
    assert trace.arrive_s.tolist() == [1_600_000_001, 1_600_000_002]


def test_dates_become_seconds_from_the_first_arrival(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t,e,c\na,2024-03-01T00:00:30Z,2024-03-01 00:01:00,1\nb,2024-03-01T01:00:00+01:00,,1\n")
    card = ColumnMap(columns={**BASE, "depart_s": "e"}, time_unit="datetime", time_origin="first")
    trace = read(path, card=card)
    assert trace.task_id.tolist() == ["b", "a"]
    assert trace.arrive_s.tolist() == [0, 30]
    assert trace.depart_s.tolist() == [-1, 60]


def test_a_bad_date_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t,c\na,2024-03-01,1\nb,yesterday,1\n")
    card = ColumnMap(columns=BASE, time_unit="datetime", time_origin="first")
    with pytest.raises(TraceError, match=r"t must be an ISO 8601 date and time: got 'yesterday' in row 2 \(line 3\)"):
        read(path, card=card)


def test_what_the_map_leaves_out_is_said_in_the_report(tmp_path: Path) -> None:
    path = write(tmp_path, "t,c\n0,100\n1,100\n")
    trace = read(path, card=ColumnMap(columns={"arrive_s": "t", "cpu_mcore": "c"}))
    assert trace.task_id.tolist() == [1, 2]
    actions = [drop.action for drop in trace.report.drops]
    assert any(action.startswith("given 0 MiB") for action in actions)
    assert any(action.startswith("given their row number") for action in actions)
    assert any(action.startswith("given an unknown departure") for action in actions)


def test_a_file_without_a_header_takes_its_names_from_the_card(tmp_path: Path) -> None:
    path = write(tmp_path, "a\t0\t100\nb\t1\tx\n")
    card = ColumnMap(columns=BASE, delimiter="\t", names=("id", "t", "c"))
    with pytest.raises(TraceError, match=r"c must be a finite number: got 'x' in row 2 \(line 2\)"):
        read(path, card=card)
    assert len(read(path, card=card, on_bad_row="skip")) == 1


@pytest.mark.parametrize(
    ("row", "more", "message"),
    [
        ("b,-5,1", {}, r't must be >= 0, or time_origin "first" in the card: got -5\.0 in row 2 \(line 3\)'),
        ("b,1,1.0005", {}, r"c must be a whole number of mcore \(value times 1\): got 1\.0005 in row 2.*rounding"),
        ("b,1,-1", {}, r"c must be >= 0: got -1"),
        ("b,NaN,1", {}, r"t must be a finite number: got 'NaN' in row 2"),
        ("b,1,1e300", {}, r"c must be at most 2\*\*53, beyond which nothing is measured: got '1e300' in row 2"),
        ("a,1,1", {}, r"id must be unique: got 'a' in row 2"),
        ("b,9,1", {"depart_s": "c"}, r"c must be >= t, or empty: got 1\.0 in row 2"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, more: dict[str, str], message: str) -> None:
    path = write(tmp_path, f"id,t,c\na,0,100\n{row}\n")
    with pytest.raises(TraceError, match=message):
        read(path, card=ColumnMap(columns={**BASE, **more}))


def test_skipped_rows_keep_the_columns_in_step(tmp_path: Path) -> None:
    rows = ["a,3,1.5", "b,x,2", "c,1,3", "d,-1,4", "a,2,5", "e,0,6", "short"]
    path = write(tmp_path, "id,t,c\n" + "\n".join(rows) + "\n")
    trace = read(path, card=ColumnMap(columns=BASE, on_bad_row="skip"))
    assert trace.task_id.tolist() == ["e", "c", "a"]
    assert trace.arrive_s.tolist() == [0, 1, 2]
    assert trace.cpu_mcore.tolist() == [6, 3, 5]  # 'a' with 1.5 mcore went first, so its second row stays
    assert (trace.report.rows_read, trace.report.rows_kept) == (7, 3)
    assert sum(drop.count for drop in trace.report.drops if drop.action == "dropped") == 4


def test_gpu_shares_given_without_gpus_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t,c,g,s\na,0,1,0,0.5\nb,0,1,2,0.25\n")
    columns = {**BASE, "gpu_count": "g", "gpu_mgpu": "s"}
    trace = read(path, card=ColumnMap(columns=columns, gpu_unit="gpu"))
    assert trace.gpu_mgpu.tolist() == [0, 250]
    assert "1 row given gpu_mgpu 0: s > 0 in a row without GPUs (row 1)" in trace.report.lines()


def test_parquet_is_read_like_csv(samples: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(samples / "own_names.csv", dtype={"gpu_models": object})
    frame.to_parquet(tmp_path / "own.parquet")
    assert read_trace(tmp_path / "own.parquet").same_as(read_trace(samples / "own_names.csv"))


def test_parquet_timestamps_are_dates(tmp_path: Path) -> None:
    stamps = pd.to_datetime(["2024-01-01 00:00:10", "2024-01-01 00:00:00"])
    pd.DataFrame({"id": ["a", "b"], "t": stamps, "c": [1, 2]}).to_parquet(tmp_path / "x.parquet")
    card = ColumnMap(columns=BASE, time_unit="datetime", time_origin="first")
    assert read(tmp_path / "x.parquet", card=card).arrive_s.tolist() == [0, 10]
    with pytest.raises(TraceError, match=r"column 't' must be a number: got type timestamp.*time_unit"):
        read(tmp_path / "x.parquet", card=ColumnMap(columns=BASE))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"id": ["a"], "t": [0]}, r"column 'c' is missing: the schema of .* has 'id', 't'"),
        ({"id": ["a"], "t": [0], "c": ["x"]}, r"column 'c' must be a number: got type (large_)?string"),
        (
            {"id": ["a", "b"], "t": [0, 1], "c": [1.0, None]},
            r"c must be given \(not null, not NaN\): got nan in row 2 of",
        ),
        ({"id": [], "t": [], "c": []}, r"has columns and no rows"),
    ],
)
def test_a_bad_parquet_is_named(tmp_path: Path, frame: dict[str, list[object]], message: str) -> None:
    pd.DataFrame(frame).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(TraceError, match=message):
        read(tmp_path / "x.parquet", card=ColumnMap(columns=BASE))


def test_a_foreign_file_without_a_card_says_what_is_needed(samples: Path) -> None:
    with pytest.raises(TraceError, match=r"without a card, a file must use our column names .*`card`"):
        read_trace(samples / "foreign.csv", format="generic")


def test_a_card_without_a_table_is_refused(samples: Path) -> None:
    with pytest.raises(SpecError, match=r"names no reader for a file of yours"):
        read_trace(samples / "foreign.csv", card="azure-v1-2017")

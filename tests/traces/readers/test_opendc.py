from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from reader_samples import DATA, opendc, write_parquet

from rlsched import read_machines, read_trace, read_usage
from rlsched.errors import MissingDataError, SpecError, TraceError


def test_tasks_come_by_submission_in_cores_and_whole_mib(tmp_path: Path) -> None:
    trace = read_trace(opendc(tmp_path)[0])
    assert trace.task_id.tolist() == ["b", "a"]
    assert trace.arrive_s.tolist() == [0, 30]
    assert trace.depart_s.tolist() == [0, 120]  # b has duration 0, a 90 s
    assert trace.cpu_mcore.tolist() == [2000, 1000]
    assert trace.mem_mib.tolist() == [2, 2]  # 2,048 and 1,025 KiB
    assert trace.meta["time_origin_s"] == 1000
    lines = trace.report.lines()
    assert "1 row kept, leaving the moment it comes: duration 0 (row 2)" in lines
    assert "1 row with mem_mib rounded up: mem_capacity (in kib) is not whole MiB (row 1)" in lines


def test_the_unit_of_memory_can_be_named(tmp_path: Path) -> None:
    assert read_trace(opendc(tmp_path)[0], mem_unit="mib").mem_mib.tolist() == [2048, 1025]
    with pytest.raises(SpecError, match=r"mem_unit must have a known value: got 'kb'. Did you mean 'kib'"):
        read_trace(opendc(tmp_path)[0], mem_unit="kb")


def test_a_constant_deadline_goes_into_the_provenance(tmp_path: Path) -> None:
    columns = {
        "id": [1, 2],
        "submission_time": [5_000, 6_500],
        "duration": [1_000, 1_000],
        "cpu_count": [1, 1],
        "cpu_capacity": [1.0, 1.0],
        "mem_capacity": [1024, 1024],
        "deferrable": [True, True],
        "deadline": [95_000, 96_500],
    }
    trace = read_trace(write_parquet(tmp_path / "month.parquet", columns))
    assert trace.meta["deadline_after_arrival_s"] == 90
    assert trace.meta["columns_ignored"] == ["deferrable"]
    assert trace.arrive_s.tolist() == [0.0, 1.5]
    assert any("it says nothing: mem_capacity is 1024 in every row" in line for line in trace.report.lines())
    trace = read_trace(write_parquet(tmp_path / "month.parquet", {**columns, "deadline": [95_000, 99_000]}))
    assert "deadline_after_arrival_s" not in trace.meta
    assert any("read without its deadline" in line for line in trace.report.lines())


def test_fragments_follow_each_other_and_are_averaged_over_time(tmp_path: Path) -> None:
    usage = read_usage(opendc(tmp_path)[1])
    assert usage.series_id.tolist() == ["b", "a"]
    assert usage.start_s.tolist() == [0, 30]
    assert usage.step_s == 30  # the most frequent duration
    np.testing.assert_allclose(usage.series(0), [0.25, 1.1], rtol=0)  # 500 and 2,200 of 2,000 MHz
    # a, of 1,000 MHz: 20 s at 0.3 and 10 s at 0.6; 15 s at 0.6 and 15 s at 0; 30 s at 0.
    np.testing.assert_allclose(usage.series(1), [0.4, 0.3, 0.0], atol=1e-15)
    assert usage.cpu_mcore.tolist() == [2000, 1000]
    assert np.isnan(usage.mem_share).all()
    assert "3 rows averaged over time: a fragment that is not whole steps of 30 s" in usage.report.lines()


def test_a_long_fragment_is_held_or_missing_after_its_first_step(tmp_path: Path) -> None:
    _, fragments = opendc(tmp_path)
    write_parquet(fragments, {"id": ["b"] * 3, "duration": [30_000, 90_000, 30_000], "cpu_usage": [200.0, 400, 600]})
    held = read_usage(fragments)
    assert held.cpu_share.tolist() == [0.1, 0.2, 0.2, 0.2, 0.3]
    assert "1 row held: a fragment longer than 1.5 steps of 30 s" in held.report.lines()
    assert "1 row left without a series: a task without fragments" in held.report.lines()
    missing = read_usage(fragments, bridge="missing")
    np.testing.assert_array_equal(missing.cpu_share, [0.1, 0.2, np.nan, np.nan, 0.3])
    write_parquet(fragments, {"id": ["b"] * 3, "duration": [30_000, 91_000, 29_000], "cpu_usage": [200.0, 400, 600]})
    cut = read_usage(fragments, bridge="missing", step_s=30)
    np.testing.assert_allclose(cut.cpu_share, [0.1, 0.2, np.nan, np.nan, 0.3])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["c"], "duration": [1], "cpu_usage": [1.0]}, r"a fragment must be of a task of .*got id 'c' in row 1"),
        ({"id": ["a"], "duration": [0], "cpu_usage": [1.0]}, r"duration must be > 0: got 0"),
        ({"id": ["a"], "duration": [1], "cpu_usage": [-1.0]}, r"cpu_usage must be >= 0: got -1.0"),
    ],
)
def test_a_bad_fragment_is_named(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    _, fragments = opendc(tmp_path)
    with pytest.raises(TraceError, match=message):
        read_usage(write_parquet(fragments, columns))


def test_a_moment_outside_the_calendar_is_named(tmp_path: Path) -> None:
    tasks = opendc(tmp_path)[0]
    table = parquet.read_table(tasks)
    far = pa.array([1_000_000, 6_701_356_245_541_698_048], pa.timestamp("ms"))
    parquet.write_table(table.set_column(1, "submission_time", far), tasks)
    with pytest.raises(TraceError, match=r"column 'submission_time' must be readable: .*out of bounds"):
        read_trace(tasks)


def test_fragments_without_their_tasks_say_what_to_do(tmp_path: Path) -> None:
    tasks, fragments = opendc(tmp_path)
    tasks.rename(tmp_path / "elsewhere.parquet")
    with pytest.raises(MissingDataError, match=r"there is no .*tasks.parquet.*tasks="):
        read_usage(fragments)
    assert len(read_usage(fragments, tasks=str(tmp_path / "elsewhere.parquet"))) == 2


def test_hosts_are_counted_out_of_a_topology(tmp_path: Path) -> None:
    machines = read_machines(DATA / "opendc_topology.json")
    assert machines.machine_id.tolist() == ["A/thin/0", "A/thin/1", "A/fat/0"]
    assert machines.cpu_mcore.tolist() == [16000, 16000, 32000]
    assert machines.mem_mib.tolist() == [1025, 1025, 4096]  # 1,048,577 KiB, rounded up
    assert machines.sites == ("A",)
    assert machines.meta["hosts"][0]["cpu"]["coreSpeed"] == 2100


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"coreCount": 16', '"coreCount": 1.5', r"coreCount must be whole: got 1.5"),
        ('"count": 2', '"count": -2', r"count must be a number > 0: got -2"),
        ('"memorySize": 1048577', '"x": 1', r"memorySize must be a number > 0: got None"),
        ('"cpu": {"coreCount": 16, "coreSpeed": 2100}, ', "", r"cpu must be an object: got None"),
        ("]}]}", "]}]", r"a topology must be JSON: .* is not"),
    ],
)
def test_a_bad_topology_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (DATA / "opendc_topology.json").read_text()
    assert old in text
    (tmp_path / "t.json").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_machines(tmp_path / "t.json")


def test_the_week_of_surf_has_the_published_counts(real: Path) -> None:
    week = real / "opendc_traces/surf-22"
    trace, usage = read_trace(week / "tasks.parquet"), read_usage(week / "fragments.parquet")
    assert len(trace) == 7850
    assert int((trace.depart_s == trace.arrive_s).sum()) == 303
    assert (len(usage), usage.report.rows_read, usage.step_s) == (6295, 2_323_475, 30)
    assert float(np.nanmax(usage.cpu_share)) == 1.0
    assert len(read_machines(week / "surf-22-topology.json")) == 277
    month = read_trace(real / "opendc_traces/surf_month/tasks.parquet")
    assert len(month) == 68_648
    assert month.meta["deadline_after_arrival_s"] == 86_400


@pytest.mark.parametrize("version", ["solvinity-13", "bitbrains-small"])
def test_both_versions_of_the_bitbrains_vms_can_be_read(real: Path, version: str) -> None:
    folder = real / "opendc_traces" / version
    trace, usage = read_trace(folder / "tasks.parquet"), read_usage(folder / "fragments.parquet")
    assert (len(trace), len(usage), usage.report.rows_read, usage.step_s) == (50, 50, 276_979, 300)
    assert set(usage.series_id.tolist()) == set(trace.task_id.tolist())
    if version == "solvinity-13":  # fragments there fill the life of their task exactly
        steps = np.ceil((trace.depart_s - trace.arrive_s) / 300)
        assert np.diff(usage.offset).tolist() == steps.tolist()

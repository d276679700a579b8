"""Azure's original tables, MARO's copies of them, region totals, Functions."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand, read_trace, read_usage
from rlsched.errors import SpecError, TraceError


def test_the_vm_table_knows_who_was_there_at_the_end(samples: Path) -> None:
    trace = read_trace(samples / "azure_vmtable.csv")
    assert [name[3] for name in trace.task_id] == ["b", "a", "c"]
    assert trace.arrive_s.tolist() == [0, 300, 600]
    assert trace.depart_s.tolist() == [1500, -1, 900]
    assert trace.last_seen_s.tolist() == [1500, 2_591_700, 900]
    assert trace.cpu_mcore.tolist() == [32_000, 1000, 2000]  # >24 is 32 by default
    assert trace.mem_mib.tolist() == [131_072, 1792, 3584]
    assert trace.priority.tolist() == [1, 0, 0]
    assert trace.tenant.tolist() == [0, 1, 1]
    assert trace.meta["reference"] == {"over_cores": 32, "over_gib": 128}
    lines = trace.report.lines()
    assert "1 row given 32: cores is an open bucket, >24 (row 2)" in lines
    assert "1 row given 128: memory is an open bucket, >64 (row 2)" in lines
    assert "1 row read as Unknown: category 'Unkown' (row 3)" in lines
    stated = read_trace(samples / "azure_vmtable.csv", over_cores=48, over_gib=70, window_end_s=10**9)
    assert stated.cpu_mcore[0] == 48_000
    assert stated.mem_mib[0] == 71_680
    assert stated.depart_s.tolist() == [1500, 2_591_700, 900]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1,1.75", ",one,1.75", r"cores must be a number > 0, or an open bucket such as '>24': got 'one' in row 1"),
        ("600,900", "600,500", r"deleted must be >= created: got 500 in row 3"),
        ("Unkown", "Batch", r"category must be one of Interactive, Delay-insensitive, Unknown: got 'Batch' in row 3"),
    ],
)
def test_a_bad_vm_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "azure_vmtable.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.csv", format="azure_vmtable")
    with pytest.raises(SpecError, match="over_cores must be a whole number > 0: got 0"):
        read_trace(samples / "azure_vmtable.csv", over_cores=0)


def test_readings_are_put_together_by_vm(samples: Path, tmp_path: Path) -> None:
    usage = read_usage(samples / "azure_cpu_readings.csv")
    assert [name[3] for name in usage.series_id] == ["a", "b"]
    np.testing.assert_allclose(usage.series(1), [0.03, np.nan, 0.05])
    np.testing.assert_allclose(usage.series(1, "cpu_max_share"), [0.04, np.nan, 0.09])
    np.testing.assert_allclose(usage.series(0, "cpu_min_share"), [0.1])
    lines = (samples / "azure_cpu_readings.csv").read_text().splitlines(keepends=True)
    (tmp_path / "file-1.csv").write_text("".join(lines[:1]))
    (tmp_path / "file-2.csv").write_text("".join(lines[1:]))
    assert read_usage(tmp_path).same_as(usage)


def test_maro_counts_in_ticks_of_five_minutes(samples: Path, tmp_path: Path) -> None:
    trace = read_trace(samples / "maro_vms.csv")
    assert trace.task_id.tolist() == ["8", "7"]
    assert trace.arrive_s.tolist() == [0, 300]
    assert trace.depart_s.tolist() == [300, 900]
    assert trace.mem_mib.tolist() == [16_384, 4096]
    usage = read_usage(samples / "maro_readings.csv")
    assert usage.series_id.tolist() == ["9", "10"]
    np.testing.assert_allclose(usage.series(1), [0.025, np.nan, 0.03])
    returns = (samples / "maro_readings.csv").read_bytes().replace(b"\r\n", b"\r")
    (tmp_path / "x.csv").write_bytes(returns)
    assert read_usage(tmp_path / "x.csv").same_as(usage)
    text = (samples / "maro_vms.csv").read_text()
    (tmp_path / "y.csv").write_text(text.replace("1,2,3,1,2,4", "1,5,3,1,2,4"))
    with pytest.raises(TraceError, match=r"vmlifetime must be vmdeleted - vmcreated: got 5 in row 1"):
        read_trace(tmp_path / "y.csv")


def test_region_totals_are_a_demand(samples: Path) -> None:
    first = read_demand(samples / "azure_totals_v1.csv")
    assert first.service_id.tolist() == ["avg cpu", "max cpu", "min cpu"]
    np.testing.assert_array_equal(first.rate, [[2.5, np.nan, 3], [3.5, np.nan, 4], [1.5, np.nan, 2]])
    second = read_demand(samples / "azure_totals_v2.csv")
    assert (second.rate.tolist(), second.unit) == ([[61.0, 62.0]], "cores")
    memory = read_demand(samples / "azure_totals_v2.csv", measure="memory")
    assert (memory.rate.tolist(), memory.unit) == ([[20.0, 21.0]], "GB")


def test_invocations_of_a_day_know_duration_and_memory_where_they_lie_beside(samples: Path, tmp_path: Path) -> None:
    demand = read_demand(samples / "azure_functions/invocations.csv")
    assert demand.service_id.tolist() == ["o/a/f", "o/a/g"]
    np.testing.assert_allclose(demand.rate, [[1, 0, 0.5], [0, 0, 0.1]])
    assert demand.meta["mean_duration_ms"] == [250.5, None]
    assert demand.meta["mean_memory_mb"] == [128.0, 128.0]  # of the app
    assert len(demand.meta["files"]) == 3
    published = {"invocations": "invocations_per_function_md", "durations": "function_durations_percentiles"}
    for ours, theirs in published.items():
        shutil.copy(samples / f"azure_functions/{ours}.csv", tmp_path / f"{theirs}.anon.d01.csv")
    original = read_demand(tmp_path / "invocations_per_function_md.anon.d01.csv")
    assert original.meta["mean_duration_ms"] == [250.5, None]
    assert "mean_memory_mb" not in original.meta


def test_single_invocations_count_when_they_start(samples: Path) -> None:
    path = samples / "azure_functions_2021.csv"
    demand = read_demand(path)  # starts at 0.5, 125 and 69 s
    np.testing.assert_allclose(demand.rate * 60, [[1, 1, 1]])
    by_app = read_demand(path, by="app")
    assert by_app.service_id.tolist() == ["a", "b"]
    np.testing.assert_allclose(by_app.rate * 60, [[1, 0, 1], [np.nan, 1, np.nan]])
    assert read_demand(path, by="func").service_id.tolist() == ["a/f", "a/g", "b/f"]


def test_the_format_samples_can_be_read(real: Path) -> None:
    trace = read_trace(real / "azure_v1_format_sample/vmtable.csv.gz")
    assert len(trace) == 10
    assert len(read_usage(real / "azure_v1_format_sample/vm_cpu_readings-file-1-of-125.csv.gz")) == 100
    assert len(read_trace(real / "maro_toy/vmtable_test.csv")) == 3
    assert len(read_trace(real / "maro_toy/vmtable_toy.csv")) == 3
    for k in (1, 2, 3):
        assert read_usage(real / f"maro_toy/vm_cpu_readings-file-{k}-of-test.csv").report.rows_read >= 10
    day = read_demand(real / "azure_functions_samples/invocations.csv")
    assert day.rate.shape == (4, 1440)
    assert day.meta["mean_duration_ms"] == [100.0, 500.0, 250.0, 125.0]
    assert read_demand(real / "azure_functions_samples/Azure2021_200.csv").report.rows_read == 199


def test_the_region_totals_have_the_published_means(real: Path) -> None:
    first = read_demand(real / "azure_region_totals/azure_v1_2017_cpu_first25days.csv.gz")
    second = read_demand(real / "azure_region_totals/azure_v2_2019_cpu_mem_first25days.csv.gz")
    assert first.rate.shape == (3, 7200)
    assert float(first.rate[0].mean()) == pytest.approx(1.20e6, rel=0.005)
    assert float(second.rate.mean()) == pytest.approx(61_400, rel=0.005)
    day = second.rate[0]
    assert np.corrcoef(day[:-288], day[288:])[0, 1] == pytest.approx(0.52, abs=0.01)

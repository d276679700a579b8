"""Alibaba's tables of 2025, 2026 and 2018."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand, read_machines, read_trace, read_usage
from rlsched.errors import SpecError, TraceError


def test_instances_of_the_serving_trace_know_application_role_and_limit(samples: Path) -> None:
    trace = read_trace(samples / "alibaba_dlrm.csv")
    assert trace.task_id.tolist() == ["i0", "i2", "i1"]
    assert trace.arrive_s.tolist() == [0, 600, 700]
    assert trace.depart_s.tolist() == [500, 900, -1]
    assert trace.last_seen_s.tolist() == [500, 900, 900]
    assert trace.cpu_mcore.tolist() == [12_000, 8_000, 64_000]
    assert trace.mem_mib.tolist() == [122_880, 40_960, 327_681]  # 320.0001 GiB, rounded up
    assert trace.gpu_count.tolist() == [1, 0, 0]
    assert trace.gpu_mgpu.tolist() == [1000, 0, 0]
    assert trace.tenant.tolist() == [0, 1, 0]
    assert trace.group.tolist() == [0, 1, 2]
    assert trace.group_limit.tolist() == [2, 0, 0]
    lines = trace.report.lines()
    assert "1 row kept, arriving at 0: no creation: there at the begin (row 1)" in lines
    assert "1 row kept with an unknown departure (censored): no deletion: there at the end (row 2)" in lines
    assert "1 row rounded up: a request that is not whole (row 2)" in lines
    assert "disk_request" in trace.meta["columns_ignored"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("i1,CN", "i1,XN", r"role must be HN or CN: got 'XN' in row 2"),
        ("255.0,300.0,-1", "255.0,300.0,0", r"max_instance_per_node must be > 0, or -1 for no limit: got 0"),
        ("600.0,600.0,900.0", "600.0,600.0,500.0", r"deletion_time must be >= creation_time, or empty: got 500.0"),
        ("i1,CN", "i0,CN", r"instance_sn must be unique: got 'i0' in row 2"),
    ],
)
def test_a_bad_instance_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "alibaba_dlrm.csv").read_text()
    assert old in text
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.csv")


def test_spot_nodes_have_no_memory_until_it_is_stated(samples: Path) -> None:
    machines = read_machines(samples / "alibaba_spot_nodes.csv")
    assert machines.gpu_models == ("A10", "H800")
    assert machines.gpu_count.tolist() == [1, 8]
    assert machines.mem_mib.tolist() == [0, 0]
    assert "2 rows given 0 MiB (mem_mib=): the list has no memory (rows 1, 2)" in machines.report.lines()
    assert read_machines(samples / "alibaba_spot_nodes.csv", mem_mib=1024).mem_mib.tolist() == [1024, 1024]
    with pytest.raises(SpecError, match=r"mem_mib must be a whole number >= 0: got -1"):
        read_machines(samples / "alibaba_spot_nodes.csv", mem_mib=-1)


def test_the_serving_trace_has_the_published_composition(real: Path) -> None:
    trace = read_trace(real / "alibaba_gpu_v2025/disaggregated_DLRM_trace.csv.gz")
    assert len(trace) == 23_871
    assert (int((trace.gpu_count == 1).sum()), int((trace.gpu_count == 0).sum())) == (7386, 16_485)
    assert np.unique(trace.tenant).size == 156
    count = {drop.rule: drop.count for drop in trace.report.drops}
    assert count["no creation: there at the begin"] == 7280
    assert count["no deletion: there at the end"] == 8878
    both = (trace.arrive_s > 0) & (trace.depart_s >= 0)
    assert int(both.sum()) == 12_390
    assert float(np.median((trace.depart_s - trace.arrive_s)[both])) / 3600 == pytest.approx(2.3, abs=0.05)
    cpu_part = trace.gpu_count == 0
    assert (np.median(trace.cpu_mcore[cpu_part]), np.median(trace.mem_mib[cpu_part])) == (64_000, 320 * 1024)


def test_the_spot_nodes_have_the_published_gpus(real: Path) -> None:
    machines = read_machines(real / "alibaba_spot_gpu_v2026/node_info_df.csv.gz")
    assert (len(machines), int(machines.gpu_count.sum())) == (4278, 10_412)
    nodes = {name: int((machines.gpu_model == i).sum()) for i, name in enumerate(machines.gpu_models)}
    assert nodes["A10"] == 2494
    assert nodes["A100-SXM4-80GB"] == 432
    assert nodes["H800"] == 219


def test_samples_of_machines_are_averaged_and_invalid_ones_missing(samples: Path) -> None:
    usage = read_usage(samples / "alibaba_2018/machine_usage.csv")
    assert usage.series_id.tolist() == ["m_2", "m_10"]
    assert usage.start_s.tolist() == [0, 300]
    np.testing.assert_allclose(usage.cpu_share, [0.1, np.nan, np.nan, 0.2, 0.42])
    np.testing.assert_allclose(usage.mem_share, [0.5, np.nan, np.nan, 0.6, 0.91])
    np.testing.assert_allclose(usage.extra["disk_io_share"], [0.03, np.nan, np.nan, np.nan, 0.05])
    np.testing.assert_allclose(usage.extra["mem_bandwidth"], [np.nan, np.nan, np.nan, np.nan, 2.0])
    lines = usage.report.lines()
    assert "2 rows marked missing: disk_io outside 0..100 (-1 and 101 mean invalid) (rows 2, 4)" in lines
    assert "1 row merged: averaged into it: in the 300 s slot of another row" in lines
    assert len(read_usage(samples / "alibaba_2018/machine_usage.csv", step_s=10).series(0)) == 91


def test_the_last_row_of_a_machine_counts(samples: Path) -> None:
    machines = read_machines(samples / "alibaba_2018/machine_meta.csv", machine_mem_mib=1000)
    assert machines.machine_id.tolist() == ["m_2", "m_10"]
    assert machines.mem_mib.tolist() == [1000, 500]
    assert machines.cpu_mcore.tolist() == [96_000, 96_000]
    assert [machines.sites[i] for i in machines.site] == ["7", "219"]
    assert machines.report.lines()[1:] == [
        "2 rows merged into its last: an earlier row of a machine (rows 1, 4)",
        "1 row dropped: last status is not USING (row 5)",
    ]


def test_a_day_of_means_says_that_it_has_no_times(samples: Path, tmp_path: Path) -> None:
    path = samples / "alibaba_2018/machine_usage_day_2_grouped_43200_seconds.csv"
    usage = read_usage(path)
    assert usage.series_id.tolist() == ["day_2"]
    assert (usage.start_s.tolist(), usage.step_s) == ([86_400], 43_200)
    np.testing.assert_allclose(usage.cpu_share, [0.16, 0.18])
    short = tmp_path / "machine_usage_day_3_grouped_43200_seconds.csv"
    short.write_text("\n".join(path.read_text().splitlines()[:2]))
    (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "machine_usage_day_3_grouped_10_seconds.csv").write_text(path.read_text())
    both = read_usage(tmp_path, step_s=43_200)
    assert both.series_id.tolist() == ["day_2", "day_3"]
    lines = both.report.lines()
    assert "1 row kept, taken as if none were missing: day 3 has 1 rows less than 2" in lines
    assert "1 row left aside, unread: a file that has not 43200 s a row" in lines
    short.rename(tmp_path / "x.csv")
    with pytest.raises(TraceError, match=r"the seconds of a row must be known: .* does not say. Give step_s="):
        read_usage(tmp_path / "x.csv")


def test_rates_are_summed_over_containers(samples: Path) -> None:
    demand = read_demand(samples / "qps.csv")
    assert demand.service_id.tolist() == ["API", "Generative"]
    np.testing.assert_array_equal(demand.rate, [[np.nan, 1.0, np.nan], [0.75, 0.0, 2.0]])
    assert demand.meta["clock_scale"] == 0.95


def test_a_metric_is_named_by_its_file(samples: Path, tmp_path: Path) -> None:
    usage = read_usage(samples / "pod_gpu_duty_cycle_anon.csv")
    assert usage.series_id.tolist() == ["c1", "c2"]
    np.testing.assert_array_equal(usage.extra["gpu_share"], [0.5, np.nan, 1.0, 0.0])
    assert np.isnan(usage.cpu_share).all()
    text = (samples / "pod_gpu_duty_cycle_anon.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace("50.0,", "-0.5,").replace("100.0,684.0,c1", "0.5,684.0,"))
    with pytest.raises(TraceError, match=r"what is measured must be known: the name 'x'.* Give metric="):
        read_usage(tmp_path / "x.csv")
    memory = read_usage(tmp_path / "x.csv", metric="pod_memory_util")
    np.testing.assert_array_equal(memory.mem_share, [np.nan, 0.0])
    lines = memory.report.lines()
    assert "1 row dropped: no container named, where others are (row 2)" in lines
    assert "1 row marked missing: value below 0 (row 1)" in lines


def test_user_requests_are_binned_by_kind(samples: Path) -> None:
    path = samples / "alibaba_genai_requests.csv"
    demand = read_demand(path)  # slots of 10 minutes: 16:50 has two, 17:10 one
    assert demand.service_id.tolist() == ["IMG", "TXT"]
    np.testing.assert_allclose(demand.rate * 600, [[np.nan, np.nan, 1], [2, np.nan, np.nan]])
    busy = read_demand(path, measure="busy")
    np.testing.assert_allclose(busy.rate, [[np.nan, np.nan, 0.1], [0.2, np.nan, np.nan]])
    images = read_demand(path, measure="images")
    np.testing.assert_allclose(images.rate * 600, [[np.nan, np.nan, 4], [1, np.nan, np.nan]])
    assert "1 row counted as 0: no num_images_per_prompt (row 2)" in images.report.lines()
    assert "1 row kept: it was demand: the request did not succeed (row 2)" in demand.report.lines()


def test_2018_has_the_published_rows(real: Path) -> None:
    usage = read_usage(real / "alibaba_v2018/machine_usage_excerpt.csv.gz")
    assert usage.report.rows_read == 100_002
    assert usage.series_id.tolist() == [f"m_{number}" for number in range(1932, 1948)]
    machines = read_machines(real / "alibaba_v2018/machine_meta.csv.gz")
    assert machines.report.rows_read == 17_592
    assert len(machines) == 4034 - 1  # one was being installed at the end
    fine = read_usage(real / "alibaba_v2018/dc_mean", step_s=10)
    assert np.diff(fine.offset).tolist() == [8641, 6762, 8640, 8640, 8640, 8640, 8640]


def test_genai_has_the_published_rows(real: Path) -> None:
    folder = real / "alibaba_genai_v2026"
    assert read_demand(folder / "qps.tar.gz").report.rows_read == 24_627
    duty = read_usage(folder / "pod_gpu_duty_cycle_anon.tar.gz")
    assert (duty.report.rows_read, len(duty)) == (157_417, 143)
    assert float(np.nanmean(duty.extra["gpu_share"])) == pytest.approx(0.07, abs=0.005)
    assert read_demand(folder / "lora_request_trace.csv.gz").report.rows_read == 20_492
    metrics = sorted(path for path in folder.glob("*.tar.gz") if path.name != "qps.tar.gz")
    for path in metrics:
        usage = read_usage(path)
        assert usage.step_s == 57
        assert int((usage.start_s + np.diff(usage.offset) * 57).max()) <= 0.951 * 86_400

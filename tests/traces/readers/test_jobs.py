"""Jobs: SWF, Philly, Helios, GAIA, packing instances."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand, read_trace
from rlsched.errors import SpecError, TraceError


def test_a_job_occupies_its_processors_for_its_run_time(samples: Path) -> None:
    trace = read_trace(samples / "swf/tiny.swf")
    assert trace.task_id.tolist() == [1, 3, 2]
    assert trace.arrive_s.tolist() == [0, 5, 10]
    assert trace.depart_s.tolist() == [100, -1, 60]
    assert trace.cpu_mcore.tolist() == [2000, 1000, 4000]  # job 2: requested, as allocated is -1
    assert trace.mem_mib.tolist() == [2, 0, 8]  # 1,024 KiB used times 2; unknown; 2,048 requested times 4
    assert trace.tenant.tolist() == [3, -1, 4]
    np.testing.assert_array_equal(trace.expected_s, [200, 60, np.nan])
    assert trace.meta["time_origin_s"] == 1_000_000_000
    assert trace.meta["header"]["Computer"] == "a machine of ours"
    assert trace.report.lines() == [
        "4 rows read, 3 kept",
        "1 row given those requested: processors allocated unknown (row 2)",
        "1 row dropped: a job without processors (row 4)",
        "1 row sorted into place: submit smaller than in an earlier row (row 3)",
        "1 row given the memory used: memory requested unknown (row 1)",
        "1 row given 0 MiB: no memory known (row 3)",
        "1 row kept with an unknown departure: run time unknown (row 3)",
    ]


def test_the_wait_of_the_log_can_be_kept(samples: Path) -> None:
    trace = read_trace(samples / "swf/tiny.swf", wait="keep")
    assert trace.depart_s.tolist() == [105, -1, 60]
    assert "1 row taken as 0: wait unknown (row 2)" in trace.report.lines()


def test_a_log_can_come_in_a_zip_of_one_file(samples: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(samples / "swf/tiny.swf", "tiny.swf")
    assert read_trace(tmp_path / "x.zip").same_as(read_trace(samples / "swf/tiny.swf"))
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        archive.writestr("another", "1")
    with pytest.raises(TraceError, match=r"a zip archive must hold one file: .* holds 2"):
        read_trace(tmp_path / "x.zip", format="swf")
    content = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "y.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(TraceError, match=r"a zip archive must be intact"):
        read_trace(tmp_path / "y.zip", format="swf")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "100    2   -1",
            "-7    2   -1",
            r"run must be >= 0, or -1 for unknown: got -7.0 in row 1",
        ),
        ("    2   10", "    1   10", r"job must be unique: got 1 in row 2"),
        (" -1 -1 -1\n    2", " -1 -1\n    2", r"a row must have 18 fields: got 17 in row 1"),
    ],
)
def test_a_bad_job_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "swf/tiny.swf").read_text()
    assert old in text
    (tmp_path / "x.swf").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.swf", format="swf")


def test_a_job_larger_than_a_machine_is_split_into_tasks_of_one_group(samples: Path) -> None:
    trace = read_trace(samples / "philly_jobs.csv")
    assert trace.task_id.tolist() == ["2.0", "2.1", "2.2", "1"]
    assert trace.gpu_count.tolist() == [8, 8, 4, 1]
    assert trace.arrive_s.tolist() == [0, 0, 0, 60]
    assert trace.depart_s.tolist() == [100, 100, 100, 120]
    assert trace.group.tolist() == [0, 0, 0, 1]
    assert trace.meta["tenants"] == ["bb", "aa"]
    assert "2 rows split: further parts: a job of more than 8 GPUs" in trace.report.lines()
    assert (trace.report.rows_read, trace.report.rows_kept) == (2, 4)
    assert read_trace(samples / "philly_jobs.csv", gpus_per_machine=31).gpu_count.tolist() == [20, 1]
    with pytest.raises(SpecError, match=r"gpus_per_machine must be in 1..31: got 32"):
        read_trace(samples / "philly_jobs.csv", gpus_per_machine=32)


def test_active_nodes_are_a_demand_with_gaps(samples: Path) -> None:
    demand = read_demand(samples / "philly_nodes.csv")
    assert demand.service_id.tolist() == ["active", "total"]
    np.testing.assert_array_equal(demand.rate, [[3, np.nan, 4], [5, np.nan, 5]])
    assert demand.unit == "nodes"


def test_gpus_of_virtual_clusters_can_be_those_in_use_or_wanted(samples: Path) -> None:
    demand = read_demand(samples / "helios", format="helios")
    assert demand.service_id.tolist() == ["vcA"]
    assert demand.rate.tolist() == [[53, 50]]
    assert "1 row left aside, unread: a file that is no sequence of a virtual cluster" in demand.report.lines()
    wanted = read_demand(samples / "helios/vcA/cluster_sequence_vc.csv", measure="gpus_wanted")
    assert wanted.rate.tolist() == [[85, 52]]
    jobs = read_demand(samples / "helios/vcA", measure="jobs_pending")
    assert (jobs.rate.tolist(), jobs.unit) == ([[4, 4]], "jobs")
    capacity = read_demand(samples / "helios/Earth_gpu_number.csv")
    assert capacity.rate.tolist() == [[8, 8], [4, 0]]


def test_a_total_that_is_no_sum_is_refused(samples: Path, tmp_path: Path) -> None:
    text = (samples / "helios/Earth_gpu_number.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace("8,4,12", "8,4,13"))
    with pytest.raises(TraceError, match=r"total must be the sum of the row: got 13 in row 1"):
        read_demand(tmp_path / "x.csv")


def test_hours_become_whole_seconds(samples: Path) -> None:
    trace = read_trace(samples / "gaia_jobs.csv")
    assert trace.arrive_s.tolist() == [0, 2077, 2160]
    assert trace.depart_s.tolist() == [2700, 2077 + 90_466, 2160]
    assert trace.arrive_s.dtype == np.int64
    assert "1 row rounded to the nearest second: a time that is not whole seconds (row 3)" in trace.report.lines()


def test_sizes_of_packing_instances_are_relative_to_a_stated_machine(samples: Path) -> None:
    trace = read_trace(samples / "azure_packing.txt")
    assert trace.task_id.tolist() == [0, 2, 1]
    assert trace.arrive_s.tolist() == [0, 300, 600]
    assert trace.depart_s.tolist() == [360, 480, -1]
    assert trace.last_seen_s.tolist() == [360, 480, 1_209_600]
    assert trace.cpu_mcore.tolist() == [33_000, 50_000, 66_000]
    half = read_trace(samples / "azure_packing.txt", machine_cpu_mcore=50)
    assert half.cpu_mcore.tolist() == [17, 25, 33]  # 16.5, rounded up
    assert half.meta["reference"] == {"machine_cpu_mcore": 50}
    assert "1 row rounded up: a size that is not whole millicores (row 1)" in half.report.lines()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3\t100\t0\t0", "4\t100\t0\t0", r"as many rows as it says: .* says 4 and has 3"),
        ("3\t100\t0\t0", "3\t100\t0", r"the first line must be '<n> <capacity> 0 0' with tabs"),
        ("0\t0\t6\t33", "0\t0\t0\t33", r"end must be > start: got 0 in row 1"),
        ("0\t0\t6\t33", "0\t0\t6\t101", r"size must be in 1..100: got 101 in row 1"),
    ],
)
def test_a_bad_instance_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "azure_packing.txt").read_text()
    (tmp_path / "x.txt").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.txt", format="azure_packing")


def test_the_logs_have_the_published_counts(real: Path) -> None:
    hpc2n = read_trace(real / "hpc_swf/hpc2n.swf.gz")
    assert len(hpc2n) == 3170
    assert int((hpc2n.depart_s == -1).sum()) == 25
    assert int(hpc2n.arrive_s[-1]) // 86_400 == 57
    lcg = read_trace(real / "hpc_swf/LCG.swf.gz")
    assert len(lcg) == 188_041
    assert set(np.unique(lcg.cpu_mcore).tolist()) == {1000}
    ipsc = read_trace(real / "hpc_swf/NASA-iPSC-1993-3.1-cln.swf.zip")
    assert (len(ipsc), int(ipsc.cpu_mcore.max())) == (18_239, 128_000)
    assert np.isnan(ipsc.expected_s).all()


def test_philly_has_the_published_jobs_and_nodes(real: Path) -> None:
    trace = read_trace(real / "philly_2017/philly.csv.gz")
    jobs = np.unique(trace.group, return_index=True)[1]
    assert jobs.size == trace.report.rows_read == 74_167
    life = (trace.depart_s - trace.arrive_s)[jobs]
    assert float(np.median(life)) == 1213
    assert len(trace.meta["tenants"]) == 15
    assert int((np.bincount(trace.group, trace.gpu_count) == 1).sum()) == 69_294  # 93 %
    nodes = read_demand(real / "philly_2017/philly_node_sequence.csv.gz")
    assert nodes.report.rows_read == 105_644
    assert int(np.isnan(nodes.rate[0]).sum()) == 599  # the gap of ten hours


def test_helios_has_twelve_virtual_clusters_that_fit_their_capacity(real: Path) -> None:
    used = read_demand(real / "helios_earth_2020")
    total = read_demand(real / "helios_earth_2020", measure="gpus_total")
    assert used.rate.shape == (12, 44_640)
    assert (int(total.rate.min()), int(total.rate.max())) == (8, 208)
    assert (used.rate <= total.rate).all()


def test_gaia_has_the_published_shares(real: Path) -> None:
    azure = read_trace(real / "gaia_jobs/azure-100k.csv.gz")
    cores, counts = np.unique(azure.cpu_mcore, return_counts=True)
    assert len(azure) == 99_988
    share = dict(zip((cores // 1000).tolist(), np.round(100 * counts / len(azure)).tolist(), strict=True))
    assert share == {2: 58, 4: 30, 8: 8, 24: 4, 30: 0}
    assert float(np.median(azure.depart_s - azure.arrive_s)) / 3600 == pytest.approx(0.58, abs=0.005)
    pai = read_trace(real / "gaia_jobs/pai-100k.csv.gz")
    assert len(pai) == 99_998
    assert not any("rounded" in drop.action for drop in (*azure.report.drops, *pai.report.drops))


def test_every_packing_instance_can_be_read(real: Path) -> None:
    files = sorted((real / "azure_packing_2020_samples").glob("*.txt.gz"))
    assert len(files) == 21
    for file in files:
        trace = read_trace(file)
        assert len(trace) == int(file.name.split("_")[0])
        assert int(trace.last_seen_s.max()) <= 20_160 * 60
    median = np.median(trace.last_seen_s - trace.arrive_s) / 60
    assert 40 < median < 70  # the last is a sample of all lives: about 54 minutes

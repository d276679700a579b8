"""Alibaba's tables of 2025, 2026 and 2018."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_machines, read_trace
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

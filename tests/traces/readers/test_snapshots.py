"""ByteDance and Huawei: placements without times; CloudWatch."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand, read_machines, read_trace
from rlsched.errors import SpecError, TraceError


def test_a_snapshot_gives_vms_with_the_host_each_is_on(samples: Path) -> None:
    trace = read_trace(samples / "bytedance.json")
    assert trace.task_id.tolist() == ["vm_0", "vm_1"]
    assert trace.cpu_mcore.tolist() == [2000, 6000]
    assert trace.mem_mib.tolist() == [256, 256]
    assert trace.meta["host_of_task"] == [1, 0]
    assert trace.meta["numa_of_task"] == [[1], [0, 1]]
    assert trace.meta["may_move"] == [True, False]
    hosts = read_machines(samples / "bytedance.json", what="hosts")
    assert hosts.machine_id.tolist() == ["pm_0", "pm_1"]
    assert [hosts.sites[i] for i in hosts.site] == ["2", "1"]
    other = read_trace(samples / "bytedance.json", cluster="two")
    assert other.task_id.tolist() == ["vm_9"]
    with pytest.raises(SpecError, match=r"no cluster 'tow' in .* Did you mean 'two'"):
        read_trace(samples / "bytedance.json", cluster="tow")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"host_id": "pm_1"', '"host_id": "pm_7"', r"a VM must be on a host of its cluster: 'vm_0' .* is on 'pm_7'"),
        ('"cpu": 2', '"cpu": 2.5', r"cpu must be a whole number >= 0: got 2.5"),
        (
            '"numa": [{"node": 1, "cpu": 2',
            '"nums": [{"node": 1, "cpu": 2',
            r"must be complete: .* lacks 'numa'",
        ),
        ("]}\n]}", "]}\n]", r"a snapshot must be JSON with cluster_list"),
    ],
)
def test_a_bad_snapshot_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "bytedance.json").read_text()
    assert old in text
    (tmp_path / "x.json").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.json", format="bytedance")


def test_numa_nodes_that_do_not_add_up_are_refused(samples: Path, tmp_path: Path) -> None:
    text = (samples / "bytedance.json").read_text().replace('"total_cpu": 4', '"total_cpu": 5', 1)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TraceError, match=r"the NUMA nodes of a host must add up to its cores: 'pm_0'"):
        read_machines(tmp_path / "x.json", what="hosts")


def test_servers_offer_what_is_free_on_both_numa_nodes(samples: Path) -> None:
    machines = read_machines(samples / "huawei_hosts.csv")
    assert machines.cpu_mcore.tolist() == [48_000, 34_000]
    assert machines.mem_mib.tolist() == [96 * 1024, 68 * 1024]
    assert machines.meta["numa_free"] == [[16, 32, 32, 64], [34, 68, 0, 0]]


def test_requests_keep_their_strategy_and_anti_affinity_is_a_limit(samples: Path) -> None:
    trace = read_trace(samples / "huawei_vms.csv")
    assert trace.arrive_s.tolist() == [0, 1, 2, 3, 4]
    assert trace.group.tolist() == [0, 1, 2, -1, 0]  # affinity 0 is another group than anti-affinity 0
    assert trace.group_limit.tolist() == [1, 0, 0, 0, 1]
    assert trace.meta["strategy"] == ["anti-affinity", "affinity", "fault_domain", "", "anti-affinity"]
    assert trace.meta["domain"] == [-1, -1, 2, -1, -1]
    assert trace.meta["numa"] == [1, 1, 2, 1, 1]
    assert "1 row kept with a group, without its rule: affinity has no place in a trace (row 2)" in trace.report.lines()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("affinity,0.0,\n64", "affinity,,\n64", r"group must be given where there is a strategy, and only there"),
        (
            "fault_domain",
            "spread",
            r"strategy must be empty or one of affinity, .*: got 'spread'",
        ),
        ("64,128,2", "64,128,3", r"numa must be 1 or 2: got 3 in row 3"),
    ],
)
def test_a_bad_request_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "huawei_vms.csv").read_text()
    assert old in text
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.csv")


def test_a_metric_becomes_a_rate_by_its_name(samples: Path, tmp_path: Path) -> None:
    demand = read_demand(samples / "elb_request_count_x.csv")
    np.testing.assert_allclose(demand.rate, [[0.3, np.nan, 0.1]])  # 60 and 120 in one slot; 30
    assert demand.unit == "requests/s"
    assert read_demand(samples / "elb_request_count_x.csv", metric="cpu").rate[0, 0] == 90
    (tmp_path / "x.csv").write_text((samples / "elb_request_count_x.csv").read_text())
    with pytest.raises(TraceError, match=r"what is measured must be known: the name of .*x.csv does not say"):
        read_demand(tmp_path / "x.csv")


def test_bytedance_has_the_published_hosts_and_allocation(real: Path) -> None:
    path = real / "bytedance_vm_rescheduling/reset_vm_pm_id_clear2.json.gz"
    for cluster, counts, share, both in (("cluster1", (236, 1934), 0.964, 250), ("cluster2", (43, 155), 0.831, 40)):
        hosts, vms = read_machines(path, what="hosts", cluster=cluster), read_trace(path, cluster=cluster)
        assert (len(hosts), len(vms)) == counts
        assert float(vms.cpu_mcore.sum() / hosts.cpu_mcore.sum()) == pytest.approx(share, abs=0.0005)
        assert sum(len(nodes) == 2 for nodes in vms.meta["numa_of_task"]) == both
        placed = np.bincount(vms.meta["host_of_task"], vms.cpu_mcore, len(hosts))
        assert (placed <= hosts.cpu_mcore).all()


def test_huawei_has_the_published_servers_and_requests(real: Path) -> None:
    folder = real / "huawei_topology_placement"
    machines = read_machines(folder / "PM_res.csv.gz")
    assert (len(machines), int(machines.cpu_mcore.sum())) == (1710, 141_856_000)
    cores = []
    for k in (1, 2, 3, 4):
        trace = read_trace(folder / f"VM_data_C{k}.csv.gz")
        assert len(trace) == 4998
        cores.append(int(trace.cpu_mcore.sum()) // 1000)
    assert (round(min(cores), -2), round(max(cores), -2)) == (62_500, 68_800)


def test_every_metric_of_cloudwatch_can_be_read(real: Path) -> None:
    files = sorted((real / "aws_cloudwatch_nab").glob("*/*.csv.gz"))
    units = [read_demand(file).unit for file in files]
    assert len(files) == 15
    assert (units.count("percent"), units.count("bytes/s"), units.count("requests/s")) == (9, 4, 1)
    longest = read_demand(real / "aws_cloudwatch_nab/realKnownCause/cpu_utilization_asg_misconfiguration.csv.gz")
    assert longest.rate.shape == (1, 18_050)
    day = longest.rate[0]
    assert np.corrcoef(day[:-288], day[288:])[0, 1] == pytest.approx(0.77, abs=0.01)

import json
from pathlib import Path

import numpy as np
import pytest

from rlsched import read_machines, read_trace, read_usage
from rlsched.traces.columns import Demand, Trace, Usage
from rlsched.traces.describe import describe, in_a_line, kaplan_meier_median
from rlsched.traces.read import read_any


def test_kaplan_meier_by_hand() -> None:
    # Ends at 1, 3, 4; last seen at 2. Survival: 3/4 after 1, 3/4 * 1/2 = 3/8 after 3.
    assert kaplan_meier_median(np.array([1.0, 3.0, 4.0]), np.array([2.0])) == 3.0
    # Without censoring it is the smallest value with at least half at or below it.
    assert kaplan_meier_median(np.array([1.0, 2.0, 3.0, 4.0]), np.array([])) == 2.0
    # 1 of 4 ends: survival stays at 3/4.
    assert kaplan_meier_median(np.array([1.0]), np.array([2.0, 2.0, 2.0])) is None
    # An end and a censoring at the same age: the end comes first, 1/2 at 1.
    assert kaplan_meier_median(np.array([1.0]), np.array([1.0])) == 1.0
    assert kaplan_meier_median(np.array([]), np.array([5.0])) is None


def test_a_trace_by_hand() -> None:
    trace = Trace(
        task_id=["a", "b", "c", "d"],
        arrive_s=[0, 10, 3600, 7200],
        depart_s=[100, -1, 3900, -1],
        last_seen_s=[100, 7210, 3900, -1],
        cpu_mcore=[1000, 1000, 2000, 1000],
        mem_mib=[1024, 1024, 2048, 1024],
        gpu_count=[0, 1, 1, 2],
        gpu_mgpu=[0, 500, 1000, 1000],
        group=[0, 0, 1, -1],
    )
    facts = describe(trace)
    assert facts["span"] == {"first_arrival_s": 0.0, "last_arrival_s": 7200.0, "last_event_s": 7210.0}
    # Whole hours hold 2 and 1 arrivals; the broken third is left out: variance 1/4 over mean 3/2.
    rate = facts["arrivals_per_hour"]
    assert (rate["hours"], rate["mean"], rate["max"]) == (2, 1.5, 2)
    assert rate["burstiness"] == pytest.approx(1 / 6)
    life = facts["lifetimes"]
    assert (life["known"], life["censored"], life["unknown"]) == (2, 1, 1)
    assert life["known_s"]["p50"] == 200
    assert life["kaplan_meier_median_s"] == 300  # ends at 100 and 300, seen until 7,200: 2/3, then 1/3
    assert facts["gpus"]["gpus_requested"] == 3.5
    assert [facts["gpus"][key] for key in ("cpu_only", "sharing", "one_whole", "several")] == [1, 1, 1, 1]
    assert facts["requests"]["total_cores"] == 5
    assert facts["groups"]["count"] == 2
    assert facts["missing"]["group"] == 1


def test_usage_by_hand() -> None:
    # Series 0 alternates (correlation -1), series 1 is constant (none), series 2 has a gap.
    share = [0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.5, 0.1, np.nan, 0.3]
    usage = Usage(["a", "b", "c", "d"], [0, 4, 7, 10, 10], [0, 0, 300, 0], 300, share)
    facts = describe(usage)
    cpu = facts["columns"]["cpu_share"]
    assert cpu["lag1"] == pytest.approx(-1)
    assert (cpu["missing"], cpu["missing_share"]) == (1, 0.1)
    assert cpu["mean"] == pytest.approx(3.9 / 9)
    assert facts["columns"]["mem_share"]["mean"] is None
    assert facts["span"] == {"first_s": 0, "last_s": 1200}
    assert (facts["length"]["min"], facts["length"]["max"]) == (0, 4)


def test_machines_and_demand(samples: Path) -> None:
    facts = describe(read_machines(samples / "openb_nodes.csv"))
    assert facts["capacity"]["gpus"] == 18
    assert facts["gpu_models"] == {"G2": 16, "T4": 2}
    assert facts["shapes"][0] == {"cpu_mcore": 96000, "mem_mib": 393216, "gpu_count": 8, "count": 2, "share": 0.5}
    demand = describe(Demand(["s"], 0, 60, [[1.0, 2.0, np.nan, 4.0]]))
    assert demand["rate"]["missing"] == 1
    assert demand["span"]["last_s"] == 240


def test_everything_is_json(samples: Path) -> None:
    for columns in (
        read_trace(samples / "openb_pods_untimed.csv"),
        read_machines(samples / "own_machines.csv"),
        read_usage(samples / "bitbrains"),
        Demand([1], 0, 60, [[np.nan]]),
    ):
        facts = describe(columns)
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_the_published_autocorrelations_come_out(real: Path) -> None:
    day = describe(read_usage(real / "planetlab/planetlab.tar.gz", day="20110303"))
    assert day["columns"]["cpu_share"]["lag1"] == pytest.approx(0.05, abs=0.01)
    month = describe(read_usage(real / "bitbrains_faststorage/2013-8"))
    assert month["columns"]["cpu_share"]["lag1"] == pytest.approx(0.81, abs=0.01)


def test_a_line_says_how_much_there_is_and_of_what_level(samples: Path) -> None:
    line = in_a_line(read_any(samples / "openb_pods.csv"))
    assert line == "5 tasks arriving over 1m20s; 6.2 cores, 7.4 GiB, 0.792 GPUs on average; half live 40s"
    assert in_a_line(read_any(samples / "openb_nodes.csv")) == "4 machines, 288 cores, 1,280 GiB, 18 GPUs"
    usage = in_a_line(read_any(samples / "bitbrains"))
    assert usage == "2 series of 5m, 6 samples over 20m; CPU 0.588 of the request on average"

"""Each invariant of the four nouns refuses what breaks it, and names row and value."""

from typing import Any

import numpy as np
import pytest

from rlsched.errors import TraceError
from rlsched.traces.columns import Demand, Drop, DropReport, Machines, Trace, Usage


def trace(**changes: Any) -> Trace:
    given: dict[str, Any] = {
        "task_id": ["a", "b", "c"],
        "arrive_s": [0, 1, 1],
        "depart_s": [5, -1, 1],
        "cpu_mcore": [100, 200, 300],
        "mem_mib": [1, 2, 3],
        "gpu_count": [0, 1, 2],
        "gpu_mgpu": [0, 500, 1000],
        "gpu_models": ("G2", "T4"),
        "gpu_model_mask": [-1, 1, 3],
        "source": "by hand",
    }
    return Trace(**{**given, **changes})


def test_a_good_trace_is_returned_by_validate() -> None:
    good = trace()
    assert good.validate() is good
    assert good.last_seen_s.tolist() == [5, -1, 1]
    assert np.isnan(good.expected_s).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrive_s": [-1, 1, 1]}, r"arrive_s must be >= 0: got -1 in row 0 of by hand \(task_id 'a'\)"),
        ({"arrive_s": [0, 2, 1]}, r"arrive_s must be ascending: got 1 in row 2"),
        ({"arrive_s": [0.0, 1.0, np.nan]}, r"arrive_s must be finite: got nan in row 2"),
        ({"depart_s": [5, 0, 1]}, r"depart_s must be >= arrive_s, or -1: got 0 in row 1"),
        ({"last_seen_s": [5, 0, 1]}, r"last_seen_s must be >= arrive_s, or -1: got 0 in row 1"),
        ({"last_seen_s": [6, -1, 1]}, r"last_seen_s must be equal to depart_s .*got 6 in row 0"),
        ({"cpu_mcore": [-250, 1, 1]}, r"cpu_mcore must be in 0\.\.9007199254740992: got -250 in row 0"),
        ({"mem_mib": [1, 2, 2**53 + 2]}, r"mem_mib must be in 0"),
        ({"gpu_count": [0, 32, 2]}, r"gpu_count must be in 0\.\.31: got 32 in row 1"),
        ({"gpu_mgpu": [0, 0, 1000]}, r"gpu_mgpu must be in 1\.\.1000 where gpu_count > 0: got 0 in row 1"),
        ({"gpu_mgpu": [7, 500, 1000]}, r"gpu_mgpu must be 0 where gpu_count is 0: got 7 in row 0"),
        ({"cpu_mcore": [0, 1, 1], "mem_mib": [0, 1, 1]}, r"cpu_mcore must be > 0 in a row that asks for nothing else"),
        ({"gpu_model_mask": [-1, 4, 3]}, r"gpu_model_mask must be -1, or bits of the 2 known models: got 4 in row 1"),
        ({"gpu_model_mask": [-1, 0, 3]}, r"gpu_model_mask .*got 0 in row 1"),
        ({"gpu_models": ("G2", "G2")}, r"gpu_models must be at most 62 different names: got 2"),
        ({"group_limit": [0, 1, 0]}, r"group_limit must be 0 in a row without a group: got 1 in row 1"),
        ({"group_limit": [0, -1, 0]}, r"group_limit must be >= 0: got -1"),
        ({"tenant": [0, -2, 0]}, r"tenant must be >= 0, or -1 for none: got -2 in row 1"),
        ({"expected_s": [1.0, 0.0, np.nan]}, r"expected_s must be > 0, or NaN for unknown: got 0.0 in row 1"),
        ({"task_id": ["a", "b", "a"]}, r"task_id must be unique: got 'a' in rows 0, 2"),
    ],
)
def test_a_broken_invariant_of_a_trace_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        trace(**changes).validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_mcore": [1, 2]}, r"cpu_mcore must have 3 rows like the other columns: got 2"),
        ({"cpu_mcore": [1.5, 2.0, 3.0]}, r"cpu_mcore must hold whole numbers: got .*1.5.* in row 0"),
        ({"cpu_mcore": ["x", "y", "z"]}, r"cpu_mcore must be numeric"),
        ({"cpu_mcore": [[1], [2], [3]]}, r"cpu_mcore must be one-dimensional"),
    ],
)
def test_a_column_of_the_wrong_shape_or_kind_is_refused_at_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        trace(**changes)


def test_columns_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        trace().cpu_mcore[0] = 1


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(TraceError, match="must have at least one task"):
        trace().take(slice(0, 0)).validate()


def machines(**changes: Any) -> Machines:
    given: dict[str, Any] = {
        "machine_id": [1, 2],
        "cpu_mcore": [1000, 2000],
        "mem_mib": [10, 0],
        "gpu_count": [0, 4],
        "gpu_model": [-1, 0],
        "gpu_models": ("G2",),
    }
    return Machines(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_mcore": [0, 0]}, r"cpu_mcore must be > 0 in a row without memory: got 0 in row 1"),
        ({"gpu_count": [0, 99]}, r"gpu_count must be in 0\.\.31: got 99"),
        ({"gpu_model": [-1, 1]}, r"gpu_model must be in -1\.\.0 \(known: G2\): got 1 in row 1"),
        ({"site": [0, -1]}, r"site must be in -1\.\.-1 \(known: none\): got 0 in row 0"),
        ({"price_per_h": [-1.0, np.nan]}, r"price_per_h must be >= 0, or NaN for unknown: got -1.0"),
        ({"machine_id": [1, 1]}, r"machine_id must be unique: got '1' in rows 0, 1"),
    ],
)
def test_a_broken_invariant_of_machines_is_named(changes: dict[str, Any], message: str) -> None:
    assert len(machines().validate()) == 2
    with pytest.raises(TraceError, match=message):
        machines(**changes).validate()


def usage(**changes: Any) -> Usage:
    given: dict[str, Any] = {
        "series_id": ["a", "b"],
        "offset": [0, 2, 5],
        "start_s": [0, 300],
        "step_s": 300,
        "cpu_share": [0.0, 1.5, np.nan, 0.2, 0.3],
        "extra": {"net_in_kib_s": [1.0, 2.0, 3.0, 4.0, np.nan]},
    }
    return Usage(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu_share": [0, 0, 0, -0.5, 0]}, r"cpu_share must be >= 0 and finite.*got -0.5 in sample 1 of series 'b'"),
        ({"extra": {"x": [0, 0, np.inf, 0, 0]}}, r"x must be >= 0 and finite, or NaN for missing: got inf in sample 0"),
        ({"offset": [0, 6, 5]}, r"offset must ascend from 0"),
        ({"step_s": 0}, r"step_s must be > 0: got 0"),
        ({"series_id": ["a", "a"]}, r"series_id must be unique"),
    ],
)
def test_a_broken_invariant_of_usage_is_named(changes: dict[str, Any], message: str) -> None:
    assert usage().validate().series(1, "net_in_kib_s").tolist()[:2] == [3.0, 4.0]
    with pytest.raises(TraceError, match=message):
        usage(**changes).validate()


def test_a_broken_invariant_of_demand_is_named() -> None:
    good = {"service_id": ["s"], "start_s": 0, "step_s": 60}
    assert len(Demand(**good, rate=[[1.0, np.nan]]).validate()) == 1
    with pytest.raises(TraceError, match=r"rate must be >= 0 and finite.*got -1.0 at step 1 of service 's'"):
        Demand(**good, rate=[[1.0, -1.0]]).validate()
    with pytest.raises(TraceError, match=r"rate must have shape"):
        Demand(**good, rate=[1.0])


def test_equality_of_content_sees_every_column_and_treats_nan_as_equal() -> None:
    assert trace().same_as(trace(source="elsewhere"))
    assert not trace().same_as(trace(mem_mib=[1, 2, 4]))
    assert not trace().same_as(trace(gpu_models=("G2", "T5")))
    assert usage().same_as(usage())
    assert not usage().same_as(usage(extra={"net_in_kib_s": [1.0, 2.0, 3.0, 5.0, np.nan]}))
    assert not usage().same_as(usage(extra={}))
    assert not usage().same_as(trace())


def test_the_report_speaks_in_sentences() -> None:
    report = DropReport(1003, 1001, (Drop("end before start", "dropped", 2, (4, 9)), Drop("late", "sorted", 1)))
    assert report.lines() == [
        "1,003 rows read, 1,001 kept",
        "2 rows dropped: end before start (rows 4, 9)",
        "1 row sorted: late",
    ]

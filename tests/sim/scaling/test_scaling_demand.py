"""Real series as demand: by hand, and what is bridged is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlsched.errors import SpecError, TraceError
from rlsched.sim.scaling.demand import resampled, running_jobs, usage_groups
from rlsched.traces.columns import Demand, Trace, Usage

NAN = float("nan")


def usage(*series: list[float], start_s: list[int] | None = None, **changes: Any) -> Usage:
    lengths = [len(one) for one in series]
    return Usage(
        series_id=np.arange(len(series)),
        offset=np.concatenate([[0], np.cumsum(lengths)]),
        start_s=np.array(start_s or [0] * len(series)),
        step_s=300,
        cpu_share=np.concatenate([np.array(one, np.float64) for one in series]),
        **changes,
    )


def jobs(*rows: tuple[int, int, int]) -> Trace:
    """Rows of (arrive_s, depart_s, cores)."""
    arrive, depart, cores = (np.array(column) for column in zip(*rows, strict=True))
    return Trace(np.arange(len(rows)), arrive, depart, cores * 1000, np.ones(len(rows), np.int64))


def drops(columns: Demand) -> dict[str, int]:
    return {one.action: one.count for one in columns.report.drops}


def test_a_group_uses_the_sum_of_share_times_cores():
    both = usage([0.5, 1.0], [0.25, 0.5], cpu_mcore=np.array([2000, 4000]))
    # 2 cores at 50 % and 4 at 25 %, then 2 at 100 % and 4 at 50 %.
    demand = usage_groups(both, 1)
    assert demand.rate.tolist() == [[2.0, 4.0]]
    assert demand.unit == "cores"
    assert drops(demand) == {}


def test_a_vm_of_unknown_size_has_the_cores_it_is_told_to():
    assert usage_groups(usage([0.5]), 1, cores=3.0).rate.tolist() == [[1.5]]


def test_groups_hold_every_vm_once_and_differ_by_at_most_one():
    many = usage(*[[1.0]] * 11)
    demand = usage_groups(many, 4, seed=3)
    assert demand.rate.sum() == 11
    assert demand.rate.max() - demand.rate.min() <= 1
    assert [str(name) for name in demand.service_id] == ["group-00", "group-01", "group-02", "group-03"]
    different = usage(*[[float(i)] for i in range(11)])
    dealt = [usage_groups(different, 4, seed=seed).rate.tolist() for seed in (1, 1, 2)]
    assert dealt[0] == dealt[1] != dealt[2]


def test_a_short_gap_keeps_the_value_before_it_and_a_long_one_is_no_load():
    gaps = usage([0.2, NAN, NAN, 0.4, NAN, NAN, NAN, 0.6])
    demand = usage_groups(gaps, 1, hold_s=600)
    assert demand.rate.tolist() == [[0.2, 0.2, 0.2, 0.4, 0, 0, 0, 0.6]]
    assert drops(demand) == {"kept the value before it": 2, "counted as no load": 3}


def test_a_vm_is_no_load_before_its_first_and_after_its_last_sample():
    two = usage([NAN, 1.0, NAN], [1.0, 1.0, 1.0, 1.0], start_s=[300, 0])
    demand = usage_groups(two, 1, hold_s=0)
    assert demand.rate.tolist() == [[1.0, 1.0, 2.0, 1.0]]
    assert drops(demand) == {"counted as no load": 2}


def test_a_gap_at_the_end_is_not_held():
    demand = usage_groups(usage([1.0, NAN]), 1, hold_s=3600)
    assert demand.rate.tolist() == [[1.0, 0.0]]


def test_wrong_groups_and_ragged_starts_are_refused():
    with pytest.raises(SpecError, match=r"groups must lie in 1\.\.2, the series there are: got 3"):
        usage_groups(usage([1.0], [1.0]), 3)
    with pytest.raises(TraceError, match="must lie whole steps of 300 s apart: row 1 does not"):
        usage_groups(usage([1.0], [1.0], start_s=[0, 100]), 1)


def test_jobs_count_for_the_time_they_overlap_an_interval():
    # 4 cores from 150 to 450 s, 2 cores from 300 to 900 s; intervals of 300 s.
    demand = running_jobs(jobs((150, 450, 4), (300, 900, 2), (1200, 1300, 1)), 300)
    assert demand.rate.tolist() == [[2.0, 4.0, 2.0, 0.0]]


def test_jobs_of_all_groups_together_are_all_jobs():
    rng = np.random.default_rng(0)
    arrive = np.sort(rng.integers(0, 9000, 60))
    lasts, cores = rng.integers(0, 3000, 60), rng.integers(1, 9, 60)
    rows = [(int(a), int(a + d), int(c)) for a, d, c in zip(arrive, lasts, cores, strict=True)]
    whole, parts = running_jobs(jobs(*rows), 300), running_jobs(jobs(*rows), 300, 5, seed=1)
    assert parts.rate.shape == (5, whole.rate.shape[1])
    assert parts.rate.sum(axis=0) == pytest.approx(whole.rate[0])
    busy = np.zeros(9000 + 3000)
    for a, b, size in rows:
        busy[a:b] += size
    steps = whole.rate.shape[1]
    assert whole.rate[0] == pytest.approx(busy[: steps * 300].reshape(steps, 300).mean(axis=1))


def test_a_job_whose_end_is_not_known_is_refused():
    with pytest.raises(TraceError, match=r"every job must have a known end.*task '1' of these columns has none"):
        running_jobs(jobs((0, 100, 1), (5, -1, 1)), 300)
    with pytest.raises(SpecError, match="must last an interval of 300 s: it lasts 5 s"):
        running_jobs(jobs((0, 100, 1), (5, 9, 1)), 300)


def test_longer_intervals_are_means_of_what_was_measured():
    ids = np.array(["a"], dtype=object)
    demand = Demand(ids, 0, 60, np.array([[1.0, 3.0, NAN, 4.0, NAN, NAN, 8.0]]))
    # (1, 3), (missing, 4), (missing, missing); the seventh minute is an incomplete interval.
    out = resampled(demand, 120, hold_s=0)
    assert (out.step_s, out.rate.tolist()) == (120, [[2.0, 4.0, 0.0]])
    assert drops(out) == {"counted as no load": 1}
    with pytest.raises(SpecError, match="step_s must be a multiple of the 60 s"):
        resampled(demand, 90)
    with pytest.raises(SpecError, match="step_s must be a multiple of the 60 s"):
        resampled(demand, 600)

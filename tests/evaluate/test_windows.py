"""Windows by hand: edges, warm-up, no overlap, filling, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from evaluate_worlds import long_trace

from rlsched.errors import SpecError
from rlsched.evaluate.experiment import SplitsSpec, WindowsSpec
from rlsched.evaluate.windows import make_instances, time_windows, train_tasks
from rlsched.sim.fragmentation import typical_requests
from rlsched.traces.columns import Machines, Trace

SPLITS = SplitsSpec(train=(0, 24_000), validation=(24_000, 36_000), test=(36_000, 72_000))


def timed(**changes: object) -> WindowsSpec:
    return WindowsSpec.model_validate({"kind": "time", "length": "1h", "warmup": "2h", **changes})


def fill(**changes: object) -> WindowsSpec:
    return WindowsSpec.model_validate({"kind": "fill", "count": 3, "target_pct": 130, **changes})


def machines(n: int = 4, gpus: int = 2) -> Machines:
    return Machines(
        machine_id=np.arange(n),
        cpu_mcore=np.full(n, 8000),
        mem_mib=np.full(n, 16384),
        gpu_count=np.full(n, gpus),
        gpu_model=np.full(n, 0 if gpus else -1),
        gpu_models=("T4",) if gpus else (),
    )


def gpu_trace(n: int = 20) -> Trace:
    count = np.array([1, 0] * (n // 2))
    return Trace(
        task_id=np.array([f"p{i}" for i in range(n)], dtype=object),
        arrive_s=np.arange(n) * 3600,
        depart_s=np.arange(n) * 3600 + 60,
        cpu_mcore=np.full(n, 1000),
        mem_mib=np.full(n, 1024),
        gpu_count=count,
        gpu_mgpu=count * 500,
        expected_s=np.full(n, 60.0),
    )


def test_time_windows_follow_each_other_and_know_their_rows() -> None:
    trace = long_trace()  # a task every 300 s
    found = time_windows(timed(), "test", 36_000, 72_000, trace)
    assert len(found) == 10
    first = found[0]
    assert (first.name, first.start_s, first.stop_s) == ("test-00", 36_000, 39_600)
    # Rows arrive at 300 * row: the warm-up from 28,800 is row 96, the end at 39,600 row 132, not in it.
    assert (first.lo, first.hi) == (96, 132)
    assert [one.stop_s for one in found[:-1]] == [one.start_s for one in found[1:]]
    assert found[-1].stop_s <= 72_000


def test_the_first_train_window_begins_when_its_warm_up_is_whole() -> None:
    found = time_windows(timed(), "train", 0, 24_000, long_trace())
    assert found[0].start_s == 7200
    assert found[0].lo == 0
    assert len(found) == (24_000 - 7200) // 3600


def test_warm_up_all_replays_everything_before() -> None:
    found = time_windows(timed(warmup="all"), "test", 36_000, 72_000, long_trace())
    assert {one.lo for one in found} == {0}
    assert found[0].start_s == 36_000


def test_metered_parts_of_all_splits_never_overlap() -> None:
    metered = sorted(
        (one.start_s, one.stop_s)
        for name in ("train", "validation", "test")
        for one in time_windows(timed(), name, *getattr(SPLITS, name), long_trace())
    )
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(metered))


def test_count_takes_the_first_and_a_smaller_number_is_spread() -> None:
    assert [w.name for w in time_windows(timed(count=2), "test", 36_000, 72_000, long_trace())] == [
        "test-00",
        "test-01",
    ]
    spread = make_instances(timed(), SPLITS, "test", long_trace(), machines(), count=3).windows
    assert [one.name for one in spread] == ["test-00", "test-04", "test-09"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (timed(length="20h"), r"test split \[36000, 72000\) s must hold 1 windows of 20h after a warm-up: it holds 0"),
        (timed(count=11), "must hold 11 windows of 1h after a warm-up: it holds 10"),
        (timed(length="1m"), r"window test-01 must hold a task: none arrives in \[36060, 36120\)"),
    ],
)
def test_windows_that_cannot_be_are_refused(spec: WindowsSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        time_windows(spec, "test", 36_000, 72_000, long_trace())


def test_filling_asks_for_just_more_than_the_target() -> None:
    trace, fleet = gpu_trace(), machines()
    made = make_instances(fill(), SPLITS, "test", trace, fleet)
    # 8 GPUs at 130 %: 10,400 milli-GPU at 500 a GPU task is 21 of them. The split has rows 10 to 19.
    for window in made.windows:
        rows = slice(window.lo, window.hi)
        asked = made.trace.gpu_count[rows] * made.trace.gpu_mgpu[rows]
        assert asked.sum() == 10_500
        assert asked[-1] > 0  # it ends with the task that reaches the target
        origin = {int(str(one).split("/p")[1]) for one in made.trace.task_id[rows]}
        assert origin == set(range(10, 20))
    assert (made.trace.depart_s == -1).all()
    assert np.isnan(made.trace.expected_s).all()
    assert not made.clock
    made.trace.validate()


def test_every_task_of_the_split_comes_before_any_comes_twice() -> None:
    made = make_instances(fill(), SPLITS, "test", gpu_trace(), machines())
    first = made.trace.task_id[:10]
    assert len({str(one).split("/")[2] for one in first}) == 10


def test_fills_differ_by_window_split_and_seed_and_repeat_exactly() -> None:
    def order(**changes: object) -> list[str]:
        split = changes.pop("split", "test")
        made = make_instances(fill(**changes), SPLITS, split, gpu_trace(), machines())  # type: ignore[arg-type]
        return [str(one) for one in made.trace.task_id]

    assert order() == order()
    assert order() != order(seed=1)
    ids = [one.split("/")[2] for one in order()]
    assert ids[:10] != ids[len(ids) // 3 : len(ids) // 3 + 10]


def test_tasks_gpu_leaves_the_others_out() -> None:
    made = make_instances(fill(tasks="gpu"), SPLITS, "test", gpu_trace(), machines())
    assert (made.trace.gpu_count > 0).all()


def test_machines_without_gpus_are_filled_by_cpu() -> None:
    made = make_instances(fill(), SPLITS, "test", gpu_trace(), machines(gpus=0))
    # 4 machines of 8 cores at 130 %: 41.6 cores, 42 tasks of one core.
    assert {window.hi - window.lo for window in made.windows} == {42}


def test_sampled_machines_are_the_same_for_the_same_seed() -> None:
    a = make_instances(fill(), SPLITS, "test", gpu_trace(), machines(9), sample=4)
    b = make_instances(fill(), SPLITS, "test", gpu_trace(), machines(9), sample=4)
    assert [window.fleet for window in a.windows] == [0, 1, 2]
    assert all(len(fleet) == 4 for fleet in a.fleets)
    assert all(x.same_as(y) for x, y in zip(a.fleets, b.fleets, strict=True))
    assert len({tuple(fleet.machine_id) for fleet in a.fleets}) > 1
    timed_too = make_instances(timed(), SPLITS, "test", long_trace(), machines(9), sample=4)
    assert [window.fleet for window in timed_too.windows] == list(range(10))


def test_impossible_fills_and_samples_are_refused() -> None:
    late = SplitsSpec(train=(0, 10), validation=(10, 20), test=(1e6, 2e6))
    with pytest.raises(SpecError, match="the test split must hold tasks"):
        make_instances(fill(), late, "test", gpu_trace(), machines())
    with pytest.raises(SpecError, match="must ask for GPUs to fill the machines with"):
        make_instances(fill(), SPLITS, "test", long_trace(), machines())
    with pytest.raises(SpecError, match="the test split must hold GPU tasks"):
        make_instances(fill(tasks="gpu"), SPLITS, "test", long_trace(), machines())
    with pytest.raises(SpecError, match="at most the 4 machines there are: got 5"):
        make_instances(fill(), SPLITS, "test", gpu_trace(), machines(), sample=5)
    with pytest.raises(SpecError, match="the test split holds 10 windows: 11 were asked for"):
        make_instances(timed(), SPLITS, "test", long_trace(), machines(), count=11)


def test_typical_requests_see_the_train_split_only() -> None:
    trace = gpu_trace()
    splits = SplitsSpec(train=(0, 36_000), validation=(36_000, 40_000), test=(40_000, 80_000))
    seen = train_tasks(splits, trace)
    assert seen.arrive_s.max() < 36_000
    only_gpu = train_tasks(splits, trace, tasks="gpu")
    assert (only_gpu.gpu_count > 0).all()
    assert typical_requests(only_gpu).share.tolist() == [1.0]
    with pytest.raises(SpecError, match="the train split must hold tasks"):
        train_tasks(SplitsSpec(train=(1e6, 2e6), validation=(2e6, 3e6), test=(3e6, 4e6)), trace)

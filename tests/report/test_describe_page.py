"""Pictures of traces: what they show is what the columns say; the page holds together."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import SpecError
from rlsched.report.describe import Facts, render, views, write
from rlsched.report.plots import Bars, Bubbles, Lines, Picture, draw
from rlsched.report.rhythm import Clock, by_slot, counts, width_for
from rlsched.traces.columns import UNKNOWN, Columns, Demand, Machines, Signal, Trace, Usage

HOUR, DAY = 3600, 86_400
MONDAY = 1_704_067_200  # 2024-01-01 00:00 UTC


def trace() -> Trace:
    """Twenty days: a task at 10:00 each day, and one more on Mondays; lives of 1 and 3 hours by turns."""
    arrive = np.sort([*(day * DAY + 10 * HOUR for day in range(20)), *(day * DAY + 10 * HOUR for day in (0, 7, 14))])
    life = np.where(np.arange(23) % 2, 3 * HOUR, HOUR)
    return Trace(
        task_id=np.arange(23),
        arrive_s=arrive,
        depart_s=arrive + life,
        cpu_mcore=np.array([1000, 2000, 3000, 4000] * 5 + [4000] * 3),
        mem_mib=np.array([1024, 2048, 2048, 8192] * 5 + [8192] * 3),
        gpu_count=np.array([0, 1] * 11 + [2]),
        gpu_mgpu=np.array([0, 500] * 11 + [1000]),
        meta={"time_origin_s": MONDAY},
    ).validate()


def usage() -> Usage:
    """Twelve series of 3 days in steps of an hour: busy from 9 to 17, each at its own level."""
    hour = np.arange(72) % 24
    one = np.where((hour >= 9) & (hour < 17), 0.8, 0.2)
    value = np.concatenate([one * (1 + i) / 12 for i in range(12)])
    value[5] = np.nan
    return Usage(
        series_id=np.array([f"vm-{i}" for i in range(12)]),
        offset=np.arange(13) * 72,
        start_s=np.zeros(12, np.int64),
        step_s=HOUR,
        cpu_share=value,
        extra={"net_kib_s": 1e6 * value},
    ).validate()


def demand() -> Demand:
    rate = np.tile(np.arange(24.0), 10)
    return Demand(
        service_id=np.array(["small", "large"]),
        start_s=0,
        step_s=HOUR,
        rate=np.stack([rate, 10 * rate]),
        meta={"time_origin_s": MONDAY},
    ).validate()


def signal() -> Signal:
    """A price of 1 for three days, of -2 for one."""
    return Signal(
        signal_id=np.array(["zone"]),
        offset=np.array([0, 2]),
        time_s=np.array([0, 3 * DAY]),
        value=np.array([1.0, -2.0]),
        end_s=np.array([4 * DAY]),
        unit="USD/MWh",
    ).validate()


def machines() -> Machines:
    return Machines(
        machine_id=np.arange(4),
        cpu_mcore=np.array([8000, 16_000, 32_000, 32_000]),
        mem_mib=np.array([8192, 16_384, 65_536, 65_536]),
        gpu_count=np.array([0, 2, 8, 8]),
        gpu_model=np.array([-1, 0, 1, 1]),
        gpu_models=("T4", "A100"),
    ).validate()


def by_title(columns: Columns) -> dict[str, Picture]:
    return {one.title: one for one in views(columns)}


def lines(picture: Picture) -> Lines:
    assert isinstance(picture, Lines)
    return picture


def bars(picture: Picture) -> Bars:
    assert isinstance(picture, Bars)
    return picture


def test_arrivals_are_counted_by_hour_and_day() -> None:
    found = by_title(trace())
    # 190.7 whole hours at 10 o'clock are few: the first and the last hour of the span are not whole.
    hour = lines(found["Arrivals by hour"]).lines[0].y
    assert np.flatnonzero(np.nan_to_num(hour)).tolist() == [10]
    day = bars(found["Arrivals by day"])
    assert list(day.labels) == ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
    assert day.values.tolist() == [2.0, 1, 1, 1, 1, 1, 1]
    total = lines(found["Arrivals"])
    assert total.steps
    assert total.lines[0].y.max() > 0


def test_tasks_that_were_there_before_are_left_out_of_arrivals_and_counted() -> None:
    own = trace()
    first = np.concatenate([np.zeros(23, np.int64), own.arrive_s])
    both = Trace(
        task_id=np.arange(46), arrive_s=first, depart_s=np.concatenate([own.depart_s, own.depart_s]),
        cpu_mcore=np.tile(own.cpu_mcore, 2), mem_mib=np.tile(own.mem_mib, 2),
    )  # fmt: skip
    picture = lines(by_title(both)["Arrivals"])
    assert "Left out: 23 tasks at the first moment." in picture.caption
    assert picture.lines[0].y[0] < 23


def test_sizes_gpus_and_lives_are_shares_of_all_tasks() -> None:
    found = by_title(trace())
    cpu = bars(found["CPU requests"])
    assert dict(zip(cpu.labels, cpu.values, strict=True)) == pytest.approx(
        {"1": 100 * 5 / 23, "2": 100 * 5 / 23, "4": 100 * 13 / 23}
    )
    gpus = bars(found["GPUs of a task"])
    some = {label: value for label, value in zip(gpus.labels, gpus.values, strict=True) if value}
    assert some == pytest.approx({"0": 1100 / 23, "≤ ½": 1100 / 23, "2": 100 / 23})
    life = lines(found["Lives"])
    assert life.durations
    assert life.lines[0].x.tolist() == [HOUR, 3 * HOUR]
    assert life.lines[0].y.tolist() == pytest.approx([100 * 11 / 23, 0], abs=1e-9)  # 12 live one hour
    requests = found["Requests"]
    assert isinstance(requests, Bubbles)
    assert requests.weight.sum() == 23


def test_what_runs_is_what_arrived_and_did_not_leave() -> None:
    running = lines(by_title(trace())["Running"]).lines[0]
    assert running.y.min() >= 0
    assert running.y.max() <= 5  # two tasks of 1 and 4 cores, or 4 and 1, at most together
    own = trace()
    ends = own.depart_s.copy()
    ends[3] = UNKNOWN
    open_ended = replace(own, depart_s=ends, last_seen_s=ends)
    assert "Without 1 of unknown end" in lines(by_title(open_ended)["Running"]).caption
    assert "Without 1 of unknown end" in lines(by_title(open_ended)["Lives"]).caption


def test_a_list_without_times_has_pictures_of_sizes_alone() -> None:
    none = replace(trace(), arrive_s=np.zeros(23, np.int64), depart_s=np.full(23, -1), last_seen_s=np.full(23, -1))
    assert list(by_title(none)) == ["Requests", "CPU requests", "Memory requests", "GPUs of a task"]


def test_usage_shows_its_rhythm_and_leaves_missing_samples_out() -> None:
    found = by_title(usage())
    assert list(found) == [
        "Load over time", "Three series", "By hour", "Distribution", "Means of the series", "Autocorrelation",
    ]  # fmt: skip
    hour = lines(found["By hour"]).lines[0].y
    # The mean level of twelve series is 6.5 / 12; at 5 o'clock vm-0 misses one of its three samples.
    assert hour[12] == pytest.approx(0.8 * 6.5 / 12)
    sums = 3 * 0.2 * 78 / 12 - 0.2 / 12
    assert hour[5] == pytest.approx(sums / 35)
    names = [line.label for line in lines(found["Distribution"]).lines]
    assert names == ["CPU"], "a column in another unit has no place beside the shares"


def test_demand_shows_each_service_at_its_own_level() -> None:
    found = by_title(demand())
    hour = lines(found["By hour"])
    assert [line.label for line in hour.lines] == ["large", "small"]
    assert hour.lines[0].y.tolist() == [10.0 * h for h in range(24)]
    assert "Mean of large over 10 days" in found["By day"].caption


def test_a_signal_counts_by_the_time_it_holds_and_may_be_negative() -> None:
    found = by_title(signal())
    over = lines(found["Over time"])
    assert not over.from_zero
    spread = lines(found["Distribution"]).lines[0]
    assert spread.y[spread.x < 0].max() == pytest.approx(25, abs=0.5)  # one of four days


def test_machines_show_devices_by_model() -> None:
    found = by_title(machines())
    gpus = bars(found["GPUs"])
    assert dict(zip(gpus.labels, gpus.values, strict=True)) == {"A100": 16, "T4": 2}
    assert bars(found["GPUs of a machine"]).values.tolist() == [1, 1, 2]


def test_bins_that_are_not_whole_are_left_out() -> None:
    found = counts(np.array([5.0, 15, 25, 26, 39]), 10.0, 5.0, 39.0)
    assert found.begin_s.tolist() == [10, 20]
    assert found.per_hour.tolist() == [360, 720]
    alone = counts(np.array([5.0, 6.0]), 10.0, 5.0, 6.0)
    assert alone.per_hour.tolist() == [720]


def test_few_bins_whatever_the_span() -> None:
    for span in (1, 100, 5000, 1e6, 1e9, 1e12):
        assert span / width_for(span) <= 300
    assert width_for(1000, 57) % 57 == 0


def test_a_clock_before_1979_is_the_traces_own() -> None:
    assert not Clock.of({"time_origin_s": 1_800_000}).known
    assert not Clock.of({}).known
    clock = Clock.of({"time_origin_s": MONDAY + HOUR})
    assert clock.hour(np.array([0, 23 * HOUR])).tolist() == [1, 0]
    assert clock.weekday(np.array([0, 23 * HOUR])).tolist() == [0, 1]


def test_an_empty_slot_is_unknown_and_not_0() -> None:
    spread = by_slot(np.array([0, 0, 2, 2]), np.array([1.0, 3.0, 5.0, np.nan]), 3)
    assert spread.mean[[0, 2]].tolist() == [2, 5]
    assert np.isnan(spread.mean[1])


@pytest.mark.parametrize(
    "columns", [trace(), usage(), demand(), signal(), machines()], ids=lambda one: type(one).__name__
)
def test_the_page_is_one_file_that_asks_for_nothing_and_is_the_same_again(columns: Columns, tmp_path: Path) -> None:
    facts = [Facts("", [], [("rows", "1 < 2")]), Facts("per row", ["", "mean"], [("cores", "3")])]
    pages = [
        render(
            columns, "kind", title="A & B", facts=facts, account=["3 rows read"], command="rlsched traces describe x"
        )
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    text = pages[0]
    assert "A &amp; B" in text
    assert "1 &lt; 2" in text
    assert text.count("<svg") == len(views(columns)) >= 3
    assert not re.search(r'(src|href)="https?://', text.replace("http://www.w3.org", ""))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "#010101" not in text
    write(text, tmp_path / "page.html")
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(SpecError, match="there is no folder"):
        write(text, tmp_path / "absent" / "page.html")


def test_a_value_between_gaps_is_drawn_as_a_point() -> None:
    y = np.array([np.nan, 1.0, np.nan, 2.0, 3.0])
    gap = lines(by_title(demand())["Over time"])
    line = replace(gap.lines[0], x=np.arange(5.0), y=y)
    with_point = draw(replace(gap, lines=[line]), name="a")
    without = draw(replace(gap, lines=[replace(line, y=np.array([np.nan, np.nan, np.nan, 2.0, 3.0]))]), name="a")
    assert with_point.count("<use") > without.count("<use")

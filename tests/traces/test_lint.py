"""Every rule by hand: columns on which it must speak, and columns on which it must not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rlsched.traces.columns import UNKNOWN, Demand, Drop, DropReport, Machines, Signal, Trace, Usage
from rlsched.traces.lint import ENTRIES, RULES, Subject, check
from rlsched.traces.lint.account import UNKNOWN_ENTRY
from rlsched.traces.lint.check import _joined
from rlsched.traces.lint.finding import CHANGES, NOTICE, Finding
from rlsched.traces.lint.head import Head
from rlsched.traces.lint.runs import distinct_share, runs_of
from rlsched.traces.lint.task_rules import holdable

HOUR, DAY = 3600, 86_400


def tasks(n: int = 40, **columns: Any) -> Trace:
    """``n`` tasks of 2 cores and 4 GiB, one a minute, each for ten minutes."""
    arrive = np.arange(n) * 60
    given = {
        "task_id": np.arange(n),
        "arrive_s": arrive,
        "depart_s": arrive + 600,
        "cpu_mcore": np.full(n, 2000),
        "mem_mib": np.full(n, 4096),
        **columns,
    }
    return Trace(**given).validate()


def hosts(**columns: Any) -> Machines:
    """Two machines of 16 cores and 64 GiB."""
    given = {"machine_id": ["a", "b"], "cpu_mcore": [16_000, 16_000], "mem_mib": [65_536, 65_536], **columns}
    return Machines(**given).validate()


def load(*series: Any, **more: Any) -> Usage:
    """Series of shares on a grid of 300 s, all from 0."""
    arrays = [np.asarray(one, float) for one in series]
    given = {
        "series_id": [f"s{i}" for i in range(len(arrays))],
        "offset": np.concatenate([[0], np.cumsum([one.size for one in arrays])]),
        "start_s": np.zeros(len(arrays)),
        "step_s": 300,
        "cpu_share": np.concatenate(arrays),
        **more,
    }
    return Usage(**given).validate()


def offered(*rates: Any, step_s: int = 60) -> Demand:
    return Demand([f"web{i}" for i in range(len(rates))], 0, step_s, np.array(rates, float)).validate()


def held(*series: tuple[Any, Any], unit: str = "USD/MWh") -> Signal:
    """Signals of (times, values); the last value holds for an hour."""
    times = [np.asarray(time) for time, _ in series]
    return Signal(
        signal_id=[f"z{i}" for i in range(len(series))],
        offset=np.concatenate([[0], np.cumsum([one.size for one in times])]),
        time_s=np.concatenate(times),
        value=np.concatenate([np.asarray(value, float) for _, value in series]),
        end_s=np.array([one[-1] + HOUR for one in times]),
        unit=unit,
    ).validate()


def noise(n: int, seed: int = 0) -> Any:
    """Shares in 0.1..0.9 with all digits of a float, none like the one before."""
    return 0.1 + 0.8 * np.random.default_rng(seed).random(n)


def hours(n: int) -> Any:
    return np.arange(n) * HOUR


def waves(days: int, peak: Any) -> Any:
    """A rate by the hour with its peak at the given hour of each day."""
    hour = np.arange(24)
    return np.concatenate([10 + 5 * np.cos(2 * np.pi * (hour - peak(day)) / 24) for day in range(days)])


def at(values: Any, index: Any, value: Any) -> Any:
    out = np.array(values, float)
    out[index] = value
    return out


def text(*names: str, rows: list[tuple[str, ...]]) -> Subject:
    return Subject(tasks(), head=Head("x.csv", names, tuple(rows)))


quiet = at(np.full(600, 5.0), slice(300, 312), 0)  # 12 minutes of 0, at 5/s: 3,600 requests missing
GPU = {"gpu_models": ("T4",), "gpu_count": np.r_[1, np.zeros(39)], "gpu_mgpu": np.r_[1000, np.zeros(39)]}
bins = np.repeat(np.arange(120) * 60, 2)
hole = np.concatenate([np.arange(200) * 60, 200 * 60 + 6000 + np.arange(200) * 60])

#: (rule, noun) -> (columns it must speak about, how many it counts, columns it must not speak about).
CASES: dict[tuple[str, str], tuple[Any, int, Any]] = {
    ("unit-label", "file"): (
        text("Timestamp [ms]", "x", rows=[("1376314846", "1"), ("1376315146", "2")]),
        2,
        text("Timestamp [ms]", "x", rows=[("1376314846000", "1"), ("1376315146000", "2")]),
    ),
    ("too-large", "trace"): (
        Subject(tasks(cpu_mcore=np.r_[17_000, np.full(39, 2000)]), hosts()),
        1,
        Subject(tasks(cpu_mcore=np.r_[16_000, np.full(39, 2000)]), hosts()),
    ),
    ("zero-request", "trace"): (tasks(mem_mib=np.r_[0, 0, np.full(38, 4096)]), 2, tasks()),
    ("no-memory", "trace"): (tasks(mem_mib=np.zeros(40)), 40, tasks(mem_mib=np.r_[1, np.zeros(39)])),
    ("memory-unit", "trace"): (tasks(mem_mib=np.full(40, 4)), 40, tasks(mem_mib=np.full(40, 64))),
    ("cpu-unit", "trace"): (tasks(cpu_mcore=np.full(40, 2)), 40, tasks(cpu_mcore=np.full(40, 250))),
    ("censored", "trace"): (
        tasks(
            depart_s=np.r_[UNKNOWN, 600 + 60 * np.arange(1, 40)], last_seen_s=np.r_[3000, 600 + 60 * np.arange(1, 40)]
        ),
        1,
        tasks(),
    ),
    ("no-end", "trace"): (tasks(depart_s=np.full(40, UNKNOWN)), 40, tasks()),
    ("zero-life", "trace"): (tasks(depart_s=np.arange(40) * 60), 40, tasks()),
    ("there-at-start", "trace"): (
        tasks(arrive_s=np.r_[np.zeros(10), np.arange(30) * 60], depart_s=np.full(40, 9000)),
        11,
        tasks(arrive_s=np.r_[np.zeros(2), np.arange(38) * 60], depart_s=np.full(40, 9000)),
    ),
    ("arrival-gap", "trace"): (
        tasks(400, arrive_s=hole, depart_s=hole + 60),
        1,
        tasks(240, arrive_s=bins, depart_s=bins + 60),
    ),
    ("time-unit", "trace"): (
        tasks(arrive_s=np.arange(40) * 0.06, depart_s=np.arange(40) * 0.06 + 0.6),
        40,
        tasks(depart_s=np.arange(40) * 60 + 1),
    ),
    ("clock-since-1970", "trace"): (
        tasks(arrive_s=1_376_314_846 + np.arange(40), depart_s=np.full(40, 1_376_400_000)),
        40,
        tasks(),
    ),
    ("no-capacity", "machines"): (hosts(mem_mib=[0, 65_536]), 1, hosts()),
    ("capacity-unit", "machines"): (hosts(cpu_mcore=[16, 16]), 2, hosts(cpu_mcore=[16_000, 600])),
    ("gpu-without-model", "machines"): (
        hosts(gpu_count=[2, 0]),
        1,
        hosts(gpu_count=[2, 0], gpu_model=[0, -1], gpu_models=("T4",)),
    ),
    ("gap", "usage"): (load(at(noise(20), [3, 4, 9], np.nan)), 3, load(noise(20))),
    ("unlike-lengths", "usage"): (load(noise(20), noise(19)), 2, load(noise(20), noise(20))),
    ("samples-differ", "usage"): (
        load(*[noise(100)] * 3, noise(40)),
        1,
        load(*[noise(n) for n in (100, 60, 30, 10)]),  # lives of jobs: no length is the usual one
    ),
    ("above-capacity", "usage"): (load(at(noise(20), [2, 5], [1.2, 1.1])), 2, load(at(noise(20), 2, 1.0))),
    ("percent-mixed", "usage"): (load(at(noise(200), slice(20, 40), 55)), 20, load(at(noise(200), slice(20, 40), 1.2))),
    ("percent-unit", "usage"): (load(100 * noise(200)), 200, load(at(noise(200), slice(100), 1.4))),
    ("mean-above-max", "usage"): (
        load([0.2, 0.3], extra={"cpu_max_share": [0.2, 0.25]}),
        1,
        load([0.2, 0.3], extra={"cpu_max_share": [0.2, 0.35]}),
    ),
    ("step-too-fine", "usage"): (
        load(at(np.full(600, np.nan), slice(None, None, 3), 0.5)),
        199,
        load(at(noise(600), slice(None, None, 3), np.nan)),
    ),
    ("constant-series", "usage"): (load(noise(100), np.full(100, 0.3)), 1, load(noise(100), np.full(99, 0.3))),
    ("forward-filled", "usage"): (
        load(np.repeat(noise(100), np.r_[np.ones(90, int), np.full(10, 2)])),
        10,
        load(np.repeat(noise(100), np.r_[np.ones(97, int), np.full(3, 2)])),
    ),
    ("gap", "demand"): (offered(at(noise(20), 3, np.nan)), 1, offered(noise(20))),
    ("outage", "demand"): (offered(quiet), 12, offered(at(np.full(600, 5.0), slice(300, 309), 0))),
    ("clock-step", "demand"): (
        offered(waves(20, lambda day: 14 if day < 10 else 4), step_s=HOUR),
        1,
        offered(waves(20, lambda day: 14 if day != 10 else 4), step_s=HOUR),  # one odd day is no step
    ),
    ("samples-differ", "demand"): (
        offered(*[noise(100)] * 3, at(noise(100), slice(60), np.nan)),
        1,
        offered(*[noise(100)] * 3, at(noise(100), slice(40), np.nan)),
    ),
    ("step-too-fine", "demand"): (
        offered(at(np.full(600, np.nan), slice(None, None, 3), 0.5)),
        199,
        offered(at(noise(600), slice(None, None, 3), np.nan)),
    ),
    ("constant-series", "demand"): (offered(np.full(100, 3)), 1, offered(np.r_[4, np.full(99, 3)])),
    ("forward-filled", "demand"): (
        # 571.17480469 and then its rounding, as in the pools: no two samples are equal.
        offered(np.stack([571.17480469 + np.arange(50), np.round(571.17480469 + np.arange(50), 6)], axis=1).ravel()),
        50,
        offered(np.round(571.17480469 + np.arange(100), 6)),
    ),
    ("gap", "signal"): (held((hours(5), [1, 2, np.nan, 4, 5])), 1, held((hours(5), [1, 2, 3, 4, 5]))),
    ("step-change", "signal"): (
        held((np.r_[1800 * np.arange(192), 192 * 1800 + 900 * np.arange(193)], noise(385))),
        1,
        held((1800 * np.arange(385), noise(385))),
    ),
    ("odd-step", "signal"): (
        held((np.r_[900 * np.arange(100), 100 * 900 + 900 + 900 * np.arange(185)], noise(285))),
        1,
        held((np.cumsum(100 + (np.arange(285) ** 2) % 900), noise(285))),  # events, no grid
    ),
    ("constant-run", "signal"): (
        held((hours(100), np.r_[noise(60), np.full(40, 12.07)])),
        39,
        held((hours(100), np.r_[noise(80), np.full(20, 12.07)])),
    ),
    ("samples-differ", "signal"): (
        held((hours(100), noise(100)), (hours(90), noise(90))),
        1,
        held((hours(100), noise(100)), (hours(99), noise(99))),
    ),
    ("carbon-level", "signal"): (
        held((hours(5), [3, 4, 5, 4, 3]), unit="g/kWh"),
        1,
        held((hours(5), [3, 4, 5, 4, 3])),  # dollars
    ),
    ("clock-unit", "any"): (
        tasks(arrive_s=np.arange(40) * 0.06, depart_s=np.full(40, 90.5), meta={"time_origin_s": 1_376_314.846}),
        40,
        tasks(meta={"time_origin_s": 1_800_000}),  # a clock of its own that starts late, in whole seconds
    ),
    ("blank-in-id", "any"): (load([0.1], series_id=["pli2 zoi"]), 1, load([0.1], series_id=["pli2_zoi"])),
}


def subject_of(case: Any) -> Subject:
    return case if isinstance(case, Subject) else Subject(case)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.id}-{rule.noun}")
def test_a_rule_speaks_where_it_must_and_nowhere_else(rule: Any) -> None:
    bad, count, good = CASES[rule.id, rule.noun]
    finding = rule.apply(subject_of(bad))
    assert finding is not None
    assert (finding.rule, finding.severity, finding.count) == (rule.id, rule.severity, count)
    assert finding.found
    assert finding.replay
    assert finding.fix
    assert any(character.isdigit() for character in finding.found) or "every" in finding.found
    assert rule.apply(subject_of(good)) is None


def test_every_rule_has_its_two_cases_and_a_name_of_its_own() -> None:
    names = [(rule.id, rule.noun) for rule in RULES]
    assert len(set(names)) == len(names)
    assert set(CASES) == set(names)


@pytest.mark.parametrize(
    "columns", [tasks(), hosts(), load(noise(300)), offered(noise(300)), held((hours(50), noise(50)))]
)
def test_nothing_is_found_in_clean_columns_of_any_kind(columns: Any) -> None:
    assert check(columns, machines=hosts()).findings == ()


def test_a_finding_names_rows_of_the_file_where_the_reader_kept_their_order() -> None:
    trace = tasks(mem_mib=np.r_[4096, 0, np.full(38, 4096)])
    in_file = dataclasses.replace(trace, report=DropReport(40, 40), meta={"files": {"a": ""}})
    moved = dataclasses.replace(in_file, report=DropReport(40, 40, (Drop("late", "sorted into place", 1, (3,)),)))
    place = {name: check(one).findings[-1].place() for name, one in (("file", in_file), ("read", trace))}
    assert place == {"file": "row 2 of the file ('1')", "read": "row 1 as read, from 0 ('1')"}
    zero = next(one for one in check(moved).findings if one.rule == "zero-request")
    assert zero.rows_of == "columns"


def test_a_sample_is_named_by_its_series_and_number() -> None:
    found = check(load(noise(10), at(noise(10), [4, 5], np.nan))).findings[0]
    assert found.place() == "sample 4 of 's1'"
    assert "the longest 10m in series 's1' after 20m" in found.found


def test_what_changes_results_comes_first() -> None:
    trace = tasks(mem_mib=np.r_[0, np.full(39, 4096)], depart_s=np.full(40, UNKNOWN))
    report = check(trace)
    assert [one.severity for one in report.findings] == [CHANGES, NOTICE]
    assert report.changes_results
    assert not check(tasks(mem_mib=np.r_[0, np.full(39, 4096)])).changes_results


#: Entry -> (action, rule of a drop it must take, one it must leave).
ACCOUNT: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "departs-before-arrival": (("dropped", "deletion_time must be >= creation_time"), ("dropped", "x must be >= 0")),
    "duplicate-id": (("dropped", "name must be unique"), ("dropped", "name must be given")),
    "negative-value": (("dropped", "cpu_milli must be >= 0"), ("dropped", "name must be unique")),
    "unreadable-row": (("dropped", "a row must have 4 fields"), ("dropped", "an event after 0 s")),
    "rows-dropped": (("dropped", "an event after 0 s"), ("merged into its last", "x")),
    "duplicate-sample": (("merged: averaged into it", "in the 300 s slot"), ("merged into its last", "x")),
    "events-merged": (("merged into its last", "an earlier event"), ("merged: averaged", "x")),
    "unsorted": (("sorted into place", "late"), ("kept", "late")),
    "censored": (("kept with an unknown departure (censored)", "still there"), ("kept with an unknown departure", "x")),
    "no-end": (("kept with an unknown departure", "no durations"), ("kept", "x")),
    "invented-times": (("given their row number (from 0) as arrive_s", "no times"), ("given 0 MiB", "x")),
    "snapshot": (("given arrival 0 and no departure", "a snapshot has no times"), ("given 0 MiB", "x")),
    "clock-guessed": (("kept, taken as if none were missing", "day 2 has 1878 rows less"), ("kept", "x")),
    "there-at-start": (("kept, arriving at 0", "before the trace"), ("kept", "x")),
    "zero-life": (("kept, leaving the moment it comes", "duration 0"), ("kept", "x")),
    "above-capacity": (("kept with a cpu_share above 1", "more used"), ("kept", "x")),
    "off": (("given a missing cpu_share", "0 MHz"), ("given 0 MiB", "x")),
    "gap": (("added as missing", "slot"), ("left aside, unread", "x")),
    "gap-bridged": (("held", "longer than 1.5 steps"), ("kept", "x")),
    "regridded": (("averaged over time", "not whole steps"), ("kept", "x")),
    "drawn-life": (("given seconds by the rule 'uniform'", "a bin"), ("given 0 MiB", "x")),
    "no-memory": (("given 0 MiB", "no memory in the file"), ("given depart_s as last_seen_s", "x")),
    "filled-in": (("given depart_s as last_seen_s", "differs"), ("kept", "x")),
    "split": (("split: further parts", "of more than 8 GPUs"), ("kept", "x")),
    "corrected": (("read as Unknown", "category 'Unkown'"), ("read without its deadline", "x")),
    "rounded": (("with mem_mib rounded up", "not whole"), ("kept", "x")),
    "request-changed": (("kept with the request submitted", "asks for something else"), ("kept", "x")),
    "deadline-unread": (("read without its deadline", "x"), ("kept", "x")),
    "never-started": (("kept, leaving at deletion_time", "Pending"), ("kept", "x")),
    "says-nothing": (("kept: it says nothing", "constant"), ("kept", "x")),
    "estimated": (("kept", "estimated by the source"), ("kept", "x")),
    "negative-price": (("kept", "a negative price"), ("kept", "a price")),
    "unread": (("left aside, unread", "a file of days"), ("kept", "x")),
    "kept": (("kept", "odd"), ("changed", "odd")),
}


def account(action: str, rule: str) -> Finding:
    trace = dataclasses.replace(tasks(), report=DropReport(43, 40, (Drop(rule, action, 3, (7, 9)),)))
    (found,) = check(trace).findings
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_an_entry_of_the_account_becomes_the_finding_it_is(entry: Any) -> None:
    taken, left = ACCOUNT[entry.id]
    found = account(*taken)
    assert (found.rule, found.severity, found.count, found.rows) == (entry.id, entry.severity, 3, (7, 9))
    assert found.place() == "rows 7, 9 of the file"
    assert account(*left).rule != entry.id


def test_an_entry_nobody_knows_is_taken_for_the_worse() -> None:
    assert (account("turned round", "x").rule, account("turned round", "x").severity) == (UNKNOWN_ENTRY, CHANGES)


def test_the_account_of_a_draw_is_its_card_and_no_finding() -> None:
    drawn = tasks(meta={"synthetic": True}, report=DropReport(41, 40, (Drop("large batch", "left out", 1),)))
    assert check(drawn).findings == ()


def test_a_rule_and_the_account_of_the_same_thing_are_one_finding() -> None:
    report = DropReport(40, 40, (Drop("still there", "kept with an unknown departure (censored)", 40, (2, 3)),))
    trace = tasks(depart_s=np.full(40, UNKNOWN), last_seen_s=np.full(40, 9000), report=report)
    (found,) = check(trace).findings
    assert found.rule == "censored"
    assert "last seen running" in found.found
    assert "(on reading: 40 rows kept" in found.found
    assert found.place() == "rows 2, 3 of the file"


def test_two_entries_of_one_name_stay_apart_where_no_rule_speaks() -> None:
    entries = [account("merged: averaged into it", name) for name in ("a", "b")]
    assert _joined([], entries) == entries


def test_a_task_of_a_model_that_no_machine_has_fits_none() -> None:
    named = {**GPU, "gpu_model_mask": np.r_[1, np.full(39, -1)]}
    with_t4 = hosts(gpu_count=[1, 0], gpu_model=[0, -1], gpu_models=("T4",))
    with_v100 = hosts(gpu_count=[1, 0], gpu_model=[0, -1], gpu_models=("V100",))
    nameless = hosts(gpu_count=[1, 0])
    found = {name: holdable(tasks(**named), one)[0] for name, one in (("t4", with_t4), ("v100", with_v100))}
    assert found == {"t4": True, "v100": False}
    assert holdable(tasks(**GPU), with_v100)[0]  # any model will do
    assert not holdable(tasks(**GPU), nameless)[0]  # as replay has it: a GPU of no model holds no GPU task


def test_a_task_that_fits_by_each_resource_but_nowhere_by_all_is_too_large() -> None:
    uneven = hosts(cpu_mcore=[16_000, 1000], mem_mib=[1024, 65_536])
    found = check(tasks(), machines=uneven).findings[0]
    assert (found.rule, found.count) == ("too-large", 40)
    assert "40 by what they ask for together" in found.found


def test_runs_do_not_pass_from_one_series_to_the_next() -> None:
    begin, end = runs_of(np.array([0, 1, 1, 1, 0, 1], bool), np.array([0, 3, 3, 6]))
    assert (begin.tolist(), end.tolist()) == ([1, 3, 5], [3, 4, 6])
    assert distinct_share(np.array([1.0, 1, np.nan, 2, 3]), np.array([0, 2, 3, 5])).tolist()[::2] == [0.5, 1.0]


def test_every_case_is_data_a_reader_could_give() -> None:
    checked: list[Callable[[], Any]] = [
        subject_of(case).columns.validate for bad, _, good in CASES.values() for case in (bad, good)
    ]
    assert all(validate() is not None for validate in checked)


def test_a_stretch_of_no_gpus_in_use_is_no_outage() -> None:
    gpus = dataclasses.replace(offered(quiet), unit="gpus")
    assert check(gpus).findings == ()


def test_where_only_memory_was_measured_its_gaps_are_found() -> None:
    usage = load(np.full(20, np.nan), mem_share=at(noise(20), 7, np.nan))
    (found,) = check(usage).findings
    assert (found.rule, found.count) == ("gap", 1)

"""A whole what-if on a small world: the document, the words, the windows."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from evaluate_worlds import long_trace
from whatif_worlds import even_machines, gpu_files

from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.answer import answer
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.results import Document
from rlsched.evaluate.whatif import cut_windows, options_for, rejected_metric, what_if
from rlsched.evaluate.whatif_inputs import Given
from rlsched.report.html import render
from rlsched.traces.columns import Machines

QUICK = Bootstrap(500)


def ask(machines: Machines, *policies: str, **more: object) -> Document:
    given = Given(long_trace(), machines, (), ("A note.",))
    return what_if(given, policies, bootstrap=QUICK, **more)  # type: ignore[arg-type]


def test_the_answer_says_machines_money_and_energy() -> None:
    document = ask(even_machines(4, 6000), "worst_fit", "best_fit")
    said = "\n".join(answer(document))
    assert document["provenance"]["main_metric"] == "rejected_cpu_share"
    assert "With worst_fit you would have needed " in said
    assert " more machines than with best_fit" in said
    assert " USD a day and " in said
    assert " kWh a day" in said
    assert "A note." in said
    assert "The first 3h59m only warm the machines up" in said
    assert "not known" not in said
    page = render(document)
    assert "you would have needed" in page


def test_without_prices_and_power_the_answer_says_so() -> None:
    bare = dataclasses.replace(
        even_machines(4, 6000), price_per_h=np.array([1.0, 1.0, np.nan, 1.0]), power_curve=np.full(4, -1)
    )
    said = "\n".join(answer(ask(bare, "first_fit", "best_fit", fewer=False)))
    assert "Money is not known: 1 of 4 machines have no price_per_h." in said
    assert "Energy is not known: 4 of 4 machines have no power_curve." in said
    assert "USD" not in said.replace("USD_AN_HOUR", "")


def test_where_nobody_rejects_anything_machines_in_use_decide() -> None:
    document = ask(even_machines(12, 16000), "best_fit", "worst_fit")
    assert document["provenance"]["main_metric"] == "active_machines"
    assert "No policy turned anything away, so machines in use decide who leads." in answer(document)
    assert document["needed"]["reference"] == "worst_fit"  # the last, where none is named


def test_windows_lie_one_after_the_other_behind_the_first_fifth() -> None:
    trace = long_trace()
    windows, past = cut_windows(trace)
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    assert len(windows) == 6  # 192 tasks after the first fifth, 30 each or more
    assert windows[0].start_s == first + 0.2 * (last - first)
    assert windows[-1].stop_s == last
    for earlier, later in itertools.pairwise(windows):
        assert earlier.stop_s == later.start_s
    assert float(past.arrive_s[-1]) < windows[0].start_s


def test_a_gap_in_the_trace_makes_fewer_windows_unless_a_number_was_asked_for() -> None:
    trace = long_trace()
    late = np.where(np.arange(240) >= 120, trace.arrive_s + 400_000, trace.arrive_s)
    gap = dataclasses.replace(trace, arrive_s=late, depart_s=late + 60, last_seen_s=late + 60)
    assert len(cut_windows(gap)[0]) < 6
    with pytest.raises(SpecError, match="Ask for fewer with --windows"):
        cut_windows(gap, 6)
    at_once = dataclasses.replace(
        trace, arrive_s=np.zeros(240, np.int64), depart_s=np.full(240, 60), last_seen_s=np.full(240, 60)
    )
    with pytest.raises(SpecError, match="arrive at different times"):
        cut_windows(at_once)


def test_nobody_looks_at_true_life_spans() -> None:
    trace = long_trace()
    assert options_for(trace, even_machines(), contestants_of(["nilas"])).lifetime == "unknown"
    told = dataclasses.replace(trace, expected_s=np.full(240, 60.0))
    assert options_for(told, even_machines(), contestants_of(["nilas"])).lifetime == "predicted"
    assert options_for(trace, even_machines(), contestants_of(["fragmentation"])).fragmentation == "cpu"


def test_gpus_decide_where_tasks_ask_for_them() -> None:
    assert rejected_metric(*gpu_files()) == "rejected_gpu_share"
    assert rejected_metric(long_trace(), even_machines()) == "rejected_cpu_share"


def test_a_wrong_policy_or_reference_is_one_clear_error() -> None:
    with pytest.raises(PolicyError, match="Did you mean 'best_fit'"):
        ask(even_machines(), "bestfit")
    with pytest.raises(SpecError, match="--reference must be one of the policies"):
        ask(even_machines(), "best_fit", reference="worst_fit")

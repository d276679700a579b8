"""Tables of text: order, headings, what is not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.evaluate.placement import run
from rlsched.report.tables import (
    heading,
    judged_metrics,
    metric_columns,
    parts_of,
    ranked_policies,
    role_of,
    shown_metrics,
    verdict_matrix,
    verdict_table,
    window_table,
)


@pytest.fixture
def document(card: Path) -> dict:
    return run(card, ["judged=energy_wh_per_core_h"])


def test_the_best_on_the_main_metric_comes_first(document: dict) -> None:
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    assert ranked_policies(document) == sorted(means, key=lambda name: means[name])


def test_columns_are_those_of_the_card_and_unknown_is_not_given(document: dict) -> None:
    columns = metric_columns(document)
    assert [one.metric for one in columns] == [
        "rejected_cpu_share", "rejected_cpu_share_iqm", "acceptance_share", "energy_kwh", "cost_usd",
    ]  # fmt: skip
    assert list(columns[0].values.values()) == sorted(columns[0].values.values())
    assert set(columns[-1].cells.values()) == {("not given", "")}
    value, interval = columns[0].cells["best_fit"]
    assert value.endswith(" %")
    assert interval.startswith("[")


def test_headings_have_unit_and_direction() -> None:
    assert heading("rejected_cpu_share") == "rejected CPU ↓"
    assert heading("energy_kwh") == "energy [kWh] ↓"
    assert heading("acceptance_share") == "accepted ↑"
    assert heading("cpu_alloc_share") == "CPU allocated"
    assert heading("foreign_number") == "foreign_number"


def test_verdicts_stand_in_the_row_of_the_policy(document: dict) -> None:
    references, rows = verdict_table(document, "rejected_cpu_share")
    assert references == ["best_fit"]
    assert role_of(document, "best_fit") == "textbook"
    cells = {row.policy: row.cells for row in rows}
    assert cells["best_fit"] == (("", ""),)
    pairs = {(one["a"], one["b"]): one["verdict"] for one in document["verdicts"]}
    assert cells["worst_fit"][0][0] == pairs["worst_fit", "best_fit"]
    assert judged_metrics(document) == ["rejected_cpu_share", "energy_wh_per_core_h"]


def test_a_document_of_another_kind_shows_all_its_numbers() -> None:
    rows = [{"policy": "p", "window": "d", "seed": 0, "energy_kwh": 2.0, "selection": "mmt", "moves": 3}]
    other = {"experiment": "x", "provenance": {}, "rows": rows, "summary": [], "verdicts": []}
    assert shown_metrics(other) == ["energy_kwh", "moves"]
    assert ranked_policies(other) == ["p"]
    assert metric_columns(other)[0].cells["p"] == ("not given", "")


def test_the_matrix_shows_a_pair_from_the_side_of_its_row(document: dict) -> None:
    opponents, rows = verdict_matrix(document)
    first = ranked_policies(document)[0]
    assert [one.policy for one in opponents][: 2 if first != "best_fit" else 1][-1] == "best_fit"
    for policy, marks in rows.items():
        for opponent, mark in zip(opponents, marks, strict=True):
            assert (mark is None) == (policy == opponent.policy)
    pair = {**document["verdicts"][0], "a": "best_fit", "b": "worst_fit", "difference": -0.1, "verdict": "better"}
    alone = {**document, "verdicts": [{**pair, "ci_low": -0.2, "ci_high": -0.05}]}
    alone["provenance"] = {**document["provenance"], "references": {"textbook": "best_fit"}, "leader": "best_fit"}
    found = verdict_matrix(alone)[1]["worst_fit"][0]
    assert found is not None
    assert (found.sign, found.word) == ("▼", "worse")
    assert found.detail.startswith("+10.00 points [5.00, 20.00]")


def test_windows_come_worst_first_and_means_are_over_seeds() -> None:
    rows = [
        {"policy": "a", "window": w, "seed": s, "rejected_cpu_share": v}
        for w, s, v in (("w0", 0, 0.1), ("w0", 1, 0.3), ("w1", 0, 0.5), ("w1", 1, 0.7), ("w2", 0, None), ("w2", 1, 0.1))
    ]
    summary = [{"policy": "a", "metric": "rejected_cpu_share", "mean": 0.3, "ci_low": None, "ci_high": None, "n": 4}]
    made = {
        "experiment": "x",
        "provenance": {"main_metric": "rejected_cpu_share", "windows": [{"name": "w0", "tasks": 7}]},
        "rows": rows,
        "summary": summary,
        "verdicts": [],
    }
    found = window_table(made)
    assert [one["window"] for one in found] == ["w1", "w0", "w2"]
    assert found[0]["values"]["a"] == pytest.approx(0.6)
    assert (found[1]["tasks"], found[2]["values"]["a"]) == (7, None)


def test_parts_leave_out_what_is_nothing_for_everybody(document: dict) -> None:
    (found,) = parts_of(document)
    assert found.title == "What tasks were turned away for"
    by = {(one["policy"], one["metric"]): one["mean"] for one in document["summary"]}
    for policy, row in found.rows.items():
        assert sum(row) == pytest.approx(by[policy, "rejected_tasks"])
    assert found.longest == pytest.approx(max(by[policy, "rejected_tasks"] for policy in found.rows))
    assert all(any(row[i] for row in found.rows.values()) for i in range(len(found.labels)))

"""Tables of text: order, headings, what is not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.evaluate.placement import run
from rlsched.report.tables import (
    heading,
    judged_metrics,
    metric_columns,
    ranked_policies,
    role_of,
    shown_metrics,
    verdict_table,
)


@pytest.fixture
def document(card: Path) -> dict:
    return run(card, ["judged=energy_wh_per_core_h"])


def test_the_best_on_the_main_metric_comes_first(document: dict) -> None:
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    assert ranked_policies(document) == sorted(means, key=lambda name: means[name])


def test_columns_are_those_of_the_card_and_unknown_is_not_given(document: dict) -> None:
    columns = metric_columns(document)
    assert [one.metric for one in columns] == ["rejected_cpu_share", "acceptance_share", "energy_kwh", "cost_usd"]
    assert set(columns[-1].cells.values()) == {("not given", "")}
    value, interval = columns[0].cells["best_fit"]
    assert value.endswith(" %")
    assert interval.startswith("[")


def test_headings_have_unit_and_direction() -> None:
    assert heading("rejected_cpu_share") == "rejected CPU ↓"
    assert heading("energy_kwh") == "energy [kWh] ↓"
    assert heading("acceptance_share") == "accepted ↑"
    assert heading("cpu_alloc_share") == "CPU allocated"
    assert heading("migrations") == "migrations"


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

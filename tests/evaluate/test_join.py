"""Runs of one experiment become one; runs that do not compare are refused, each with its reason."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from rlsched.errors import SpecError
from rlsched.evaluate.join import join_documents
from rlsched.evaluate.placement import run


@pytest.fixture
def halves(card: Path) -> list[dict[str, Any]]:
    return [run(card, [f"policies={names}"]) for names in ("first_fit,best_fit", "best_fit,worst_fit")]


def test_two_halves_are_the_whole(card: Path, halves: list[dict[str, Any]]) -> None:
    whole = run(card, ["policies=first_fit,best_fit,worst_fit"])
    joined = join_documents(halves, ["a", "b"])
    for key in ("rows", "summary", "verdicts"):
        assert joined[key] == whole[key]
    assert joined["provenance"]["joined"] == [one["provenance"]["run_id"] for one in halves]
    assert joined["provenance"]["leader"] == whole["provenance"]["leader"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: one.update(experiment="other"),
            "different experiments cannot be mixed: a is 'tiny', b is 'other'",
        ),
        (lambda one: one["provenance"].update(problem_sha256="0"), "differ in their problem"),
        (lambda one: one["provenance"].update(split="train"), r"differ in their split \(test and train\)"),
        (lambda one: one["provenance"].update(windows=[]), "differ in their windows"),
        (lambda one: one["provenance"].pop("problem_sha256"), "b does not say which problem it is of"),
        (lambda one: one["rows"][0].update(rejected_tasks=-1), "'best_fit' has other values in b"),
    ],
)
def test_what_does_not_compare_is_not_mixed(halves: list[dict[str, Any]], change: Any, message: str) -> None:
    other = copy.deepcopy(halves[1])
    change(other)
    with pytest.raises(SpecError, match=message):
        join_documents([halves[0], other], ["a", "b"])


def committed(name: str) -> dict[str, Any]:
    path = Path(__file__).parents[2] / "experiments" / name / "results" / "results.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    document["provenance"].setdefault("problem_sha256", "of a run made before this was noted")
    return document


def test_scaling_runs_are_joined_by_their_own_metrics_and_keep_every_warning() -> None:
    first, second = committed("scaling-bitbrains"), committed("scaling-bitbrains")
    second["provenance"]["tuned_elsewhere"] = ["tuned_hpa"]
    joined = join_documents([first, second], ["a", "b"])
    assert {row["policy"] for row in joined["rows"]} == {row["policy"] for row in first["rows"]}
    assert len(joined["verdicts"]) == len(first["verdicts"])
    assert joined["provenance"]["tuned_elsewhere"] == ["tuned_hpa"]


def only(document: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The run as it would have been with these policies alone."""
    return {**copy.deepcopy(document), "rows": [row for row in document["rows"] if row["policy"] in names]}


def test_halves_of_a_consolidation_are_the_whole_with_its_agents() -> None:
    whole = committed("consolidation-planetlab")
    names = list(dict.fromkeys(row["policy"] for row in whole["rows"]))
    halves = [only(whole, names[:7]), only(whole, names[6:])]
    halves[0]["provenance"].pop("agents")
    halves[1]["bounds"] = []
    joined = join_documents(halves, ["a", "b"])
    means = {(one["policy"], one["metric"]): one["mean"] for one in whole["summary"]}
    found = {(one["policy"], one["metric"]): one["mean"] for one in joined["summary"]}
    # Metrics that came after this run was made are not known in it.
    assert {key: value for key, value in found.items() if value is not None or key in means} == pytest.approx(means)
    words = {(one["a"], one["b"], one["metric"]): one["verdict"] for one in whole["verdicts"]}
    assert {(one["a"], one["b"], one["metric"]): one["verdict"] for one in joined["verdicts"]} == words
    assert joined["provenance"]["leader"] == whole["provenance"]["leader"]
    assert joined["provenance"]["agents"] == whole["provenance"]["agents"]
    assert joined["bounds"] == whole["bounds"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["provenance"].update(data_sha256={"20110412": "0"}), "differ in their data"),
        (lambda one: one["provenance"].update(seeds=[7]), "differ in their seeds, which deal out the VM sizes"),
        (lambda one: one["rows"].pop(0) and one["rows"][0].update(window="20110999/0"), "are of other windows"),
    ],
)
def test_consolidations_that_do_not_compare_are_not_mixed(change: Any, message: str) -> None:
    first, other = committed("consolidation-planetlab"), committed("consolidation-planetlab")
    change(other)
    with pytest.raises(SpecError, match=message):
        join_documents([first, other], ["a", "b"])


def test_runs_that_judge_nobody_are_not_joined() -> None:
    document = committed("consolidation-planetlab")
    document["provenance"].pop("main_metric")
    with pytest.raises(SpecError, match="a names no main metric"):
        join_documents([document, document], ["a", "b"])


def test_a_kind_that_cannot_be_joined_says_so() -> None:
    document = committed("consolidation-planetlab")
    document["provenance"]["kind"] = "fgd"
    with pytest.raises(SpecError, match="kind 'fgd': runs of kind placement, scaling, consolidation can be joined"):
        join_documents([document, document], ["a", "b"])

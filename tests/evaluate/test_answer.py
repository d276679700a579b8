"""The answer in words, from documents made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rlsched.evaluate.answer import answer, show_difference, show_interval, show_value


def mean(policy: str, value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"policy": policy, "metric": "rejected_cpu_share", "mean": value, "ci_low": low, "ci_high": high, "n": 8}


def pair(a: str, b: str, gap: float, verdict: str) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "metric": "rejected_cpu_share",
        "difference": gap,
        "ci_low": gap - 0.01,
        "ci_high": gap + 0.01,
        "verdict": verdict,
    }


def document(
    means: list[dict[str, Any]], pairs: list[dict[str, Any]], windows: int = 8, **provenance: Any
) -> dict[str, Any]:
    rows = [{"policy": one["policy"], "window": f"test-{i}", "seed": None} for one in means for i in range(windows)]
    return {
        "experiment": "toy",
        "provenance": {"main_metric": "rejected_cpu_share", "split": "test", "references": {}, **provenance},
        "rows": rows,
        "summary": means,
        "verdicts": pairs,
    }


def test_who_won_who_did_not_and_by_how_much() -> None:
    lines = answer(
        document(
            [mean("mine", 0.05, 0.04, 0.06), mean("fit", 0.08, 0.07, 0.09), mean("near", 0.052), mean("bad", 0.2)],
            [
                pair("mine", "fit", -0.03, "better"),
                pair("near", "fit", -0.028, "better"),
                pair("bad", "fit", 0.12, "worse"),
                pair("mine", "near", -0.002, "no difference shown"),
                pair("mine", "bad", -0.15, "better"),
            ],
            references={"textbook": "fit"},
        )
    )
    assert lines == [
        "Lowest rejected CPU: mine, 5.00 % [4.00, 6.00], the mean of 8 test windows.",
        "Against the references: better than fit (textbook): −3.00 points [−4.00, −2.00].",
        "Not shown to be worse than it: near (+0.20 points [−0.80, 1.20]).",
        "Others against fit (textbook): better: near (−2.80 points); worse: bad (+12.00 points).",
    ]


def test_many_losers_are_counted_and_their_range_given() -> None:
    means = [mean("fit", 0.05), *(mean(f"p{i}", 0.05 + i / 100) for i in range(1, 7))]
    pairs = [pair(f"p{i}", "fit", i / 100, "worse") for i in range(1, 7)]
    lines = answer(document(means, pairs, references={"textbook": "fit"}))
    assert lines[-1] == "Against fit (textbook): worse: 6, from p1 (+1.00 points) to p6 (+6.00 points)."


def test_a_winner_over_everybody_is_called_that() -> None:
    lines = answer(
        document(
            [mean("mine", 0.05), mean("fit", 0.08)],
            [pair("mine", "fit", -0.03, "better")],
            references={"textbook": "fit"},
        )
    )
    assert "It is better than every other policy." in lines


def test_a_reference_that_leads_is_compared_from_its_own_side() -> None:
    lines = answer(
        document(
            [mean("fit", 0.05), mean("mine", 0.08), mean("even", 0.051)],
            [pair("mine", "fit", 0.03, "worse"), pair("even", "fit", 0.001, "no difference shown")],
            references={"textbook": "fit", "tuned": "gone"},
            not_run=["gone"],
        )
    )
    assert lines[0].startswith("Lowest rejected CPU: fit")
    assert lines[1] == "Against the references: it is the textbook reference itself."
    assert lines[2] == "Not shown to be worse than it: even (+0.10 points [−0.90, 1.10])."
    assert lines[3] == "Against fit (textbook): worse: mine (+3.00 points)."
    assert lines[4] == "References that were not run: gone."


def test_limits_of_the_answer_are_said() -> None:
    lines = answer(
        document(
            [mean("a", 0.1), mean("b", 0.2)],
            [pair("a", "b", -0.1, "no difference shown")],
            windows=3,
            references={"textbook": "b"},
            tuned_elsewhere=["b"],
            comparisons={
                "n": 9,
                "shown": 4,
                "shown_uncorrected": 6,
                "shown_after_holm": 1,
                "ranked_windows": 2,
                "windows": 3,
            },
            no_bound="time flies",
        )
    )
    text = " ".join(lines)
    assert "With fewer than 6 windows no difference can be told from chance" in text
    assert "Tuned on other data or for another problem than this: b. Tune again." in text
    assert "4 of 9 comparisons show a difference, corrected for their number; 6 would without" in text
    assert "1 by Holm's" in text
    assert "Ranked on the 2 of 3 windows that every policy knows" in text
    assert "There is no bound on the main metric: time flies." in text


def test_a_control_never_leads_and_is_told_apart() -> None:
    lines = answer(
        document(
            [mean("oracle", 0.01), mean("mine", 0.05), mean("fit", 0.08)],
            [pair("oracle", "fit", -0.07, "better"), pair("mine", "fit", -0.03, "better"),
             pair("mine", "oracle", 0.04, "worse")],
            references={"textbook": "fit"},
            controls={"oracle": "the best on these very windows"},
        )
    )  # fmt: skip
    assert lines[0].startswith("Lowest rejected CPU: mine")
    assert "It is better than every other policy." in lines
    control = (
        "Control oracle, the best on these very windows: 1.00 %; mine against it: worse, +4.00 points [3.00, 5.00]."
    )
    assert control in lines


def test_the_bound_is_said_with_the_share_of_the_gap_that_the_leader_closes() -> None:
    made = document([mean("mine", 0.05), mean("fit", 0.08)], [pair("mine", "fit", -0.03, "better")])
    made["bounds"] = [
        {"bound": "lp_bound", "metric": "rejected_cpu_share", "window": f"test-{i}", "value": v, "doc": ""}
        for i, v in enumerate((0.0, 0.04))
    ]
    made["gaps"] = [
        {"policy": "mine", "metric": "rejected_cpu_share", "bound": "lp_bound", "from": "fit", "share": 0.5,
         "ci_low": -0.1, "ci_high": 0.9, "n_windows": 2}
    ]  # fmt: skip
    assert answer(made)[-1] == (
        "No policy can do better than 2.00 % in rejected CPU (lp_bound); mine closes 50 % [−10, 90] of the gap from "
        "fit to it."
    )


def test_where_no_difference_is_shown_the_smallest_that_could_have_been_is_said() -> None:
    even = {**pair("mine", "fit", -0.001, "no difference shown"), "detectable": 0.0123}
    lines = answer(document([mean("mine", 0.05), mean("fit", 0.051)], [even], references={"textbook": "fit"}))
    assert "(these windows could have shown ±1.23 points)" in lines[1]


def test_without_values_opponents_or_a_main_metric_nobody_wins() -> None:
    assert answer(document([mean("a", None)], [])) == [
        "rejected CPU is not known on these windows, so nobody is said to have won."
    ]
    assert answer(document([mean("a", 0.1)], []))[-1] == "It ran alone, so there is nobody to compare it with."
    assert "names no main metric" in answer(document([mean("a", 0.1)], [], main_metric=None))[0]


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("rejected_cpu_share", 0.12345, "12.35 %"),
        ("gpu_alloc_pct", 94.376, "94.38 %"),
        ("energy_kwh", 1234.5, "1,234"),
        ("energy_kwh", 123.45, "123.5"),
        ("cost_usd_per_core_h", 0.05077, "0.0508"),
        ("rejected_tasks", 12.0, "12"),
        ("energy_kwh", None, "not given"),
        ("foreign_metric", 2.5, "2.50"),
    ],
)
def test_values_are_shown_in_their_unit(metric: str, value: float | None, shown: str) -> None:
    assert show_value(metric, value) == shown


def test_differences_have_a_sign_and_zero_has_none() -> None:
    assert show_difference("rejected_cpu_share", -0.0123) == "−1.23 points"
    assert show_difference("energy_kwh", 2.5) == "+2.50"
    assert show_difference("gpu_alloc_pct", 0.5) == "+0.50 points"
    assert show_difference("energy_kwh", 0.0) == "0"
    assert show_interval("energy_kwh", -1.0, 2.5) == "[−1, 2.50]"
    assert show_interval("energy_kwh", None, None) == ""


def test_an_interval_beside_zero_without_a_verdict_is_laid_to_the_correction() -> None:
    found = answer(
        document([mean("mine", 0.05), mean("near", 0.09)], [pair("mine", "near", -0.04, "no difference shown")])
    )
    assert found[1] == (
        "Not shown to be worse than it, once corrected for the number of comparisons: near (+4.00 points [3.00, 5.00])."
    )


def test_a_value_that_is_no_percentage_is_said_with_its_unit() -> None:
    one = {"policy": "mine", "metric": "energy_kwh", "mean": 12.5, "ci_low": 12.0, "ci_high": 13.0, "n": 8}
    assert answer(document([one], [], main_metric="energy_kwh"))[0] == (
        "Lowest energy: mine, 12.50 kWh [12, 13], the mean of 8 test windows."
    )


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("slav_share", 0.0, "0.00 %"),
        ("slav_share", 3.14e-6, "0.00031 %"),
        ("slav_share", 4.2e-4, "0.042 %"),
        ("slav_share", 0.0123, "1.23 %"),
        ("rejected_cpu_share", -2e-5, "-0.0020 %"),
    ],
)
def test_a_small_share_is_not_shown_as_nothing(metric: str, value: float, shown: str) -> None:
    assert show_value(metric, value) == shown


def test_small_ends_and_differences_keep_their_digits() -> None:
    assert show_interval("slav_share", 1e-6, 0.02) == "[0.00010, 2.00]"
    assert show_difference("slav_share", -1e-6) == "−0.00010 points"
    assert show_difference("slav_share", -1e-18) == "0.00 points"  # what summing in another order leaves

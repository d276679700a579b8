"""Verdicts by hand: direction, pairing, the minimum of windows, Holm's correction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlsched.errors import OurBug
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.verdict import common_windows, correct, holm_adjusted, judge, judge_all, leader

B = Bootstrap(2000)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_lower_or_higher_is_better_as_the_metric_says() -> None:
    low, high = column(1, 2, 3, 4, 5, 6), column(2, 3, 4, 5, 6, 7.5)
    assert judge("a", "b", "m", "down", low, high, B).verdict == "better"
    assert judge("a", "b", "m", "up", low, high, B).verdict == "worse"
    assert judge("b", "a", "m", "down", high, low, B).verdict == "worse"
    assert judge("b", "a", "m", "up", high, low, B).verdict == "better"


def test_pairing_shows_a_small_difference_that_hides_in_the_spread_of_windows() -> None:
    windows = column(0, 100, 200, 300, 400, 500)
    one = judge("a", "b", "m", "down", windows - 1, windows, B)
    assert one.verdict == "better"
    assert (one.difference, one.ci_low, one.ci_high) == (-1.0, -1.0, -1.0)


def test_five_windows_are_too_few_for_any_verdict() -> None:
    # Five differences of one sign happen by chance with probability 2 / 2**5 = 6.25 %.
    assert judge("a", "b", "m", "down", column(1, 1, 1, 1, 1), column(2, 2, 2, 2, 3), B).verdict == (
        "no difference shown"
    )
    assert judge("a", "b", "m", "down", column(1, 1, 1, 1, 1, 1), column(2, 2, 2, 2, 2, 3), B).verdict == "better"


def test_equal_policies_differ_by_nothing() -> None:
    one = judge("a", "b", "m", "down", column(*range(8)), column(*range(8)), B)
    assert (one.difference, one.ci_low, one.ci_high, one.verdict) == (0.0, 0.0, 0.0, "no difference shown")
    assert one.p == 1.0


def test_a_policy_without_random_numbers_is_paired_with_every_seed() -> None:
    random = np.array([[1.0, 3.0]] * 6)
    one = judge("random", "fixed", "m", "down", random, column(1, 1, 1, 1, 1, 1), B)
    assert one.difference == 1.0
    # The resampled mean is 1, 2 or 3 as the seeds fall: the interval reaches from 0 to 2.
    assert (one.ci_low, one.ci_high) == (0.0, 2.0)
    assert one.verdict == "no difference shown"


def test_windows_that_one_of_the_two_does_not_know_are_not_compared() -> None:
    one = judge("a", "b", "m", "down", column(1, 1, 1, 1, 1, 1, np.nan), column(2, 2, 2, 2, 2, 2, 99), B)
    assert one.difference == -1.0


def test_everybody_is_compared_with_every_opponent_but_not_with_himself() -> None:
    grid = {"m": column(*range(6))}
    found = judge_all({"a": grid, "b": grid, "c": grid}, ["b", "c"], {"m": "down"}, B)
    assert [(one.a, one.b) for one in found] == [("a", "b"), ("c", "b"), ("a", "c"), ("b", "c")]


def test_what_nobody_knows_gets_no_verdict() -> None:
    unknown = {"m": column(*[math.nan] * 6)}
    assert judge_all({"a": unknown, "b": unknown}, ["b"], {"m": "down"}, B) == []


def test_the_leader_is_the_best_mean_and_the_first_on_ties() -> None:
    values = {"x": column(1, 3), "y": column(2, 2), "z": column(0, 5)}
    assert leader(values, "down") == "x"
    assert leader(values, "up") == "z"
    assert leader({"x": column(math.nan)}, "up") == ""


def test_nobody_can_win_on_a_metric_without_direction() -> None:
    with pytest.raises(OurBug, match="better direction is 'none'"):
        judge("a", "b", "m", "none", column(1), column(2), B)


def test_holm_compares_the_smallest_with_the_strictest() -> None:
    # Four of them: 4 * 0.01, 3 * 0.013, 2 * 0.03 and 1 * 0.04, none below the one before.
    assert holm_adjusted([0.04, 0.01, 0.03, 0.013]) == pytest.approx([0.06, 0.04, 0.06, 0.04])
    assert holm_adjusted([0.02, 0.03]) == pytest.approx([0.04, 0.04])
    assert holm_adjusted([math.nan, 0.9, 0.6])[1:] == [1.0, 1.0]
    assert math.isnan(holm_adjusted([math.nan, 0.9])[0])
    assert holm_adjusted([]) == []


def test_means_over_different_windows_are_not_ranked() -> None:
    # x is better wherever both are known; its mean over all windows is worse.
    values = {"x": column(1, 2, 9), "y": column(2, 3, math.nan), "none": column(*[math.nan] * 3)}
    assert common_windows(values).tolist() == [True, True, False]
    assert leader(values, "down") == "x"
    assert leader({"x": column(1, math.nan), "y": column(math.nan, 1)}, "down") == ""


def test_the_probability_of_improvement_counts_windows_and_halves_ties() -> None:
    one = judge("a", "b", "m", "down", column(1, 1, 1, 1), column(2, 2, 1, 0), B)
    assert one.improvement == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert 0 <= one.improvement_low <= one.improvement <= one.improvement_high <= 1
    assert judge("b", "a", "m", "down", column(2, 2, 1, 0), column(1, 1, 1, 1), B).improvement == pytest.approx(0.375)
    turned = one.turned
    assert (turned.a, turned.difference, turned.improvement) == ("b", -one.difference, 1 - one.improvement)


def test_the_smallest_difference_that_could_have_been_shown_grows_with_the_noise() -> None:
    draw = np.random.default_rng(1)
    noise = draw.normal(size=(400, 1))
    one = judge("a", "b", "m", "down", noise, np.zeros((400, 1)), B)
    # 2.8 standard errors of the mean: 2.8 * sd / sqrt(W).
    assert one.detectable == pytest.approx(2.8016 * noise.std(ddof=1) / 20, rel=0.05)
    assert judge("a", "b", "m", "down", 3 * noise, np.zeros((400, 1)), B).detectable == pytest.approx(
        3 * one.detectable
    )
    assert math.isnan(judge("a", "b", "m", "down", column(1), column(2), B).detectable)


def test_seeds_that_are_not_the_same_ones_are_drawn_apart() -> None:
    of_a, of_b = np.tile([1.0, 3.0], (6, 1)), np.tile([0.0, 0.0, 6.0], (6, 1))
    one = judge("a", "b", "m", "down", of_a, of_b, B)
    assert one.difference == pytest.approx(0.0)
    # Means of two drawn from {1, 3}, 1, 2 or 3, minus means of three drawn from {0, 0, 6}, 0, 2, 4 or 6.
    # -5 and -4 together have a chance of 3/4 * 1/27, about 2.8 %: the lower end is -4 or -3 as the draws fall.
    assert (one.ci_low, one.ci_high) == (pytest.approx(-3.0, abs=1.0), pytest.approx(3.0))


def spread_of(n_policies: int, windows: int, shift: float = 0.0, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    draw = np.random.default_rng(seed)
    out = {f"p{i}": {"m": draw.normal(size=(windows, 1))} for i in range(n_policies)}
    out["p0"]["m"] = out["p0"]["m"] + shift
    return out


def corrected(values: dict[str, dict[str, np.ndarray]]) -> list:
    return correct(judge_all(values, ["ref"], {"m": "down"}, Bootstrap(200)), values)


def test_a_difference_of_one_sign_in_every_window_survives_however_many_are_compared() -> None:
    values = {f"p{i}": {"m": column(*np.arange(10) + i)} for i in range(1, 41)} | {"ref": {"m": column(*np.arange(10))}}
    found = corrected(values)
    assert {one.verdict for one in found} == {"worse"}
    assert found[0].p_corrected == pytest.approx(2 / 2**10)
    assert found[0].p_holm == pytest.approx(40 * 2 / 2**10)  # Holm alone would show nothing: 0.078


def test_chance_alone_shows_a_difference_in_one_table_of_twenty() -> None:
    tables, wrong, uncorrected = 60, 0, 0
    for seed in range(tables):
        values = spread_of(20, 10, seed=seed) | {"ref": {"m": np.zeros((10, 1))}}
        found = corrected(values)
        wrong += any(one.p_corrected <= 0.05 for one in found)
        uncorrected += any(one.p <= 0.05 for one in found)
    assert wrong <= 8  # binomial(60, 0.05): more than 8 happens once in 700 such tests
    assert uncorrected >= 30


def test_correction_never_helps_and_agrees_for_a_pair_seen_from_both_sides() -> None:
    values = spread_of(6, 12, shift=1.2) | {"ref": {"m": np.zeros((12, 1))}}
    raw = judge_all(values, ["ref", "p0"], {"m": "down"}, Bootstrap(200))
    found = correct(raw, values)
    for before, after in zip(raw, found, strict=True):
        assert after.p_corrected >= before.p - 1e-12
        assert after.verdict in (before.verdict, "no difference shown")
    both = {(one.a, one.b): one.p_corrected for one in found}
    assert both["p0", "ref"] == both["ref", "p0"]


def test_one_comparison_alone_needs_no_correction() -> None:
    values = spread_of(1, 9, shift=0.7) | {"ref": {"m": np.zeros((9, 1))}}
    (one,) = corrected(values)
    assert one.p_corrected == pytest.approx(one.p) == pytest.approx(one.p_holm)

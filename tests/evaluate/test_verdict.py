"""Verdicts by hand: direction, pairing, the minimum of windows, Holm's correction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlsched.errors import OurBug
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.verdict import holm_keeps, judge, judge_all, leader

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
    # 0.01 <= 0.05/4, 0.013 <= 0.05/3 = 0.0167, 0.03 > 0.05/2: the rest falls with it.
    assert holm_keeps([0.04, 0.01, 0.03, 0.013]) == [False, True, False, True]
    assert holm_keeps([0.02, 0.03]) == [True, True]
    assert holm_keeps([math.nan, 0.001]) == [False, True]
    assert holm_keeps([]) == []

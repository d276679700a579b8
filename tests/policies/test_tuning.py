"""The seeded search over the numbers of a family."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

import rlsched.policies
from rlsched.errors import SpecError
from rlsched.policies.tuning import Family, tune
from rlsched.sim.scaling.rules.table import Parameter


@dataclass
class Bowl:
    """Lowest at ``a = 0.3`` and ``n = 7`` on train; validation prefers a larger ``a``."""

    better: str = "down"
    shift: float = 0.0
    asked: list[tuple[str, dict[str, float]]] = field(default_factory=list)

    def score(self, family, values, split):
        self.asked.append((split, dict(values)))
        low = 0.3 + (self.shift if split == "validation" else 0.0)
        cost = (values["a"] - low) ** 2 + 0.01 * (values["n"] - 7) ** 2 + 0.1 * abs(np.log10(values["b"]) + 2)
        return cost if self.better == "down" else -cost


FAMILY = Family(
    "bowl",
    (
        Parameter("a", 0.9, 0.0, 1.0),
        Parameter("b", 1.0, 1e-4, 1.0, "log"),
        Parameter("n", 2.0, 1.0, 20.0, "whole"),
        Parameter("fixed", 4.0, 4.0, 4.0),
    ),
)


def test_it_is_the_front_door_too():
    assert rlsched.policies.tune is tune


def test_it_finds_an_interior_optimum_and_tries_the_textbook_first():
    problem = Bowl()
    found = tune(FAMILY, problem, budget=300)
    assert found.tried[0].values == FAMILY.defaults
    assert found.best.values["a"] == pytest.approx(0.3, abs=0.05)
    assert found.best.values["n"] == 7
    assert found.best.values["b"] == pytest.approx(0.01, rel=0.3)
    assert found.best.values["fixed"] == 4
    assert found.at_edge == ()
    assert len(found.tried) == 300
    assert len({tuple(one.values.items()) for one in found.tried}) == 300


def test_validation_selects_among_the_best_of_train_and_nothing_else_is_looked_at():
    problem = Bowl(shift=0.02)
    found = tune(FAMILY, problem, budget=120, keep=8)
    assert {split for split, _ in problem.asked} == {"train", "validation"}
    assert sum(split == "validation" for split, _ in problem.asked) == 8
    assert found.best.score == min(one.score for one in found.finalists)
    ranked = sorted(found.tried, key=lambda one: one.score)[:8]
    assert [one.values for one in found.finalists] == [one.values for one in ranked]
    assert found.train_score == next(one.score for one in found.tried if one.values == found.best.values)


def test_other_names_of_splits_are_passed_on():
    problem = Bowl()
    tune(FAMILY, problem, ("days 1-6", "days 7-8"), budget=3)
    assert {split for split, _ in problem.asked} == {"days 1-6", "days 7-8"}


def test_equal_seeds_give_equal_searches_and_other_seeds_do_not():
    once, again = tune(FAMILY, Bowl(), budget=40, seed=1), tune(FAMILY, Bowl(), budget=40, seed=1)
    assert once == again
    assert tune(FAMILY, Bowl(), budget=40, seed=2).tried != once.tried


def test_a_score_to_be_raised_is_raised():
    down, up = tune(FAMILY, Bowl(), budget=60), tune(FAMILY, Bowl("up"), budget=60)
    assert up.best.values == down.best.values
    assert up.best.score == -down.best.score


def test_an_optimum_at_the_end_of_a_range_is_said():
    class Slope:
        better = "down"

        def score(self, family, values, split):
            return values["a"]

    found = tune(Family("slope", (Parameter("a", 0.5, 0.0, 1.0),)), Slope(), budget=100)
    assert found.at_edge == ("a",)


def test_a_family_of_few_members_is_tried_whole_and_one_of_none_once():
    class Count:
        better = "down"

        def score(self, family, values, split):
            return abs(values["n"] - 3)

    few = tune(Family("few", (Parameter("n", 9.0, 1.0, 9.0, "whole"),)), Count(), budget=100)
    assert sorted(one.values["n"] for one in few.tried) == list(range(1, 10))
    assert few.best.values["n"] == 3
    one = tune(Family("one", (Parameter("n", 5.0, 5.0, 5.0),)), Count(), budget=100)
    assert [trial.values for trial in one.tried] == [{"n": 5.0}]


def test_what_cannot_be_tuned_is_refused():
    class Unknown:
        better = "down"

        def score(self, family, values, split):
            return float("nan")

    with pytest.raises(SpecError, match="has no score on the train windows"):
        tune(FAMILY, Unknown())
    with pytest.raises(SpecError, match="budget and keep must be >= 1: got 0"):
        tune(FAMILY, Bowl(), budget=0)
    with pytest.raises(SpecError, match=r"low > 0 on a log scale: got 0.0..1.0"):
        Family("bad", (Parameter("a", 0.5, 0.0, 1.0, "log"),))
    with pytest.raises(SpecError, match=r"scale of bad\.a must be one of linear, log, whole"):
        Family("bad", (Parameter("a", 0.5, 0.0, 1.0, "cubic"),))

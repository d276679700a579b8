"""A policy of another problem is named as one, in every kind of card."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.errors import UserError
from rlsched.evaluate.contestants import find_contestants
from rlsched.evaluate.experiment import PolicyEntry
from rlsched.evaluate.kinds import spec_of
from rlsched.evaluate.other_problem import problem_of_policy
from rlsched.spec import load

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("best_fit", "placement"), ("hpa:target=0.7", "scaling"), ("lr_mmt", "consolidation"),
        ("placement-gpu", "placement"),
        ("scaling", "scaling"), ("consolidation", "consolidation"), ("nonsense", ""), ("no/such.onnx", ""),
    ],
)  # fmt: skip
def test_a_policy_is_of_one_problem(name: str, problem: str) -> None:
    assert problem_of_policy(name) == problem


@pytest.mark.parametrize(
    ("experiment", "kind", "name", "message"),
    [
        ("scaling-bitbrains", "scaling", "best_fit", "'best_fit' cannot scale a service: it is one of placement"),
        (
            "scaling-bitbrains",
            "scaling",
            "placement-gpu",
            "'placement-gpu' cannot scale a service: it is one",
        ),
        ("consolidation-planetlab", "consolidation", "hpa", "'hpa' cannot consolidate VMs: it is one of scaling"),
        (
            "consolidation-planetlab",
            "consolidation",
            "scaling",
            "'scaling' cannot consolidate VMs: it is one of",
        ),
    ],
)
def test_cards_refuse_it_with_the_problem_it_is_of(experiment: str, kind: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(spec_of(kind), EXPERIMENTS / experiment / "experiment.toml", [f"policies={name}"])


@pytest.mark.parametrize("name", ["hpa", "scaling", "consolidation", "lr_mmt"])
def test_placement_refuses_it_too(name: str) -> None:
    with pytest.raises(UserError, match=f"policy '{name}' cannot place tasks: it is one of "):
        find_contestants([PolicyEntry(policy=name)], EXPERIMENTS)

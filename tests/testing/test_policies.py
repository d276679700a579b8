"""Every heuristic of the table keeps the contract; and the contract catches one that does not."""

import dataclasses

import numpy as np
import pytest

from rlsched.policies import POLICIES, blend
from rlsched.policies.heuristic import Heuristic
from rlsched.sim.select import PolicyArrays
from rlsched.testing.policies import check_policy


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_heuristic_keeps_the_contract(name: str) -> None:
    check_policy(POLICIES[name])


def test_a_blend_keeps_the_contract() -> None:
    check_policy(blend({"fragmentation": 12, "best_fit": 2, "balanced_allocation": 0.01}, devices="score"))


class _Liar(Heuristic):
    """Says one thing and hands another to the loop."""

    def arrays(self) -> PolicyArrays:
        return dataclasses.replace(POLICIES["worst_fit"]).arrays()._replace(gpu_choice=2)


class _Stale(Heuristic):
    """Caches scores that change with the clock."""

    def arrays(self) -> PolicyArrays:
        arrays = super().arrays()
        return arrays._replace(cacheable=True, rules=np.array([11]), weights=np.ones(1))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (_Stale("stale", {"lifetime": 1.0}), "must go to machine"),
    ],
)
def test_the_contract_catches_a_bad_heuristic(policy: Heuristic, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_policy(policy)


def test_the_contract_catches_another_device_than_the_stated_one() -> None:
    with pytest.raises(AssertionError, match="must get devices"):
        check_policy(_Liar("liar", {"best_fit": -1.0}))

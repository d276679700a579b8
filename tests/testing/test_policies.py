"""Every heuristic of the table keeps the contract; and the contract catches one that does not."""

import dataclasses

import numpy as np
import pytest

from rlsched.policies import POLICIES, blend
from rlsched.policies.heuristic import Heuristic
from rlsched.sim import state as st
from rlsched.sim.select import PolicyArrays
from rlsched.sim.simulate import run_policy
from rlsched.sim.state import State
from rlsched.sim.world import World
from rlsched.testing.policies import check_policy, check_runner


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


class _Runner:
    """Places like best fit; breaks one clause on request."""

    name = "runner"

    def __init__(self, fault: str = "") -> None:
        self.fault, self.runs = fault, 0

    def run(self, world: World, state: State, progress: object = None) -> None:
        self.runs += 1
        if self.fault == "stops early":
            return
        if (self.fault == "takes turns" and self.runs % 2) or (self.fault == "counts copies" and state.n_copies > 1):
            policy = POLICIES["worst_fit"]
        else:
            policy = POLICIES["best_fit"]
        run_policy(world, state, policy.arrays())
        if callable(progress):
            progress(int(state.arrays.counter[:, st.C_DECISIONS].sum()) + (self.fault == "boasts"))
        if self.fault == "cheats":
            state.arrays.machine_i[0, st.M_CPU, 0] += 1


def test_a_policy_that_runs_by_itself_can_be_held_to_a_contract() -> None:
    check_runner(_Runner())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stops early", "every window must be brought to its end"),
        ("cheats", "machine 0"),
        ("takes turns", "two runs must be equal"),
        ("boasts", "told .* of .* decisions"),
        ("counts copies", "must go alone as beside others"),
    ],
)
def test_a_runner_that_breaks_it_is_caught(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_runner(_Runner(fault))

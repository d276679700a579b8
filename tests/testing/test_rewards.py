"""Every term of the table keeps the contract; and the contract catches a reward that does not."""

from __future__ import annotations

import numpy as np
import pytest

from rlsched.reward.compose import REWARDS, Rewarder
from rlsched.sim import state as st
from rlsched.sim.options import PlacementOptions
from rlsched.sim.state import State
from rlsched.sim.world import World
from rlsched.testing.policies import small_worlds
from rlsched.testing.rewards import check_reward
from rlsched.traces.columns import Machines, Trace


@pytest.fixture(scope="module")
def full() -> dict[str, World]:
    """A world in which every term moves: machines with a price and a power curve, GPUs, tasks turned away."""
    n, m = 60, 4
    trace = Trace(
        task_id=np.arange(n),
        arrive_s=np.arange(n) * 50,
        depart_s=np.arange(n) * 50 + 900 + 37 * (np.arange(n) % 7),
        cpu_mcore=np.array([4000, 8000, 1000])[np.arange(n) % 3],
        mem_mib=np.array([1024, 8192])[np.arange(n) % 2],
        gpu_count=np.array([1, 0, 1, 2])[np.arange(n) % 4],
        gpu_mgpu=np.array([500, 0, 1000, 1000])[np.arange(n) % 4],
    )
    machines = Machines(
        machine_id=np.arange(m),
        cpu_mcore=np.full(m, 16_000),
        mem_mib=np.full(m, 32_768),
        gpu_count=np.full(m, 2),
        gpu_model=np.zeros(m, np.int64),
        gpu_models=("A",),
        power_curve=np.zeros(m, np.int64),
        power_curves=("hp_ml110_g4",),
        price_per_h=np.array([1.0, 2.0, 1.0, 3.0]),
    )
    from rlsched.sim.fragmentation import typical_requests

    options = PlacementOptions(fragmentation="gpu")
    return {"full": World.build(trace, machines, options, typical=typical_requests(trace))}


@pytest.mark.parametrize("term", list(REWARDS))
def test_every_term_keeps_the_contract(term: str, full: dict[str, World]) -> None:
    check_reward(lambda world, n: Rewarder(world, n, {term: 1.0}), worlds=full)


def test_a_weighted_sum_keeps_it_on_the_small_worlds() -> None:
    assert set(small_worlds()) == {"cpu", "gpu"}
    check_reward(lambda world, n: Rewarder(world, n, {"fragmentation": 1.0, "rejected_cpu": 2.0}))


class Broken:
    """Counts running tasks, and breaks one clause."""

    runs = 0

    def __init__(self, world: World, n: int, fault: str) -> None:
        self.fault = fault
        Broken.runs += 1

    def before(self, state: State, machines: np.ndarray) -> None:
        if self.fault == "touches":
            state.arrays.counter[0, st.C_SEED] += 1

    def placed(self, state: State) -> None: ...

    def after(self, state: State, out: np.ndarray) -> None:
        running = state.arrays.counter[:, st.C_RUNNING].astype(np.float64)
        if self.fault == "nan":
            running[:] = np.nan
        if self.fault == "neighbours":
            running += running.sum()
        if self.fault == "restless":
            running += Broken.runs
        if self.fault == "constant":
            running[:] = 1.0
        out[: 1 if self.fault == "first only" else None] = running[: 1 if self.fault == "first only" else None]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("touches", "measuring a reward must not change the state"),
        ("nan", "the reward must be finite for every copy"),
        ("first only", "the reward must be finite for every copy"),
        ("neighbours", "must be rewarded alone as beside others"),
        ("restless", "two runs must give the same rewards"),
        ("constant", "every decision got the same reward"),
    ],
)
def test_a_broken_reward_is_caught(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reward(lambda world, n: Broken(world, n, fault))

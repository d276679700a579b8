"""The contract of a placement reward, to be run on anybody's own.

::

    from rlsched.testing.rewards import check_reward

    def test_my_reward_keeps_the_contract():
        check_reward(lambda world, n_copies: MyReward(world, n_copies))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rlsched.sim.simulate import advance_all, decide_all
from rlsched.sim.state import State
from rlsched.sim.world import Window, World
from rlsched.testing.policies import fits_of, small_worlds

F64 = npt.NDArray[np.float64]


class Reward(Protocol):
    """What ``rlsched.reward.compose.Rewarder`` is, and what takes its place."""

    def before(self, state: State, machines: npt.NDArray[np.int64]) -> Any:
        """All copies wait for a decision, which is going to be these machines (N,)."""

    def placed(self, state: State) -> Any:
        """They have decided; the clock has not moved."""

    def after(self, state: State, out: F64) -> Any:
        """The clock stands at the next decision: fill ``out`` (N,) with the reward."""


def check_reward(make: Callable[[World, int], Reward], *, worlds: dict[str, World] | None = None) -> None:
    """Hold a reward to the contract, on small worlds made for it.

    Parameters
    ----------
    make : callable
        World and number of copies → a fresh reward.
    worlds : dict of str to World, optional
        Those of ``rlsched.testing.policies.small_worlds`` by default.

    Raises
    ------
    AssertionError
        Says which clause does not hold, in which world:

        1. ``out`` is filled for every copy with a finite number;
        2. measuring changes nothing: the state is the same byte for byte;
        3. two runs give the same rewards;
        4. a copy's rewards are the same alone and beside others;
        5. a decision is rewarded for what it did: some two decisions differ in reward.
    """
    for name, world in (worlds or small_worlds()).items():
        half = len(world.trace) // 2
        windows = [Window(0, half), world.whole, Window(half // 2, len(world.trace))]
        together = _run(make, world, windows, name)
        again = _run(make, world, windows, name)
        _expect(together == again, f"world {name}: two runs must give the same rewards")
        for n, window in enumerate(windows):
            alone = _run(make, world, [window], name)[0]
            _expect(alone == together[n], f"world {name}: copy {n} must be rewarded alone as beside others")
        values = {value for one in together for value in one}
        _expect(len(values) > 1, f"world {name}: every decision got the same reward {values}")


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _run(make: Callable[[World, int], Reward], world: World, windows: list[Window], name: str) -> list[list[float]]:
    """Place every task on the first machine that the state's own rules allow; rewards of every copy."""
    n = len(windows)
    state, reward = world.start(windows), make(world, n)
    out = np.zeros(n)
    found: list[list[float]] = [[] for _ in windows]
    waiting = advance_all(world, state)
    while (waiting >= 0).any():
        live = np.flatnonzero(waiting >= 0)
        machines = np.full(n, -1, np.int64)
        for copy in live:
            able = fits_of(world, state, int(waiting[copy]), int(copy))
            machines[copy] = int(np.flatnonzero(able)[0])
        out[:] = np.nan
        _quiet(partial(_before, reward, machines), state, name)
        decide_all(world, state, machines)
        _quiet(reward.placed, state, name)
        waiting = advance_all(world, state)
        _quiet(partial(_after, reward, out), state, name)
        _expect(bool(np.isfinite(out).all()), f"world {name}: the reward must be finite for every copy: got {out}")
        for copy in live:
            found[copy].append(float(out[copy]))
    return found


def _before(reward: Reward, machines: npt.NDArray[np.int64], state: State) -> None:
    reward.before(state, machines)


def _after(reward: Reward, out: F64, state: State) -> None:
    reward.after(state, out)


def _quiet(measure: Callable[[State], Any], state: State, name: str) -> None:
    before = state.copy()
    measure(state)
    _expect(state.same_as(before), f"world {name}: measuring a reward must not change the state")

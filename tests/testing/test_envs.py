"""Every environment keeps the contract; and the contract catches one that does not, clause by clause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, problem

import rlsched.envs  # noqa: F401 - registers the environments
from rlsched.envs.placement import PlacementEnv
from rlsched.errors import PolicyError
from rlsched.testing.envs import check_env


@pytest.mark.parametrize("gpus", [True, False])
def test_placement_keeps_the_contract(gpus: bool) -> None:
    made = problem(gpus=gpus, cut=not gpus)
    check_env(lambda: PlacementEnv(made, GPU_SETTINGS if gpus else CPU_SETTINGS))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rlsched/Consolidation-v0", "rlsched/Scaling-v0"])
def test_every_other_environment_keeps_the_contract(name: str) -> None:
    check_env(lambda: gymnasium.make(name), steps=60)


class Toy(gymnasium.Env[np.ndarray, np.ndarray]):
    """Keeps the contract: walk up and down a line for ten steps; up to three ways to break it."""

    metadata = {"render_modes": []}  # noqa: RUF012 - gymnasium declares it so

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.observation_space = gymnasium.spaces.Box(-100.0, 100.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.at = np.zeros(2, np.float32)
        self.left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if options and self.fault != "takes options":
            raise PolicyError("no options")
        self.left = 10
        start = 0.0 if self.fault == "seedless" else self.np_random.normal()
        self.at[:] = start, 0.0
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.left == 0 and self.fault not in ("starts by itself", "crashes"):
            raise PolicyError("reset first")
        if self.left == 0 and self.fault == "crashes":
            raise IndexError("pop from empty list")
        if self.fault == "remembers":
            self.at[1] += 1e-3
        action = np.asarray(action)
        if self.fault == "clips":
            action = np.clip(np.nan_to_num(action.reshape(-1)[:1]), -1, 1)
        elif action.shape != (1,) or not (np.abs(action) <= 1).all():
            raise PolicyError("out of range")
        self.at[0] += action[0] + (np.random.default_rng().normal() if self.fault == "draws" else 0.0)
        self.left -= 1
        reward = float("nan") if self.fault == "nan reward" else float(self.at[0])
        over: Any = np.bool_(self.left <= 0) if self.fault == "numpy flags" else self.left <= 0
        return self._seen(), reward, over, False, {}

    def _seen(self) -> np.ndarray:
        if self.fault == "aliased":
            return self.at
        if self.fault == "other dtype":
            return self.at.astype(np.float64)
        return self.at + np.float32(1e6 if self.fault == "leaves its space" else 0)


def test_a_sound_toy_keeps_it() -> None:
    check_env(Toy, steps=40)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("takes options", "an unknown option of reset must be refused, and was taken"),
        ("starts by itself", "a step before the first reset must be refused"),
        ("crashes", "a step before the first reset must be a UserError: it was IndexError"),
        ("seedless", "another seed must give another episode"),
        ("draws", "the same seed and actions must give the same bytes"),
        ("clips", "NaN must be refused, and was taken"),
        ("remembers", "a refused action must leave the episode as if it was not tried"),
        ("nan reward", "the reward must be one finite number"),
        ("numpy flags", "terminated must be a bool: got bool"),
        ("aliased", "the observation returned at step 0 must stay as it was"),
        ("other dtype", "must be float32: got float64"),
        ("leaves its space", "must lie in its space"),
    ],
)
def test_a_broken_toy_is_caught(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_env(lambda: Toy(fault), steps=40)


class _Unmasked(PlacementEnv):
    """Takes masked actions for the first candidate."""

    def step(self, action: Any) -> Any:
        mask = self.episodes.out.action_mask[0]
        return super().step(action if 0 <= action < mask.size and mask[int(action)] else np.int64(0))


class _Blind(PlacementEnv):
    """Says in info that everything is allowed."""

    def _info(self) -> dict[str, Any]:
        return {"action_mask": np.ones_like(super()._info()["action_mask"])}


@pytest.mark.parametrize(
    ("broken", "message"),
    [(_Unmasked, "must be refused, and was taken"), (_Blind, "the masks of observation and info must agree")],
)
def test_masks_that_do_not_hold_are_caught(broken: Callable[..., Any], message: str) -> None:
    made = problem(n_machines=4)
    with pytest.raises(AssertionError, match=message):
        check_env(lambda: broken(made, GPU_SETTINGS), steps=30)

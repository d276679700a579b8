"""The adapter to stable-baselines3 over placement: the same numbers, no copies, masks, ends."""

from __future__ import annotations

import numpy as np
import pytest
from placement_worlds import GPU_SETTINGS, problem
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from rlsched.envs.sb3 import CopiesVecEnv
from rlsched.envs.vector import PlacementVectorEnv
from rlsched.errors import SpecError


def make(n: int = 3, **kwargs) -> CopiesVecEnv:
    return CopiesVecEnv(PlacementVectorEnv(n, problem(**kwargs), GPU_SETTINGS, copy=False), keep_ended=True)


def test_it_gives_what_the_vector_environment_gives_without_copying() -> None:
    adapter, env = make(), PlacementVectorEnv(3, problem(), GPU_SETTINGS)
    adapter.seed(4)
    theirs, _ = env.reset(seed=4)
    mine = adapter.reset()
    assert mine["candidates"] is adapter.env.episodes.out.candidates
    for _ in range(80):
        assert all((mine[name] == theirs[name]).all() for name in mine)
        mine, reward, done, _ = adapter.step(np.zeros(3, np.int64))
        theirs, rewards, terminated, truncated, _ = env.step(np.zeros(3, np.int64))
        assert (reward == rewards.astype(np.float32)).all()
        assert (done == (terminated | truncated)).all()
    assert mine["candidates"] is adapter.env.episodes.out.candidates
    assert adapter.busy_s > 0


@pytest.mark.parametrize("cut", [True, False])
def test_only_a_truncated_end_is_bootstrapped(cut: bool) -> None:
    adapter = make(cut=cut)
    adapter.reset()
    for _ in range(400):
        _, _, done, infos = adapter.step(np.zeros(3, np.int64))
        if done.any():
            n = int(np.flatnonzero(done)[0])
            assert infos[n]["TimeLimit.truncated"] is cut
            assert infos[n]["terminal_observation"]["action_mask"].sum() == 0
            assert adapter.ended[0]["episode_steps"] == infos[n]["episode"]["l"]
            return
    raise AssertionError("no episode ended")


def test_masks_are_found_by_sb3_contrib() -> None:
    adapter = make()
    obs = adapter.reset()
    assert is_masking_supported(adapter)
    assert (get_action_masks(adapter) == obs["action_mask"].astype(bool)).all()
    assert (adapter.env_method("action_masks", indices=1)[0] == obs["action_mask"][1].astype(bool)).all()
    with pytest.raises(NotImplementedError, match="no method 'fly'"):
        adapter.env_method("fly")
    with pytest.raises(NotImplementedError, match="share their attributes"):
        adapter.set_attr("x", 1)
    assert adapter.env_is_wrapped(object) == [False] * 3


def test_an_environment_that_copies_is_refused() -> None:
    with pytest.raises(SpecError, match="copy=False"):
        CopiesVecEnv(PlacementVectorEnv(2, problem(), GPU_SETTINGS))

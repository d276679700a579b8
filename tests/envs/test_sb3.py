"""``sb3_vec_env``: one adapter for the three levers, by id or over a vector environment, without copying."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from consolidation_problems import KNOBS
from consolidation_problems import problem as consolidation
from placement_worlds import GPU_SETTINGS
from placement_worlds import problem as placement
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from rlsched.envs import IDS, sb3_vec_env
from rlsched.envs.consolidation_problem import ConsolidationSettings
from rlsched.envs.scaling_actions import BandVectorActions
from rlsched.envs.scaling_vector import ScalingVectorEnv
from rlsched.errors import PolicyError, SpecError

MOVES = ConsolidationSettings(actions="moves", budget=3, candidate_vms=4, candidate_machines=2)
OPTIONS = {
    "placement": (IDS[0], {"problem": placement(cut=True), "settings": GPU_SETTINGS}),
    "scaling": (IDS[1], {}),
    "knobs": (IDS[2], {"problem": consolidation(), "settings": KNOBS}),
    "moves": (IDS[2], {"problem": consolidation(), "settings": MOVES}),
}


def leaves(obs) -> list[np.ndarray]:
    return list(obs.values()) if isinstance(obs, dict) else [obs]


@pytest.mark.parametrize("lever", OPTIONS)
def test_the_adapter_says_what_the_vector_environment_says(lever: str) -> None:
    name, options = OPTIONS[lever]
    adapter, plain = sb3_vec_env(name, 3, **options), gymnasium.make_vec(name, num_envs=3, **options)
    adapter.seed(5)
    mine, theirs = adapter.reset(), plain.reset(seed=5)[0]
    assert all(a is b for a, b in zip(leaves(mine), leaves(adapter.seen()), strict=True)), "nothing is copied"
    still = np.zeros(plain.action_space.shape, plain.action_space.dtype)
    if lever in ("scaling", "knobs"):
        still += plain.action_space.low + (9 if lever == "scaling" else 0)
    for _ in range(400):
        assert [one.tobytes() for one in leaves(mine)] == [one.tobytes() for one in leaves(theirs)]
        mine, reward, done, infos = adapter.step(still)
        theirs, rewards, terminated, truncated, final = plain.step(still)
        assert (reward == rewards.astype(np.float32)).all()
        assert reward.dtype == np.float32
        assert (done == (terminated | truncated)).all()
        if done.any():
            break
    n = int(np.flatnonzero(done)[0])
    assert infos[n]["TimeLimit.truncated"]
    last = zip(leaves(infos[n]["terminal_observation"]), leaves(final["final_obs"][n]), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in last)
    assert infos[n]["episode"]["r"] == final["final_info"]["episode_return"][n]
    assert infos[n]["episode"]["l"] == final["final_info"]["episode_steps"][n]
    assert adapter.ended == []  # kept for the trainers alone: nobody else would ever clear it


@pytest.mark.parametrize("lever", OPTIONS)
def test_masks_are_found_where_there_are_any(lever: str) -> None:
    name, options = OPTIONS[lever]
    adapter = sb3_vec_env(name, 3, **options)
    obs = adapter.reset()
    assert adapter.get_attr("render_mode", indices=0) == [None]
    if lever in ("placement", "moves"):
        assert is_masking_supported(adapter)
        assert (get_action_masks(adapter) == obs["action_mask"].astype(bool)).all()
    else:
        assert not is_masking_supported(adapter)
        with pytest.raises(NotImplementedError, match="no method 'action_masks'"):
            adapter.env_method("action_masks")


def test_a_vector_environment_in_a_wrapper_is_taken_as_it_is() -> None:
    env = gymnasium.make_vec(IDS[1], num_envs=2, copy=False)
    adapter = sb3_vec_env(BandVectorActions(env))
    assert adapter.num_envs == 2
    assert adapter.action_space.shape == (2,)
    assert np.shares_memory(adapter.reset(), env.unwrapped.episodes.out)
    adapter.set_options({"fast": True})
    with pytest.raises(PolicyError, match="reset has no options: got fast"):
        adapter.reset()


def test_what_cannot_be_adapted_is_one_clear_error() -> None:
    with pytest.raises(
        SpecError, match=r"unknown environment 'rlsched/Scaling-v1'\. Did you mean 'rlsched/Scaling-v0'"
    ):
        sb3_vec_env("rlsched/Scaling-v1")
    with pytest.raises(SpecError, match=r"env must be an id \(rlsched/Placement-v0, .* got 64"):
        sb3_vec_env(64)
    with pytest.raises(SpecError, match="copy=False"):
        sb3_vec_env(ScalingVectorEnv(2))
    with pytest.raises(SpecError, match="made already: num_envs, card would change nothing"):
        sb3_vec_env(ScalingVectorEnv(2, copy=False), 2, card="scaling")
    with pytest.raises(SpecError, match="need a vector environment of rlsched"):
        sb3_vec_env(gymnasium.make_vec("CartPole-v1", num_envs=2))


@pytest.mark.slow
def test_ppo_learns_offsets_of_the_band_through_the_adapter() -> None:
    from stable_baselines3 import PPO

    adapter = sb3_vec_env(BandVectorActions(ScalingVectorEnv(8, copy=False)))
    model = PPO("MlpPolicy", adapter, n_steps=36, batch_size=96, n_epochs=1, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(8 * 36 * 2)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))

"""The adapter for stable-baselines3."""

from __future__ import annotations

import numpy as np
import pytest

from rlsched.envs.scaling_actions import BandVectorActions
from rlsched.envs.scaling_sb3 import scaling_vec_env
from rlsched.envs.scaling_vector import ScalingVectorEnv


def test_the_adapter_says_what_the_vector_environment_says() -> None:
    adapter, plain = scaling_vec_env(3), ScalingVectorEnv(3)
    adapter.seed(5)
    first = adapter.reset()
    assert first.tobytes() == plain.reset(seed=5)[0].tobytes()
    assert np.shares_memory(first, adapter.env.episodes.out)
    actions = np.full((3, 1), 9.0, np.float32)
    for _ in range(288):
        observation, reward, done, infos = adapter.step(actions)
        wanted, rewards, _, truncated, final = plain.step(actions)
        assert observation.tobytes() == wanted.tobytes()
        assert (reward == rewards.astype(np.float32)).all()
        assert (done == truncated).all()
    assert done.all()
    assert infos[1]["TimeLimit.truncated"]
    assert infos[1]["terminal_observation"].tobytes() == final["final_obs"][1].tobytes()
    assert infos[1]["episode"]["r"] == final["final_info"]["episode_return"][1]
    assert infos[1]["episode"]["l"] == 288


@pytest.mark.slow
def test_ppo_learns_offsets_of_the_band_through_the_adapter() -> None:
    from stable_baselines3 import PPO

    adapter = scaling_vec_env(8, wrap=BandVectorActions)
    model = PPO("MlpPolicy", adapter, n_steps=36, batch_size=96, n_epochs=1, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(8 * 36 * 2)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))

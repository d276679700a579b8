"""The vector environment as stable-baselines3 takes it, without copying observations.

Needs stable-baselines3, so it is imported only where asked for: ``rlsched.envs.sb3_vec_env``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlsched.envs.vector import PlacementVectorEnv
from rlsched.errors import SpecError


class PlacementVecEnv(VecEnv):  # type: ignore[misc]
    """Adapter of :class:`~rlsched.envs.vector.PlacementVectorEnv`.

    The environment's two sets of buffers take turns, so an observation stays as it was until
    the step after the next: long enough for a rollout buffer, which copies it then.

    Parameters
    ----------
    env : PlacementVectorEnv
        Made with ``copy=False``.

    Attributes
    ----------
    busy_s : float
        Seconds spent in the environment.
    ended : list of dict
        What each episode that ended had done; cleared by whoever reads it.
    """

    def __init__(self, env: PlacementVectorEnv) -> None:
        if env.copy:
            raise SpecError("the adapter needs an environment made with copy=False.")
        self.env = env
        self.busy_s = 0.0
        self.ended: list[dict[str, Any]] = []
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Begin the next episode of every copy; of the seed given to `seed` before."""
        seeds = [seed for seed in self._seeds if seed is not None]
        obs, _ = self.env.reset(seed=seeds[0] if seeds else None)
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> Any:
        """Step every copy."""
        began = time.perf_counter()
        obs, reward, terminated, truncated, infos = self.env.step(self._actions)
        self.busy_s += time.perf_counter() - began
        out: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = terminated | truncated
        if not done.any():
            return obs, reward.astype(np.float32), done, out
        for n in np.flatnonzero(done):
            final = {key: infos["final_info"][key][n] for key in ("window", "episode_return", "episode_steps")}
            self.ended.append(final)
            out[n] = {
                "terminal_observation": infos["final_obs"][n],
                "TimeLimit.truncated": bool(truncated[n]),
                "episode": {"r": final["episode_return"], "l": final["episode_steps"], "t": 0.0},
            }
        return obs, reward.astype(np.float32), done, out

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def has_attr(self, attr_name: str) -> bool:
        """True for what every copy has."""
        return attr_name in ("action_masks", "render_mode") or hasattr(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The environment's attribute, once a copy."""
        return [getattr(self.env, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: copies share everything that could be set."""
        raise NotImplementedError("copies of a placement environment share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """``action_masks`` of some copies; nothing else can be called copy by copy."""
        if method_name != "action_masks" or method_args or method_kwargs:
            raise NotImplementedError(f"a placement environment has no method {method_name!r} of one copy")
        masks = self.env.action_masks()
        return [masks[n] for n in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - its signature
        """Never."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: Any) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [int(indices)] if isinstance(indices, (int, np.integer)) else [int(n) for n in indices]

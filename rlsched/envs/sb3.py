"""Vector environments as stable-baselines3 takes them, without copying observations.

Needs stable-baselines3, so it is imported only where asked for: ``rlsched.envs.sb3_vec_env``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from rlsched.errors import SpecError

Array = npt.NDArray[Any]
#: What the vector environments' ``step`` returns.
Stepped = tuple[Any, Array, Array, Array, dict[str, Any]]
_ENDED = ("window", "episode_return", "episode_steps")


class CopiesVecEnv(VecEnv):
    """The vector environment of any lever, bare or in a wrapper, for stable-baselines3.

    The environment's two sets of buffers take turns, so an observation stays as it was until
    the step after the next: long enough for a rollout buffer, which copies it then.

    Parameters
    ----------
    env : gymnasium.vector.VectorEnv
        Of placement, scaling or consolidation, made with ``copy=False``.
    action_space : gymnasium.Space, optional
        Of one copy, where :meth:`advance` takes other actions than the environment.
    keep_ended : bool
        Keep what ``ended`` lists: for who reads and clears it.

    Attributes
    ----------
    busy_s : float
        Seconds spent in steps of the environment.
    ended : list of dict
        ``window, episode_return, episode_steps`` of each episode that ended, where they are kept.

    Raises
    ------
    SpecError
        For another environment, or one that copies what it hands out.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        action_space: gymnasium.Space[Any] | None = None,
        *,
        keep_ended: bool = False,
    ) -> None:
        inner: Any = env.unwrapped
        if not hasattr(inner, "episodes") or not hasattr(inner, "copy"):
            raise SpecError(f"need a vector environment of rlsched: got {env}.")
        if inner.copy:
            raise SpecError("need an environment that hands out its buffers: make it with copy=False.")
        self.env, self.episodes = env, inner.episodes
        self.busy_s = 0.0
        self.ended: list[dict[str, Any]] = []
        self._keep_ended = keep_ended
        self._actions: Any = None
        space = env.single_observation_space
        self._masked = isinstance(space, gymnasium.spaces.Dict) and "action_mask" in space.spaces
        super().__init__(env.num_envs, space, action_space or env.single_action_space)

    def advance(self, actions: Array) -> Stepped:
        """Step every copy. A subclass may translate the actions, and pay something else."""
        stepped: Stepped = self.env.step(actions)
        return stepped

    def seen(self) -> Any:
        """The latest observation, the environment's own buffers."""
        out = self.episodes.out
        return out.as_dict() if hasattr(out, "as_dict") else out

    def reset(self) -> Any:
        """Begin the next episode of every copy; of the seed given to `seed` before."""
        seed = next((one for one in self._seeds if one is not None), None)
        # No environment has options: it says so where some were set.
        options = next((one for one in self._options if one), None)
        self._reset_seeds()
        self._reset_options()
        return self.env.reset(seed=seed, options=options)[0]

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> Any:
        """Step every copy; a copy whose episode ends begins the next."""
        began = time.perf_counter()
        obs, reward, terminated, truncated, infos = self.advance(self._actions)
        self.busy_s += time.perf_counter() - began
        out: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = terminated | truncated
        for n in np.flatnonzero(done):
            last = {key: infos["final_info"][key][n] for key in _ENDED}
            if self._keep_ended:
                self.ended.append(last)
            out[n] = {
                "terminal_observation": infos["final_obs"][n],
                "TimeLimit.truncated": bool(truncated[n]),
                "episode": {"r": float(last["episode_return"]), "l": int(last["episode_steps"]), "t": 0.0},
            }
        return obs, reward.astype(np.float32), done, out

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def has_attr(self, attr_name: str) -> bool:
        """True for what every copy has."""
        return self._masked if attr_name == "action_masks" else hasattr(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The environment's attribute, once a copy."""
        return [getattr(self.env, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: copies share everything that could be set."""
        raise NotImplementedError(f"{attr_name!r} cannot be set: the copies of an environment share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """``action_masks`` of some copies where there are masks; nothing else can be called copy by copy."""
        if method_name != "action_masks" or not self._masked or method_args or method_kwargs:
            raise NotImplementedError(f"this environment has no method {method_name!r} of one copy")
        masks = self.seen()["action_mask"].astype(bool)
        return [masks[n] for n in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - its signature
        """Never."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: Any) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [int(indices)] if isinstance(indices, (int, np.integer)) else [int(n) for n in indices]

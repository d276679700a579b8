"""``N`` copies of a problem stepped together, as stable-baselines3 takes them: what is the same for every problem."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from rlsched.rng import stream_seed

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


class CopiesVecEnv(VecEnv):  # type: ignore[misc]
    """Copies whose episodes end because their time is over, never because of what was decided.

    Parameters
    ----------
    lever : str
        What is decided, for seeds and messages.
    episodes : object
        Engine of the copies, with ``seed``, ``begin``, ``out``, ``save`` and ``load``.
    observation_space, action_space : gymnasium.Space
        Of one copy.
    n_envs : int

    Attributes
    ----------
    busy_s : float
        Seconds spent in steps.
    ended : list of dict
        ``window, episode_return, episode_steps`` of every episode that has ended.
    """

    render_mode: str | None = None  # stable-baselines3 asks for it

    def __init__(self, lever: str, episodes: Any, observation_space: Any, action_space: Any, n_envs: int) -> None:
        self.lever, self.episodes = lever, episodes
        self.busy_s = 0.0
        self.ended: list[dict[str, Any]] = []
        self._actions: Any = None
        super().__init__(n_envs, observation_space, action_space)

    @abstractmethod
    def advance(self, actions: F32) -> tuple[F32, Bool]:
        """Step every copy: what it is paid, and whether its episode has ended; both the caller's to keep."""

    @abstractmethod
    def finished(self, n: int) -> dict[str, Any]:
        """``window, episode_return, episode_steps`` of copy ``n``, whose episode has ended."""

    def reset(self) -> F32:
        """Begin the next episode of every copy; of the seed given to `seed` before."""
        seeds = [seed for seed in self._seeds if seed is not None]
        if seeds:
            own = [stream_seed(int(seeds[0]), self.lever, n) for n in range(self.num_envs)]
            self.episodes.seed(np.array(own, np.int64))
        self._reset_seeds()
        self.episodes.begin(np.arange(self.num_envs))
        return self.seen()

    def seen(self) -> F32:
        """The latest observation, a copy."""
        out: F32 = self.episodes.out.copy()
        return out

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = np.asarray(actions, np.float32)

    def step_wait(self) -> Any:
        """Step every copy; a copy whose episode ends begins the next."""
        began = time.perf_counter()
        reward, over = self.advance(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        copies = np.flatnonzero(over)
        for n in copies:
            last = self.finished(int(n))
            self.ended.append(last)
            infos[n] = {
                "terminal_observation": self.episodes.out[n].copy(),
                "TimeLimit.truncated": True,
                "episode": {"r": float(last["episode_return"]), "l": int(last["episode_steps"]), "t": 0.0},
            }
        if copies.size:
            self.episodes.begin(copies)
        self.busy_s += time.perf_counter() - began
        return self.seen(), reward, over, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once a copy."""
        return [getattr(self, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: copies share everything that could be set."""
        raise NotImplementedError(f"copies of a {self.lever} environment share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Nothing can be called copy by copy."""
        raise NotImplementedError(f"a {self.lever} environment has no method {method_name!r} of one copy")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - its signature
        """Never."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Any) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [int(indices)] if isinstance(indices, (int, np.integer)) else [int(n) for n in indices]

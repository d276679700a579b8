"""``rlsched/Scaling-v0``, ``N`` copies in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlsched.envs.scaling import refuse_options, scaling_seeds
from rlsched.envs.scaling_card import resolve_scaling
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.errors import PolicyError, SpecError

Array = np.ndarray[Any, Any]


class ScalingVectorEnv(VectorEnv[Array, Array, Array]):
    """``num_envs`` copies of :class:`~rlsched.envs.scaling.ScalingEnv`, stepped together.

    Parameters
    ----------
    num_envs : int
    problem, settings, card
        As there.
    copy : bool
        False hands out the buffers themselves: an observation then stays as it was until the
        step after the next one, a reward until the next.

    Notes
    -----
    Autoreset is **same-step**: the observation of a copy whose episode ends is already the first
    of its next episode; the last one is in ``infos["final_obs"]``, its info in
    ``infos["final_info"]``. Copy ``n`` replays what a single environment with its seed would,
    whatever ``num_envs`` is. The parts of the reward are in ``self.episodes.terms(n)``.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium declares it so

    def __init__(
        self,
        num_envs: int = 1,
        problem: ScalingProblem | None = None,
        settings: ScalingSettings | None = None,
        card: str = "scaling",
        copy: bool = True,
    ) -> None:
        if num_envs < 1:
            raise SpecError(f"num_envs must be >= 1: got {num_envs}.")
        problem, settings = resolve_scaling(problem, settings, card)
        self.num_envs, self.copy = num_envs, copy
        self.episodes = ScalingEpisodes(problem, settings, num_envs)
        self.single_observation_space = self.episodes.observation_space()
        self.single_action_space = self.episodes.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._began = False
        self._false = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin the next episode of every copy; with a seed (one, or one a copy), the first of it."""
        refuse_options(options)
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise SpecError(f"need one seed a copy: got {len(seed)} for {self.num_envs} copies.")
            self.episodes.seed(np.array([scaling_seeds(int(one), 1)[0] for one in seed], np.int64))
        elif seed is not None:
            super().reset(seed=seed)
            self.episodes.seed(scaling_seeds(seed, self.num_envs))
        elif not self._began:
            self.episodes.seed(scaling_seeds(int(self.np_random.integers(2**31)), self.num_envs))
        self._began = True
        self.episodes.begin(np.arange(self.num_envs))
        return self._observation(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Take every copy's decision and run its interval."""
        if not self._began:
            raise PolicyError("the environment was never reset: call reset() before step().")
        reward, ended = self.episodes.step(np.asarray(actions))
        if not ended:
            return self._observation(), reward.copy() if self.copy else reward, self._never(), self._never(), {}
        truncated = self.episodes.over
        infos = self._final(truncated)
        self.episodes.begin(np.flatnonzero(truncated))
        return self._observation(), reward.copy() if self.copy else reward, self._never(), truncated, infos

    def _never(self) -> Array:
        return self._false.copy() if self.copy else self._false

    def _final(self, ended: Array) -> dict[str, Any]:
        """Last observations and infos, as gymnasium's ``_add_info`` lays them out, all copies at once."""
        copies = np.flatnonzero(ended)
        last = self.episodes.out[copies]
        observations = np.full(self.num_envs, None, dtype=object)
        for i, n in enumerate(copies):
            observations[n] = last[i]
        final: dict[str, Any] = {}
        for name, values in self.episodes.episode(copies).items():
            final[name] = (
                np.full(self.num_envs, None, object)
                if values.dtype == object
                else np.zeros(self.num_envs, values.dtype)
            )
            final[name][copies] = values
            final[f"_{name}"] = ended.copy()
        return {"final_obs": observations, "_final_obs": ended.copy(), "final_info": final, "_final_info": ended.copy()}

    def _observation(self) -> Array:
        return self.episodes.out.copy() if self.copy else self.episodes.out

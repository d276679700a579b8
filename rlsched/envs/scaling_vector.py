"""``rlsched/Scaling-v0``, ``N`` copies in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space

from rlsched.envs.copies import ManyCopies
from rlsched.envs.scaling_card import resolve_scaling
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.errors import PolicyError

Array = np.ndarray[Any, Any]


class ScalingVectorEnv(ManyCopies):
    """``num_envs`` copies of :class:`~rlsched.envs.scaling.ScalingEnv`, stepped together.

    Parameters
    ----------
    num_envs : int
    problem, settings, card
        As there.
    copy : bool
        False hands out the buffers themselves: an observation then stays as it was until the
        step after the next one, a reward until the next.
    render_mode : None
        Pictures are of one environment: anything else is refused.

    Notes
    -----
    Autoreset is **same-step**: the observation of a copy whose episode ends is already the first
    of its next episode; the last one is in ``infos["final_obs"]``, its info in
    ``infos["final_info"]``. Copy ``n`` replays what a single environment with its seed would,
    whatever ``num_envs`` is. The parts of the reward are in ``self.episodes.terms(n)``.
    """

    lever = "scaling"

    def __init__(
        self,
        num_envs: int = 1,
        problem: ScalingProblem | None = None,
        settings: ScalingSettings | None = None,
        card: str = "scaling",
        copy: bool = True,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        problem, settings = resolve_scaling(problem, settings, card)
        self.episodes = ScalingEpisodes(problem, settings, num_envs)
        self.single_observation_space = self.episodes.observation_space()
        self.single_action_space = self.episodes.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._false = np.zeros(num_envs, np.bool_)

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
        out: Array = self.episodes.out
        return out.copy() if self.copy else out

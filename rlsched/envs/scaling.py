"""``rlsched/Scaling-v0``, one copy: choose how many instances serve, every control interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlsched.envs.copies import OneCopy
from rlsched.envs.render_scaling import draw_scaling
from rlsched.envs.scaling_card import resolve_scaling
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.errors import PolicyError

Array = np.ndarray[Any, Any]


class ScalingEnv(OneCopy):
    """Scale one service, or several that share the clock.

    Parameters
    ----------
    problem : ScalingProblem, optional
        World and windows; by default those of ``card``.
    settings : ScalingSettings, optional
        What is seen, done and rewarded; by default those of ``card``.
    card : str
        Name or path of an environment card, used for what is not given.
    render_mode : {"human", "rgb_array"}, optional
        ``rgb_array``: :meth:`render` returns the picture; ``human``: every step shows it.

    Notes
    -----
    Observation: ``self.episodes.fields``, one number each, for the first service, then the second.
    Action: for each service the instances wanted, booting ones included; then the type where the
    card has several, and the share on the spot market where one is sold there (a type that is not
    is bought on demand). ``info["reward_terms"]`` has the parts of the reward in USD.
    Other actions: the wrappers of ``rlsched.envs.scaling_actions``.
    """

    lever = "scaling"

    def __init__(
        self,
        problem: ScalingProblem | None = None,
        settings: ScalingSettings | None = None,
        card: str = "scaling",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode)
        self._past: list[Array] = []
        self._chosen: Array | None = None
        problem, settings = resolve_scaling(problem, settings, card)
        self.episodes = ScalingEpisodes(problem, settings, 1)
        self.observation_space = self.episodes.observation_space()
        self.action_space = self.episodes.action_space()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin the next episode; with a seed, the first of that seed."""
        self._begin(seed, options)
        self._past, self._chosen = [], None
        self._show()
        return self.episodes.out[0].copy(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Take the decision and run the interval."""
        if self._root is None:
            raise PolicyError("the environment was never reset: call reset() before step().")
        reward, ended = self.episodes.step(np.asarray(action)[None])
        if self._screen is not None:
            self._past.append(self.episodes.state.code.last[0].sum(axis=0))
            self._chosen = np.array(action, copy=True)
            self._show()
        info: dict[str, Any] = {"reward_terms": self.episodes.terms(0)}
        if ended:
            info |= {name: values[0] for name, values in self.episodes.episode(np.zeros(1, np.int64)).items()}
        return self.episodes.out[0].copy(), float(reward[0]), False, bool(ended), info

    def _draw(self, figure: Any) -> None:
        draw_scaling(figure, self.episodes, self._past, self._chosen)

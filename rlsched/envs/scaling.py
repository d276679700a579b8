"""``rlsched/Scaling-v0``, one copy: choose how many instances serve, every control interval."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rlsched.envs.render import FPS, RENDER_MODES, Screen, check_mode
from rlsched.envs.render_scaling import draw_scaling
from rlsched.envs.scaling_card import resolve_scaling
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.errors import PolicyError
from rlsched.rng import stream_seed

Array = np.ndarray[Any, Any]


class ScalingEnv(gymnasium.Env[Array, Any]):
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

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": FPS}  # noqa: RUF012 - gymnasium declares it so

    def __init__(
        self,
        problem: ScalingProblem | None = None,
        settings: ScalingSettings | None = None,
        card: str = "scaling",
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = check_mode(render_mode)
        self._screen = None if render_mode is None else Screen(render_mode)
        self._past: list[Array] = []
        self._chosen: Array | None = None
        problem, settings = resolve_scaling(problem, settings, card)
        self.episodes = ScalingEpisodes(problem, settings, 1)
        self.observation_space = self.episodes.observation_space()
        self.action_space = self.episodes.action_space()
        self._root: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin the next episode; with a seed, the first of that seed."""
        super().reset(seed=seed)
        refuse_options(options)
        if seed is not None or self._root is None:
            self._root = int(seed) if seed is not None else int(self.np_random.integers(2**31))
            self.episodes.seed(scaling_seeds(self._root, 1))
        self.episodes.begin(np.zeros(1, np.int64))
        self._past, self._chosen = [], None
        if self.render_mode == "human":
            self.render()
        return self.episodes.out[0].copy(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Take the decision and run the interval."""
        if self._root is None:
            raise PolicyError("the environment was never reset: call reset() before step().")
        reward, ended = self.episodes.step(np.asarray(action)[None])
        if self._screen is not None:
            self._past.append(self.episodes.state.code.last[0].sum(axis=0))
            self._chosen = np.array(action, copy=True)
            if self.render_mode == "human":
                self.render()
        info: dict[str, Any] = {"reward_terms": self.episodes.terms(0)}
        if ended:
            info |= {name: values[0] for name, values in self.episodes.episode(np.zeros(1, np.int64)).items()}
        return self.episodes.out[0].copy(), float(reward[0]), False, bool(ended), info

    def render(self) -> Any:
        """The picture of this moment, (640, 1000, 3) uint8; None in ``human`` mode, which shows it.

        Raises
        ------
        PolicyError
            Without a render mode, or before the first reset.
        """
        if self._screen is None:
            raise PolicyError('this environment was made without pictures: pass render_mode="rgb_array" to make().')
        if self._root is None:
            raise PolicyError("the environment was never reset: call reset() before render().")
        figure = self._screen.figure()
        draw_scaling(figure, self.episodes, self._past, self._chosen)
        return self._screen.show(figure)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._screen is not None:
            self._screen.close()


def scaling_seeds(root: int, n_copies: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Seed of each copy: depends on the root and its number only."""
    return np.array([stream_seed(root, "scaling", n) for n in range(n_copies)], np.int64)


def refuse_options(options: dict[str, Any] | None) -> None:
    """``reset`` has no options; say so."""
    if options:
        raise PolicyError(f"reset has no options: got {', '.join(sorted(options))}.")

"""``rlsched/Consolidation-v0``: a decision per tick about who moves where; one copy, and ``N`` in one compiled call."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector.utils import batch_space

from rlsched.envs.consolidation_card import resolve
from rlsched.envs.consolidation_episodes import ConsolidationEpisodes
from rlsched.envs.consolidation_moves import MoveEpisodes
from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.envs.consolidation_spaces import knob_space, n_candidates, observation_space
from rlsched.envs.copies import ManyCopies, OneCopy
from rlsched.envs.render_consolidation import Tick, draw_consolidation, remember, tick_of
from rlsched.envs.spaces import MaskedDiscrete, MaskedMultiDiscrete
from rlsched.errors import PolicyError

Array = npt.NDArray[Any]
CARD = "consolidation"


class ConsolidationEnv(OneCopy):
    """Decide at every tick what counts as overload, how full receivers get, and which machines are emptied.

    Parameters
    ----------
    problem : ConsolidationProblem, optional
        Worlds and semantics; by default those of ``card``.
    settings : ConsolidationSettings, optional
        What is done and rewarded; by default those of ``card``.
    card : str
        Name or path of an environment card, used for what is not given.
    render_mode : {"human", "rgb_array"}, optional
        ``rgb_array``: :meth:`render` returns the picture; ``human``: every step shows it.

    Notes
    -----
    Observation: ``rlsched.observe.consolidation_features``. Action: overload threshold, placement cap and
    evacuation, three numbers in the ranges of ``settings.ranges``; outside them, or NaN, ``PolicyError``.
    With ``settings.actions = "moves"``: the number of a move whose mask is 1, until 0 ends the tick or the
    budget is spent; see ``rlsched.sim.consolidation.moves`` for what is offered. ``info["reward_terms"]`` has
    the parts of the reward. An episode is a world from its first tick to its last, and is truncated there.
    """

    lever = "consolidation"

    def __init__(
        self,
        problem: ConsolidationProblem | None = None,
        settings: ConsolidationSettings | None = None,
        card: str = CARD,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode)
        self._past: list[Tick] = []
        self._chosen: dict[str, float] | str | None = None
        problem, settings = resolve(problem, settings, card)
        self.episodes = episodes_of(problem, settings, 1)
        self.observation_space = observation_space(problem, settings)
        self.action_space = action_space(settings)
        self._knobs = tuple(settings.ranges)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode; with a seed, the first of that seed."""
        self._begin(seed, options)
        self._past, self._chosen = [], None
        self._remember()
        return row_of(self.episodes.out, 0), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Set the knobs and run to the next tick; or choose a move."""
        if self._root is None:
            raise PolicyError("the environment was never reset: call reset() before step().")
        words = self._words(action) if self._screen is not None else ""
        reward, terminated, truncated = self.episodes.step(np.asarray(action)[None])
        if isinstance(self.episodes, MoveEpisodes):
            self._chosen = words
        else:
            self._chosen = dict(zip(self._knobs, map(float, action), strict=True))
        self._remember()
        info: dict[str, Any] = {**self._info(), "reward_terms": self.episodes.terms(0)}
        if truncated[0]:
            info |= self.episodes.episode(0)
        return row_of(self.episodes.out, 0), float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def action_masks(self) -> Array:
        """Mask of the present decision, (K + 1,) bool, as sb3-contrib asks for it; only where moves are chosen.

        Raises
        ------
        PolicyError
            Where knobs are set.
        """
        if not isinstance(self.episodes, MoveEpisodes):
            raise PolicyError('there is no mask over knobs: it comes with actions = "moves".')
        mask: Array = self.episodes.out["action_mask"][0].astype(bool)
        return mask

    def _draw(self, figure: Any) -> None:
        draw_consolidation(figure, self.episodes, self._past, self._chosen)

    def _words(self, action: Any) -> str:
        """A move as the picture tells it; the step that follows refuses one that is none."""
        engine, number = self.episodes, np.asarray(action)
        if not isinstance(engine, MoveEpisodes) or number.shape or number.dtype.kind not in "iu":
            return ""
        planned, k = int(engine.planned[0]), int(number)
        if k == 0:
            return f"this tick ends after {planned} move{'s' if planned != 1 else ''}"
        if not 0 < k <= engine.n_candidates:
            return ""
        vm, machine = (int(one) for one in engine.moves[0, k - 1])
        return f"VM {vm} to machine {machine}, move {planned + 1} of at most {engine.settings.budget} of its tick"

    def _info(self) -> dict[str, Any]:
        if not isinstance(self.episodes, MoveEpisodes):
            return {}
        mask = self.episodes.out["action_mask"][0].copy()
        if isinstance(self.action_space, MaskedDiscrete):
            self.action_space.mask = mask
        return {"action_mask": mask}

    def _remember(self) -> None:
        if self._screen is not None:
            remember(self._past, tick_of(self.episodes))
            self._show()


class ConsolidationVectorEnv(ManyCopies):
    """``num_envs`` copies of :class:`ConsolidationEnv`, stepped together.

    Parameters
    ----------
    num_envs : int
    problem, settings, card
        As there.
    copy : bool
        False hands out the buffers themselves: an observation then stays as it was until the
        step after the next one.
    render_mode : None
        Pictures are of one environment: anything else is refused.

    Notes
    -----
    Autoreset is **same-step**: the observation of a copy whose episode ends is already the first
    of its next episode; the last one is in ``infos["final_obs"]``, its info in
    ``infos["final_info"]``. Copy ``n`` replays what a single environment with its seed would,
    whatever ``num_envs`` is.
    """

    lever = "consolidation"

    def __init__(
        self,
        num_envs: int = 1,
        problem: ConsolidationProblem | None = None,
        settings: ConsolidationSettings | None = None,
        card: str = CARD,
        copy: bool = True,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        problem, settings = resolve(problem, settings, card)
        self.episodes = episodes_of(problem, settings, num_envs)
        self.single_observation_space = observation_space(problem, settings)
        self.single_action_space = action_space(settings)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = (
            MaskedMultiDiscrete(num_envs, int(self.single_action_space.n))
            if isinstance(self.single_action_space, MaskedDiscrete)
            else batch_space(self.single_action_space, num_envs)
        )

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Set every copy's knobs and run to its next tick."""
        if not self._began:
            raise PolicyError("the environment was never reset: call reset() before step().")
        reward, terminated, truncated = self.episodes.step(np.asarray(actions))
        reward = reward.copy()
        ended = np.flatnonzero(terminated | truncated)
        infos: dict[str, Any] = {}
        if ended.size:
            for n in ended:
                last = {"final_obs": row_of(self.episodes.out, int(n)), "final_info": self.episodes.episode(int(n))}
                infos = self._add_info(infos, last, int(n))
            self.episodes.begin(ended)
        return self._observation(), reward, terminated, truncated, {**self._infos(), **infos}

    def _observation(self) -> Any:
        out: Any = self.episodes.out
        if not self.copy:
            return out
        return {name: array.copy() for name, array in out.items()} if isinstance(out, dict) else out.copy()

    def _infos(self) -> dict[str, Any]:
        if not isinstance(self.episodes, MoveEpisodes):
            return {}
        mask = self.episodes.out["action_mask"]
        if isinstance(self.action_space, MaskedMultiDiscrete):
            self.action_space.mask = mask
        return {"action_mask": mask.copy() if self.copy else mask, "_action_mask": np.ones(self.num_envs, bool)}


def episodes_of(problem: ConsolidationProblem, settings: ConsolidationSettings, n_copies: int) -> ConsolidationEpisodes:
    """The engine for the settings' kind of actions."""
    return (MoveEpisodes if settings.actions == "moves" else ConsolidationEpisodes)(problem, settings, n_copies)


def action_space(settings: ConsolidationSettings) -> gymnasium.spaces.Space[Any]:
    """Three numbers, or one of the candidates and 0, which ends the tick."""
    return knob_space(settings) if settings.actions == "knobs" else MaskedDiscrete(n_candidates(settings) + 1)


def row_of(out: Any, n: int) -> Any:
    """A copy of one environment's observation."""
    return {name: array[n].copy() for name, array in out.items()} if isinstance(out, dict) else out[n].copy()

"""``rlsched/Placement-v0``, ``N`` copies in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space

from rlsched.envs.card import resolve
from rlsched.envs.copies import ManyCopies
from rlsched.envs.episodes import Episodes
from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.envs.spaces import MaskedDiscrete, MaskedMultiDiscrete, observation_space
from rlsched.errors import PolicyError, SpecError

Array = np.ndarray[Any, Any]


class PlacementVectorEnv(ManyCopies):
    """``num_envs`` copies of :class:`~rlsched.envs.placement.PlacementEnv`, stepped together.

    Parameters
    ----------
    num_envs : int
    problem, settings, card
        As there.
    copy : bool
        False hands out the buffers themselves: an observation then stays as it was until the
        step after the next one.
    threads : int
        Threads that share the copies; the result is the same, byte for byte.
    render_mode : None
        Pictures are of one environment: anything else is refused.

    Notes
    -----
    Autoreset is **same-step**: the observation of a copy whose episode ends is already the first
    of its next episode; the last one is in ``infos["final_obs"]``, its info in
    ``infos["final_info"]``. Copy ``n`` replays what a single environment with its seed would,
    whatever ``num_envs`` is.
    """

    lever = "placement"

    def __init__(
        self,
        num_envs: int = 1,
        problem: PlacementProblem | None = None,
        settings: PlacementSettings | None = None,
        card: str = "placement",
        copy: bool = True,
        threads: int = 1,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        if threads < 1:
            raise SpecError(f"threads must be >= 1: got {threads}.")
        problem, settings = resolve(problem, settings, card)
        self.episodes = Episodes(problem, settings, num_envs, threads)
        k = self.episodes.observer.n_candidates
        self.single_observation_space = observation_space(k)
        self.single_action_space = MaskedDiscrete(k)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = MaskedMultiDiscrete(num_envs, k)

    def step(self, actions: Array) -> tuple[dict[str, Array], Array, Array, Array, dict[str, Any]]:
        """Place every copy's waiting task and run to its next decision."""
        if not self._began:
            raise PolicyError("the environment was never reset: call reset() before step().")
        reward, terminated, truncated = self.episodes.step(np.asarray(actions))
        reward = reward.copy()
        ended = np.flatnonzero(terminated | truncated)
        final: dict[str, Any] = {}
        if ended.size:
            out = self.episodes.out.as_dict()
            for n in ended:
                last = {name: array[n].copy() for name, array in out.items()}
                info = {"action_mask": last["action_mask"], **self.episodes.episode(int(n))}
                final = self._add_info(final, {"final_obs": last, "final_info": info}, int(n))
            self.episodes.begin(ended)
        return self._observation(), reward, terminated, truncated, {**self._infos(), **final}

    def action_masks(self) -> Array:
        """Masks of the present decisions, (N, K) bool."""
        mask: Array = self.episodes.out.action_mask.astype(bool)
        return mask

    def _observation(self) -> dict[str, Array]:
        out = self.episodes.out.as_dict()
        return {name: array.copy() for name, array in out.items()} if self.copy else out

    def _infos(self) -> dict[str, Any]:
        mask = self.episodes.out.action_mask
        if isinstance(self.action_space, MaskedMultiDiscrete):
            self.action_space.mask = mask
        return {"action_mask": mask.copy() if self.copy else mask, "_action_mask": np.ones(self.num_envs, bool)}

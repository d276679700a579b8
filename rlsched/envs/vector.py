"""``rlsched/Placement-v0``, ``N`` copies in one compiled call."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlsched.envs.card import resolve
from rlsched.envs.episodes import Episodes
from rlsched.envs.placement import copy_seeds
from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.envs.spaces import MaskedDiscrete, observation_space
from rlsched.errors import PolicyError, SpecError

Array = np.ndarray[Any, Any]


class PlacementVectorEnv(VectorEnv[dict[str, Array], Array, Array]):
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

    Notes
    -----
    Autoreset is **same-step**: the observation of a copy whose episode ends is already the first
    of its next episode; the last one is in ``infos["final_obs"]``, its info in
    ``infos["final_info"]``. Copy ``n`` replays what a single environment with its seed would,
    whatever ``num_envs`` is.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium declares it so

    def __init__(
        self,
        num_envs: int = 1,
        problem: PlacementProblem | None = None,
        settings: PlacementSettings | None = None,
        card: str = "placement",
        copy: bool = True,
        threads: int = 1,
    ) -> None:
        if num_envs < 1:
            raise SpecError(f"num_envs must be >= 1: got {num_envs}.")
        if threads < 1:
            raise SpecError(f"threads must be >= 1: got {threads}.")
        problem, settings = resolve(problem, settings, card)
        self.num_envs, self.copy = num_envs, copy
        self.episodes = Episodes(problem, settings, num_envs, threads)
        k = self.episodes.observer.n_candidates
        self.single_observation_space = observation_space(k)
        self.single_action_space = MaskedDiscrete(k)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.spaces.MultiDiscrete(np.full(num_envs, k))
        self._began = False

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Begin the next episode of every copy; with a seed (one, or one a copy), the first of it."""
        if options:
            raise PolicyError(f"reset has no options: got {', '.join(sorted(options))}.")
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise SpecError(f"need one seed a copy: got {len(seed)} for {self.num_envs} copies.")
            self.episodes.seed(np.array([copy_seeds(int(one), 1)[0] for one in seed], np.int64))
        elif seed is not None:
            super().reset(seed=seed)
            self.episodes.seed(copy_seeds(seed, self.num_envs))
        elif not self._began:
            self.episodes.seed(copy_seeds(int(self.np_random.integers(2**31)), self.num_envs))
        self._began = True
        self.episodes.begin(np.arange(self.num_envs))
        return self._observation(), self._infos()

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
        return self.episodes.out.action_mask.astype(bool)

    def _observation(self) -> dict[str, Array]:
        out = self.episodes.out.as_dict()
        return {name: array.copy() for name, array in out.items()} if self.copy else out

    def _infos(self) -> dict[str, Any]:
        mask = self.episodes.out.action_mask
        return {"action_mask": mask.copy() if self.copy else mask, "_action_mask": np.ones(self.num_envs, bool)}

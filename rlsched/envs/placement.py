"""``rlsched/Placement-v0``, one copy: choose a machine for every arriving task."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlsched.envs.card import resolve
from rlsched.envs.copies import OneCopy
from rlsched.envs.episodes import Episodes
from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.envs.render_placement import Placed, draw_placement, last_placed
from rlsched.envs.spaces import MaskedDiscrete, observation_space
from rlsched.errors import PolicyError


class PlacementEnv(OneCopy):
    """Place arriving tasks on machines.

    Parameters
    ----------
    problem : PlacementProblem, optional
        Worlds and windows; by default those of ``card``.
    settings : PlacementSettings, optional
        What is seen, done and rewarded; by default those of ``card``.
    card : str
        Name or path of an environment card, used for what is not given.
    render_mode : {"human", "rgb_array"}, optional
        ``rgb_array``: :meth:`render` returns the picture; ``human``: every step shows it.

    Notes
    -----
    Observation: ``rlsched.observe.features``. Action: a candidate whose mask is 1; a masked one
    raises ``PolicyError``. ``info["action_mask"]`` repeats the mask; ``info["reward_terms"]``
    has the parts of the reward. Ends: see ``rlsched.envs.episodes``. Refusing a task that fits
    is not an action here.
    """

    lever = "placement"

    def __init__(
        self,
        problem: PlacementProblem | None = None,
        settings: PlacementSettings | None = None,
        card: str = "placement",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode)
        self._last: Placed | None = None
        problem, settings = resolve(problem, settings, card)
        self.episodes = Episodes(problem, settings, 1)
        k = self.episodes.observer.n_candidates
        self.observation_space = observation_space(k)
        self.action_space = MaskedDiscrete(k)
        self._action = np.zeros(1, np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Begin the next episode; with a seed, the first of that seed."""
        self._begin(seed, options)
        self._last = None
        self._show()
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[dict[str, np.ndarray[Any, Any]], float, bool, bool, dict[str, Any]]:
        """Place the waiting task on a candidate and run to the next decision."""
        if self._root is None:
            raise PolicyError("the environment was never reset: call reset() before step().")
        self._action[0] = whole_number(action)
        task, rows = int(self.episodes.state.task[0]) if self._screen is not None else -1, self.episodes.out.rows[0]
        reward, terminated, truncated = self.episodes.step(self._action)
        if self._screen is not None:
            self._last = last_placed(self.episodes, task, int(rows[self._action[0]]))
            self._show()
        ended, cut = bool(terminated[0]), bool(truncated[0])
        info = self._info()
        info["reward_terms"] = self.episodes.terms(0)
        if ended or cut:
            info |= self.episodes.episode(0)
        return self._observation(), float(reward[0]), ended, cut, info

    def action_masks(self) -> np.ndarray[Any, Any]:
        """Mask of the present decision, (K,) bool, as sb3-contrib asks for it."""
        mask: np.ndarray[Any, Any] = self.episodes.out.action_mask[0].astype(bool)
        return mask

    def _draw(self, figure: Any) -> None:
        draw_placement(figure, self.episodes, self._last)

    def _observation(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: array[0].copy() for name, array in self.episodes.out.as_dict().items()}

    def _info(self) -> dict[str, Any]:
        mask = self.episodes.out.action_mask[0].copy()
        space = self.action_space
        if isinstance(space, MaskedDiscrete):
            space.mask = mask
        return {"action_mask": mask}


def whole_number(action: Any) -> int:
    """An action as an ``int``; 0-d and one-element arrays of whole numbers count as one.

    Raises
    ------
    PolicyError
    """
    if isinstance(action, (int, np.integer)) and not isinstance(action, bool):
        return int(action)
    array = np.asarray(action)
    if array.size != 1 or array.dtype.kind not in "iu":
        raise PolicyError(
            f"an action must be one whole number, the row of a candidate whose mask is 1: got {action!r} "
            f"({array.dtype} of shape {array.shape})."
        )
    return int(array.reshape(()))

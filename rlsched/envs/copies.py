"""What the environments of all levers share around their step: seeds, ``reset``, pictures, an engine of copies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsched.envs.card_kind import IDS_BY_KIND
from rlsched.envs.render import FPS, RENDER_MODES, Screen, check_mode
from rlsched.errors import PolicyError, SpecError
from rlsched.rng import stream_seed


class OneCopy(gymnasium.Env[Any, Any]):
    """A single environment.

    Parameters
    ----------
    render_mode : {"human", "rgb_array"}, optional

    Attributes
    ----------
    lever : str
        What is decided, for seeds.
    episodes : object
        Engine of one copy, with ``seed`` and ``begin``.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": FPS}  # noqa: RUF012 - gymnasium declares it so
    lever: ClassVar[str]
    episodes: Any

    def __init__(self, render_mode: str | None) -> None:
        self.render_mode = check_mode(render_mode)
        self._screen = None if render_mode is None else Screen(render_mode)
        self._root: int | None = None

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> None:
        """Begin the next episode; with a seed, the first of that seed."""
        gymnasium.Env.reset(self, seed=seed)
        refuse_options(options)
        if seed is not None or self._root is None:
            self._root = int(seed) if seed is not None else int(self.np_random.integers(2**31))
            self.episodes.seed(copy_seeds(self.lever, self._root, 1))
        self.episodes.begin(np.zeros(1, np.int64))

    @abstractmethod
    def _draw(self, figure: Any) -> None:
        """Draw this moment."""

    def _show(self) -> None:
        """Show this moment where every step is to be shown."""
        if self.render_mode == "human":
            self.render()

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
        self._draw(figure)
        return self._screen.show(figure)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._screen is not None:
            self._screen.close()


class ManyCopies(VectorEnv[Any, Any, Any]):
    """``num_envs`` copies stepped together, each ending episode followed by the next in the same step.

    Parameters
    ----------
    num_envs : int
    copy : bool
        False hands out the buffers themselves.
    render_mode : None
        Pictures are of one environment.

    Raises
    ------
    SpecError
        When ``num_envs`` is < 1, or a render mode is given.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium declares it so
    lever: ClassVar[str]
    episodes: Any

    def __init__(self, num_envs: int, copy: bool, render_mode: str | None = None) -> None:
        if num_envs < 1:
            raise SpecError(f"num_envs must be >= 1: got {num_envs}.")
        if render_mode is not None:
            raise SpecError(
                f"pictures are of one environment, not of {num_envs} copies: got render_mode={render_mode!r}. "
                f'Use gymnasium.make("{IDS_BY_KIND[self.lever]}", render_mode={render_mode!r}).'
            )
        self.num_envs, self.copy = num_envs, copy
        self._began = False

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode of every copy; with a seed (one, or one a copy), the first of it."""
        refuse_options(options)
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise SpecError(f"need one seed a copy: got {len(seed)} for {self.num_envs} copies.")
            self.episodes.seed(np.array([copy_seeds(self.lever, int(one), 1)[0] for one in seed], np.int64))
        elif seed is not None:
            super().reset(seed=seed)
            self.episodes.seed(copy_seeds(self.lever, seed, self.num_envs))
        elif not self._began:
            self.episodes.seed(copy_seeds(self.lever, int(self.np_random.integers(2**31)), self.num_envs))
        self._began = True
        self.episodes.begin(np.arange(self.num_envs))
        return self._observation(), self._infos()

    @abstractmethod
    def _observation(self) -> Any:
        """The latest observation of every copy."""

    def _infos(self) -> dict[str, Any]:
        """What is told beside it."""
        return {}


def copy_seeds(lever: str, root: int, n_copies: int) -> npt.NDArray[np.int64]:
    """Seed of each copy: depends on the lever, the root and its number only."""
    return np.array([stream_seed(root, lever, n) for n in range(n_copies)], np.int64)


def refuse_options(options: Any) -> None:
    """``reset`` has no options; say so."""
    if options is None or (isinstance(options, Mapping) and not options):
        return
    given = ", ".join(map(str, options)) if isinstance(options, Mapping) else repr(options)
    raise PolicyError(f"reset has no options: got {given}. Leave it out.")

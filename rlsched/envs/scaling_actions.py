"""Other actions for ``rlsched/Scaling-v0``, as wrappers of the single and the vector environment.

Each turns its own action into instances wanted; where that leaves ``min_instances..max_instances``
the nearest limit is taken, as for any rule of the table. The card's other choices (type, share on
the spot market) are fixed when wrapping. ::

    env = BandActions(gymnasium.make("rlsched/Scaling-v0"), params=(0.3, 0.05, 1.0, 1.5, 0.0))
    envs = BandVectorActions(gymnasium.make_vec("rlsched/Scaling-v0", num_envs=64), params=...)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector.utils import batch_space

from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.errors import PolicyError, SpecError, did_you_mean
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.state import n_booting_slots

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]


class Translation(ABC):
    """Turns actions of one kind into instances wanted.

    Parameters
    ----------
    episodes : ScalingEpisodes
        Of an environment with ``actions = "box"``.
    kind : int
        Instance type to buy.
    spot_share : float
        Share of the instances on the spot market.

    Raises
    ------
    SpecError
        When the environment takes choices, or has no such type or market.
    """

    def __init__(self, episodes: ScalingEpisodes, kind: int = 0, spot_share: float = 0.0) -> None:
        world = episodes.problem.world
        if episodes.settings.actions != "box":
            raise SpecError('this wrapper needs actions = "box": the environment has "discrete". Set it in [scaling].')
        if not 0 <= kind < len(world.types):
            raise SpecError(f"instance type must lie in 0..{len(world.types) - 1}: got {kind}.")
        if not 0.0 <= spot_share <= 1.0 or (spot_share and (kind, wd.SPOT) not in world.pools):
            raise SpecError(
                f"spot_share must lie in [0, 1], and be 0 without a spot market: got {spot_share} for type "
                f"{world.types[kind].name!r}."
            )
        self.episodes, self.kind, self.spot_share = episodes, kind, spot_share
        self.low, self.high = episodes.problem.limits
        self.n_services = episodes.problem.n_services

    @abstractmethod
    def space(self) -> gymnasium.Space[Any]:
        """Of one copy."""

    @abstractmethod
    def wanted(self, actions: Array) -> F64:
        """Instances wanted, (N, S) float64, for actions (N, ...) that are in the space."""

    def native(self, actions: Array) -> Array:
        """Native actions (N, S * A) float64 of actions of this kind (N, ...).

        Raises
        ------
        PolicyError
            When an action is not in the space, or a rule answers no number.
        """
        space = self.space()
        shape = (self.episodes.n_copies, *(space.shape or ()))
        whole = not isinstance(space, gymnasium.spaces.Box)
        if actions.shape != shape or actions.dtype.kind not in ("iu" if whole else "f"):
            what = "whole numbers" if whole else "floats"
            raise PolicyError(f"actions must be {what} of shape {shape}: got {actions.dtype} of shape {actions.shape}.")
        least, most = self._ends(space)
        bad = np.argwhere(~((actions >= least) & (actions <= most)))
        if bad.size:
            at = tuple(int(i) for i in bad[0])
            raise PolicyError(f"action must lie in {space}: got {actions[at]:g} at {list(at[1:])} of copy {at[0]}.")
        wanted = self.wanted(actions)
        if not np.isfinite(wanted).all():
            raise PolicyError("the rule behind this action answered no finite number of instances.")
        out = np.zeros((*wanted.shape, len(self.episodes.action_names)))
        out[..., 0] = np.minimum(np.maximum(np.ceil(wanted), self.low), self.high)
        if "type" in self.episodes.action_names:
            out[..., 1] = self.kind
        if "spot_share" in self.episodes.action_names:
            out[..., -1] = self.spot_share
        return out.reshape(len(out), -1)

    def committed(self) -> F64:
        """Instances that serve or boot, (N, S) float64."""
        total: F64 = self.episodes.state.code.alive.sum(axis=(2, 3)).astype(np.float64)
        return total

    def _ends(self, space: gymnasium.Space[Any]) -> tuple[Any, Any]:
        if isinstance(space, gymnasium.spaces.Box):
            return space.low, space.high
        if isinstance(space, gymnasium.spaces.MultiDiscrete):
            most: Any = space.nvec
            return 0, most - 1
        choices: Any = space
        return 0, choices.n - 1


class Delta(Translation):
    """Fewer or more instances: action ``a`` of ``0..2 most`` asks for ``a - most`` more.

    Parameters
    ----------
    episodes, kind, spot_share
        See :class:`Translation`.
    most : int
        Largest change, in instances.
    """

    def __init__(self, episodes: ScalingEpisodes, most: int = 3, **fixed: Any) -> None:
        super().__init__(episodes, **fixed)
        if most < 1:
            raise SpecError(f"most must be >= 1: got {most}.")
        self.most = most

    def space(self) -> gymnasium.Space[Any]:
        """``Discrete(2 most + 1)``, one a service."""
        many = 2 * self.most + 1
        return (
            gymnasium.spaces.Discrete(many)
            if self.n_services == 1
            else gymnasium.spaces.MultiDiscrete([many] * self.n_services)
        )

    def wanted(self, actions: Array) -> F64:
        """Committed instances and the change."""
        change: F64 = actions.reshape(len(actions), self.n_services).astype(np.float64) - self.most
        return self.committed() + change


class TargetUtilisation(Translation):
    """So many instances that the last interval's demand, and what waits, would fill this share of them.

    Parameters
    ----------
    episodes, kind, spot_share
        See :class:`Translation`.
    low, high : float
        Ends of the action, ``0 < low < high``; above 1 asks for fewer than the demand needs.
    """

    def __init__(self, episodes: ScalingEpisodes, low: float = 0.2, high: float = 1.2, **fixed: Any) -> None:
        super().__init__(episodes, **fixed)
        if not 0 < low < high < math.inf:
            raise SpecError(f"low and high must ascend above 0: got {low} and {high}.")
        self.ends = low, high

    def space(self) -> gymnasium.Space[Any]:
        """``Box(low, high)``, one number a service."""
        return gymnasium.spaces.Box(np.float32(self.ends[0]), np.float32(self.ends[1]), (self.n_services,), np.float32)

    def wanted(self, actions: Array) -> F64:
        """(Demand + backlog) over (capacity of one instance times the target)."""
        code, world = self.episodes.state.code, self.episodes.problem.world
        newest = world.demand[code.rows, code.clock[:, st.C_T, None] - 1]
        load = newest + code.last[:, :, st.L_BACKLOG]
        needed: F64 = load / (world.types[self.kind].capacity * actions.astype(np.float64))
        return needed


class RuleOffsets(Translation):
    """A rule of the table decides; the action moves some of its parameters away from given values.

    The action 0 is the rule as given, so learning can start exactly at a tuned heuristic.

    Parameters
    ----------
    episodes, kind, spot_share
        See :class:`Translation`.
    rule : str
        Of ``rlsched.sim.scaling.rules.table.RULES``.
    params : sequence of float, optional
        The rule's parameters; its defaults otherwise.
    reach : dict of str to float
        Parameter → how far the actions -1 and 1 move it.
    """

    def __init__(
        self,
        episodes: ScalingEpisodes,
        rule: str,
        params: Sequence[float] | None = None,
        reach: dict[str, float] | None = None,
        **fixed: Any,
    ) -> None:
        from rlsched.sim.scaling.rules.table import RULES

        super().__init__(episodes, **fixed)
        if rule not in RULES:
            raise SpecError(f"unknown scaling rule {rule!r}.{did_you_mean(rule, RULES)}")
        names = [parameter.name for parameter in RULES[rule].parameters]
        given = [parameter.default for parameter in RULES[rule].parameters] if params is None else list(params)
        if len(given) != len(names) or not all(math.isfinite(value) for value in given):
            raise SpecError(f"rule {rule!r} has the parameters {', '.join(names)}: got {given}.")
        if not reach:
            raise SpecError(f"name at least one parameter of {rule!r} that the action moves: {', '.join(names)}.")
        for name, far in reach.items():
            if name not in names:
                raise SpecError(f"unknown parameter {name!r} of rule {rule!r}.{did_you_mean(name, names)}")
            if not 0 < far < math.inf:
                raise SpecError(f"reach of {name!r} must be > 0 and finite: got {far}.")
        self._number, self._params = list(RULES).index(rule), np.array(given, np.float64)
        self._moved = np.array([names.index(name) for name in reach])
        self._reach = np.array(list(reach.values()), np.float64)
        self._booting = np.zeros(n_booting_slots(episodes.problem.world), np.int64)
        self._answer = np.zeros((episodes.n_copies, self.n_services))

    def space(self) -> gymnasium.Space[Any]:
        """``Box(-1, 1)``, one number a moved parameter, the first service's first."""
        return gymnasium.spaces.Box(np.float32(-1), np.float32(1), (self.n_services * len(self._moved),), np.float32)

    def wanted(self, actions: Array) -> F64:
        """The rule's answer with the parameters moved."""
        from rlsched.sim.scaling.ask import ask

        params = np.tile(self._params, (len(actions), self.n_services, 1))
        params[:, :, self._moved] += self._reach * actions.reshape(len(actions), self.n_services, -1)
        code = self.episodes.problem.world.code
        ask(code, self.episodes.state.code, self._number, params, self.kind, self._booting, self._answer)
        return self._answer


class Band(RuleOffsets):
    """Offsets of ``k_low`` and ``k_width`` of the hysteresis band around a forecast.

    Parameters
    ----------
    episodes, kind, spot_share
        See :class:`Translation`.
    params : sequence of float, optional
        Of rule ``band``: where learning starts.
    reach : (float, float)
        How far an action of 1 moves ``k_low`` and ``k_width``, standard deviations.
    """

    def __init__(
        self,
        episodes: ScalingEpisodes,
        params: Sequence[float] | None = None,
        reach: tuple[float, float] = (1.0, 1.0),
        **fixed: Any,
    ) -> None:
        super().__init__(episodes, "band", params, {"k_low": reach[0], "k_width": reach[1]}, **fixed)


class _SingleWrapper(gymnasium.ActionWrapper[Any, Any, Any]):
    translation: type[Translation]

    def __init__(self, env: gymnasium.Env[Any, Any], **options: Any) -> None:
        super().__init__(env)
        self._translate = self.translation(_episodes(env), **options)
        self.action_space = self._translate.space()

    def action(self, action: Any) -> Array:
        """The native action of the wrapped environment."""
        native: Array = self._translate.native(np.asarray(action)[None])[0]
        return native


class _VectorWrapper(gymnasium.vector.VectorActionWrapper):
    translation: type[Translation]

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, Any], **options: Any) -> None:
        super().__init__(env)
        self._translate = self.translation(_episodes(env), **options)
        self.single_action_space = self._translate.space()
        self.action_space = batch_space(self.single_action_space, env.num_envs)
        #: As of the wrapped environment.
        self.copy: bool = getattr(env.unwrapped, "copy", True)

    def actions(self, actions: Any) -> Any:
        """Native actions of the wrapped environment."""
        return self._translate.native(np.asarray(actions))


class DeltaActions(_SingleWrapper):
    """:class:`Delta` for one copy; options as there."""

    translation = Delta


class DeltaVectorActions(_VectorWrapper):
    """:class:`Delta` for the vector environment."""

    translation = Delta


class TargetUtilisationActions(_SingleWrapper):
    """:class:`TargetUtilisation` for one copy; options as there."""

    translation = TargetUtilisation


class TargetUtilisationVectorActions(_VectorWrapper):
    """:class:`TargetUtilisation` for the vector environment."""

    translation = TargetUtilisation


class RuleActions(_SingleWrapper):
    """:class:`RuleOffsets` for one copy; options as there."""

    translation = RuleOffsets


class RuleVectorActions(_VectorWrapper):
    """:class:`RuleOffsets` for the vector environment."""

    translation = RuleOffsets


class BandActions(_SingleWrapper):
    """:class:`Band` for one copy; options as there."""

    translation = Band


class BandVectorActions(_VectorWrapper):
    """:class:`Band` for the vector environment."""

    translation = Band


def _episodes(env: Any) -> ScalingEpisodes:
    episodes = getattr(env.unwrapped, "episodes", None)
    if not isinstance(episodes, ScalingEpisodes):
        raise SpecError(f"this wrapper is for rlsched/Scaling-v0: got {env}.")
    return episodes

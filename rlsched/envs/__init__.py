"""The Gymnasium door: placement, scaling, consolidation, single and vector.

Importing this package registers the environments, so ``gymnasium.make("rlsched/Placement-v0")``
and ``gymnasium.make_vec("rlsched/Placement-v0", num_envs=64)`` find them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

from rlsched.envs.card_kind import IDS_BY_KIND

if TYPE_CHECKING:
    from rlsched.envs.sb3 import CopiesVecEnv

gymnasium.register(
    id=IDS_BY_KIND["placement"],
    entry_point="rlsched.envs.placement:PlacementEnv",
    vector_entry_point="rlsched.envs.vector:PlacementVectorEnv",
)
gymnasium.register(
    id=IDS_BY_KIND["consolidation"],
    entry_point="rlsched.envs.consolidation:ConsolidationEnv",
    vector_entry_point="rlsched.envs.consolidation:ConsolidationVectorEnv",
)
gymnasium.register(
    id=IDS_BY_KIND["scaling"],
    entry_point="rlsched.envs.scaling:ScalingEnv",
    vector_entry_point="rlsched.envs.scaling_vector:ScalingVectorEnv",
)
#: Environments there are.
IDS = tuple(IDS_BY_KIND.values())


def sb3_vec_env(env: str | gymnasium.vector.VectorEnv[Any, Any, Any], num_envs: int = 1, **kwargs: Any) -> CopiesVecEnv:
    """An environment of any lever as a ``VecEnv`` of stable-baselines3, all copies stepped in one compiled call.

    Observations are handed over without copying; each stays as it was until the step after the next.
    ``MaskablePPO`` of sb3-contrib finds the masks by itself, where the environment has any. ::

        sb3_vec_env("rlsched/Placement-v0", num_envs=64)
        sb3_vec_env(BandVectorActions(gymnasium.make_vec("rlsched/Scaling-v0", num_envs=64, copy=False)))

    Parameters
    ----------
    env : str or gymnasium.vector.VectorEnv
        An id, or a vector environment made with ``copy=False``, in a wrapper if you like.
    num_envs : int
        Copies, for an id.
    **kwargs
        For an id, of its vector environment: ``card``, or ``problem`` and ``settings``; ``threads`` of placement.

    Raises
    ------
    SpecError
        Where stable-baselines3 is not installed, for an unknown id, another environment, one that
        copies what it hands out, or options beside a made environment.
    """
    from rlsched.errors import SpecError, did_you_mean

    try:
        from rlsched.envs.sb3 import CopiesVecEnv
    except ModuleNotFoundError as error:
        raise SpecError(f"sb3_vec_env needs {error.name}: install rlsched[train].") from None
    if isinstance(env, str):
        if env not in IDS:
            raise SpecError(f"unknown environment {env!r}.{did_you_mean(env, IDS)}")
        return CopiesVecEnv(gymnasium.make_vec(env, num_envs=num_envs, **{**kwargs, "copy": False}))
    if not isinstance(env, gymnasium.vector.VectorEnv):
        raise SpecError(f"env must be an id ({', '.join(IDS)}) or a vector environment: got {env!r}.")
    if num_envs != 1 or kwargs:
        given = [*(["num_envs"] if num_envs != 1 else []), *kwargs]
        raise SpecError(f"a vector environment is made already: {', '.join(given)} would change nothing. Leave it out.")
    return CopiesVecEnv(env)

"""The Gymnasium door: placement, scaling, consolidation, single and vector.

Importing this package registers the environments, so ``gymnasium.make("rlsched/Placement-v0")``
and ``gymnasium.make_vec("rlsched/Placement-v0", num_envs=64)`` find them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from rlsched.envs.sb3 import PlacementVecEnv

gymnasium.register(
    id="rlsched/Placement-v0",
    entry_point="rlsched.envs.placement:PlacementEnv",
    vector_entry_point="rlsched.envs.vector:PlacementVectorEnv",
)
gymnasium.register(
    id="rlsched/Consolidation-v0",
    entry_point="rlsched.envs.consolidation:ConsolidationEnv",
    vector_entry_point="rlsched.envs.consolidation:ConsolidationVectorEnv",
)
gymnasium.register(
    id="rlsched/Scaling-v0",
    entry_point="rlsched.envs.scaling:ScalingEnv",
    vector_entry_point="rlsched.envs.scaling_vector:ScalingVectorEnv",
)


def sb3_vec_env(num_envs: int = 1, **kwargs: Any) -> PlacementVecEnv:
    """``rlsched/Placement-v0`` as a ``VecEnv`` of stable-baselines3, all copies stepped in one compiled call.

    Observations are handed over without copying; each stays as it was until the step after the next.
    ``MaskablePPO`` of sb3-contrib finds the masks by itself.

    Parameters
    ----------
    num_envs : int
    **kwargs
        Of :class:`~rlsched.envs.vector.PlacementVectorEnv`: ``card``, or ``problem`` and ``settings``; ``threads``.

    Raises
    ------
    SpecError
        Where stable-baselines3 is not installed.
    """
    from rlsched.envs.vector import PlacementVectorEnv
    from rlsched.errors import SpecError

    try:
        from rlsched.envs.sb3 import PlacementVecEnv
    except ModuleNotFoundError as error:
        raise SpecError(f"sb3_vec_env needs {error.name}: install rlsched[train].") from None
    return PlacementVecEnv(PlacementVectorEnv(num_envs, **{**kwargs, "copy": False}))

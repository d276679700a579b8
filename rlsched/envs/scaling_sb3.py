"""``rlsched/Scaling-v0`` as stable-baselines3 takes it, without copying observations.

Needs stable-baselines3, so it is imported only where asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlsched.envs.sb3 import PlacementVecEnv
from rlsched.envs.scaling_vector import ScalingVectorEnv


class ScalingVecEnv(PlacementVecEnv):
    """Adapter of :class:`~rlsched.envs.scaling_vector.ScalingVectorEnv`, bare or in one of its wrappers.

    As the adapter of placement, but nothing is masked.
    """

    def has_attr(self, attr_name: str) -> bool:
        """True for what every copy has."""
        return attr_name == "render_mode" or hasattr(self.env, attr_name)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Nothing can be called copy by copy."""
        raise NotImplementedError(f"a scaling environment has no method {method_name!r} of one copy")


def scaling_vec_env(num_envs: int = 1, wrap: Callable[[Any], Any] | None = None, **kwargs: Any) -> ScalingVecEnv:
    """``rlsched/Scaling-v0`` as a ``VecEnv``, all copies stepped in one compiled call.

    Parameters
    ----------
    num_envs : int
    wrap : callable, optional
        Puts the vector environment into a wrapper of ``rlsched.envs.scaling_actions``:
        ``lambda env: BandVectorActions(env, params=...)``.
    **kwargs
        Of :class:`~rlsched.envs.scaling_vector.ScalingVectorEnv`: ``card``, or ``problem`` and ``settings``.
    """
    env: Any = ScalingVectorEnv(num_envs, **{**kwargs, "copy": False})
    return ScalingVecEnv(wrap(env) if wrap is not None else env)

"""The Gymnasium door: placement, scaling, consolidation, single and vector.

Importing this package registers the environments, so ``gymnasium.make("rlsched/Placement-v0")``
and ``gymnasium.make_vec("rlsched/Placement-v0", num_envs=64)`` find them.
"""

from __future__ import annotations

import gymnasium

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

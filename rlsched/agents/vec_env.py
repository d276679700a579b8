"""The adapter of ``rlsched.envs.sb3``, by the name training knows it under."""

from rlsched.envs.sb3 import PlacementVecEnv as PlacementVecEnv

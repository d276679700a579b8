"""A heuristic and a reward of your own: judged beside others, and learned from. About a minute.

Run it in the checkout: python examples/plug_in_your_own.py
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from sb3_contrib import MaskablePPO

import rlsched
import rlsched.envs
from rlsched.observe.features import GLOBAL_NAMES
from rlsched.policies.heuristic import Heuristic
from rlsched.testing.policies import check_policy

# --- a heuristic: a weighted sum of rules, named. It runs inside the compiled loop ---------------
mine = Heuristic("tight_and_even", {"best_fit": 1.0, "balanced_allocation": 0.02}, doc="Tight, CPU and memory alike.")
check_policy(mine)  # where it fits, ties to the lowest row, repeatable

trace = rlsched.read_trace("traces/sample/vms.parquet")
machines = rlsched.read_machines("traces/sample/machines.parquet")
print(rlsched.evaluate(trace, machines, [mine, "balanced_allocation", "best_fit"], windows=8))

# --- a reward: the card's, minus a fine for every machine in use ---------------------------------
ACTIVE = GLOBAL_NAMES.index("active")  # share of the machines that hold a task


class FewMachines(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Fines machines in use; whatever is seen can be rewarded like this."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The environment's step, with the fine taken off the reward."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, float(reward) - 0.01 * float(seen["globals"][ACTIVE]), terminated, truncated, info

    def action_masks(self) -> np.ndarray[Any, Any]:
        """Which candidates may be chosen, as MaskablePPO asks for it."""
        masks: np.ndarray[Any, Any] = self.env.unwrapped.action_masks()  # type: ignore[attr-defined]
        return masks


env = FewMachines(gymnasium.make("rlsched/Placement-v0"))
model = MaskablePPO("MultiInputPolicy", env, n_steps=512, batch_size=128, seed=0, device="cpu")
model.learn(2_048)

seen, _ = env.reset(seed=1)
action, _ = model.predict(seen, action_masks=env.action_masks(), deterministic=True)
print(f"\nafter {model.num_timesteps:,} steps it takes candidate {int(action)} of {int(seen['action_mask'].sum())}")
print("Two thousand steps teach little: 'rlsched train' steps many copies at once and begins at a tuned rule.")

"""``ResidualCourse``: PPO on the numbers of a tuned heuristic; what scaling and consolidation share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO

from rlsched.agents.course import Course
from rlsched.agents.residual import Normalised, ResidualNetwork, ResidualPolicy
from rlsched.agents.spec import ResidualSpec
from rlsched.envs.sb3 import CopiesVecEnv
from rlsched.rng import stream_seed

F32 = npt.NDArray[np.float32]


class ResidualCourse(Course):
    """Action 0 is the tuned heuristic: learning begins there, with little noise.

    Parameters
    ----------
    spec : ResidualSpec
    metric, better : str
        As of :class:`Course`.
    n_inputs, n_actions : int
        Fields that are seen, numbers that move.
    """

    spec: ResidualSpec

    def __init__(self, spec: ResidualSpec, metric: str, better: str, n_inputs: int, n_actions: int) -> None:
        super().__init__(spec, metric, better)
        self.n_inputs, self.n_actions = n_inputs, n_actions

    @property
    @abstractmethod
    def n_training(self) -> int:
        """Training windows there are."""

    @abstractmethod
    def costs(
        self, choose: Callable[[F32], F32], members: int, windows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], int]:
        """What every member of a population pays on these training windows, the less the better.

        Parameters
        ----------
        choose : callable
            Observations (members · windows, F), member by member → actions.
        members : int
        windows : (W,) int64
            Rows below :attr:`n_training`.

        Returns
        -------
        (members,) float64, int
            Mean over the windows, and decisions taken by all.
        """

    def new_network(self) -> ResidualNetwork:
        """See :class:`Course`."""
        return ResidualNetwork(self.n_inputs, self.n_actions, self.spec.hidden)

    def new_model(self, env: Any, learning_rate: Any) -> PPO:
        """See :class:`Course`."""
        spec = self.spec
        return PPO(
            ResidualPolicy,
            env,
            learning_rate=learning_rate,
            **spec.ppo,
            policy_kwargs={"hidden": spec.hidden, "std": spec.std},
            seed=stream_seed(spec.seed, "ppo") % 2**31,
            device="cpu",
        )

    def fit_normaliser(self, network: Normalised, env: CopiesVecEnv) -> None:
        """Mean and spread of what is seen while the base policy decides."""
        env.seed(stream_seed(self.spec.seed, "normaliser") % 2**31)
        seen = [env.reset().copy()]
        still = np.zeros((env.num_envs, self.n_actions), np.float32)
        for _ in range(self.spec.normaliser_steps):
            env.step_async(still)
            seen.append(env.step_wait()[0].copy())  # the environment writes over its buffers
        network.normalise_by(np.concatenate(seen))
        env.ended.clear()
        env.busy_s = 0.0

    def chooser(self, network: Any, *, sampled: bool) -> Callable[[F32], npt.NDArray[Any]]:
        """The network's mean actions, or actions drawn around them as training draws."""
        noise = np.random.default_rng(stream_seed(self.spec.seed, "sampled validation"))

        def choose(seen: F32) -> npt.NDArray[Any]:
            with torch.no_grad():
                mean: F32 = network.actions(torch.from_numpy(seen.copy())).numpy()
            if not sampled:
                return mean
            return np.clip(mean + self.spec.std * noise.standard_normal(mean.shape), -1.0, 1.0)

        return choose

"""A small network that moves the numbers of a tuned heuristic: its action 0 is the heuristic itself.

The mean of the action is ``tanh`` of a network whose last layer starts at zero; the standard
deviation is fixed and small. So training begins exactly at the heuristic, explores near it, and
entropy cannot collapse onto anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn


class Normalised(nn.Module):
    """What is seen, moved and scaled before anything else.

    Parameters
    ----------
    n_inputs : int
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("scale", torch.ones(n_inputs))

    def normalise_by(self, rows: npt.NDArray[np.float32]) -> None:
        """Mean 0 and standard deviation 1 over these rows (rows, F); what did not vary is only moved."""
        wide = rows.astype(np.float64)
        std = wide.std(axis=0)
        self.mean.copy_(torch.from_numpy(wide.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(np.where(std > 1e-3, 1.0 / np.maximum(std, 1e-3), 1.0)))


class LinearResidual(Normalised):
    """Action in [-1, 1]: tanh of a number for each that moves, plus a weight for each field seen; all zero at first.

    Parameters
    ----------
    n_inputs, n_actions : int
    """

    def __init__(self, n_inputs: int, n_actions: int) -> None:
        super().__init__(n_inputs)
        self.act = nn.Linear(n_inputs, n_actions)
        nn.init.zeros_(self.act.weight)
        nn.init.zeros_(self.act.bias)

    def actions(self, observation: torch.Tensor) -> torch.Tensor:
        """Action, (N, A) in (-1, 1)."""
        return torch.tanh(self.act((observation - self.mean) * self.scale))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The action: what is exported."""
        return self.actions(observation)


class ResidualNetwork(Normalised):
    """Action in [-1, 1] and value of an observation.

    Parameters
    ----------
    n_inputs, n_actions : int
    hidden : int
        Width of the two layers of each half.
    """

    def __init__(self, n_inputs: int, n_actions: int, hidden: int) -> None:
        super().__init__(n_inputs)
        self.act_first, self.act_second = nn.Linear(n_inputs, hidden), nn.Linear(hidden, hidden)
        self.value_first, self.value_second = nn.Linear(n_inputs, hidden), nn.Linear(hidden, hidden)
        for layer in (self.act_first, self.act_second, self.value_first, self.value_second):
            nn.init.orthogonal_(layer.weight, gain=2**0.5)
        self.act = nn.Linear(hidden, n_actions)
        nn.init.zeros_(self.act.weight)
        nn.init.zeros_(self.act.bias)
        self.value = nn.Linear(hidden, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def actions(self, observation: torch.Tensor) -> torch.Tensor:
        """Mean action, (N, A) in (-1, 1)."""
        x = torch.tanh(self.act_first((observation - self.mean) * self.scale))
        return torch.tanh(self.act(torch.tanh(self.act_second(x))))

    def values(self, observation: torch.Tensor) -> torch.Tensor:
        """Value, (N, 1)."""
        x = torch.tanh(self.value_first((observation - self.mean) * self.scale))
        out: torch.Tensor = self.value(torch.tanh(self.value_second(x)))
        return out

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The mean action: what is exported."""
        return self.actions(observation)


class ResidualPolicy(ActorCriticPolicy):
    """The network as PPO of stable-baselines3 takes it.

    Parameters
    ----------
    hidden : int
    std : float
        Standard deviation of the actions drawn; what is drawn outside [-1, 1] is set to the end by
        stable-baselines3 before the environment sees it.
    """

    def __init__(
        self, observation_space: Any, action_space: Any, lr_schedule: Any, hidden: int, std: float, **options: Any
    ) -> None:
        self._hidden, self._std = hidden, std
        options["features_extractor_class"] = FlattenExtractor
        super().__init__(observation_space, action_space, lr_schedule, net_arch=[], **options)

    def _build(self, lr_schedule: Any) -> None:
        self.network = ResidualNetwork(self.observation_space.shape[0], self.action_space.shape[0], self._hidden)
        self.action_dist = DiagGaussianDistribution(self.action_space.shape[0])
        self.register_buffer("log_std", torch.full((self.action_space.shape[0],), float(np.log(self._std))))
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def forward(self, obs: torch.Tensor, deterministic: bool = False) -> tuple[torch.Tensor, ...]:
        """Action, value and log-probability."""
        distribution = self.get_distribution(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self.predict_values(obs), distribution.log_prob(actions)

    def get_distribution(self, obs: torch.Tensor) -> Any:
        """Normal around the mean action."""
        return self.action_dist.proba_distribution(self.network.actions(obs), self.log_std)

    def evaluate_actions(
        self, obs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, log-probability and entropy."""
        distribution = self.get_distribution(obs)
        return self.predict_values(obs), distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: torch.Tensor) -> torch.Tensor:
        """Value, (N, 1)."""
        return self.network.values(obs)

"""``CandidatePolicy``: the network as MaskablePPO of sb3-contrib takes it."""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from rlsched.agents.network import CandidateScorer

Obs = dict[str, torch.Tensor]


class _Nothing(BaseFeaturesExtractor):
    """The network reads the observation itself."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space, features_dim=1)

    def forward(self, observations: Any) -> Any:
        return observations


class CandidatePolicy(MaskableActorCriticPolicy):
    """Actor and critic over candidates.

    Parameters
    ----------
    hidden, prior_scale, attention
        Of :class:`~rlsched.agents.network.CandidateScorer`.

    Notes
    -----
    The mask is part of the observation; the one sb3-contrib hands over is the same and is
    applied besides.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        hidden: int,
        prior_scale: float,
        attention: bool = False,
        **options: Any,
    ) -> None:
        self._hidden, self._scale, self._attention = hidden, prior_scale, attention
        options["features_extractor_class"] = _Nothing
        super().__init__(observation_space, action_space, lr_schedule, net_arch=[], **options)

    def _build(self, lr_schedule: Any) -> None:
        self.network = CandidateScorer(self._hidden, self._scale, self._attention)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def forward(self, obs: Obs, deterministic: bool = False, action_masks: Any = None) -> tuple[torch.Tensor, ...]:
        """Action, value and log-probability."""
        distribution = self.get_distribution(obs, action_masks)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self.predict_values(obs), distribution.log_prob(actions)

    def get_distribution(self, obs: Obs, action_masks: Any = None) -> Any:
        """Distribution over candidates."""
        logits = self.network.logits(obs["candidates"], obs["globals"], obs["action_mask"])
        distribution = self.action_dist.proba_distribution(action_logits=logits)
        if action_masks is not None:
            distribution.apply_masking(action_masks)
        return distribution

    def evaluate_actions(
        self, obs: Obs, actions: torch.Tensor, action_masks: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, log-probability and entropy."""
        distribution = self.get_distribution(obs, action_masks)
        return self.predict_values(obs), distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: Obs) -> torch.Tensor:
        """Value of each situation, (N, 1)."""
        return self.network.values(obs["candidates"], obs["globals"], obs["action_mask"])

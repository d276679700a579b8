"""``TrainSpec``: the ``[train]`` table of an experiment's card."""

from __future__ import annotations

from pydantic import Field, model_validator

from rlsched.envs.problem import PlacementSettings
from rlsched.spec import Spec


class TrainSpec(Spec):
    """How an agent is trained.

    Parameters
    ----------
    name : str
        Of the agent; the experiment's name by default.
    steps : int
        Decisions to learn from, over all copies; rounded up to whole rollouts.
    seed : int
        Root of everything random.
    n_windows : int
        Training windows drawn.
    cluster : (int, int), optional
        Smallest and largest cluster of a training window, machines; all by default. Time
        windows are thinned in proportion.
    target_pct : float, optional
        Fill training windows to this percentage; that of ``[windows]`` by default.
    tilt : float
        How much training windows differ in their mix of tasks (fill); see ``fill_problem``.
    length_s, warmup_s : float, optional
        Of training windows (time); those of ``[windows]`` by default.
    n_envs, rollout : int
        Copies, and decisions of each between two updates.
    minibatch, epochs, learning_rate, clip, value_weight, max_grad_norm, entropy, target_kl
        Of PPO.
    anneal : bool
        Let the learning rate fall in a straight line to 0 at ``steps``.
    discount, gae_lambda : float
    hidden, prior_scale
        Of the network.
    normaliser_steps : int
        Steps of every copy with the prior that fix the normaliser.
    validate_every : int
        Rollouts between two validations; 0: only at the end.
    validation_windows : int, optional
        The first so many windows of the validation split; all by default.
    threads : int
        Of torch.
    placement : PlacementSettings
    """

    name: str = ""
    steps: int = Field(default=500_000, ge=1)
    seed: int = Field(default=0, ge=0)
    n_windows: int = Field(default=64, ge=1)
    cluster: tuple[int, int] | None = None
    target_pct: float | None = Field(default=None, gt=0, le=1000)
    tilt: float = Field(default=0.0, ge=0, le=5)
    length_s: float | None = Field(default=None, gt=0)
    warmup_s: float | None = Field(default=None, ge=0)
    n_envs: int = Field(default=64, ge=1, le=4096)
    rollout: int = Field(default=128, ge=2, le=65_536)
    minibatch: int = Field(default=1024, ge=2)
    epochs: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0, le=1)
    anneal: bool = False
    clip: float = Field(default=0.2, gt=0, lt=1)
    value_weight: float = Field(default=0.5, ge=0)
    max_grad_norm: float = Field(default=0.5, gt=0)
    entropy: float = Field(default=0.0, ge=0)
    target_kl: float | None = Field(default=None, gt=0)
    discount: float = Field(default=0.97, ge=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    hidden: int = Field(default=48, ge=1, le=1024)
    prior_scale: float = Field(default=20.0, gt=0)
    normaliser_steps: int = Field(default=128, ge=1)
    validate_every: int = Field(default=10, ge=0)
    validation_windows: int | None = Field(default=None, ge=1)
    threads: int = Field(default=1, ge=1, le=256)
    placement: PlacementSettings = Field(default_factory=PlacementSettings)

    @model_validator(mode="after")
    def _whole_minibatches(self) -> TrainSpec:
        if (self.n_envs * self.rollout) % self.minibatch:
            raise ValueError(
                f"minibatch must divide n_envs * rollout = {self.n_envs * self.rollout}: got {self.minibatch}"
            )
        return self

    @property
    def rollouts(self) -> int:
        """Rollouts that make up ``steps``."""
        return -(-self.steps // (self.n_envs * self.rollout))

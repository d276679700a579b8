"""``TrainSpec``: the ``[train]`` table of an experiment's card."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rlsched.envs.problem import PlacementSettings
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.spec import Spec


class LookaheadSpec(Spec):
    """How the prior heuristic is improved by looking ahead, before PPO begins.

    Parameters
    ----------
    count : {"gpu", "cpu"}
        What a candidate should lead to more of: GPUs or CPU placed.
    states : int
        Decisions labelled in each training window, in the mean.
    until : float
        Only decisions in this first share of a window's tasks: in a window that fills up, the
        last ones decide nothing.
    explore : float
        Chance that a labelled decision is followed by a random candidate, so that other states
        than the policy's own are seen too.
    horizon : int, optional
        Tasks to look ahead; to the window's end by default.
    rounds : int
        The windows are shared out over so many rounds. In the first the prior leads from one
        decision to the next, in later ones what was learned before: its own mistakes are labelled.
    ridge : float
        Weight of the squared coefficients in the regression, per standard deviation of a feature.
    margins : list of float
        How much gain must be predicted before the policy leaves the prior's choice; the best of
        these is taken, by playing the last ``judged`` training windows, which have no labels.
    judged : int
    sharpness : float
        Logits a unit of predicted gain: how sharply the policy is drawn from when PPO goes on.
    processes : int
        Windows are labelled in so many at once; the labels do not depend on it.
    """

    count: Literal["gpu", "cpu"]
    states: int = Field(default=48, ge=1)
    until: float = Field(default=0.75, gt=0, le=1)
    explore: float = Field(default=0.1, ge=0, le=1)
    horizon: int | None = Field(default=None, ge=1)
    rounds: int = Field(default=1, ge=1, le=100)
    ridge: float = Field(default=1000.0, gt=0)
    margins: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.02, 0.05, 0.1, 0.2)
    judged: int = Field(default=32, ge=1)
    sharpness: float = Field(default=50.0, gt=0)
    processes: int = Field(default=1, ge=1, le=256)

    @field_validator("margins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class PpoSpec(Spec):
    """How PPO learns; common to all kinds of agents.

    Parameters
    ----------
    name : str
        Of the agent; the experiment's name by default.
    steps : int
        Decisions PPO learns from, over all copies; rounded up to whole rollouts.
    seed : int
        Root of everything random.
    n_envs, rollout : int
        Copies, and decisions of each between two updates.
    minibatch, epochs, learning_rate, clip, value_weight, max_grad_norm, entropy, target_kl
        Of PPO.
    anneal : bool
        Let the learning rate fall in a straight line to 0 at ``steps``.
    clip_end, discount_end : float, optional
        Let ``clip`` or ``discount`` go in a straight line to this at ``steps``; they stay by default.
    discount, gae_lambda : float
    hidden : int
        Width of the network's layers.
    normaliser_steps : int
        Steps of every copy with the base policy that fix the normaliser: enough to meet what will be met. A
        feature of placement that never varied in them is not seen by the agent, and the training says which.
    validate_every : int
        Rollouts between two validations; 0: only at the end.
    threads : int
        Of torch.
    """

    name: str = ""
    steps: int = Field(default=500_000, ge=0)
    seed: int = Field(default=0, ge=0)
    n_envs: int = Field(default=64, ge=1, le=4096)
    rollout: int = Field(default=128, ge=2, le=65_536)
    minibatch: int = Field(default=1024, ge=2)
    epochs: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0, le=1)
    anneal: bool = False
    clip_end: float | None = Field(default=None, gt=0, lt=1)
    discount_end: float | None = Field(default=None, ge=0, le=1)
    clip: float = Field(default=0.2, gt=0, lt=1)
    value_weight: float = Field(default=0.5, ge=0)
    max_grad_norm: float = Field(default=0.5, gt=0)
    entropy: float = Field(default=0.0, ge=0)
    target_kl: float | None = Field(default=None, gt=0)
    discount: float = Field(default=0.97, ge=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    hidden: int = Field(default=48, ge=1, le=1024)
    normaliser_steps: int = Field(default=128, ge=1)
    validate_every: int = Field(default=10, ge=0)
    threads: int = Field(default=1, ge=1, le=256)

    @model_validator(mode="after")
    def _whole_minibatches(self) -> Self:
        if (self.n_envs * self.rollout) % self.minibatch:
            raise ValueError(
                f"minibatch must divide n_envs * rollout = {self.n_envs * self.rollout}: got {self.minibatch}"
            )
        return self

    @property
    def rollouts(self) -> int:
        """Rollouts that make up ``steps``."""
        return -(-self.steps // (self.n_envs * self.rollout))

    @property
    def scheduled(self) -> bool:
        """Something changes along the way, so that a rollout depends on how many there will be."""
        return self.anneal or self.clip_end is not None or self.discount_end is not None

    def clip_at(self, left: float) -> float:
        """PPO's clip range with a share ``left`` of the training still to come."""
        return self.clip if self.clip_end is None else self.clip_end + (self.clip - self.clip_end) * left

    def discount_at(self, left: float) -> float:
        """The discount with a share ``left`` of the training still to come."""
        return (
            self.discount
            if self.discount_end is None
            else self.discount_end + (self.discount - self.discount_end) * left
        )

    @property
    def ppo(self) -> dict[str, Any]:
        """Arguments of stable-baselines3's PPO, by its names."""
        return {
            "n_steps": self.rollout,
            "batch_size": self.minibatch,
            "n_epochs": self.epochs,
            "gamma": self.discount,
            "gae_lambda": self.gae_lambda,
            "clip_range": self.clip_at,
            "ent_coef": self.entropy,
            "vf_coef": self.value_weight,
            "max_grad_norm": self.max_grad_norm,
            "target_kl": self.target_kl,
        }


class EvolutionSpec(Spec):
    """How few parameters are evolved; see ``rlsched.agents.evolution``.

    Parameters
    ----------
    form : {"linear", "constant"}
        What is evolved: for every number that moves an offset and a weight for each field seen, or the
        offset alone.
    population : int
        Members of a generation, in pairs on either side of the mean.
    sigma : float
        How far they lie from it, in each parameter.
    rate : float
        Of the mean's steps (Adam).
    windows : int
        Training windows drawn for a generation; every member plays the same ones.
    """

    form: Literal["linear", "constant"] = "linear"
    population: int = Field(default=32, ge=2, le=4096, multiple_of=2)
    sigma: float = Field(default=0.05, gt=0, le=10)
    rate: float = Field(default=0.02, gt=0, le=10)
    windows: int = Field(default=8, ge=1)


class ResidualSpec(PpoSpec):
    """How an agent that moves the numbers of a tuned heuristic is trained; besides what :class:`PpoSpec` says.

    Parameters
    ----------
    std : float
        Standard deviation of the actions drawn, in shares of the reach.
    method : {"ppo", "evolution"}
        Evolution takes ``steps, seed, normaliser_steps`` and looks at validation as often as PPO would.
    evolution : EvolutionSpec
    """

    std: float = Field(default=0.1, gt=0, le=1)
    method: Literal["ppo", "evolution"] = "ppo"
    evolution: EvolutionSpec = Field(default_factory=EvolutionSpec)


class ScalingTrainSpec(ResidualSpec):
    """How a scaling agent is trained; besides what :class:`ResidualSpec` says.

    Parameters
    ----------
    base : str
        Rule that learning starts at: ``tuned_RULE``, or a rule with numbers.
    reach : table parameter → number
        Which of the rule's numbers the agent moves, and how far at most.
    control_variate : bool
        Subtract what the base rule would have cost at the same step of the same window.
    observation : ScalingObservation
    """

    base: str = "tuned_band"
    reach: dict[str, float] = Field(default_factory=lambda: {"k_low": 1.0, "k_width": 1.0})
    control_variate: bool = True
    observation: ScalingObservation = Field(default_factory=ScalingObservation)


class ConsolidationTrainSpec(ResidualSpec):
    """How a consolidation agent is trained; besides what :class:`ResidualSpec` says.

    Parameters
    ----------
    base : str
        Policy that learning starts at: ``tuned``, ``tuned_FAMILY``, or a policy with numbers as
        ``tuned.toml`` writes it.
    reach : table number → [low, high]
        Which of the policy's numbers the agent moves, and between what ends; the tuned value lies
        between them.
    deals : int
        Ways to deal out the VM sizes of every training window; each is a world to learn in.
    validation_deals : int, optional
        The same of every validation window, 0 and up; those of the experiment's ``seeds`` by default.
        Where a hair's breadth of a number changes which VM moves, one run says little, and choosing
        on few chooses luck.
    """

    base: str = "tuned"
    reach: dict[str, tuple[float, float]]
    deals: int = Field(default=3, ge=1, le=1000)
    validation_deals: int | None = Field(default=None, ge=1, le=1000)


class TrainSpec(PpoSpec):
    """How a placement agent is trained; besides what :class:`PpoSpec` says, where ``steps`` may be 0.

    Parameters
    ----------
    n_windows : int
        Training windows drawn.
    cluster : (int, int), optional
        Smallest and largest cluster of a training window, machines; all by default. Time
        windows are thinned in proportion.
    target_pct : float, optional
        Fill training windows to this percentage; that of ``[windows]`` by default.
    tilt : float
        How much training windows differ in their mix of tasks (fill); see ``fill_problem``.
    load : (float, float)
        Smallest and largest load of a training window (time), as a multiple of the trace's own; see ``time_problem``.
    length_s, warmup_s : float, optional
        Of training windows (time); those of ``[windows]`` by default.
    prior_scale : float
        Of the network; see ``CandidateScorer``. 0, which makes nothing of the prior but a feature, is for agents that
        learned it so and learn on.
    attention : bool
        Of the network; see ``CandidateScorer``.
    validation_windows : int, optional
        The first so many windows of the validation split; all by default.
    lookahead : LookaheadSpec, optional
        Improve on the prior by looking ahead first. ``steps = 0``: and leave it at that.
    placement : PlacementSettings
    """

    n_windows: int = Field(default=64, ge=1)
    cluster: tuple[int, int] | None = None
    target_pct: float | None = Field(default=None, gt=0, le=1000)
    tilt: float = Field(default=0.0, ge=0, le=5)
    load: tuple[float, float] = (1.0, 1.0)
    length_s: float | None = Field(default=None, gt=0)
    warmup_s: float | None = Field(default=None, ge=0)
    prior_scale: float = Field(default=20.0, ge=0)
    attention: bool = False
    validation_windows: int | None = Field(default=None, ge=1)
    lookahead: LookaheadSpec | None = None
    placement: PlacementSettings = Field(default_factory=PlacementSettings)

    @model_validator(mode="after")
    def _learns_at_all(self) -> Self:
        if not 0 < self.load[0] <= self.load[1]:
            raise ValueError(f"load must be [smallest, largest], above 0: got {list(self.load)}")
        if not self.steps and self.lookahead is None:
            raise ValueError("steps must be 1 or more where there is no [lookahead]: got 0")
        return self

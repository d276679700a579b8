"""Training a scaling agent: PPO on the numbers of a tuned rule, from exactly that rule on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.agents.course import Outcome, Progress, run_course
from rlsched.agents.evolution import evolve
from rlsched.agents.pretrained import Pretrained
from rlsched.agents.residual import ResidualNetwork
from rlsched.agents.residual_course import ResidualCourse
from rlsched.agents.spec import ScalingTrainSpec
from rlsched.envs.sb3 import Array, CopiesVecEnv, Stepped
from rlsched.envs.scaling_actions import RuleVectorActions
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.envs.scaling_vector import ScalingVectorEnv
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.world import Window, World

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScalingValidation:
    """Windows of the validation split, and what counts there: mean cost, USD.

    Parameters
    ----------
    world : World
    windows : sequence of Window
    streams : sequence of int
        Of each window's spot interruptions.
    """

    world: World
    windows: Sequence[Window]
    streams: Sequence[int]


class ResidualVecEnv(CopiesVecEnv):
    """``N`` copies of a scaling problem whose actions move a rule, as stable-baselines3 takes them.

    Parameters
    ----------
    problem : ScalingProblem
        Of single services.
    residual : Residual
    n_envs : int
    reward_scale : float
        Rewards are USD times this.
    baseline : (windows, steps) float64, optional
        What the base rule's reward is at every step of every window, USD: subtracted as a control
        variate. Demand does not depend on what was decided, so this changes the variance only.
    """

    def __init__(
        self,
        problem: ScalingProblem,
        residual: Residual,
        n_envs: int,
        reward_scale: float = 1.0,
        baseline: F64 | None = None,
    ) -> None:
        settings = ScalingSettings(**residual.observation.model_dump())
        env = RuleVectorActions(
            ScalingVectorEnv(n_envs, problem, settings, copy=False),
            rule=residual.base.rule,
            params=residual.params,
            reach=dict(residual.reach),
            kind=residual.base.kind,
            spot_share=residual.base.spot_share,
        )
        #: Rewards of the last step, USD, not scaled, (N,) float64.
        self.paid: F64 = np.zeros(n_envs)
        self._scale, self._baseline = reward_scale, baseline
        super().__init__(env, keep_ended=True)

    def advance(self, actions: Array) -> Stepped:
        """See :class:`CopiesVecEnv`."""
        clock, rows = self.episodes.state.code.clock, self.episodes.window.copy()
        at = clock[:, st.C_T] - clock[:, st.C_LO]
        obs, reward, terminated, truncated, infos = super().advance(actions)
        self.paid = reward.copy()
        if self._baseline is not None:
            self.paid -= self._baseline[rows, at]
        return obs, self.paid * self._scale, terminated, truncated, infos


def base_rewards(problem: ScalingProblem, residual: Residual) -> F64:
    """Reward of the base rule at every step of every window, (windows, steps) USD; 0 after a window's end."""
    longest = max(window.hi - window.lo for window in problem.windows)
    out = np.zeros((len(problem.windows), longest))
    for row, window in enumerate(problem.windows):
        env = ResidualVecEnv(ScalingProblem(problem.world, (window,)), residual, 1)
        env.seed(0)
        env.reset()
        still = np.zeros((1, len(residual.reach)), np.float32)
        for t in range(window.hi - window.lo):
            env.step_async(still)
            env.step_wait()
            out[row, t] = env.paid[0]
    return out


class ScalingCourse(ResidualCourse):
    """Scaling on training windows, judged by cost on validation windows.

    Parameters
    ----------
    spec : ScalingTrainSpec
    problem : ScalingProblem
        Windows of the training split, of single services.
    validation : ScalingValidation
    residual : Residual
        Where learning starts and how far it may go.
    """

    spec: ScalingTrainSpec

    def __init__(
        self, spec: ScalingTrainSpec, problem: ScalingProblem, validation: ScalingValidation, residual: Residual
    ) -> None:
        super().__init__(spec, "cost_usd", "down", len(residual.fields(problem.world)), len(residual.reach))
        self.problem, self.validation, self.residual = problem, validation, residual

    def open_env(self) -> ResidualVecEnv:
        """See :class:`Course`."""
        base = base_rewards(self.problem, self.residual)
        mean = float(np.abs(base[base != 0]).mean()) if (base != 0).any() else 1.0
        baseline = base if self.spec.control_variate else None
        return ResidualVecEnv(self.problem, self.residual, self.spec.n_envs, 1.0 / mean, baseline)

    def scores(self, network: ResidualNetwork, *, sampled: bool) -> F64:
        """Cost of each validation window, USD."""
        judge = self.validation
        choose = self.chooser(network, sampled=sampled)
        sums = self.residual.run(judge.world, judge.windows, judge.streams, choose)
        cost: F64 = sums[:, :, : len(st.COST)].sum(axis=(1, 2))
        return cost

    @property
    def n_training(self) -> int:
        """See :class:`ResidualCourse`."""
        return len(self.problem.windows)

    def costs(self, choose: Callable[[F32], F32], members: int, windows: npt.NDArray[np.int64]) -> tuple[F64, int]:
        """See :class:`ResidualCourse`; a window is one service of a training window."""
        chosen = [self.problem.windows[row] for row in windows]
        total, played = np.zeros(members), 0
        # Windows of unequal length do not end together: each length is played by all members by itself.
        for length in sorted({one.hi - one.lo for one in chosen}):
            mine = [one for one in chosen if one.hi - one.lo == length]
            sums = self.residual.run(self.problem.world, mine * members, [0] * (len(mine) * members), choose)
            total += sums[:, :, : len(st.COST)].sum(axis=(1, 2)).reshape(members, len(mine)).sum(axis=1)
            played += members * len(mine) * length
        return total / len(chosen), played


def train_scaling(
    spec: ScalingTrainSpec,
    problem: ScalingProblem,
    validation: ScalingValidation,
    residual: Residual,
    out: Path,
    *,
    resume: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
    start: Pretrained | None = None,
) -> Outcome | None:
    """Train a scaling agent; see :class:`ScalingCourse` and :func:`rlsched.agents.course.run_course`."""
    course = ScalingCourse(spec, problem, validation, residual)
    course.start = start
    learn = evolve if spec.method == "evolution" else run_course
    return learn(course, out, resume=resume, facts=facts, progress=progress, stop_after=stop_after)

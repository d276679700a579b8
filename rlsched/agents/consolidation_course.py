"""Training a consolidation agent: PPO on the numbers of a tuned policy, from exactly that policy on.

A control variate is left out: after the first different move the cluster is another one, and what
the tuned policy pays there at the same tick says little about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from rlsched.agents.course import Outcome, Progress, run_course
from rlsched.agents.evolution import evolve
from rlsched.agents.pretrained import Pretrained
from rlsched.agents.residual import ResidualNetwork
from rlsched.agents.residual_course import ResidualCourse
from rlsched.agents.spec import ConsolidationTrainSpec
from rlsched.envs.consolidation import ConsolidationVectorEnv
from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.envs.sb3 import Array, CopiesVecEnv, Stepped
from rlsched.errors import SpecError
from rlsched.policies.consolidation.residual import FIELDS, ConsolidationResidual
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.world import World

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConsolidationValidation:
    """Worlds of the validation split, and what counts there.

    Parameters
    ----------
    simulator : Simulator
    seeds : sequence of int
        Root seed of the run in each of its worlds.
    metric : str
        The less the better.
    score : callable
        Meters of all worlds, in order → score of each validation window, (windows,) float64.
    cost : callable
        World, its meters, ticks → the metric; of any world.
    """

    simulator: Simulator
    seeds: Sequence[int]
    metric: str
    score: Callable[[Sequence[Meters]], F64]
    cost: Callable[[World, Meters, int], float]


def settings_of(residual: ConsolidationResidual, reward: Mapping[str, float], pue: float) -> ConsolidationSettings:
    """The environment in which a residual's numbers are the action."""
    parameter, placement_cap, evacuate_below = residual.ranges.values()
    return ConsolidationSettings(
        detection=residual.base.detection,
        selection=residual.base.selection,
        reward=dict(reward),
        pue=pue,
        parameter=parameter,
        placement_cap=placement_cap,
        evacuate_below=evacuate_below,
    )


class ConsolidationVecEnv(CopiesVecEnv):
    """``N`` copies of a consolidation problem whose actions move a policy's numbers, for stable-baselines3.

    Parameters
    ----------
    problem : ConsolidationProblem
        Without forecasts.
    residual : ConsolidationResidual
    settings : ConsolidationSettings
        As :func:`settings_of` makes them.
    n_envs : int
    reward_mean, reward_scale : float
        What is paid is (reward − mean) · scale. Episodes end by time only, so taking a constant off
        every step changes no preference.

    Raises
    ------
    SpecError
        When the problem has forecasts: a residual is not shown them.
    """

    def __init__(
        self,
        problem: ConsolidationProblem,
        residual: ConsolidationResidual,
        settings: ConsolidationSettings,
        n_envs: int,
        reward_mean: float = 0.0,
        reward_scale: float = 1.0,
    ) -> None:
        if problem.forecast_names:
            raise SpecError("a consolidation agent is not shown forecasts: leave them out of the problem.")
        self.residual = residual
        #: Rewards of the last step, neither moved nor scaled, (N,) float64.
        self.paid: F64 = np.zeros(n_envs)
        self._mean, self._scale = reward_mean, reward_scale
        space = gymnasium.spaces.Box(-1.0, 1.0, (residual.n_actions,), np.float32)
        super().__init__(ConsolidationVectorEnv(n_envs, problem, settings, copy=False), space, keep_ended=True)

    def advance(self, actions: Array) -> Stepped:
        """See :class:`CopiesVecEnv`."""
        obs, reward, terminated, truncated, infos = super().advance(self.residual.numbers(actions))
        self.paid = reward
        return obs, (reward - self._mean) * self._scale, terminated, truncated, infos


def base_rewards(
    problem: ConsolidationProblem, residual: ConsolidationResidual, settings: ConsolidationSettings
) -> F64:
    """Rewards of the base policy, (steps, worlds), one episode in each world that is drawn."""
    env = ConsolidationVecEnv(problem, residual, settings, len(problem.worlds))
    env.seed(0)
    env.reset()
    still = np.zeros((env.num_envs, residual.n_actions), np.float32)
    out = []
    while not env.ended:
        env.step_async(still)
        env.step_wait()
        out.append(env.paid)
    return np.stack(out)


class ConsolidationCourse(ResidualCourse):
    """Consolidation on the worlds of the training days, judged on those of the validation days.

    Parameters
    ----------
    spec : ConsolidationTrainSpec
    problem : ConsolidationProblem
        Worlds of the training split.
    validation : ConsolidationValidation
    residual : ConsolidationResidual
        Where learning starts and how far it may go.
    settings : ConsolidationSettings
        As :func:`settings_of` makes them.
    """

    spec: ConsolidationTrainSpec

    def __init__(
        self,
        spec: ConsolidationTrainSpec,
        problem: ConsolidationProblem,
        validation: ConsolidationValidation,
        residual: ConsolidationResidual,
        settings: ConsolidationSettings,
    ) -> None:
        super().__init__(spec, validation.metric, "down", len(FIELDS), residual.n_actions)
        self.problem, self.validation = problem, validation
        self.residual, self.settings = residual, settings
        self._simulator: Simulator | None = None

    def open_env(self) -> ConsolidationVecEnv:
        """See :class:`Course`."""
        base = base_rewards(self.problem, self.residual, self.settings)
        size = float(np.abs(base).mean())
        scale = 1.0 / size if size > 0 else 1.0  # worlds that cost nothing need no scale
        mean = float(base.mean())
        return ConsolidationVecEnv(self.problem, self.residual, self.settings, self.spec.n_envs, mean, scale)

    def scores(self, network: ResidualNetwork, *, sampled: bool) -> F64:
        """Score of each validation window."""
        judge = self.validation
        worlds = range(len(judge.simulator.worlds))
        choose = self.chooser(network, sampled=sampled)
        return judge.score(self.residual.run(judge.simulator, judge.seeds, choose, worlds))

    @property
    def n_training(self) -> int:
        """See :class:`ResidualCourse`."""
        return len(self.problem.worlds)

    def costs(self, choose: Callable[[F32], F32], members: int, windows: npt.NDArray[np.int64]) -> tuple[F64, int]:
        """See :class:`ResidualCourse`; a window is a world: a deal of VM sizes of a training day's group."""
        if self._simulator is None:
            self._simulator = Simulator(list(self.problem.worlds), self.problem.semantics)
        which = windows.tolist() * members
        found = self.residual.run(self._simulator, [0] * len(which), choose, which)
        ticks = self._simulator.n_ticks
        paid = [
            self.validation.cost(self.problem.worlds[row], meters, ticks)
            for row, meters in zip(which, found, strict=True)
        ]
        return np.asarray(np.array(paid).reshape(members, -1).mean(axis=1)), len(which) * ticks


def train_consolidation(
    spec: ConsolidationTrainSpec,
    problem: ConsolidationProblem,
    validation: ConsolidationValidation,
    residual: ConsolidationResidual,
    settings: ConsolidationSettings,
    out: Path,
    *,
    resume: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
    start: Pretrained | None = None,
) -> Outcome | None:
    """Train a consolidation agent; see :class:`ConsolidationCourse` and :func:`rlsched.agents.course.run_course`."""
    course = ConsolidationCourse(spec, problem, validation, residual, settings)
    course.start = start
    learn = evolve if spec.method == "evolution" else run_course
    return learn(course, out, resume=resume, facts=facts, progress=progress, stop_after=stop_after)

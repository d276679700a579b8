"""Training a placement agent: from a prior heuristic on, by looking ahead, then with MaskablePPO."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sb3_contrib import MaskablePPO

from rlsched.agents.course import CHECKPOINT, Course, Outcome, Progress, run_course
from rlsched.agents.distil import distil, judge_on
from rlsched.agents.lookahead import Labels, collect
from rlsched.agents.maskable import CandidatePolicy
from rlsched.agents.network import CandidateScorer
from rlsched.agents.pretrained import Pretrained
from rlsched.agents.spec import TrainSpec
from rlsched.agents.validate import Validation, greedy
from rlsched.agents.validate import sampled as drawn
from rlsched.envs.problem import PlacementProblem
from rlsched.envs.sb3 import CopiesVecEnv
from rlsched.envs.vector import PlacementVectorEnv
from rlsched.errors import SpecError
from rlsched.rng import stream_seed

#: Moments that the normaliser is fitted on, of every copy.
NORMALISED = 128


class PlacementCourse(Course):
    """Placement on training windows, judged on validation windows.

    Parameters
    ----------
    spec : TrainSpec
    problem : PlacementProblem
        Windows of the training split.
    validation : Validation
        Windows of the validation split.
    """

    spec: TrainSpec

    def __init__(self, spec: TrainSpec, problem: PlacementProblem, validation: Validation) -> None:
        super().__init__(spec, validation.metric, validation.better)
        self.problem, self.validation = problem, validation

    def open_env(self) -> CopiesVecEnv:
        """See :class:`Course`."""
        env = PlacementVectorEnv(self.spec.n_envs, self.problem, self.spec.placement, copy=False)
        return CopiesVecEnv(env, keep_ended=True)

    def new_network(self) -> CandidateScorer:
        """See :class:`Course`."""
        return CandidateScorer(self.spec.hidden, self.spec.prior_scale, self.spec.attention)

    def begin_at(self, start: Pretrained, network: CandidateScorer) -> list[str]:
        """See :class:`Course`; what the agent's normaliser struck out and varies here is seen, with weights of zero."""
        fitted = copy.deepcopy(network)
        start.put_into(network)
        return network.see_also(fitted)

    def new_model(self, env: Any, learning_rate: Any) -> MaskablePPO:
        """See :class:`Course`."""
        spec = self.spec
        return MaskablePPO(
            CandidatePolicy,
            env,
            learning_rate=learning_rate,
            **spec.ppo,
            policy_kwargs={"hidden": spec.hidden, "prior_scale": spec.prior_scale, "attention": spec.attention},
            seed=stream_seed(spec.seed, "ppo") % 2**31,
            device="cpu",
        )

    def fit_normaliser(self, network: CandidateScorer, env: CopiesVecEnv) -> None:
        """Mean and spread of features while the prior places, on training windows of their own.

        At most ``NORMALISED`` moments are taken, spread evenly over the steps.
        """
        env.seed(stream_seed(self.spec.seed, "normaliser") % 2**31)
        obs = env.reset()
        prior = np.zeros(env.num_envs, np.int64)  # candidate 0 is the prior's choice
        every = -(-self.spec.normaliser_steps // NORMALISED)
        rows, situations = [], []
        for step in range(self.spec.normaliser_steps):
            if step % every == 0:
                rows.append(obs["candidates"][obs["action_mask"] > 0])
                situations.append(obs["globals"].copy())
            obs = env.step(prior)[0]
        network.normalise_by(np.concatenate(rows), np.concatenate(situations))
        env.ended.clear()
        env.busy_s = 0.0

    def scores(self, network: CandidateScorer, *, sampled: bool) -> npt.NDArray[np.float64]:
        """See :class:`Course`."""
        choose = drawn(network, self.spec.seed) if sampled else greedy(network)
        return self.validation.play(self.spec.placement.observation, choose)

    def improve(self, network: CandidateScorer, out: Path, tell: Progress) -> list[dict[str, float]]:
        """Rounds of looking ahead, each led by what the ones before taught."""
        look = self.spec.lookahead
        if look is None:
            return []
        windows = self.problem.windows
        labelled = len(windows) - look.judged
        if labelled < look.rounds:
            raise SpecError(
                f"n_windows must leave a window a round beside the {look.judged} judged: got {len(windows)} for "
                f"{look.rounds} rounds. Raise n_windows, or lower lookahead.judged."
            )
        judge = judge_on(self.problem.world, windows[labelled:], look.count)
        parts: list[Labels] = []
        lines = []
        for i in range(look.rounds):
            rows = range(labelled * i // look.rounds, labelled * (i + 1) // look.rounds)
            keep, lead = out / f"labels-{i}.npz", network if i else None
            parts.append(collect(self.problem, self.spec, rows=rows, lead=lead, keep=keep, progress=tell))
            settings = self.spec.placement.observation
            lines.append(distil(network, Labels.joined(parts), look, settings, judge, tell))
        return lines


def train(
    spec: TrainSpec,
    problem: PlacementProblem,
    validation: Validation,
    out: Path,
    *,
    resume: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> Outcome | None:
    """Train a placement agent; see :class:`PlacementCourse` and :func:`rlsched.agents.course.run_course`."""
    course = PlacementCourse(spec, problem, validation)
    return run_course(course, out, resume=resume, facts=facts, progress=progress, stop_after=stop_after)


__all__ = ["CHECKPOINT", "Outcome", "PlacementCourse", "train"]

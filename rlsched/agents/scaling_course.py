"""Training a scaling agent: PPO on the numbers of a tuned rule, from exactly that rule on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from rlsched.agents.checkpoint import Arrays
from rlsched.agents.course import Course, Outcome, Progress, run_course
from rlsched.agents.residual import ResidualNetwork, ResidualPolicy
from rlsched.agents.spec import ScalingTrainSpec
from rlsched.envs.scaling_actions import RuleOffsets
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.policies.scaling.residual import Residual
from rlsched.rng import stream_seed
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


class ResidualVecEnv(VecEnv):  # type: ignore[misc]
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
        self.episodes = ScalingEpisodes(problem, settings, n_envs)
        self.offsets = RuleOffsets(
            self.episodes,
            residual.base.rule,
            residual.params,
            dict(residual.reach),
            kind=residual.base.kind,
            spot_share=residual.base.spot_share,
        )
        self.busy_s = 0.0
        self.ended: list[dict[str, Any]] = []
        #: Rewards of the last step, USD, not scaled, (N,) float64.
        self.paid: F64 = np.zeros(n_envs)
        self._scale, self._baseline = reward_scale, baseline
        self._actions: Any = None
        self.render_mode = None  # stable-baselines3 asks for it
        space: Any = self.offsets.space()
        super().__init__(n_envs, self.episodes.observation_space(), space)

    def reset(self) -> F32:
        """Begin the next episode of every copy; of the seed given to `seed` before."""
        seeds = [seed for seed in self._seeds if seed is not None]
        if seeds:
            own = [stream_seed(int(seeds[0]), "scaling", n) for n in range(self.num_envs)]
            self.episodes.seed(np.array(own, np.int64))
        self._reset_seeds()
        self.episodes.begin(np.arange(self.num_envs))
        return self.episodes.out.copy()

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = np.asarray(actions, np.float32)

    def step_wait(self) -> Any:
        """Step every copy; a copy whose window ends begins the next."""
        began = time.perf_counter()
        code = self.episodes.state.code
        at = code.clock[:, st.C_T] - code.clock[:, st.C_LO]
        rows = self.episodes.window.copy()
        reward, ended = self.episodes.step(self.offsets.native(self._actions))
        reward = reward.copy()
        if self._baseline is not None:
            reward -= self._baseline[rows, at]
        self.paid = reward
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        over = self.episodes.over.copy() if ended else np.zeros(self.num_envs, np.bool_)
        if ended:
            copies = np.flatnonzero(over)
            done = self.episodes.episode(copies)
            for i, n in enumerate(copies):
                last = {key: done[key][i] for key in ("window", "episode_return", "episode_steps")}
                self.ended.append(last)
                infos[n] = {
                    "terminal_observation": self.episodes.out[n].copy(),
                    "TimeLimit.truncated": True,
                    "episode": {"r": float(last["episode_return"]), "l": int(last["episode_steps"]), "t": 0.0},
                }
            self.episodes.begin(copies)
        self.busy_s += time.perf_counter() - began
        return self.episodes.out.copy(), (reward * self._scale).astype(np.float32), over, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once a copy."""
        return [getattr(self, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: copies share everything that could be set."""
        raise NotImplementedError("copies of a scaling environment share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Nothing can be called copy by copy."""
        raise NotImplementedError(f"a scaling environment has no method {method_name!r} of one copy")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002 - its signature
        """Never."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Any) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [int(indices)] if isinstance(indices, (int, np.integer)) else [int(n) for n in indices]


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


class ScalingCourse(Course):
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
        super().__init__(spec, "cost_usd", "down")
        self.problem, self.validation, self.residual = problem, validation, residual
        self.n_inputs = len(residual.fields(problem.world))

    def open_env(self) -> ResidualVecEnv:
        """See :class:`Course`."""
        base = base_rewards(self.problem, self.residual)
        mean = float(np.abs(base[base != 0]).mean()) if (base != 0).any() else 1.0
        baseline = base if self.spec.control_variate else None
        return ResidualVecEnv(self.problem, self.residual, self.spec.n_envs, 1.0 / mean, baseline)

    def new_network(self) -> ResidualNetwork:
        """See :class:`Course`."""
        return ResidualNetwork(self.n_inputs, len(self.residual.reach), self.spec.hidden)

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

    def fit_normaliser(self, network: ResidualNetwork, env: ResidualVecEnv) -> None:
        """Mean and spread of what is seen while the base rule decides."""
        env.seed(stream_seed(self.spec.seed, "normaliser") % 2**31)
        seen = [env.reset()]
        still = np.zeros((env.num_envs, len(self.residual.reach)), np.float32)
        for _ in range(self.spec.normaliser_steps):
            env.step_async(still)
            seen.append(env.step_wait()[0])
        network.normalise_by(np.concatenate(seen))
        env.ended.clear()
        env.busy_s = 0.0

    def save_env(self, env: ResidualVecEnv) -> Arrays:
        """See :class:`Course`."""
        return env.episodes.save()

    def load_env(self, env: ResidualVecEnv, saved: Arrays) -> F32:
        """See :class:`Course`."""
        env.episodes.load(saved)
        return env.episodes.out.copy()

    def scores(self, network: ResidualNetwork, *, sampled: bool) -> F64:
        """Cost of each validation window, USD."""
        noise = np.random.default_rng(stream_seed(self.spec.seed, "sampled validation"))

        def choose(seen: F32) -> npt.NDArray[Any]:
            with torch.no_grad():
                mean: npt.NDArray[np.float32] = network.actions(torch.from_numpy(seen.copy())).numpy()
            if not sampled:
                return mean
            return np.clip(mean + self.spec.std * noise.standard_normal(mean.shape), -1.0, 1.0)

        judge = self.validation
        sums = self.residual.run(judge.world, judge.windows, judge.streams, choose)
        cost: F64 = sums[:, :, : len(st.COST)].sum(axis=(1, 2))
        return cost


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
) -> Outcome | None:
    """Train a scaling agent; see :class:`ScalingCourse` and :func:`rlsched.agents.course.run_course`."""
    course = ScalingCourse(spec, problem, validation, residual)
    return run_course(course, out, resume=resume, facts=facts, progress=progress, stop_after=stop_after)

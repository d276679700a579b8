"""``run_course``: rollouts, updates, validation, checkpoints; whatever is trained, resumable after a kill.

A :class:`Course` says what is trained: the environment, the network in it, how good it is.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format

from rlsched.agents import checkpoint as ck
from rlsched.agents.pretrained import Pretrained
from rlsched.agents.spec import PpoSpec
from rlsched.assets import list_assets
from rlsched.envs.sb3 import CopiesVecEnv
from rlsched.errors import SpecError
from rlsched.rng import stream_seed

CHECKPOINT = "checkpoint.npz"
#: Keys of the spec that may differ between a training and its continuation.
MAY_CHANGE = ("steps", "threads")
#: Key of ``lookahead`` that changes nothing either: labels do not depend on it.
MAY_CHANGE_AHEAD = "processes"
PRIOR, LOOKAHEAD, PPO, EVOLUTION = "prior", "lookahead", "ppo", "evolution"
Progress = Callable[[str], None]


@dataclass
class Outcome:
    """What a training came to.

    Parameters
    ----------
    network : torch.nn.Module
        The one that validation chose.
    chosen : int
        PPO rollouts, or generations, it has learned from.
    stage : {"prior", "lookahead", "ppo", "evolution"}
        How far it had come; "prior" is the untrained policy: nothing was learnt.
    start, best, last : list of float
        Validation scores of checkpoint 0, of the chosen one, of the last one; one a window.
    curve, validations, distilled : list of dict
        One entry a rollout; one a validation; one a round of looking ahead.
    """

    network: Any
    chosen: int
    stage: str
    start: list[float]
    best: list[float]
    last: list[float]
    curve: list[dict[str, float]]
    validations: list[dict[str, Any]]
    distilled: list[dict[str, float]]

    @property
    def learned(self) -> bool:
        """False when the untrained policy won on validation."""
        return self.stage != PRIOR


@dataclass
class Memory:
    """What a training has found so far; saved with every checkpoint."""

    rollouts: int = 0
    chosen: int = 0  # row of validations
    distilled: list[dict[str, float]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    best: ck.Arrays = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Silent(BaseCallback):
    """stable-baselines3 wants a callback."""

    def _on_step(self) -> bool:
        return True


class Kept(Logger):
    """A logger that also keeps the values of the last dump."""

    kept: dict[str, float]

    def dump(self, step: int = 0) -> None:
        """Write the values out and keep them."""
        self.kept = {name: float(value) for name, value in self.name_to_value.items()}
        super().dump(step)


class Course(ABC):
    """What is trained.

    Parameters
    ----------
    spec : PpoSpec
    metric : str
        What validation scores, for messages.
    better : {"up", "down"}
    """

    def __init__(self, spec: PpoSpec, metric: str, better: str) -> None:
        self.spec, self.metric, self.better = spec, metric, better
        #: A released agent to begin at, instead of the tuned heuristic alone; it is checkpoint 0 then.
        self.start: Pretrained | None = None

    @abstractmethod
    def open_env(self) -> CopiesVecEnv:
        """The training windows as stable-baselines3 takes them."""

    @abstractmethod
    def new_network(self) -> Any:
        """A fresh network, for the chosen weights."""

    @abstractmethod
    def new_model(self, env: Any, learning_rate: Any) -> Any:
        """The algorithm of stable-baselines3; its ``policy.network`` is the network."""

    def begin_at(self, start: Pretrained, network: Any) -> list[str]:
        """Put a released agent into a network whose normaliser is fitted; names of fields that are new to it."""
        start.put_into(network)
        return []

    @abstractmethod
    def fit_normaliser(self, network: Any, env: Any) -> None:
        """Fix the network's normaliser while the base policy decides."""

    @abstractmethod
    def scores(self, network: Any, *, sampled: bool) -> npt.NDArray[np.float64]:
        """Score on each validation window, decided greedily, or drawn as training draws."""

    def improve(self, network: Any, out: Path, tell: Progress) -> list[dict[str, float]]:  # noqa: ARG002 - for those that do
        """Improve on the base policy before PPO begins; what was done, a line a round. Nothing by default."""
        return []

    def is_better(self, a: float, b: float) -> bool:
        """True when mean score ``a`` beats ``b``; equal does not."""
        return a > b if self.better == "up" else a < b


def run_course(
    course: Course,
    out: Path,
    *,
    resume: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> Outcome | None:
    """Train; the untrained policy is scored first, as checkpoint 0, and a later one must beat it.

    Parameters
    ----------
    course : Course
    out : Path
        Folder for the checkpoint and the TensorBoard log.
    resume : bool
        Continue from the checkpoint in ``out``.
    facts : mapping, optional
        JSON values that say what is learned from: data with hashes, splits, the card's. Kept in
        the checkpoint; training goes on only with the same.
    progress : callable, optional
        Told one line at a time.
    stop_after : int, optional
        Stop after so many rollouts of this call, checkpoint written; then None is returned.

    Raises
    ------
    SpecError
        When ``out`` already holds a training and ``resume`` is False, or holds one of another spec
        or of other data.
    """
    spec = course.spec
    tell = progress or _tell_nobody
    file = out / CHECKPOINT
    if not resume and file.exists():
        raise SpecError(f"{out} already holds a training. Continue it with --resume, or name another --out.")
    saved = ck.load_arrays(file) if resume else None
    if saved is not None:
        check_start(facts or {}, saved[1]["facts"], file)
        check_same(spec, saved[1]["spec"], file)
        check_facts(dict(facts or {}), saved[1]["facts"], file)
    out.mkdir(parents=True, exist_ok=True)
    use_threads(spec)
    env = course.open_env()
    model = course.new_model(env, (lambda left: spec.learning_rate * left) if spec.anneal else spec.learning_rate)
    network = model.policy.network
    logger = Kept(str(out), [make_output_format("tensorboard", str(out / "tensorboard"))])
    model.set_logger(logger)
    memory = Memory(facts=dict(facts or {}))
    if saved is None:
        course.fit_normaliser(network, env)
        if course.start is not None:
            new = course.begin_at(course.start, network)
            if new:
                tell(f"the agent never saw them vary, from now on it sees them: {', '.join(new)}")
        if getattr(network, "unseen", None):
            tell(f"never varied, so not seen: {', '.join(network.unseen)}")
        env.seed(stream_seed(spec.seed, "episodes") % 2**31)
        _, callback = model._setup_learn(spec.steps, Silent())
        memory.best = ck.weights_of(network)
        validate(memory, network, course, tell, PRIOR)
        _save(file, model, env, memory, course)
    else:
        callback = _restore(saved, model, env, memory, course)
        tell(f"continuing after {memory.rollouts} of {spec.rollouts} rollouts")
    if not memory.distilled:
        memory.distilled = course.improve(network, out, tell)
        if memory.distilled:
            validate(memory, network, course, tell, LOOKAHEAD)
            _save(file, model, env, memory, course)
    began, first = time.monotonic(), memory.rollouts
    while memory.rollouts < spec.rollouts:
        if stop_after is not None and memory.rollouts - first >= stop_after:
            logger.close()
            return None
        memory.curve.append(learn_once(model, env, callback, spec, memory.rollouts))
        memory.rollouts += 1
        last = memory.rollouts == spec.rollouts
        if last or (spec.validate_every and memory.rollouts % spec.validate_every == 0):
            validate(memory, network, course, tell, PPO)
            for kind in ("greedy", "sampled"):
                logger.record(f"validation/{kind}_{course.metric}", np.mean(memory.validations[-1][kind]))
            logger.dump(model.num_timesteps)
            _save(file, model, env, memory, course)
        elif not spec.validate_every and memory.rollouts % 10 == 0:
            _save(file, model, env, memory, course)
        done = memory.rollouts - first
        left = (time.monotonic() - began) / done * (spec.rollouts - memory.rollouts)
        tell(_line(memory, model, spec, left))
    logger.close()
    return outcome_of(memory, course.new_network())


def use_threads(spec: PpoSpec) -> None:
    """Let torch compute on as many threads as the card says."""
    torch.set_num_threads(spec.threads)


def _tell_nobody(_: str) -> None:
    return


def learn_once(model: Any, env: Any, callback: BaseCallback, spec: PpoSpec, before: int) -> dict[str, float]:
    """One rollout and one update after ``before`` others; returns its line of the curve."""
    began, env.busy_s = time.perf_counter(), 0.0
    # The share of the training that is left, this rollout included: the last update is not for nothing.
    left = 1.0 - before / spec.rollouts
    model._current_progress_remaining = left
    model.gamma = model.rollout_buffer.gamma = spec.discount_at(left)
    model.collect_rollouts(env, callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
    rolled = time.perf_counter()
    model.train()
    done = time.perf_counter()
    reward = float(model.rollout_buffer.rewards.mean())
    line = {
        "steps": float(model.num_timesteps),
        "reward_mean": reward,
        "seconds": done - began,
        "steps_per_s": spec.n_envs * spec.rollout / (done - began),
        "env_share": env.busy_s / (done - began),
        "rollout_share": (rolled - began) / (done - began),
    }
    if env.ended:
        line["episode_return_mean"] = float(np.mean([one["episode_return"] for one in env.ended]))
        line["episodes"] = float(len(env.ended))
        env.ended.clear()
    logger: Kept = model.logger
    for name, value in line.items():
        logger.record(f"rollout/{name}", value)
    logger.dump(model.num_timesteps)
    ours = {"entropy_loss": "entropy", "approx_kl": "approx_kl", "explained_variance": "explained_variance"}
    ours |= {"clip_fraction": "clip_fraction", "value_loss": "value_loss"}
    for theirs, name in ours.items():
        value = logger.kept[f"train/{theirs}"]
        line[name] = -value if name == "entropy" else value
    return line


def validate(memory: Memory, network: Any, course: Course, tell: Progress, stage: str) -> None:
    """Score a network on the validation windows, note it, and keep its weights when it is the best so far."""
    entry = {
        "stage": stage,
        "rollouts": memory.rollouts,
        "greedy": course.scores(network, sampled=False).tolist(),
        "sampled": course.scores(network, sampled=True).tolist(),
    }
    memory.validations.append(entry)
    best = memory.validations[memory.chosen]
    mean, mean_best = float(np.mean(entry["greedy"])), float(np.mean(best["greedy"]))
    if course.is_better(mean, mean_best):
        memory.chosen, memory.best = len(memory.validations) - 1, ck.weights_of(network)
        best = entry
    start = float(np.mean(memory.validations[0]["greedy"]))
    tell(
        f"validation {_stage(entry)}: {course.metric} {mean:.6g} greedy, "
        f"{float(np.mean(entry['sampled'])):.6g} sampled; checkpoint 0 {start:.6g}; best so far {_stage(best)}"
    )


def _stage(entry: dict[str, Any]) -> str:
    if entry["stage"] in (PPO, EVOLUTION):
        return f"after {entry['rollouts']} {'rollouts' if entry['stage'] == PPO else 'generations'}"
    return "of checkpoint 0" if entry["stage"] == PRIOR else "after looking ahead"


def _save(file: Path, model: Any, env: Any, memory: Memory, course: Course) -> None:
    arrays = {
        **ck.pack(ck.weights_of(model.policy), "policy"),
        **ck.pack(ck.optimizer_of(model.policy.optimizer), "optimizer"),
        **ck.pack(ck.random_state(), "random"),
        **ck.pack(env.episodes.save(), "env"),
        **ck.pack(memory.best, "best"),
        "starts": np.asarray(model._last_episode_starts),
    }
    meta = {
        "spec": course.spec.model_dump(mode="json"),
        "facts": memory.facts,
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "rollouts": memory.rollouts,
        "chosen": memory.chosen,
        "distilled": memory.distilled,
        "curve": memory.curve,
        "validations": memory.validations,
    }
    ck.save_arrays(file, arrays, meta)


def _restore(
    saved: tuple[ck.Arrays, dict[str, Any]], model: Any, env: Any, memory: Memory, course: Course
) -> BaseCallback:
    arrays, meta = saved
    env.seed(0)
    _, callback = model._setup_learn(course.spec.steps, Silent())
    ck.put_weights(model.policy, ck.unpack(arrays, "policy"))
    ck.put_optimizer(model.policy.optimizer, ck.unpack(arrays, "optimizer"))
    env.episodes.load(ck.unpack(arrays, "env"))
    model._last_obs = env.seen()
    model._last_episode_starts = arrays["starts"]
    model.num_timesteps, model._n_updates = meta["num_timesteps"], meta["n_updates"]
    memory.rollouts, memory.chosen = meta["rollouts"], meta["chosen"]
    memory.curve, memory.validations, memory.distilled = meta["curve"], meta["validations"], meta["distilled"]
    memory.best = ck.unpack(arrays, "best")
    env.ended.clear()
    ck.put_random_state(ck.unpack(arrays, "random"))  # last: building the model drew from them
    return callback


def check_start(now: Mapping[str, Any], before: Mapping[str, Any], file: Path) -> None:
    """Refuse to go on from what began at another released agent, or at none.

    Checked first: base, reach and width come from that agent, and would all look changed.
    """
    was, is_ = before.get("from"), now.get("from")
    if was == is_:
        return
    if was is None:
        raise SpecError(
            f"{file} is of a training that was begun without --from. Leave --from out, or name another --out."
        )
    agent = str(was["agent"])
    name = f"--from {agent}" if agent in list_assets("agents") else f"--from, at an agent named {agent!r}"
    other = ""
    if is_ is not None:
        other = f", and not at {'another file of that name' if is_['agent'] == agent else repr(is_['agent'])}"
    raise SpecError(
        f"{file} is of a training that was begun with {name} (its policy file's SHA-256 begins with "
        f"{was['policy_sha256'][:12]}){other}. Repeat that --from beside --resume, or name another --out."
    )


def check_same(spec: PpoSpec, before: dict[str, Any], file: Path) -> None:
    """Refuse to go on with other settings than those before, :data:`MAY_CHANGE` apart."""
    now, before = _without_processes(spec.model_dump(mode="json")), _without_processes(before)
    may = MAY_CHANGE if not spec.scheduled else ("threads",)  # what PPO does depends on the steps then
    changed = [key for key in now if key not in may and now[key] != before.get(key)]
    if changed:
        parts = [f"{key} was {before.get(key)!r} and is {now[key]!r}" for key in changed]
        raise SpecError(f"{file} is of another training: {'; '.join(parts)}. Undo that, or name another --out.")


def _without_processes(values: dict[str, Any]) -> dict[str, Any]:
    look = values.get("lookahead")
    return values if look is None else {**values, "lookahead": {**look, MAY_CHANGE_AHEAD: None}}


def check_facts(now: dict[str, Any], before: dict[str, Any], file: Path) -> None:
    """Refuse to go on from what learned from something else."""
    changed = [key for key in {**before, **now} if now.get(key) != before.get(key)]
    if changed:
        raise SpecError(
            f"{file} learned from something else: {', '.join(changed)} of the experiment changed since. Restore what "
            "it was, or name another --out and train anew."
        )


def outcome_of(memory: Memory, network: Any) -> Outcome:
    """What a training came to; a fresh network is given the chosen weights."""
    ck.put_weights(network, memory.best)
    scores = [one["greedy"] for one in memory.validations]
    chosen = memory.validations[memory.chosen]
    return Outcome(
        network=network,
        chosen=chosen["rollouts"],
        stage=chosen["stage"],
        start=scores[0],
        best=scores[memory.chosen],
        last=scores[-1],
        curve=memory.curve,
        validations=memory.validations,
        distilled=memory.distilled,
    )


def _line(memory: Memory, model: Any, spec: PpoSpec, left_s: float) -> str:
    from rlsched.units import format_duration

    now = memory.curve[-1]
    return (
        f"rollout {memory.rollouts}/{spec.rollouts}  {model.num_timesteps:,} steps  "
        f"{now['steps_per_s']:,.0f} steps/s  reward {now['reward_mean']:.3g}  entropy {now['entropy']:.3g}  "
        f"kl {now['approx_kl']:.2g}  {format_duration(left_s)} left"
    )


__all__ = ["CHECKPOINT", "Course", "Outcome", "run_course"]

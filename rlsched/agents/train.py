"""Training a placement agent: from a prior heuristic on, by looking ahead, then with MaskablePPO; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format

from rlsched.agents import checkpoint as ck
from rlsched.agents.distil import distil, judge_on
from rlsched.agents.lookahead import Labels, collect
from rlsched.agents.maskable import CandidatePolicy
from rlsched.agents.network import CandidateScorer
from rlsched.agents.spec import TrainSpec
from rlsched.agents.validate import Validation, greedy, sampled
from rlsched.agents.vec_env import PlacementVecEnv
from rlsched.envs.problem import PlacementProblem
from rlsched.envs.vector import PlacementVectorEnv
from rlsched.errors import SpecError
from rlsched.rng import stream_seed

CHECKPOINT = "checkpoint.npz"
#: Keys of the spec that may differ between a training and its continuation.
MAY_CHANGE = ("steps", "threads")
PRIOR, LOOKAHEAD, PPO = "prior", "lookahead", "ppo"
Progress = Callable[[str], None]


@dataclass
class Outcome:
    """What a training came to.

    Parameters
    ----------
    network : CandidateScorer
        The one that validation chose.
    chosen : int
        PPO rollouts it has learned from.
    stage : {"prior", "lookahead", "ppo"}
        How far it had come; "prior" is the untrained policy: nothing was learnt.
    start, best, last : list of float
        Validation scores of checkpoint 0, of the chosen one, of the last one; one a window.
    curve, validations, distilled : list of dict
        One entry a rollout; one a validation; one a round of looking ahead.
    """

    network: CandidateScorer
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
class _Memory:
    """What a training has found so far; saved with every checkpoint."""

    rollouts: int = 0
    chosen: int = 0  # row of validations
    distilled: list[dict[str, float]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    best: ck.Arrays = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class _Silent(BaseCallback):  # type: ignore[misc]
    """MaskablePPO wants a callback."""

    def _on_step(self) -> bool:
        return True


class _Kept(Logger):  # type: ignore[misc]
    """A logger that also keeps the values of the last dump."""

    kept: dict[str, float]

    def dump(self, step: int = 0) -> None:
        """Write the values out and keep them."""
        self.kept = {name: float(value) for name, value in self.name_to_value.items()}
        super().dump(step)


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
    """Train an agent.

    Parameters
    ----------
    spec : TrainSpec
    problem : PlacementProblem
        Windows of the training split.
    validation : Validation
        Windows of the validation split. The untrained policy is scored on them first, as
        checkpoint 0; a later one is chosen only when its mean score is strictly better.
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
    tell = progress or _tell_nobody
    file = out / CHECKPOINT
    if not resume and file.exists():
        raise SpecError(f"{out} already holds a training. Continue it with --resume, or name another --out.")
    saved = ck.load_arrays(file) if resume else None
    if saved is not None:
        _check_same(spec, saved[1]["spec"], file)
        _check_facts(dict(facts or {}), saved[1]["facts"], file)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(spec.threads)
    env = PlacementVecEnv(PlacementVectorEnv(spec.n_envs, problem, spec.placement, copy=False))
    model = _model(spec, env)
    network: CandidateScorer = model.policy.network
    logger = _Kept(str(out), [make_output_format("tensorboard", str(out / "tensorboard"))])
    model.set_logger(logger)
    memory = _Memory(facts=dict(facts or {}))
    if saved is None:
        _fit_normaliser(network, env, spec)
        env.seed(stream_seed(spec.seed, "episodes") % 2**31)
        _, callback = model._setup_learn(spec.steps, _Silent())
        memory.best = ck.weights_of(network)
        _validate(memory, network, spec, validation, tell, PRIOR)
        _save(file, model, env, memory, spec)
    else:
        callback = _restore(saved, model, env, memory, spec)
        tell(f"continuing after {memory.rollouts} of {spec.rollouts} rollouts")
    if spec.lookahead is not None:
        _look_ahead(memory, network, spec, problem, out, tell)
        if memory.validations[-1]["stage"] == PRIOR:
            _validate(memory, network, spec, validation, tell, LOOKAHEAD)
            _save(file, model, env, memory, spec)
    began, first = time.monotonic(), memory.rollouts
    while memory.rollouts < spec.rollouts:
        if stop_after is not None and memory.rollouts - first >= stop_after:
            logger.close()
            return None
        memory.curve.append(_learn_once(model, env, callback, spec, memory.rollouts))
        memory.rollouts += 1
        last = memory.rollouts == spec.rollouts
        if last or (spec.validate_every and memory.rollouts % spec.validate_every == 0):
            _validate(memory, network, spec, validation, tell, PPO)
            for kind in ("greedy", "sampled"):
                logger.record(f"validation/{kind}_{validation.metric}", np.mean(memory.validations[-1][kind]))
            logger.dump(model.num_timesteps)
            _save(file, model, env, memory, spec)
        elif not spec.validate_every and memory.rollouts % 10 == 0:
            _save(file, model, env, memory, spec)
        done = memory.rollouts - first
        left = (time.monotonic() - began) / done * (spec.rollouts - memory.rollouts)
        tell(_line(memory, model, spec, left))
    logger.close()
    return _outcome(memory, spec)


def _tell_nobody(_: str) -> None:
    return


def _model(spec: TrainSpec, env: PlacementVecEnv) -> MaskablePPO:
    return MaskablePPO(
        CandidatePolicy,
        env,
        learning_rate=(lambda left: spec.learning_rate * left) if spec.anneal else spec.learning_rate,
        n_steps=spec.rollout,
        batch_size=spec.minibatch,
        n_epochs=spec.epochs,
        gamma=spec.discount,
        gae_lambda=spec.gae_lambda,
        clip_range=spec.clip,
        ent_coef=spec.entropy,
        vf_coef=spec.value_weight,
        max_grad_norm=spec.max_grad_norm,
        target_kl=spec.target_kl,
        policy_kwargs={"hidden": spec.hidden, "prior_scale": spec.prior_scale},
        seed=stream_seed(spec.seed, "ppo") % 2**31,
        device="cpu",
    )


def _fit_normaliser(network: CandidateScorer, env: PlacementVecEnv, spec: TrainSpec) -> None:
    """Mean and spread of features while the prior places, on training windows of their own."""
    env.seed(stream_seed(spec.seed, "normaliser") % 2**31)
    obs = env.reset()
    prior = np.zeros(env.num_envs, np.int64)  # candidate 0 is the prior's choice
    rows, situations = [], []
    for _ in range(spec.normaliser_steps):
        rows.append(obs["candidates"][obs["action_mask"] > 0])
        situations.append(obs["globals"].copy())
        obs = env.step(prior)[0]
    network.normalise_by(np.concatenate(rows), np.concatenate(situations))
    env.ended.clear()
    env.busy_s = 0.0


def _look_ahead(
    memory: _Memory, network: CandidateScorer, spec: TrainSpec, problem: PlacementProblem, out: Path, tell: Progress
) -> None:
    """Rounds of looking ahead, each led by what the ones before taught; nothing where they are done."""
    look = spec.lookahead
    if look is None or memory.distilled:
        return
    labelled = len(problem.windows) - look.judged
    if labelled < look.rounds:
        raise SpecError(
            f"n_windows must leave a window a round beside the {look.judged} judged: got {len(problem.windows)} for "
            f"{look.rounds} rounds. Raise n_windows, or lower lookahead.judged."
        )
    judge = judge_on(problem.world, problem.windows[labelled:], look.count)
    parts: list[Labels] = []
    for i in range(look.rounds):
        rows = range(labelled * i // look.rounds, labelled * (i + 1) // look.rounds)
        lead = network if i else None
        parts.append(collect(problem, spec, rows=rows, lead=lead, keep=out / f"labels-{i}.npz", progress=tell))
        memory.distilled.append(distil(network, Labels.joined(parts), look, spec.placement.observation, judge, tell))


def _learn_once(
    model: MaskablePPO, env: PlacementVecEnv, callback: BaseCallback, spec: TrainSpec, before: int
) -> dict[str, float]:
    """One rollout and one update after ``before`` others; returns its line of the curve."""
    began, env.busy_s = time.perf_counter(), 0.0
    model.collect_rollouts(env, callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
    rolled = time.perf_counter()
    # The share of the training that is left, this rollout included: the last update is not for nothing.
    model._current_progress_remaining = 1.0 - before / spec.rollouts
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
    logger: _Kept = model.logger
    for name, value in line.items():
        logger.record(f"rollout/{name}", value)
    logger.dump(model.num_timesteps)
    ours = {"entropy_loss": "entropy", "approx_kl": "approx_kl", "explained_variance": "explained_variance"}
    ours |= {"clip_fraction": "clip_fraction", "value_loss": "value_loss"}
    for theirs, name in ours.items():
        value = logger.kept[f"train/{theirs}"]
        line[name] = -value if name == "entropy" else value
    return line


def _validate(
    memory: _Memory, network: CandidateScorer, spec: TrainSpec, validation: Validation, tell: Progress, stage: str
) -> None:
    settings = spec.placement.observation
    entry = {
        "stage": stage,
        "rollouts": memory.rollouts,
        "greedy": validation.play(settings, greedy(network)).tolist(),
        "sampled": validation.play(settings, sampled(network, spec.seed)).tolist(),
    }
    memory.validations.append(entry)
    best = memory.validations[memory.chosen]
    mean, mean_best = float(np.mean(entry["greedy"])), float(np.mean(best["greedy"]))
    if validation.is_better(mean, mean_best):
        memory.chosen, memory.best = len(memory.validations) - 1, ck.weights_of(network)
        best = entry
    start = float(np.mean(memory.validations[0]["greedy"]))
    tell(
        f"validation {_stage(entry)}: {validation.metric} {mean:.6g} greedy, "
        f"{float(np.mean(entry['sampled'])):.6g} sampled; checkpoint 0 {start:.6g}; best so far {_stage(best)}"
    )


def _stage(entry: dict[str, Any]) -> str:
    if entry["stage"] == PPO:
        return f"after {entry['rollouts']} rollouts"
    return "of the prior, untrained" if entry["stage"] == PRIOR else "after looking ahead"


def _save(file: Path, model: MaskablePPO, env: PlacementVecEnv, memory: _Memory, spec: TrainSpec) -> None:
    arrays = {
        **ck.pack(ck.weights_of(model.policy), "policy"),
        **ck.pack(ck.optimizer_of(model.policy.optimizer), "optimizer"),
        **ck.pack(ck.random_state(), "random"),
        **ck.pack(env.env.episodes.save(), "env"),
        **ck.pack(memory.best, "best"),
        "starts": np.asarray(model._last_episode_starts),
    }
    meta = {
        "spec": spec.model_dump(mode="json"),
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
    saved: tuple[ck.Arrays, dict[str, Any]], model: MaskablePPO, env: PlacementVecEnv, memory: _Memory, spec: TrainSpec
) -> BaseCallback:
    arrays, meta = saved
    env.seed(0)
    _, callback = model._setup_learn(spec.steps, _Silent())
    ck.put_weights(model.policy, ck.unpack(arrays, "policy"))
    ck.put_optimizer(model.policy.optimizer, ck.unpack(arrays, "optimizer"))
    env.env.episodes.load(ck.unpack(arrays, "env"))
    model._last_obs = env.env.episodes.out.as_dict()
    model._last_episode_starts = arrays["starts"]
    model.num_timesteps, model._n_updates = meta["num_timesteps"], meta["n_updates"]
    memory.rollouts, memory.chosen = meta["rollouts"], meta["chosen"]
    memory.curve, memory.validations, memory.distilled = meta["curve"], meta["validations"], meta["distilled"]
    memory.best = ck.unpack(arrays, "best")
    env.ended.clear()
    ck.put_random_state(ck.unpack(arrays, "random"))  # last: building the model drew from them
    return callback


def _check_same(spec: TrainSpec, before: dict[str, Any], file: Path) -> None:
    now = spec.model_dump(mode="json")
    may = MAY_CHANGE if not spec.anneal else ("threads",)  # the learning rate depends on the steps then
    changed = [key for key in now if key not in may and now[key] != before.get(key)]
    if changed:
        parts = [f"{key} was {before.get(key)!r} and is {now[key]!r}" for key in changed]
        raise SpecError(f"{file} is of another training: {'; '.join(parts)}. Undo that, or name another --out.")


def _check_facts(now: dict[str, Any], before: dict[str, Any], file: Path) -> None:
    changed = [key for key in {**before, **now} if now.get(key) != before.get(key)]
    if changed:
        raise SpecError(
            f"{file} learned from something else: {', '.join(changed)} of the experiment changed since. Restore what "
            "it was, or name another --out and train anew."
        )


def _outcome(memory: _Memory, spec: TrainSpec) -> Outcome:
    network = CandidateScorer(spec.hidden, spec.prior_scale)
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


def _line(memory: _Memory, model: MaskablePPO, spec: TrainSpec, left_s: float) -> str:
    from rlsched.units import format_duration

    now = memory.curve[-1]
    return (
        f"rollout {memory.rollouts}/{spec.rollouts}  {model.num_timesteps:,} steps  "
        f"{now['steps_per_s']:,.0f} steps/s  reward {now['reward_mean']:.3g}  entropy {now['entropy']:.3g}  "
        f"kl {now['approx_kl']:.2g}  {format_duration(left_s)} left"
    )


__all__ = ["CHECKPOINT", "Outcome", "train"]

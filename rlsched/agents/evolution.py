"""Evolution strategies on few parameters: what a simple form reaches where PPO trains a network.

A generation plays pairs of parameters on either side of the mean, all on the same training windows, and
the mean follows the ranks of what they cost (Salimans et al., "Evolution strategies as a scalable
alternative to reinforcement learning", arXiv:1703.03864, 2017). No gradient of the policy, no value
estimate, no noise in what is decided: only whole windows and what they cost. Windows, base, reach and
selection on validation are those of PPO.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents import checkpoint as ck
from rlsched.agents.course import (
    CHECKPOINT,
    EVOLUTION,
    PRIOR,
    Memory,
    Outcome,
    Progress,
    check_facts,
    check_same,
    outcome_of,
    validate,
)
from rlsched.agents.residual import LinearResidual
from rlsched.agents.residual_course import ResidualCourse
from rlsched.errors import SpecError
from rlsched.rng import stream

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_BETA, _EPSILON = (0.9, 0.999), 1e-8  # of Adam


class Choose(Protocol):
    """Decides for every member of a population at once."""

    def __call__(self, seen: F32) -> F32:
        """Observations (P · W, F), member by member → actions (P · W, A)."""
        ...


def form_of(parameters: F64, n_inputs: int, n_actions: int) -> tuple[F64, F64]:
    """Parameters (P, D) → weights (P, A, F) and offsets (P, A); the offsets come first, without weights D is A."""
    members, offsets = len(parameters), parameters[:, :n_actions]
    weights = np.zeros((members, n_actions, n_inputs))
    if parameters.shape[1] > n_actions:
        weights = parameters[:, n_actions:].reshape(members, n_actions, n_inputs)
    return weights, offsets


def put_parameters(network: LinearResidual, parameters: F64) -> None:
    """Give one member's parameters (D,) to the network that is exported."""
    weights, offsets = form_of(parameters[None], network.act.in_features, network.act.out_features)
    with torch.no_grad():
        network.act.weight.copy_(torch.from_numpy(weights[0].astype(np.float32)))
        network.act.bias.copy_(torch.from_numpy(offsets[0].astype(np.float32)))


def choose_for(network: LinearResidual, parameters: F64) -> Choose:
    """What every member (P, D) decides, with the network's normaliser."""
    weights, offsets = form_of(parameters, network.act.in_features, network.act.out_features)
    mean, scale = network.mean.numpy().astype(np.float64), network.scale.numpy().astype(np.float64)

    def choose(seen: F32) -> F32:
        x = ((seen - mean) * scale).reshape(len(parameters), -1, seen.shape[1])  # (P, W, F)
        moved = np.tanh(x @ weights.transpose(0, 2, 1) + offsets[:, None, :])
        return np.ascontiguousarray(moved.reshape(len(seen), -1), dtype=np.float32)

    return choose


def ranks(costs: F64) -> F64:
    """Costs (P,) → 0.5 for the cheapest member down to -0.5 for the dearest; equal ones share."""
    smaller = (costs[None] < costs[:, None]).sum(axis=1)
    equal = (costs[None] == costs[:, None]).sum(axis=1)
    place = smaller + (equal - 1) / 2
    return np.asarray(0.5 - place / max(len(costs) - 1, 1))


def evolve(
    course: ResidualCourse,
    out: Path,
    *,
    resume: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> Outcome | None:
    """Evolve; parameters, result and errors as of :func:`rlsched.agents.course.run_course`.

    ``stop_after`` counts generations.
    """
    spec, tell = course.spec, progress or (lambda _: None)
    how, file = spec.evolution, out / CHECKPOINT
    if course.start is not None:
        raise SpecError("method = 'evolution' begins at the tuned heuristic: leave --from out, or train with PPO.")
    if not resume and file.exists():
        raise SpecError(f"{out} already holds a training. Continue it with --resume, or name another --out.")
    saved = ck.load_arrays(file) if resume else None
    if saved is not None:
        check_same(spec, saved[1]["spec"], file)
        check_facts(dict(facts or {}), saved[1]["facts"], file)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(spec.threads)
    network = LinearResidual(course.n_inputs, course.n_actions)
    size = course.n_actions * (1 + (course.n_inputs if how.form == "linear" else 0))
    mean, first, second = np.zeros(size), np.zeros(size), np.zeros(size)
    memory = Memory(facts=dict(facts or {}))
    if saved is None:
        course.fit_normaliser(network, course.open_env())
        memory.best = ck.weights_of(network)
        validate(memory, network, course, tell, PRIOR)
    else:
        arrays, meta = saved
        mean, first, second = (arrays[name] for name in ("mean", "first", "second"))
        ck.put_weights(network, ck.unpack(arrays, "network"))
        memory.best = ck.unpack(arrays, "best")
        memory.rollouts, memory.chosen = meta["rollouts"], meta["chosen"]
        memory.curve, memory.validations = meta["curve"], meta["validations"]
        tell(f"continuing after {memory.rollouts} generations")
    looks = max(1, spec.rollouts // spec.validate_every) if spec.validate_every else 1
    began, done = time.monotonic(), 0
    steps = int(memory.curve[-1]["steps"]) if memory.curve else 0
    while steps < spec.steps:
        if stop_after is not None and done >= stop_after:
            return None
        clock = time.perf_counter()
        draw = stream(spec.seed, "evolution", memory.rollouts)
        windows = draw.choice(course.n_training, min(how.windows, course.n_training), replace=False)
        half = draw.standard_normal((how.population // 2, size))
        away = np.concatenate([half, -half])
        costs, played = course.costs(choose_for(network, mean + how.sigma * away), how.population, np.sort(windows))
        uphill = ranks(costs) @ away / (how.population * how.sigma)
        t = memory.rollouts + 1
        first = _BETA[0] * first + (1 - _BETA[0]) * uphill
        second = _BETA[1] * second + (1 - _BETA[1]) * uphill**2
        step = (first / (1 - _BETA[0] ** t)) / (np.sqrt(second / (1 - _BETA[1] ** t)) + _EPSILON)
        mean = mean + how.rate * step
        put_parameters(network, mean)
        before, steps = steps, steps + played
        memory.rollouts, done = t, done + 1
        seconds = time.perf_counter() - clock
        memory.curve.append(
            {
                "steps": float(steps),
                "reward_mean": -float(costs.mean()),
                "spread": float(costs.std()),
                "seconds": seconds,
                "steps_per_s": played / seconds,
                "env_share": 1.0,  # deciding is a product of small matrices
            }
        )
        if steps >= spec.steps or steps * looks // spec.steps > before * looks // spec.steps:
            validate(memory, network, course, tell, EVOLUTION)
            arrays = {"mean": mean, "first": first, "second": second}
            arrays |= {**ck.pack(ck.weights_of(network), "network"), **ck.pack(memory.best, "best")}
            meta = {
                "spec": spec.model_dump(mode="json"),
                "facts": memory.facts,
                "rollouts": memory.rollouts,
                "chosen": memory.chosen,
                "curve": memory.curve,
                "validations": memory.validations,
            }
            ck.save_arrays(file, arrays, meta)
        left = (time.monotonic() - began) / done * max(0.0, (spec.steps - steps) / played)
        tell(f"rollout {t}  {steps:,} steps  cost {costs.mean():.6g} ± {costs.std():.2g}  {left / 60:.0f} min left")
    return outcome_of(memory, LinearResidual(course.n_inputs, course.n_actions))

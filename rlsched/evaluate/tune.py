"""The tuned opponent: the best non-negative blend of a family of rules, found without the test split.

Seeded search on the train windows: every rule alone, all of them together, then blends drawn
at random (a random part of the family, weights log-uniform over four decades), then steps
around the best so far (one weight doubled, halved, or dropped). The best few are scored on the
validation windows, and the best there is taken, the better one on train on ties.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import spec as cards
from rlsched.errors import SpecError
from rlsched.evaluate.experiment import PlacementExperiment, TuneSpec, experiment_name
from rlsched.evaluate.inputs import Inputs, read_inputs
from rlsched.evaluate.kinds import KINDS, kind_of
from rlsched.evaluate.metrics import METRICS
from rlsched.evaluate.placement import (
    TUNED_FILE,
    Arena,
    Contestant,
    Progress,
    check_contestants,
    open_arena,
    play,
)
from rlsched.evaluate.results import file_sha256
from rlsched.policies import Heuristic, blend, parse_blend
from rlsched.rng import stream
from rlsched.traces.store import replacing

Weights = tuple[float, ...]
#: Half of the budget is spent at random, the rest around the best so far.
RANDOM_SHARE = 0.5
_DECADES = (-2.0, 2.0)


@dataclass(frozen=True)
class Trial:
    """One blend and its score.

    Parameters
    ----------
    policy : str
        The blend's text, as ``rlsched.policies.parse_blend`` reads it.
    score : float
        Mean of the main metric over the windows.
    """

    policy: str
    score: float


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Parameters
    ----------
    best : Trial
        Scored on validation.
    train_score : float
        Its score on train.
    tried : tuple of Trial
        On train, in order.
    finalists : tuple of Trial
        On validation, best of train first.
    """

    best: Trial
    train_score: float
    tried: tuple[Trial, ...]
    finalists: tuple[Trial, ...]


def tune(spec: PlacementExperiment, inputs: Inputs, progress: Progress | None = None) -> Tuned:
    """Search the family of ``spec.tune`` on train, select on validation.

    Parameters
    ----------
    spec : PlacementExperiment
        With ``[tune]``; its main metric is the objective.
    inputs : Inputs
    progress : callable, optional

    Raises
    ------
    SpecError
        Without ``[tune]``, or where the metric is not known on the windows.
    """
    if spec.tune is None:
        raise SpecError("this card has no [tune] table, so there is no family to tune. Add one with rules = [...].")
    family = spec.tune
    budget = family.budget + min(family.keep, family.budget)
    train = Scorer(spec, open_arena(spec, inputs, "train", count=family.train_windows), progress, budget)
    tried: list[Trial] = []
    for weights in candidates(family, tried, lower=METRICS[spec.main_metric].better == "down"):
        tried.append(train.score(_policy(family, weights), len(tried)))
    sign = 1.0 if METRICS[spec.main_metric].better == "down" else -1.0
    ranked = sorted(tried, key=lambda one: sign * one.score)[: family.keep]
    judge = Scorer(spec, open_arena(spec, inputs, "validation", count=family.validation_windows), progress, budget)
    finalists = [judge.score(parse_blend(one.policy), len(tried) + i) for i, one in enumerate(ranked)]
    best = min(finalists, key=lambda one: sign * one.score)
    return Tuned(best, next(one.score for one in tried if one.policy == best.policy), tuple(tried), tuple(finalists))


@dataclass
class Scorer:
    """Scores policies on the windows of one split."""

    spec: PlacementExperiment
    arena: Arena
    progress: Progress | None
    budget: int

    def score(self, policy: Heuristic, position: int) -> Trial:
        """Mean of the main metric over the windows."""
        if self.progress is not None:
            self.progress(f"tuning, {policy.name}", position / self.budget)
        contestant = Contestant(policy.name, policy)
        check_contestants([contestant], self.spec.options)
        values = [row[self.spec.main_metric] for row in play(self.arena, [contestant], (0,))]
        if None in values:
            raise SpecError(
                f"{self.spec.main_metric} is not known on these windows, so it cannot be tuned for. "
                "Choose another main_metric."
            )
        return Trial(policy.name, math.fsum(values) / len(values))


def candidates(family: TuneSpec, tried: Sequence[Trial], *, lower: bool) -> Iterator[Weights]:
    """Weights to try, ``family.budget`` of them, each blend once.

    Parameters
    ----------
    family : TuneSpec
    tried : sequence of Trial
        Grows while this runs: one trial for each candidate taken.
    lower : bool
        True when a lower score is better.
    """
    n = len(family.rules)
    draw = stream(family.seed, "tune")
    seen: list[Weights] = []
    made = 0

    def fresh(weights: Weights) -> bool:
        return any(weights) and _scaled(weights) not in map(_scaled, seen)

    starts = [tuple(float(i == k) for i in range(n)) for k in range(n)]
    starts += [(1.0,) * n] if n > 1 else []
    random = iter(lambda: _random(draw, n), None)
    for weights in starts:
        if made < family.budget and fresh(weights):
            seen.append(weights)
            made += 1
            yield weights
    until = made + round((family.budget - made) * RANDOM_SHARE) if n > 1 else made
    while made < until:
        weights = next(random)
        if fresh(weights):
            seen.append(weights)
            made += 1
            yield weights
    while made < family.budget and n > 1:
        sign = 1.0 if lower else -1.0
        at = min(range(len(tried)), key=lambda i: sign * tried[i].score)
        weights = next(filter(fresh, itertools.chain(_around(seen[at], draw), random)))
        seen.append(weights)
        made += 1
        yield weights


def _random(draw: np.random.Generator, n: int) -> Weights:
    size = int(draw.integers(2, n + 1))
    chosen = draw.permutation(n)[:size]
    out = np.zeros(n)
    out[chosen] = 10.0 ** draw.uniform(*_DECADES, size=size)
    return tuple(float(f"{weight:.3g}") for weight in out)


def _around(weights: Weights, draw: np.random.Generator) -> Iterator[Weights]:
    """Neighbours in random order: one weight doubled, halved, dropped, or brought in."""
    steps = [(i, factor) for i in range(len(weights)) for factor in (2.0, 0.5, 0.0)]
    for k in draw.permutation(len(steps)):
        i, factor = steps[k]
        scale = max(weights)
        new = weights[i] * factor if weights[i] else scale * max(factor, 0.1)
        yield tuple(float(f"{new:.3g}") if j == i else weight for j, weight in enumerate(weights))


def _scaled(weights: Weights) -> Weights:
    """Blends that differ by a common factor are the same blend."""
    top = max(weights)
    return tuple(round(weight / top, 9) for weight in weights) if top else weights


def _policy(family: TuneSpec, weights: Weights) -> Heuristic:
    named = dict(zip(family.rules, weights, strict=True))
    scored = any(named.get(rule) for rule in ("fgd", "fragmentation"))
    return blend(named, devices=family.devices if scored else "best")


def run_tune(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune the family of an experiment's card.

    Returns
    -------
    dict
        What :func:`write_tuned` writes: the blend, its scores, and what it was tuned on.

    Raises
    ------
    SpecError
        When experiments of the card's kind have nothing to tune.
    """
    kind = kind_of(card, overrides)
    if kind != "placement":
        other: Any = import_module(KINDS[kind][0])
        if not hasattr(other, "run_tune"):
            raise SpecError(f"experiments of kind {kind!r} have no family to tune: {experiment_name(card)} is one.")
        tuned: dict[str, Any] = other.run_tune(card, overrides, data_root=data_root, progress=progress)
        return tuned
    loaded = cards.load(PlacementExperiment, card, overrides)
    inputs = read_inputs(loaded.spec, card.parent, data_root)
    found = tune(loaded.spec, inputs, progress)
    family = loaded.spec.tune
    assert family is not None  # tune has checked
    sets = "".join(f" --set {text}" for text in overrides)
    return {
        "policy": found.best.policy,
        "metric": loaded.spec.main_metric,
        "validation_score": found.best.score,
        "train_score": found.train_score,
        "tried": len(found.tried),
        "finalists": [f"{one.policy} {one.score:.6g}" for one in found.finalists],
        "command": f"rlsched tune {experiment_name(card)}{sets}",
        "seed": family.seed,
        "card_sha256": file_sha256(card),
        "problem_sha256": loaded.spec.problem_sha256,
        "data_sha256": inputs.sha256,
    }


def write_tuned(tuned: dict[str, Any], folder: Path) -> Path:
    """Write ``tuned.toml`` into an experiment's folder; an earlier one is replaced."""
    path = folder / TUNED_FILE
    lines = ["# Made by the command below, on train and validation windows only."]
    tables = []
    for key, value in tuned.items():
        if isinstance(value, dict):
            own = {name: one for name, one in value.items() if not isinstance(one, dict)}
            if own:
                tables += ["", f"[{key}]", *(f"{_toml(name)} = {_toml(one)}" for name, one in own.items())]
            for name, one in value.items():
                if isinstance(one, dict):
                    tables += ["", f"[{key}.{name}]", *(f"{inner} = {_toml(it)}" for inner, it in one.items())]
        elif isinstance(value, list):
            lines.append(f"{key} = [\n" + "".join(f"  {_toml(one)},\n" for one in value) + "]")
        else:
            lines.append(f"{key} = {_toml(value)}")
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*lines, *tables]) + "\n")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_toml(one)},\n" for one in value) + "]"
    return repr(value)

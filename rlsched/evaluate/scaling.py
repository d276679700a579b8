"""Scaling: policies × windows × seeds on real demand → the results document, with bound and controls."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import spec as cards
from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.classes import learned_in, pair_of
from rlsched.evaluate.experiment import ROLES, experiment_name
from rlsched.evaluate.gaps import Bound
from rlsched.evaluate.keep import Keep, at_once, keep_bounds, tied
from rlsched.evaluate.partings import most_different
from rlsched.evaluate.results import Document, agents_sha256, file_sha256, grids, origin, plain, seal
from rlsched.evaluate.runs import with_run
from rlsched.evaluate.scaling_bound import clairvoyant
from rlsched.evaluate.scaling_card import ScalingEntry, ScalingExperiment
from rlsched.evaluate.scaling_inputs import ScalingInputs, read_inputs
from rlsched.evaluate.scaling_metrics import METRICS, PARTS, Sums, read_metrics
from rlsched.evaluate.scaling_partings import scaling_partings
from rlsched.evaluate.scaling_timeline import scaling_timeline
from rlsched.policies.scaling import ScalingPolicy, family, find_scaling
from rlsched.policies.scaling.learned import LearnedScaling, is_learned, load_scaling
from rlsched.policies.scaling.policy import member
from rlsched.policies.tuning import Tuned, tune
from rlsched.rng import stream_seed
from rlsched.sim.scaling.world import Window, World

TUNED_FILE = "tuned.toml"
BOUND = "clairvoyant"
HINDSIGHT = "hindsight_"
#: So many finalists of a family, the best on train first, are written down; ``looks`` counts all.
LISTED = 10
HINDSIGHT_DOC = "the best numbers of that rule found on these very windows, which nobody may know"
#: Told what is being done and the share that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Contestant:
    """A policy under the name it has in tables.

    Parameters
    ----------
    name : str
    policy : ScalingPolicy or LearnedScaling
    tuned : dict
        What ``tuned.toml`` says of it, for one that was tuned.
    runs : tuple of LearnedScaling
        The same recipe trained from several seeds, ``policy`` the first; empty for one alone.
    """

    name: str
    policy: ScalingPolicy | LearnedScaling
    tuned: dict[str, Any] = field(default_factory=dict)
    runs: tuple[LearnedScaling, ...] = ()

    @property
    def members(self) -> list[tuple[int | None, ScalingPolicy | LearnedScaling]]:
        """Training run, None for one alone, and policy."""
        return list(enumerate(self.runs)) if self.runs else [(None, self.policy)]


@dataclass(frozen=True)
class ScalingProblem:
    """A world and its windows by split: what families are tuned on.

    Parameters
    ----------
    world : World
    windows : mapping of str to sequence of Window
    metric : str
        Mean over the windows.
    """

    world: World
    windows: Mapping[str, Sequence[Window]]
    metric: str = "cost_usd"

    @property
    def better(self) -> str:
        """Direction of the metric."""
        return METRICS[self.metric].better

    def score(self, family: str, values: Mapping[str, float], split: str) -> float:
        """Mean of the metric over the windows of a split, with the first seed of interruptions."""
        sums = simulate(self.world, self.windows[split], member(family, values), 0)
        of: Any = METRICS[self.metric].read
        return float(np.mean([of(one) for one in sums]))


def run(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
    keep: Keep = at_once,
) -> Document:
    """Evaluate a scaling experiment; parameters, result and errors as for a placement experiment."""
    began = time.monotonic()
    spec = cards.load(ScalingExperiment, card, overrides).spec
    contestants = find_contestants(spec.policies, card.parent)
    say = progress or (lambda _text, _share: None)
    say("reading demand", 0.0)
    inputs = read_inputs(spec, data_root)
    for one in contestants:
        for _, policy in one.members:
            check_policy(policy, inputs.world)
    windows = inputs.windows[spec.split]
    keep = tied(keep, inputs.sha256)
    controls = hindsight(spec, inputs, say, keep)
    everybody = [*contestants, *controls]
    rows: list[dict[str, Any]] = []
    seeds = spec.seeds if draws_numbers(inputs.world) else (None,)
    for i, one in enumerate(everybody):
        say(f"{one.name}, {len(windows)} windows", 0.5 + 0.4 * i / len(everybody))
        for run, policy in one.members:

            def make(policy: ScalingPolicy | LearnedScaling = policy) -> list[dict[str, Any]]:
                return [plain(row) for row in play(inputs.world, windows, policy, seeds)]

            rows += [{"policy": one.name, "run": run, **row} for row in keep(f"{i} {one.name} {run}", make)]
    rows = with_run(rows)
    say("clairvoyant bound", 0.9)
    bounds, _ = keep_bounds(keep, lambda: ([bound_of(inputs.world, windows)] if spec.bound else [], ""))
    name, names = experiment_name(card), [one.name for one in everybody]
    roles = {role: policy for role in ROLES if (policy := getattr(spec.references, role))}
    document = assemble(
        name,
        rows,
        Bootstrap(spec.bootstrap.resamples, spec.bootstrap.level, spec.bootstrap.seed),
        spec.main_metric,
        tuple(dict.fromkeys((spec.main_metric, *spec.judged))),
        [one for one in roles.values() if one in names],
        metrics=METRICS,
        bounds=bounds,
        controls=[one.name for one in controls],
    )
    provenance = {
        **origin(" ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])),
        "kind": spec.kind,
        "title": spec.title,
        "question": spec.question,
        "card_sha256": file_sha256(card),
        "agents_sha256": agents_sha256(card, overrides),
        "card": plain(spec.model_dump()),
        "problem_sha256": spec.problem_sha256,
        "set": list(overrides),
        "split": spec.split,
        "main_metric": spec.main_metric,
        "metrics": list(spec.shown),
        "references": roles,
        "not_run": [one for one in roles.values() if one not in names],
        "controls": {one.name: HINDSIGHT_DOC for one in controls},
        "parts": [{"title": "What the cost is made of", "unit": "USD", "metrics": list(PARTS)}],
        "no_bound": "" if bounds else "the card asks for none",
        "data": list(inputs.sources),
        "demand": inputs.demand.report.lines(),
        "tuned_elsewhere": [one.name for one in contestants if tuned_elsewhere(one, inputs)],
        "seeds": list(spec.seeds),
        "policies": [describe(one) for one in everybody],
        "windows": [describe_window(one, inputs.world) for one in windows],
        "bootstrap": {**spec.bootstrap.model_dump(), "over": "windows and seeds, paired"},
        "comparisons": document["provenance"],
        "seconds": round(time.monotonic() - began, 1),
    }
    told = {**document, "provenance": provenance}
    wanted = {*roles.values(), document["provenance"]["leader"], *learned_in(told)}
    followed = [one for one in contestants if one.name in wanted]
    timeline = follow(inputs.world, windows, followed, spec, document)
    document = {**document, "timeline": timeline, "provenance": seal(provenance)}
    return {**document, "differences": part(inputs.world, windows, everybody, spec, document)}


def part(
    world: World,
    windows: Sequence[Window],
    contestants: Sequence[Contestant],
    spec: ScalingExperiment,
    document: Document,
) -> dict[str, Any] | None:
    """Where the learned and the tuned policy want the most different, on the window they differ most on.

    Without a learned one, the tuned and the published; None where no two such ran.
    """
    pair = pair_of(document)
    name = None if pair is None else most_different(document, *pair)
    if pair is None or name is None:
        return None
    by = {one.name: one.policy for one in contestants}
    window = next(one for one in windows if one.name == name)
    mine, theirs = ((each, by[each]) for each in pair)
    found = scaling_partings(world, window, mine, theirs, spec.seeds[0])
    return {"kind": "scaling", "window": name, "a": pair[0], "b": pair[1], "unit": world.unit, **found}


def follow(
    world: World,
    windows: Sequence[Window],
    contestants: Sequence[Contestant],
    spec: ScalingExperiment,
    document: Document,
) -> dict[str, Any] | None:
    """The window on which the leader and the references differ most, played again and told over time."""
    if not contestants:
        return None
    names = {one.name for one in contestants}
    values = grids([row for row in document["rows"] if row["policy"] in names], [spec.main_metric])
    costs = np.stack([one[spec.main_metric].reshape(len(windows), -1).mean(axis=1) for one in values.values()])
    spread = np.ptp(costs, axis=0)
    window = windows[0 if np.isnan(spread).all() else int(np.nanargmax(spread))]
    return scaling_timeline(world, window, [(one.name, one.policy) for one in contestants], spec.seeds[0])


def find_contestants(entries: Sequence[ScalingEntry], folder: Path) -> list[Contestant]:
    """Look every policy up; ``tuned_RULE`` are those in the experiment's folder.

    Raises
    ------
    SpecError
        When a tuned one is not there.
    """
    out = []
    for entry in entries:
        if entry.tuned_rule:
            policy, tuned = load_tuned(folder / TUNED_FILE, entry.tuned_rule)
            out.append(Contestant(entry.label, replace(policy, name=entry.label), tuned))
        else:
            found = [find_policy(one) for one in entry.runs or (entry.policy,)]
            runs = tuple(one for one in found if isinstance(one, LearnedScaling)) if entry.runs else ()
            out.append(Contestant(entry.label, found[0], runs=runs))
    return out


def find_policy(name: str) -> ScalingPolicy | LearnedScaling:
    """A rule, with or without numbers, or a trained agent by name, folder or file."""
    return load_scaling(name) if is_learned(name) else find_scaling(name)


def load_tuned(path: Path, rule: str) -> tuple[ScalingPolicy, dict[str, Any]]:
    """The policy that ``rlsched tune`` left for a rule, and what the file says of it.

    Raises
    ------
    SpecError
        When the file or the rule in it is not there.
    """
    what = f"policy 'tuned_{rule}'"
    if not path.is_file():
        raise SpecError(
            f"{what}: there is no {TUNED_FILE} beside the experiment's card. Make it with "
            f"'rlsched tune {path.parent.name}'."
        )
    tuned = cards.read_toml(path)
    one = tuned.get("families", {}).get(rule)
    if not isinstance(one, dict) or not isinstance(one.get("policy"), str):
        raise SpecError(
            f"{what}: {path} has no [families.{rule}] with a policy. Add {rule!r} to tune.families of the card and run "
            f"'rlsched tune {path.parent.name}'."
        )
    try:
        policy = find_scaling(one["policy"])
    except PolicyError as error:
        raise SpecError(f"{path}, [families.{rule}]: {error}") from None
    return policy, {**one, **{key: tuned.get(key) for key in ("data_sha256", "problem_sha256")}}


def tuned_elsewhere(contestant: Contestant, inputs: ScalingInputs) -> bool:
    """True for a tuned policy whose data or whose problem were not those of this experiment."""
    if not contestant.tuned:
        return False
    same = contestant.tuned["data_sha256"] == inputs.sha256
    return not same or contestant.tuned["problem_sha256"] != inputs.spec.problem_sha256


def check_policy(policy: ScalingPolicy | LearnedScaling, world: World) -> None:
    """Refuse a policy that the world cannot run as its documentation says.

    Raises
    ------
    SpecError
        When it needs forecasts, and there are none or none as far ahead as it looks; markets are
        checked by the simulator.
    """
    if isinstance(policy, LearnedScaling):
        policy.check_world(world)
        policy = policy.residual.base
    if policy.kind >= len(world.types):
        raise SpecError(
            f"policy {policy.label!r}: kind must be a type of the card, 0..{len(world.types) - 1}: got {policy.kind}."
        )
    if not policy.table.needs_forecast or policy.values.get("use_table", 1.0) <= 0.5:
        return
    if world.horizons.size == 0:
        raise SpecError(f"policy {policy.label!r} reads forecasts: add a [forecast] table to the card.")
    boot = world.types[policy.kind].boot_steps(float(world.step_s))
    plans = policy.rule == "mpc"
    if (plans and world.horizons.max() < boot) or (not plans and world.horizons.min() > boot):
        far = f"{boot} intervals ahead or {'more' if plans else 'less'}, when an order of now is ready"
        raise SpecError(
            f"policy {policy.label!r} needs a forecast {far}: forecast.horizons are {world.horizons.tolist()}. Add one."
        )


def hindsight(spec: ScalingExperiment, inputs: ScalingInputs, say: Progress, keep: Keep = at_once) -> list[Contestant]:
    """The best constants on the evaluated windows themselves, found with the budget of tuning."""
    out = []
    problem = ScalingProblem(inputs.world, inputs.windows, spec.main_metric)
    for i, rule in enumerate(spec.hindsight):
        say(f"control {rule}", 0.5 * i / len(spec.hindsight))

        def look(rule: str = rule) -> dict[str, float]:
            found = search(spec, rule, problem, (spec.split, spec.split), lambda _text, _share: None)
            return {name: float(value) for name, value in found.best.values.items()}

        policy = member(rule, keep(f"hindsight {rule}", look), HINDSIGHT + rule)
        out.append(Contestant(policy.name, policy))
    return out


def search(
    spec: ScalingExperiment, rule: str, problem: ScalingProblem, split: tuple[str, str], say: Progress | None
) -> Tuned:
    """Tune one rule with the card's budget; without a ``[tune]`` table, with its defaults.

    Where there are several instance types each is searched by itself, with its share of the budget and of the
    finalists: the cheapest on train may be the one whose market closes later.
    """
    budget, keep, seed = (200, 10, 0) if spec.tune is None else (spec.tune.budget, spec.tune.keep, spec.tune.seed)
    many = len(problem.world.types)
    found = [
        tune(
            family(rule, problem.world, kind),
            problem,
            split,
            budget=max(1, budget // many),
            keep=max(1, keep // many),
            seed=seed,
            progress=say,
        )
        for kind in range(many)
    ]
    sign = 1.0 if problem.better == "down" else -1.0
    best = min(found, key=lambda one: sign * one.best.score)
    # The best on train of each type come first, then the second best.
    rows = itertools.zip_longest(*(one.finalists for one in found))
    finalists = tuple(one for row in rows for one in row if one is not None)
    return replace(best, tried=tuple(trial for one in found for trial in one.tried), finalists=finalists)


def draws_numbers(world: World) -> bool:
    """True when runs draw random numbers: spot instances may be taken back by chance."""
    return len(world.pools) > len(world.types) and world.options.interruptions_per_h > 0


def play(
    world: World, windows: Sequence[Window], policy: ScalingPolicy | LearnedScaling, seeds: Sequence[int | None]
) -> list[dict[str, Any]]:
    """Run a policy on every window and seed.

    Returns
    -------
    list of dict
        ``window, seed`` (None where nothing is drawn) and every metric; by seed, then window.
    """
    out = []
    for seed in seeds:
        played = simulate(world, windows, policy, seed or 0)
        out += [
            {"window": one.name, "seed": seed, **read_metrics(sums)} for one, sums in zip(windows, played, strict=True)
        ]
    return out


def simulate(world: World, windows: Sequence[Window], policy: ScalingPolicy | LearnedScaling, seed: int) -> list[Sums]:
    """Run a policy on every window, each with its own stream of interruptions."""
    from rlsched.sim.scaling.simulate import run as run_windows

    streams = [stream_seed(seed, "window", one.name) for one in windows]
    if isinstance(policy, LearnedScaling):
        sums = policy.run(world, windows, streams)
    else:
        sums = run_windows(world, windows, [policy.choice()] * len(windows), streams)[0].code.sums
    step_s = float(world.step_s)
    return [Sums(sums[copy], step_s, (one.hi - one.lo) * step_s) for copy, one in enumerate(windows)]


def bound_of(world: World, windows: Sequence[Window]) -> Bound:
    """The clairvoyant bound on the cost of every window."""
    found = [clairvoyant(world, one) for one in windows]
    exact = all(one.exact for services in found for one in services)
    values = np.array([sum(one.cost_usd for one in services) for services in found])
    doc = "What a scaler pays that knows the whole demand: " + (
        "reached by its plan." if exact else "a lower bound, which relaxes what its state cannot hold."
    )
    return Bound(BOUND, "cost_usd", tuple(one.name for one in windows), values, doc)


def describe(contestant: Contestant) -> dict[str, Any]:
    """A contestant for provenance: what it is, and where it is from."""
    policy = contestant.policy
    if isinstance(policy, LearnedScaling):
        facts = ("experiment", "learned_on", "selected_on", "scores", "trained_rollouts", "data", "provenance")
        everyone = contestant.runs or (policy,)
        trained = [plain({key: one.metadata[key] for key in facts if key in one.metadata}) for one in everyone]
        found = {"name": contestant.name, "policy": policy.name, "doc": policy.doc, "trained": trained[0]}
        return {**found, "runs": trained} if contestant.runs else found
    out: dict[str, Any] = {
        "name": contestant.name,
        "policy": policy.text,
        "params": policy.numbers,
        "doc": policy.table.doc,
        "source": policy.table.source,
    }
    return {**out, **({"tuned": plain(contestant.tuned)} if contestant.tuned else {})}


def describe_window(window: Window, world: World) -> dict[str, Any]:
    """A window for provenance."""
    start = world.start_s + window.lo * world.step_s
    return {
        "name": window.name,
        "services": len(window.rows),
        "start_s": start,
        "stop_s": start + (window.hi - window.lo) * world.step_s,
        "mean_demand": float(np.mean([world.demand[row, window.lo : window.hi].mean() for row in window.rows])),
    }


def run_tune(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune every family of an experiment's card on train, select on validation.

    Returns
    -------
    dict
        What ``rlsched.evaluate.tune.write_tuned`` writes: the best policy over all families, and a
        table for each.

    Raises
    ------
    SpecError
        Without ``[tune]``.
    """
    spec = cards.load(ScalingExperiment, card, overrides).spec
    if spec.tune is None:
        raise SpecError("this card has no [tune] table, so there is no family to tune. Add one with families = [...].")
    inputs = read_inputs(spec, data_root)
    problem = ScalingProblem(inputs.world, inputs.windows, spec.main_metric)
    families: dict[str, dict[str, Any]] = {}
    for i, rule in enumerate(spec.tune.families):

        def say(text: str, share: float, at: int = i) -> None:
            if progress is not None and spec.tune is not None:
                progress(text, (at + share) / len(spec.tune.families))

        found = search(spec, rule, problem, ("train", "validation"), say)
        families[rule] = {
            "policy": member(rule, found.best.values).text,
            "validation_score": found.best.score,
            "train_score": found.train_score,
            "default_train_score": found.tried[0].score,
            "tried": len(found.tried),
            "looks": len(found.finalists),
            "at_edge": ", ".join(found.at_edge),
            "finalists": [f"{member(rule, one.values).text} {one.score:.6g}" for one in found.finalists[:LISTED]],
        }
    sign = 1.0 if problem.better == "down" else -1.0
    best = min(families.values(), key=lambda one: sign * one["validation_score"])
    sets = "".join(f" --set {shlex.quote(text)}" for text in overrides)
    return {
        "policy": best["policy"],
        "metric": spec.main_metric,
        "validation_score": best["validation_score"],
        "train_score": best["train_score"],
        "tried": sum(one["tried"] for one in families.values()),
        "command": f"rlsched tune {experiment_name(card)}{sets}",
        "seed": spec.tune.seed,
        "card_sha256": file_sha256(card),
        "problem_sha256": spec.problem_sha256,
        "data_sha256": inputs.sha256,
        "families": families,
    }

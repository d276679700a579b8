"""Placement: policies × windows × seeds on a trace and machines → the results document."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import spec as cards
from rlsched.errors import MissingDataError
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.bounds import placement_bounds, why_not
from rlsched.evaluate.carbon import Intensity, find_intensity, not_known
from rlsched.evaluate.classes import pair_of
from rlsched.evaluate.contestants import (
    TUNED,
    TUNED_FILE,
    Contestant,
    check_contestants,
    describe,
    find_contestants,
    load_tuned,
    tuned_elsewhere,
)
from rlsched.evaluate.experiment import ROLES, PlacementExperiment, experiment_name
from rlsched.evaluate.failures import make_failures
from rlsched.evaluate.gaps import Bound
from rlsched.evaluate.inputs import Inputs, read_inputs
from rlsched.evaluate.keep import Keep, at_once, keep_bounds, tied
from rlsched.evaluate.metrics import METRICS, Measured, read_metrics
from rlsched.evaluate.partings import most_different, partings
from rlsched.evaluate.results import (
    Document,
    agents_sha256,
    file_sha256,
    grids,
    origin,
    plain,
    seal,
)
from rlsched.evaluate.timeline import placement_timeline
from rlsched.evaluate.windows import Instances, SplitName, make_instances, train_tasks
from rlsched.policies import Heuristic
from rlsched.rng import stream_seed
from rlsched.sim.events import MachineEvents
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.power import PowerCurve
from rlsched.sim.simulate import check_over, run_policy
from rlsched.sim.state import State
from rlsched.sim.world import Typical, World

__all__ = [
    "TUNED", "TUNED_FILE", "Arena", "Contestant", "Progress", "check_contestants", "describe", "describe_windows",
    "find_contestants", "load_tuned", "open_arena", "play", "run", "tuned_elsewhere",
]  # fmt: skip
#: The metric with a bound where a warm-up precedes the metered part.
FROM_EMPTY = "rejected_cpu_from_empty_share"
#: What a report draws as parts of a whole.
PARTS = [
    {
        "title": "What tasks were turned away for",
        "unit": "tasks",
        "metrics": [name for name in METRICS if name.startswith("rejected_for_")],
    }
]
#: Told what is being done and the share that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Arena:
    """Windows and what every world on them shares."""

    instances: Instances
    options: PlacementOptions
    typical: Typical | None
    curves: dict[str, PowerCurve]
    failures: MachineEvents | None = None
    carbon: Intensity = not_known

    def world(self, contestant: Contestant, built: dict[Any, World]) -> World:
        """The world a contestant plays in; ``built`` keeps those that several share."""
        key = (contestant.options(self.options), contestant.needs_residents or self.failures is not None)
        if key not in built:
            built[key] = World.build(
                self.instances.trace,
                self.instances.fleets,
                key[0],
                typical=self.typical,
                curves=self.curves,
                residents=key[1],
                events=self.failures,
            )
        return built[key]


def run(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
    keep: Keep = at_once,
) -> Document:
    """Evaluate a placement experiment.

    Parameters
    ----------
    card : Path
        ``experiment.toml``.
    overrides : sequence of str
        ``key=value``, as ``--set`` takes them.
    data_root : str or Path, optional
        Where datasets lie.
    progress : callable, optional
        Told what is being done and the share that is done.
    keep : callable, optional
        Keeps finished units: a policy and seed on all windows, the bounds.

    Returns
    -------
    dict
        The document of ``docs/json.md``.

    Raises
    ------
    UserError
        An unknown key, policy or metric; data that is missing or wrong; a trace that no machine
        can serve.
    """
    began = time.monotonic()
    loaded = cards.load(PlacementExperiment, card, overrides)
    spec = loaded.spec
    contestants = find_contestants(spec.policies, card.parent)
    inputs = read_inputs(spec, card.parent, data_root)
    keep = tied(keep, inputs.sha256)
    arena = dataclasses.replace(open_arena(spec, inputs, spec.split), carbon=find_intensity(spec.carbon, data_root))
    check_contestants(contestants, spec.options)
    built: dict[Any, World] = {}
    rows = play(arena, contestants, spec.seeds, progress, main_metric=spec.main_metric, built=built, keep=keep)
    bounds, no_bound = keep_bounds(keep, lambda: find_bounds(spec, arena, contestants[0], built, progress))
    bootstrap = Bootstrap(spec.bootstrap.resamples, spec.bootstrap.level, spec.bootstrap.seed)
    roles = {role: name for role in ROLES if (name := getattr(spec.references, role))}
    names = [one.name for one in contestants]
    judged = (spec.main_metric, *(one for one in spec.judged if one != spec.main_metric))
    references = [one for one in roles.values() if one in names]
    controls = {one.name: one.control for one in contestants if one.control}
    name = experiment_name(card)
    document = assemble(
        name, rows, bootstrap, spec.main_metric, judged, references, bounds=bounds, controls=list(controls)
    )
    compared = document["provenance"]
    followed = [one for one in contestants if one.name in (compared["leader"], *references)]
    followed += [one for one in contestants if one not in followed and not one.control][: max(0, 2 - len(followed))]
    command = " ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])
    provenance = {
        **origin(command),
        "kind": spec.kind,
        "title": spec.title,
        "question": spec.question,
        "card_sha256": file_sha256(card),
        "agents_sha256": agents_sha256(card, overrides),
        "card": plain(spec.model_dump()),
        "set": list(overrides),
        "split": spec.split,
        "main_metric": spec.main_metric,
        "metrics": list(dict.fromkeys((spec.main_metric, *(one.metric for one in bounds), *spec.shown))),
        "references": roles,
        "leader": compared["leader"],
        "controls": controls,
        "not_run": [one for one in roles.values() if one not in names],
        "data": list(inputs.sources),
        "problem_sha256": spec.problem_sha256,
        "tuned_elsewhere": [one.name for one in contestants if tuned_elsewhere(one, inputs, spec)],
        "seeds": list(spec.seeds),
        "policies": [describe(one) for one in contestants],
        **describe_windows(arena),
        "parts": PARTS,
        "no_bound": no_bound,
        **({"carbon": spec.carbon.words} if spec.carbon else {}),
        "bootstrap": {**spec.bootstrap.model_dump(), "over": "windows and seeds, paired"},
        "comparisons": compared,
        "seconds": round(time.monotonic() - began, 1),
    }
    timeline = follow(arena, followed, spec, document, built)
    document = {**document, "timeline": timeline, "provenance": seal(provenance)}
    return {**document, "differences": part(arena, contestants, document, built)}


def part(
    arena: Arena, contestants: Sequence[Contestant], document: Document, built: dict[Any, World]
) -> dict[str, Any] | None:
    """The first decisions on which the learned policy and the tuned one part, on the window they differ most on.

    Without a learned one, the tuned and the published; None where no two such ran, where what they may see differs,
    or where machines fail.
    """
    pair = pair_of(document)
    if pair is None or arena.failures is not None:
        return None
    by = {one.name: one for one in contestants}
    mine, theirs = (by[name] for name in pair)
    name = most_different(document, *pair)
    window = next((one for one in arena.instances.windows if one.name == name), None)
    if window is None or mine.options(arena.options) != theirs.options(arena.options):
        return None
    world = arena.world(mine if mine.needs_residents else theirs, built)
    found = partings(world, window, mine, theirs, arena.typical, clock=arena.instances.clock)
    return None if found is None else {"kind": "placement", "window": window.name, "a": pair[0], "b": pair[1], **found}


def find_bounds(
    spec: PlacementExperiment,
    arena: Arena,
    contestant: Contestant,
    built: dict[Any, World],
    progress: Progress | None = None,
) -> tuple[list[Bound], str]:
    """The bounds a card asks for, on the main metric, or else on the one that counts from the empty cluster.

    Returns
    -------
    (list of Bound, str)
        Without any, why there are none; ``""`` where none was asked for.
    """
    if spec.bounds == "none":
        return [], ""
    world, windows, clock = arena.world(contestant, built), arena.instances.windows, arena.instances.clock
    objection = why_not(world, windows, spec.main_metric, clock=clock)
    for metric in (spec.main_metric, FROM_EMPTY):
        if not why_not(world, windows, metric, clock=clock):
            try:
                return placement_bounds(world, windows, metric, clock=clock, progress=progress), objection
            except MissingDataError as error:
                return [], str(error).rstrip(".")
    return [], objection


def follow(
    arena: Arena,
    contestants: Sequence[Contestant],
    spec: PlacementExperiment,
    document: Document,
    built: dict[Any, World],
) -> dict[str, Any] | None:
    """The window on which the contestants differ most, played again and told over time."""
    values = grids(document["rows"], [spec.main_metric])
    means = [values[one.name][spec.main_metric].mean(axis=1) for one in contestants]
    if not means or np.isnan(means).all():
        return None
    spread = (
        np.nanmax(means, axis=0) - np.nanmin(means, axis=0) if not np.isnan(means).any() else np.zeros(len(means[0]))
    )
    window = arena.instances.windows[int(np.nanargmax(spread))]
    states = []
    for one in contestants:
        world = arena.world(one, built)
        seed, policy = one.members(spec.seeds)[0]
        state = world.start([window], [stream_seed(seed or 0, "window", window.name)])
        _run(policy, world, state)
        states.append((one.name, state))
    shown = placement_timeline(world, states, clock=arena.instances.clock)
    return None if shown is None else {"window": window.name, **shown}


def open_arena(spec: PlacementExperiment, inputs: Inputs, split: SplitName, *, count: int | None = None) -> Arena:
    """Cut the windows of a split, and learn from the train split what may be learnt there."""
    instances = make_instances(
        spec.windows, inputs.splits, split, inputs.trace, inputs.machines, sample=spec.machines.sample, count=count
    )
    typical = None
    if spec.options.fragmentation != "none":
        typical = typical_requests(
            train_tasks(inputs.splits, inputs.trace, tasks=spec.windows.tasks), spec.typical_share
        )
    failures = make_failures(spec.failures, instances, inputs.folder)
    return Arena(instances, spec.options, typical, inputs.curves, failures)


def play(
    arena: Arena,
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    progress: Progress | None = None,
    *,
    main_metric: str = "",
    built: dict[Any, World] | None = None,
    keep: Keep = at_once,
) -> list[dict[str, Any]]:
    """Run every contestant on every window, and on every seed where it draws random numbers.

    Parameters
    ----------
    arena, contestants, seeds
        A contestant of several training runs plays each, its seeds 0, 1, ... those of training.
    progress : callable, optional
    main_metric : str
        Of which the best in hindsight is taken, for controls.
    built : dict, optional
        Keeps the worlds that were built.
    keep : callable, optional
        Keeps what each contestant did with each seed.

    Returns
    -------
    list of dict
        ``policy, window, seed`` (None where no random numbers are drawn) and every metric, None
        where not known; by policy, then seed, then window.
    """
    windows = arena.instances.windows
    size = sum(window.hi - window.lo for window in windows)
    jobs = [(one, each) for one in contestants for each in (one.each_finalist() if one.finalists else [one])]
    total = size * sum(len(each.members(seeds)) for _, each in jobs)
    built = {} if built is None else built
    played: dict[str, list[list[dict[str, Any]]]] = {}
    done = 0
    for number, (contestant, each) in enumerate(jobs):
        world = arena.world(each, built)
        rows: list[dict[str, Any]] = []
        for seed, policy in each.members(seeds):

            def tell(share: float, name: str = contestant.name, at: int = done) -> None:
                if progress is not None:
                    progress(name, (at + size * share) / total)

            def make(world: World = world, policy: Any = policy, seed: int | None = seed) -> list[dict[str, Any]]:
                return _play_one(arena, world, policy, seed, size, tell)

            metered = keep(f"{number} {contestant.name} {seed}", make)
            done += size
            tell(0.0, at=done)
            rows += [
                {"policy": contestant.name, "window": window.name, "seed": seed, **metrics}
                for window, metrics in zip(windows, metered, strict=True)
            ]
        played.setdefault(contestant.name, []).append(rows)
    return [row for tries in played.values() for row in _best(tries, main_metric)]


def _play_one(
    arena: Arena, world: World, policy: Any, seed: int | None, size: int, tell: Callable[[float], None]
) -> list[dict[str, Any]]:
    """Every metric of every window, None where not known; ``size`` tasks are asked about."""
    asked = 0

    def count(more: int) -> None:
        nonlocal asked
        asked += more
        tell(asked / size)

    windows, clock = arena.instances.windows, arena.instances.clock
    state = world.start(windows, [stream_seed(seed or 0, "window", window.name) for window in windows])
    _run(policy, world, state, count)
    check_over(state)
    measured = [
        Measured.of(world, state, copy, clock=clock, g_per_kwh=arena.carbon(one.start_s, one.stop_s))
        for copy, one in enumerate(windows)
    ]
    return [{name: plain(value) for name, value in read_metrics(one).items()} for one in measured]


def _best(tries: list[list[dict[str, Any]]], metric: str) -> list[dict[str, Any]]:
    """The rows with the best mean, the first on ties; all there are of one try."""
    if len(tries) == 1:
        return tries[0]
    sign = 1.0 if METRICS[metric].better == "down" else -1.0

    def score(rows: list[dict[str, Any]]) -> float:
        values = [row[metric] for row in rows]
        return math.inf if None in values else sign * math.fsum(values) / len(values)

    return min(tries, key=score)


def _run(policy: Any, world: World, state: State, tell: Callable[[int], None] | None = None) -> None:
    if isinstance(policy, Heuristic):
        run_policy(world, state, policy.arrays(), progress=tell)
    else:
        policy.run(world, state, progress=tell)


def describe_windows(arena: Arena) -> dict[str, Any]:
    """Windows, tasks and machines for provenance."""
    instances = arena.instances
    fleet = instances.fleets[0]
    return {
        "windows": [
            {"name": one.name, "tasks": one.hi - one.lo, "start_s": plain(one.start_s), "stop_s": plain(one.stop_s)}
            for one in instances.windows
        ],
        "machines": {
            "count": len(fleet),
            "cpu_mcore": int(fleet.cpu_mcore.sum()),
            "mem_mib": int(fleet.mem_mib.sum()),
            "gpus": int(fleet.gpu_count.sum()),
            "drawn_for_each_window": len(instances.fleets) > 1,
        },
        "typical_requests": 0 if arena.typical is None else len(arena.typical.share),
    }

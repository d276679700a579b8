"""Placement: policies × windows × seeds on a trace and machines → the results document."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlsched import spec as cards
from rlsched.errors import SpecError, UserError
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.experiment import ROLES, PlacementExperiment, PolicyEntry, experiment_name
from rlsched.evaluate.failures import make_failures
from rlsched.evaluate.inputs import Inputs, read_inputs
from rlsched.evaluate.metrics import Measured, read_metrics
from rlsched.evaluate.results import (
    Document,
    file_sha256,
    origin,
    plain,
    seal,
)
from rlsched.evaluate.windows import Instances, SplitName, make_instances, train_tasks
from rlsched.policies import Heuristic, find_policy, parse_blend
from rlsched.rng import stream_seed
from rlsched.sim.events import MachineEvents
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.power import PowerCurve
from rlsched.sim.simulate import check_over, run_policy
from rlsched.sim.world import Typical, World

TUNED = "tuned_blend"
TUNED_FILE = "tuned.toml"
#: Told what is being done and the share that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Contestant:
    """A policy under the name it has in tables.

    Parameters
    ----------
    name : str
    policy : Heuristic, or a learned policy
        A learned one has ``run(world, state, progress=None)``, which brings every copy of the
        state to the end of its window, and ``stochastic``.
    lifetime, unknown_lifetime_s
        What it may see of life spans, where that differs from the experiment's.
    tuned : dict
        What ``tuned.toml`` says of the blend, for one that was tuned.
    """

    name: str
    policy: Any
    lifetime: str | None = None
    unknown_lifetime_s: float | None = None
    tuned: dict[str, Any] = field(default_factory=dict)

    @property
    def stochastic(self) -> bool:
        """True when it draws random numbers, so that seeds matter."""
        if isinstance(self.policy, Heuristic):
            return self.policy.choice == "random" or self.policy.devices == "random"
        return bool(getattr(self.policy, "stochastic", False))

    @property
    def needs_typical(self) -> bool:
        """True when it measures fragmentation."""
        return bool(getattr(self.policy, "needs_typical", False))

    @property
    def needs_residents(self) -> bool:
        """True when it looks at the tasks already on a machine."""
        return bool(getattr(self.policy, "needs_residents", True))

    def options(self, base: PlacementOptions) -> PlacementOptions:
        """The experiment's options, with what this policy may see."""
        seen = {"lifetime": self.lifetime, "unknown_lifetime_s": self.unknown_lifetime_s}
        changes: dict[str, Any] = {key: value for key, value in seen.items() if value is not None}
        return dataclasses.replace(base, **changes)


@dataclass(frozen=True)
class Arena:
    """Windows and what every world on them shares."""

    instances: Instances
    options: PlacementOptions
    typical: Typical | None
    curves: dict[str, PowerCurve]
    failures: MachineEvents | None = None

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
    arena = open_arena(spec, inputs, spec.split)
    check_contestants(contestants, spec.options)
    rows = play(arena, contestants, spec.seeds, progress)
    bootstrap = Bootstrap(spec.bootstrap.resamples, spec.bootstrap.level, spec.bootstrap.seed)
    roles = {role: name for role in ROLES if (name := getattr(spec.references, role))}
    names = [one.name for one in contestants]
    judged = (spec.main_metric, *(one for one in spec.judged if one != spec.main_metric))
    document = assemble(
        experiment_name(card), rows, bootstrap, spec.main_metric, judged, [r for r in roles.values() if r in names]
    )
    name = experiment_name(card)
    command = " ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])
    provenance = {
        **origin(command),
        "kind": spec.kind,
        "title": spec.title,
        "question": spec.question,
        "card_sha256": file_sha256(card),
        "card": plain(spec.model_dump()),
        "set": list(overrides),
        "split": spec.split,
        "main_metric": spec.main_metric,
        "metrics": list(spec.shown),
        "references": roles,
        "not_run": [one for one in roles.values() if one not in names],
        "data": list(inputs.sources),
        "tuned_elsewhere": [one.name for one in contestants if tuned_elsewhere(one, inputs)],
        "seeds": list(spec.seeds),
        "policies": [describe(one) for one in contestants],
        **describe_windows(arena),
        "bootstrap": {**spec.bootstrap.model_dump(), "over": "windows and seeds, paired"},
        "comparisons": document["provenance"],
        "seconds": round(time.monotonic() - began, 1),
    }
    return {**document, "provenance": seal(provenance)}


def find_contestants(entries: Sequence[PolicyEntry], folder: Path) -> list[Contestant]:
    """Look every policy up; ``tuned_blend`` is the one in the experiment's folder.

    Raises
    ------
    SpecError
        Every unknown policy at once.
    """
    out: list[Contestant] = []
    faults: list[UserError] = []
    for entry in entries:
        try:
            policy, tuned = (
                load_tuned(folder / TUNED_FILE) if entry.policy == TUNED else (find_policy(entry.policy), {})
            )
        except UserError as error:
            faults.append(error)
            continue
        out.append(Contestant(entry.label, policy, entry.lifetime, entry.unknown_lifetime_s, tuned))
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise SpecError("\n  ".join([f"{len(faults)} problems with policies:", *map(str, faults)]))
    return out


def load_tuned(path: Path) -> tuple[Heuristic, dict[str, Any]]:
    """The blend that ``rlsched tune`` left in an experiment's folder.

    Returns
    -------
    (Heuristic, dict)
        The blend, and everything the file says of it.

    Raises
    ------
    SpecError
        When it is not there, or is not such a file.
    """
    if not path.is_file():
        raise SpecError(
            f"policy {TUNED!r}: there is no {TUNED_FILE} beside the experiment's card. Make it with "
            f"'rlsched tune {path.parent.name}'."
        )
    tuned = cards.read_toml(path)
    text = tuned.get("policy")
    if not isinstance(text, str):
        raise SpecError(f"policy {TUNED!r}: {path} has no key policy. Make it again with 'rlsched tune'.")
    return dataclasses.replace(parse_blend(text), name=TUNED), tuned


def tuned_elsewhere(contestant: Contestant, inputs: Inputs) -> bool:
    """True for a tuned blend whose data were not those of this experiment."""
    return bool(contestant.tuned) and contestant.tuned.get("data_sha256", {}) != inputs.sha256


def check_contestants(contestants: Sequence[Contestant], options: PlacementOptions) -> None:
    """Refuse policies that the simulation cannot run.

    Raises
    ------
    SpecError
        When a policy measures fragmentation and the simulation does not, or measures it in
        something else.
    """
    for one in contestants:
        wanted = getattr(one.policy, "fragmentation", options.fragmentation)
        if wanted != options.fragmentation:
            raise SpecError(
                f"policy {one.name!r} was trained with fragmentation = {wanted!r}: simulation.fragmentation is "
                f"{options.fragmentation!r}. Set it to {wanted!r}."
            )
    blind = [one.name for one in contestants if one.needs_typical] if options.fragmentation == "none" else []
    if blind:
        raise SpecError(
            f'policy {blind[0]!r} scores by fragmentation, which simulation.fragmentation = "none" does not measure. '
            'Set it to "gpu" or "cpu".'
        )


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
    arena: Arena, contestants: Sequence[Contestant], seeds: Sequence[int], progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Run every contestant on every window, and on every seed where it draws random numbers.

    Returns
    -------
    list of dict
        ``policy, window, seed`` (None where no random numbers are drawn) and every metric, None
        where not known; by policy, then seed, then window.
    """
    windows = arena.instances.windows
    size = sum(window.hi - window.lo for window in windows)
    total = size * sum(len(seeds) if one.stochastic else 1 for one in contestants)
    built: dict[Any, World] = {}
    rows: list[dict[str, Any]] = []
    done = 0
    for contestant in contestants:
        world = arena.world(contestant, built)
        for seed in seeds if contestant.stochastic else (None,):
            at = done

            def tell(asked: int, name: str = contestant.name) -> None:
                nonlocal at
                at += asked
                if progress is not None:
                    progress(name, at / total)

            streams = [stream_seed(seed or 0, "window", window.name) for window in windows]
            state = world.start(windows, streams)
            if isinstance(contestant.policy, Heuristic):
                run_policy(world, state, contestant.policy.arrays(), progress=tell)
            else:
                contestant.policy.run(world, state, progress=tell)
            check_over(state)
            done += size
            for copy, window in enumerate(windows):
                measured = Measured.of(world, state, copy, clock=arena.instances.clock)
                metrics = {name: plain(value) for name, value in read_metrics(measured).items()}
                rows.append({"policy": contestant.name, "window": window.name, "seed": seed, **metrics})
    return rows


def describe(contestant: Contestant) -> dict[str, Any]:
    """A contestant for provenance: what it is, and where it is from."""
    policy = contestant.policy
    out: dict[str, Any] = {"name": contestant.name, "policy": getattr(policy, "name", contestant.name)}
    if isinstance(policy, Heuristic):
        out |= {"weights": dict(policy.weights), "choice": policy.choice, "devices": policy.devices}
    out |= {"doc": getattr(policy, "doc", ""), "source": getattr(policy, "source", "")}
    metadata = getattr(policy, "metadata", None)
    if isinstance(metadata, dict):
        out["metadata"] = plain(metadata)
    if contestant.tuned:
        out["tuned"] = plain(contestant.tuned)
    seen = {"lifetime": contestant.lifetime, "unknown_lifetime_s": contestant.unknown_lifetime_s}
    return {**out, **{key: value for key, value in seen.items() if value is not None}}


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

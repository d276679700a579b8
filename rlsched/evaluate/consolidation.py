"""``rlsched evaluate`` of a consolidation experiment: policies × days × seeds → one JSON document.

The scenario is CloudSim's PlanetLab example: 800 machines of two types, one VM a trace file. With
``semantics = "cloudsim_303"`` the figures are those of CloudSim 3.0.3 (``docs/fidelity.md``). A card
with a ``main_metric`` says who won on it.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import spec
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.carbon import Intensity, find_intensity, not_known
from rlsched.evaluate.classes import classes_of, pair_of
from rlsched.evaluate.consolidation_bound import DOC, NAME, cost_bound
from rlsched.evaluate.consolidation_card import HINDSIGHT, ConsolidationExperiment, PolicyEntry
from rlsched.evaluate.consolidation_days import Day, find_days, split_days
from rlsched.evaluate.consolidation_metrics import COST, METRICS, Finished, read_metrics
from rlsched.evaluate.consolidation_tuned import Tuned, find_tuned, load_tuned
from rlsched.evaluate.experiment import ROLES, experiment_name
from rlsched.evaluate.gaps import Bound
from rlsched.evaluate.keep import Keep, at_once, tied
from rlsched.evaluate.partings import most_different
from rlsched.evaluate.results import Document, agents_sha256, file_sha256, grids, origin, plain, seal, summarise
from rlsched.evaluate.runs import with_run
from rlsched.policies.consolidation.learned import LearnedConsolidation, load_consolidation
from rlsched.policies.consolidation.residual import NUMBERS
from rlsched.rng import stream
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.world import World
from rlsched.sim.semantics import Semantics

__all__ = ["ConsolidationExperiment", "find_days", "run"]

Progress = Callable[[str, float], None]
Anybody = ConsolidationPolicy | LearnedConsolidation


def run(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: Path | None = None,
    progress: Progress | None = None,
    keep: Keep = at_once,
) -> Document:
    """Run the experiment of a card.

    Parameters
    ----------
    card : Path
        ``experiment.toml``.
    overrides : sequence of str
        ``key=value``, as of ``--set``.
    data_root : Path, optional
        Folder the datasets lie in.
    progress : callable, optional
        Told what is being done and the share that is done.
    keep : callable, optional
        Keeps what all policies did on a window with a seed.

    Returns
    -------
    dict
        The document of ``docs/json.md``. A row has ``policy, window`` (the day, and the group of its
        VMs where it is dealt out) ``, seed``, what the policy is made of, and every metric of
        :data:`rlsched.evaluate.consolidation_metrics.METRICS`; one that does not exist for a run
        (mean time before a shutdown without shutdowns) is None.

    Raises
    ------
    UserError
        Whatever is wrong with card, overrides, data or semantics.
    """
    began = time.monotonic()
    experiment = spec.load(ConsolidationExperiment, card, overrides).spec
    tuned = load_tuned(card.parent) if any(entry.searched for entry in experiment.policies) else None
    agents = {
        entry.shown: [load_consolidation(one) for one in entry.agents] for entry in experiment.policies if entry.learned
    }
    windows = Windows(experiment, data_root, progress)
    carbon = find_intensity(experiment.carbon, data_root)
    rows = play(experiment, windows, tuned, agents, keep, carbon)
    bootstrap = Bootstrap(**experiment.bootstrap.model_dump())
    name, main = experiment_name(card), experiment.main_metric
    names = [entry.shown for entry in experiment.policies]
    roles = {role: one for role in ROLES if (one := getattr(experiment.references, role))}
    controls = {
        entry.shown: "the best on these windows of all finalists of the search"
        for entry in experiment.policies
        if entry.name == HINDSIGHT
    }
    bounds, no_bound = find_bounds(experiment, windows)
    if main:
        document = assemble(
            name,
            rows,
            bootstrap,
            main,
            (main, *(one for one in experiment.judged if one != main)),
            [one for one in roles.values() if one in names],
            metrics=METRICS,
            bounds=bounds,
            controls=list(controls),
        )
    else:
        summary = summarise(grids(rows, list(METRICS)), bootstrap)
        document = {"experiment": name, "provenance": {}, "rows": rows, "summary": summary, "verdicts": []}
    compared = document["provenance"]
    provenance = {
        **origin(" ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])),
        "kind": experiment.kind,
        "title": experiment.title,
        "question": experiment.question,
        "card_sha256": file_sha256(card),
        "agents_sha256": agents_sha256(card, overrides),
        "problem_sha256": experiment.problem_sha256,
        "card": plain(experiment.model_dump()),
        "set": list(overrides),
        "metrics": list(experiment.metrics),
        "semantics": dict(vars(experiment.chosen_semantics)),
        "data_sha256": windows.files,
        "seeds": list(experiment.seeds),
        "bootstrap": experiment.bootstrap.model_dump(),
        "seconds": round(time.monotonic() - began, 1),
        **({"carbon": experiment.carbon.words} if experiment.carbon else {}),
    }
    if agents:
        several = {entry.shown for entry in experiment.policies if entry.runs}
        provenance["agents"] = {
            name: {**describe(found[0]), **({"runs": [describe(one) for one in found]} if name in several else {})}
            for name, found in agents.items()
        }
    if main:
        provenance |= {
            "split": experiment.split,
            "main_metric": main,
            "references": roles,
            "leader": compared["leader"],
            "controls": controls,
            "not_run": [one for one in roles.values() if one not in names],
            "tuned_elsewhere": _tuned_elsewhere(experiment, windows, tuned),
            "no_bound": no_bound,
            "comparisons": compared,
        }
    document = {**document, "provenance": seal(provenance)}
    return {**document, **follow(experiment, windows, tuned, agents, document)} if main else document


def follow(
    experiment: ConsolidationExperiment,
    windows: Windows,
    tuned: Tuned | None,
    agents: Mapping[str, Sequence[LearnedConsolidation]],
    document: Document,
) -> dict[str, Any]:
    """The window on which the learned and the tuned policy differ most, over time, and where they part the most.

    Without a learned one, the tuned and the published; nothing where no two such ran.
    """
    from rlsched.evaluate.consolidation_partings import consolidation_partings, consolidation_timeline, watch_window

    pair = pair_of(document)
    name = None if pair is None else most_different(document, *pair)
    if pair is None or name is None:
        return {"timeline": None, "differences": None}
    by: dict[str, Anybody] = {}
    for entry in experiment.policies:
        if entry.name != HINDSIGHT:
            by[entry.shown] = agents[entry.shown][0] if entry.learned else (
                entry.policy if tuned is None or not entry.searched else find_tuned(entry, tuned)[0]
            )  # fmt: skip
    seed = experiment.seeds[0]
    world = next(
        windows.world(day, group, seed)
        for day in windows.days
        for group in range(experiment.groups)
        if windows.name(day, group) == name
    )
    told = [one for one in classes_of(document).values() if one in by]
    logs = {one: watch_window(world, windows.semantics, by[one], seed) for one in dict.fromkeys((*pair, *told))}
    step_s = float(world.step_s)
    (mine, numbers), (theirs, _) = (logs[one] for one in pair)
    return {
        "timeline": consolidation_timeline(name, [(one, logs[one][0]) for one in told], step_s),
        "differences": {
            "kind": "consolidation", "window": name, "a": pair[0], "b": pair[1],
            **consolidation_partings((pair[0], by[pair[0]]), (mine, theirs), numbers, step_s),
        },
    }  # fmt: skip


class Windows:
    """The clusters of an experiment, one after the other; remembers what it read.

    Parameters
    ----------
    experiment : ConsolidationExperiment
    data_root : Path, optional
    progress : callable, optional
    split : str, optional
        Instead of the experiment's.
    """

    def __init__(
        self,
        experiment: ConsolidationExperiment,
        data_root: Path | None = None,
        progress: Progress | None = None,
        split: str = "",
    ) -> None:
        self.experiment, self.semantics = experiment, experiment.chosen_semantics
        split = split or experiment.split
        names = split_days(experiment.traces, split, data_root) if split else experiment.day
        self.days = find_days(experiment.traces, names, data_root)
        self.say = progress or (lambda _text, _share: None)
        #: File → SHA-256 of what was read.
        self.files: dict[str, str] = {}
        self._usages: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        """Of all windows, in order."""
        return [self.name(day, group) for day in self.days for group in range(self.experiment.groups)]

    def name(self, day: Day, group: int) -> str:
        """``20110412``, or ``20110412/3`` where days are dealt out."""
        return day.name if self.experiment.groups == 1 else f"{day.name}/{group}"

    def world(self, day: Day, group: int, seed: int) -> World:
        """One cluster; VM sizes are dealt out by the seed, VMs to groups always in the same way."""
        from rlsched.sim.consolidation.world import planetlab_world

        if day.name not in self._usages:
            self._usages = {day.name: day.read()}
            found = self._usages[day.name].meta.get("files", {})
            self.files |= (
                {Path(str(name)).name: str(sha) for name, sha in found.items()}
                if day.inside
                else {day.path.name: _digest(found)}
            )
        usage, rows = self._usages[day.name], None
        if self.experiment.groups > 1:
            dealt = stream(0, "groups", day.name).permutation(len(usage))
            rows = np.sort(dealt[group :: self.experiment.groups])
        return planetlab_world(
            usage,
            self.semantics,
            seed=seed,
            n_hosts=self.experiment.hosts,
            host_mem_mib=self.experiment.host_mem_mib,
            rows=rows,
        )


def play(
    experiment: ConsolidationExperiment,
    windows: Windows,
    tuned: Tuned | None,
    agents: Mapping[str, Sequence[LearnedConsolidation]],
    keep: Keep = at_once,
    carbon: Intensity | None = None,
) -> list[dict[str, Any]]:
    """Every policy on every window with every seed; agents, all runs of each, by the names they are shown under."""

    def candidates(entry: PolicyEntry) -> Sequence[Anybody]:
        if entry.learned:
            return agents[entry.shown]
        return [entry.policy] if tuned is None or not entry.searched else find_tuned(entry, tuned)

    stands_for = [candidates(entry) for entry in experiment.policies]
    everybody = list(dict.fromkeys(one for several in stands_for for one in several))
    steps = len(windows.days) * experiment.groups * len(experiment.seeds)
    found: dict[tuple[str, int], dict[Anybody, dict[str, Any]]] = {}
    for day in windows.days:
        for group in range(experiment.groups):
            name = windows.name(day, group)
            for seed in experiment.seeds:
                windows.say(f"{name}, seed {seed}: {len(everybody)} policies", len(found) / steps)
                world = windows.world(day, group, seed)

                def make(world: World = world, seed: int = seed) -> list[dict[str, Any]]:
                    return _play_one(experiment, world, windows.semantics, everybody, seed, carbon)

                metered = tied(keep, windows.files)(f"{name} {seed} {len(everybody)}", make)
                found[name, seed] = dict(zip(everybody, metered, strict=True))
    windows.say("done", 1.0)
    members: dict[str, list[tuple[int | None, Anybody]]] = {
        entry.shown: list(enumerate(several))
        if entry.runs
        else [(None, _best(several, found, experiment.main_metric or COST))]
        for entry, several in zip(experiment.policies, stands_for, strict=True)
    }
    return with_run(
        [
            {"policy": shown, "window": name, "seed": seed, "run": run, **cells[one]}
            for (name, seed), cells in found.items()
            for shown, several in members.items()
            for run, one in several
        ]
    )


def _play_one(
    experiment: ConsolidationExperiment,
    world: World,
    semantics: Semantics,
    everybody: Sequence[Anybody],
    seed: int,
    carbon: Intensity | None = None,
) -> list[dict[str, Any]]:
    """What each is made of, and every metric, None where not known."""
    from rlsched.sim.consolidation.simulate import Simulator

    simulator = Simulator(world, semantics)
    policies = [one for one in everybody if isinstance(one, ConsolidationPolicy)]
    runs = simulator.run(policies, [seed] * len(policies)) if policies else []
    meters: dict[Anybody, Meters] = {run.policy: run.meters for run in runs}
    meters |= {one: one.run(simulator, [seed])[0] for one in everybody if isinstance(one, LearnedConsolidation)}
    g_per_kwh = (carbon or not_known)(0.0, float(world.n_samples * world.step_s))
    how = simulator.n_ticks, experiment.pue, experiment.weights, g_per_kwh
    return [{**_made_of(one, world), **plain(read_metrics(Finished(world, meters[one], *how)))} for one in everybody]


def find_bounds(experiment: ConsolidationExperiment, windows: Windows) -> tuple[list[Bound], str]:
    """The bound a card asks for, the mean over seeds (which deal out VM sizes) in each window.

    Returns
    -------
    (list of Bound, str)
        Without one, why there is none; ``""`` where none was asked for.
    """
    from rlsched.evaluate.consolidation_bound import why_not

    if experiment.bounds == "none":
        return [], ""
    objection = why_not(windows.semantics, experiment.weights)
    if experiment.main_metric != COST:
        objection = f"the packing bound is on {COST}"
    if objection:
        return [], objection
    values = [
        np.mean(
            [
                cost_bound(windows.world(day, group, seed), windows.semantics, experiment.weights, experiment.pue)
                for seed in experiment.seeds
            ]
        )
        for day in windows.days
        for group in range(experiment.groups)
    ]
    return [Bound(NAME, COST, tuple(windows.names), np.array(values), DOC)], ""


def describe(agent: LearnedConsolidation) -> dict[str, Any]:
    """A trained agent for provenance: what it moves, and where it is from."""
    facts = ("base", "reach", "experiment", "learned_on", "selected_on", "days", "scores", "trained_rollouts", "data")
    known = {key: agent.metadata[key] for key in (*facts, "provenance") if key in agent.metadata}
    return {"policy": agent.name, "doc": agent.doc, **plain(known)}


def _made_of(policy: Anybody, world: World) -> dict[str, Any]:
    """What a policy is made of; numbers that an agent moves are None."""
    base, moved = (
        (policy, ()) if isinstance(policy, ConsolidationPolicy) else (policy.residual.base, policy.residual.reach)
    )
    return {
        "detection": base.detection or base.name,
        "selection": base.selection,
        **{name: None if name in moved else getattr(base, name) for name in NUMBERS},
        "hosts": world.n_hosts,
        "vms": world.n_vms,
    }


def _best(
    several: Sequence[Anybody],
    found: Mapping[tuple[str, int], Mapping[Anybody, Mapping[str, Any]]],
    metric: str,
) -> Anybody:
    """The one with the best mean; the first on ties."""
    if len(several) == 1:
        return several[0]
    sign = -1.0 if METRICS[metric].better == "up" else 1.0
    return min(several, key=lambda policy: sign * sum(cells[policy][metric] for cells in found.values()))


def _tuned_elsewhere(experiment: ConsolidationExperiment, windows: Windows, tuned: Tuned | None) -> list[str]:
    if tuned is None:
        return []
    if tuned.data_sha256 == windows.files and tuned.problem_sha256 == experiment.problem_sha256:
        return []
    return [entry.shown for entry in experiment.policies if entry.searched]


def _digest(files: Mapping[str, str]) -> str:
    """One hash over the hashes of a folder's files, by name."""
    lines = "".join(f"{sha}  {Path(name).name}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def run_tune(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune the families of a card; see ``rlsched.evaluate.consolidation_tune``."""
    from rlsched.evaluate import consolidation_tune

    return consolidation_tune.run_tune(card, overrides, data_root=data_root, progress=progress)

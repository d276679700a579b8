"""From a consolidation experiment's card and its ``train.toml`` to what the trainer takes; see ``train_inputs``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched import spec as cards
from rlsched.agents.spec import ConsolidationTrainSpec
from rlsched.cli.train_inputs import (
    TRAIN_FILE,
    refuse_elsewhere,
    refuse_own,
    refuse_unread,
    split_overrides,
    with_versions,
)
from rlsched.envs.consolidation_problem import ConsolidationProblem
from rlsched.errors import SpecError
from rlsched.evaluate.consolidation import Windows
from rlsched.evaluate.consolidation_card import ConsolidationExperiment, PolicyEntry
from rlsched.evaluate.consolidation_metrics import COST, METRICS, Finished
from rlsched.evaluate.consolidation_tuned import find_tuned, load_tuned, parse_policy, write_policy
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.results import file_sha256, origin, plain
from rlsched.policies.consolidation.learned import base_of
from rlsched.policies.consolidation.residual import ConsolidationResidual
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.world import World

if TYPE_CHECKING:
    from rlsched.agents.consolidation_course import ConsolidationValidation
    from rlsched.agents.course import Outcome
    from rlsched.agents.pretrained import Pretrained

#: What of the experiment a checkpoint is tied to.
TIED = (
    "traces", "groups", "hosts", "host_mem_mib", "seeds", "semantics", "semantics_options", "pue", "weights",
    "main_metric",
)  # fmt: skip


@dataclass(frozen=True)
class PreparedConsolidation:
    """Everything a training needs, read and checked; fields as those of ``train_inputs.Prepared``."""

    name: str
    spec: ConsolidationTrainSpec
    problem: ConsolidationProblem
    validation: ConsolidationValidation
    residual: ConsolidationResidual
    reward: dict[str, float]
    pue: float
    facts: dict[str, Any]
    learned_from: dict[str, Any]
    start: Pretrained | None = None

    metric = COST
    better = "down"

    def learn(self, folder: Path, *, resume: bool, progress: Callable[[str], None]) -> Outcome | None:
        """Train; see :func:`rlsched.agents.consolidation_course.train_consolidation`."""
        from rlsched.agents.consolidation_course import settings_of, train_consolidation

        return train_consolidation(
            self.spec,
            self.problem,
            self.validation,
            self.residual,
            settings_of(self.residual, self.reward, self.pue),
            folder,
            resume=resume,
            facts=self.learned_from,
            progress=progress,
            start=self.start,
        )

    def export(self, path: Path, network: Any, metadata: dict[str, Any]) -> float:
        """Write the policy file; see :func:`rlsched.agents.export_consolidation.export_consolidation`."""
        from rlsched.agents.export_consolidation import export_consolidation

        return export_consolidation(path, network, self.residual, int(self.problem.worlds[0].step_s), metadata)


def prepare_consolidation(
    card: Path, overrides: Sequence[str], command: str, data_root: Path | None = None, start: str = ""
) -> PreparedConsolidation:
    """:func:`rlsched.cli.train_inputs.prepare` for consolidation.

    Raises
    ------
    SpecError
        A card that breaks a rule, an unknown key, no ``train.toml``, a metric that is not the cost, a policy
        tuned for another problem, ticks of another length than an agent to begin at learned with.
    """
    mine, theirs = split_overrides(overrides, ConsolidationTrainSpec, ConsolidationExperiment)
    experiment = cards.load(ConsolidationExperiment, card, theirs).spec
    if experiment.main_metric != COST:
        raise SpecError(f"{card}: main_metric must be {COST} to learn from: got {experiment.main_metric!r}.")
    path = card.parent / TRAIN_FILE
    if not path.is_file():
        raise SpecError(
            f"there is no {TRAIN_FILE} in {card.parent}: it says how to learn from that experiment. Copy the one of "
            "consolidation-planetlab and change it."
        )
    places: dict[str, str] = {}
    values = cards.apply_overrides(cards.read_toml(path), mine, places)
    began = begin_consolidation(start, mine) if start else None
    if began is not None:
        residual = began.policy.residual
        values |= {"base": write_policy(residual.base), "reach": dict(residual.reach), "hidden": began.hidden}
        spec = cards.validate(ConsolidationTrainSpec, values, str(path), places)
    else:
        spec = cards.validate(ConsolidationTrainSpec, values, str(path), places)
        base = find_base(spec.base, card.parent, experiment.problem_sha256)
        residual = ConsolidationResidual(base, spec.reach)
    refuse_unread(mine, spec)
    train, validation = (Windows(experiment, data_root, split=split) for split in ("train", "validation"))
    worlds, names = worlds_of(train, range(spec.deals))
    problem = ConsolidationProblem(worlds, train.semantics, names=names)
    if began is not None and began.policy.metadata["step_s"] != int(worlds[0].step_s):
        raise SpecError(
            f"{began.path} learned with ticks of {began.policy.metadata['step_s']} s: those of {card} are "
            f"{worlds[0].step_s:g} s apart. Train anew, without --from."
        )
    seeds = experiment.seeds if spec.validation_deals is None else tuple(range(spec.validation_deals))
    judge = validation_of(experiment, validation, seeds)
    data = [{"dataset": experiment.traces, "files": {**train.files, **validation.files}}]
    days = {"train": [day.name for day in train.days], "validation": [day.name for day in validation.days]}
    facts = {
        "experiment": experiment_name(card),
        "learned_on": "train",
        "selected_on": "validation",
        "data": data,
        "days": days,
        "lr_weighted": train.semantics.lr_weighted,  # of the line that is shown; whoever asks it needs to know
        "card_sha256": file_sha256(card),
        "provenance": with_versions(origin(command)),
    }
    tied = plain(experiment.model_dump(include=set(TIED)))
    learned = {"data": data[0]["files"], "days": days, "base": base_of(residual.base), **tied}
    if began is not None:
        facts["from"] = learned["from"] = began.facts
    name, weights = experiment_name(card), dict(experiment.weights)
    return PreparedConsolidation(name, spec, problem, judge, residual, weights, experiment.pue, facts, learned, began)


def begin_consolidation(start: str, mine: Sequence[str]) -> Pretrained:
    """The released consolidation agent that learning begins at; its policy and reach are its own."""
    from rlsched.agents.export_residual import residual_parity
    from rlsched.agents.pretrained import open_pretrained
    from rlsched.policies.consolidation.learned import KIND, load_consolidation
    from rlsched.policies.consolidation.residual import FIELDS

    began = open_pretrained(
        start, KIND.kind, load_consolidation, lambda net, one: residual_parity(net, one, len(FIELDS))
    )
    refuse_own(mine, ("base", "reach", "hidden"), began.path)
    return began


def find_base(text: str, folder: Path, problem: str = "") -> ConsolidationPolicy:
    """The policy that learning starts at; ``tuned`` and ``tuned_FAMILY`` are those of the experiment's folder.

    Parameters
    ----------
    text : str
    folder : Path
    problem : str
        Hash of the experiment's problem, which a tuned one has to be of; any by default.

    Raises
    ------
    SpecError
        When it is not known, was not tuned, or was tuned for another problem.
    """
    entry = PolicyEntry(name=text)
    if not entry.searched:
        return parse_policy(text)
    tuned = load_tuned(folder)
    refuse_elsewhere(tuned.problem_sha256 if problem else "", problem, folder)
    found = find_tuned(entry, tuned)
    if len(found) != 1:
        raise SpecError(f"base must be one policy: {text!r} stands for {len(found)}. Use 'tuned', or name its numbers.")
    return found[0]


def worlds_of(windows: Windows, seeds: Sequence[int]) -> tuple[list[Any], list[str]]:
    """Every window with every way to deal out the VM sizes: worlds and their names, windows first."""
    found = [
        (windows.world(day, group, seed), f"{windows.name(day, group)} #{seed}")
        for day in windows.days
        for group in range(windows.experiment.groups)
        for seed in seeds
    ]
    return [world for world, _ in found], [name for _, name in found]


def validation_of(
    experiment: ConsolidationExperiment, windows: Windows, seeds: Sequence[int]
) -> ConsolidationValidation:
    """The experiment's own validation windows: its cost, mean over the seeds that deal out VM sizes."""
    from rlsched.agents.consolidation_course import ConsolidationValidation
    from rlsched.sim.consolidation.simulate import Simulator

    worlds, _ = worlds_of(windows, seeds)
    simulator = Simulator(worlds, windows.semantics)
    metric: Any = METRICS[COST]

    def cost(world: World, meters: Meters, ticks: int) -> float:
        return float(metric.read(Finished(world, meters, ticks, experiment.pue, experiment.weights)))

    def score(meters: Sequence[Meters]) -> npt.NDArray[np.float64]:
        costs = [cost(world, one, simulator.n_ticks) for world, one in zip(worlds, meters, strict=True)]
        by_window = np.array(costs, np.float64).reshape(-1, len(seeds))
        return np.asarray(by_window.mean(axis=1))

    return ConsolidationValidation(simulator, list(seeds) * (len(worlds) // len(seeds)), COST, score, cost)

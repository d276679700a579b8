"""From an experiment's card and its ``train.toml`` to what the trainer takes.

Agents and evaluation do not know each other; this is where they meet: the experiment says
which data, machines and splits, ``train.toml`` beside it how to learn from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched import spec as cards
from rlsched.agents.spec import PpoSpec, ResidualSpec, TrainSpec
from rlsched.agents.validate import Validation
from rlsched.envs.problem import PlacementProblem
from rlsched.envs.windows import fill_problem, time_problem
from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.experiment import PlacementExperiment, experiment_name
from rlsched.evaluate.inputs import Inputs, read_inputs
from rlsched.evaluate.kinds import kind_of
from rlsched.evaluate.metrics import METRICS, Measured
from rlsched.evaluate.placement import TUNED, TUNED_FILE, load_tuned, open_arena
from rlsched.evaluate.results import file_sha256, origin
from rlsched.evaluate.windows import train_tasks
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.library.terms import world_facts
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.state import State
from rlsched.sim.world import World

if TYPE_CHECKING:
    from rlsched.agents.course import Outcome
    from rlsched.agents.pretrained import Pretrained
    from rlsched.cli.train_consolidation import PreparedConsolidation
    from rlsched.cli.train_scaling import PreparedScaling

TRAIN_FILE = "train.toml"


@dataclass(frozen=True)
class Prepared:
    """Everything a training needs, read and checked.

    Parameters
    ----------
    name : str
        Of the experiment.
    spec : TrainSpec
    problem : PlacementProblem
    validation : Validation
    facts : dict
        For the record: data with hashes, splits, provenance.
    learned_from : dict
        What must be the same for a training to go on: data, splits, windows, simulation, metric.
    start : Pretrained, optional
        A released agent that learning begins at.
    """

    name: str
    spec: TrainSpec
    problem: PlacementProblem
    validation: Validation
    facts: dict[str, Any]
    learned_from: dict[str, Any]
    start: Pretrained | None = None

    @property
    def metric(self) -> str:
        """What validation scores."""
        return self.validation.metric

    @property
    def better(self) -> str:
        """Its direction."""
        return self.validation.better

    def learn(self, folder: Path, *, resume: bool, progress: Callable[[str], None]) -> Outcome | None:
        """Train; see :class:`rlsched.agents.train.PlacementCourse`."""
        from rlsched.agents.course import run_course
        from rlsched.agents.train import PlacementCourse

        course = PlacementCourse(self.spec, self.problem, self.validation)
        course.start = self.start
        return run_course(course, folder, resume=resume, facts=self.learned_from, progress=progress)

    def export(self, path: Path, network: Any, metadata: dict[str, Any]) -> float:
        """Write the policy file; see :func:`rlsched.agents.export.export_policy`."""
        from rlsched.agents.export import export_policy, parity

        policy = export_policy(path, network, self.spec.placement.observation, metadata)
        return parity(network, policy)


def prepare(
    card: Path, overrides: Sequence[str], command: str, data_root: Path | None = None, start: str = ""
) -> Prepared | PreparedScaling | PreparedConsolidation:
    """Read an experiment to learn from; the test split is not touched.

    Parameters
    ----------
    card : Path
        ``experiment.toml``.
    overrides : sequence of str
        ``key=value``: keys of ``train.toml``, with or without ``train.``, and of the experiment.
    command : str
        For the record.
    data_root : Path, optional
    start : str
        A released agent to begin at, by name, folder or file; none by default.

    Raises
    ------
    SpecError
        A card that breaks a rule, an unknown key, no ``train.toml``, a kind that is not trained, a tuned
        heuristic of another problem.
    PolicyError
        A released agent of another kind, schema or network.
    """
    from rlsched.cli.train_consolidation import prepare_consolidation
    from rlsched.cli.train_scaling import prepare_scaling

    kind = kind_of(card, [one for one in overrides if one.startswith("kind=")])
    if kind == "placement":
        return prepare_placement(card, overrides, command, data_root, start)
    if kind == "scaling":
        return prepare_scaling(card, overrides, command, data_root, start)
    if kind == "consolidation":
        return prepare_consolidation(card, overrides, command, data_root, start)
    raise SpecError(f"{card} is of kind {kind!r}: placement, scaling and consolidation can be trained so far.")


def prepare_placement(
    card: Path, overrides: Sequence[str], command: str, data_root: Path | None = None, start: str = ""
) -> Prepared:
    """:func:`prepare` for placement."""
    mine, theirs = split_overrides(overrides, TrainSpec, PlacementExperiment)
    experiment = cards.load(PlacementExperiment, card, theirs).spec
    began = begin_placement(start, mine) if start else None
    spec = read_train(card.parent / TRAIN_FILE, mine, experiment.problem_sha256, began)
    if began is not None and began.policy.fragmentation != experiment.options.fragmentation:
        raise SpecError(
            f"{began.path} was trained with fragmentation = {began.policy.fragmentation!r}, and {card} simulates "
            f"{experiment.options.fragmentation!r}. Set simulation.fragmentation, or train anew, without --from."
        )
    inputs = read_inputs(experiment, card.parent, data_root)
    facts = {
        "experiment": experiment_name(card),
        "fragmentation": experiment.options.fragmentation,
        "residents": experiment.windows.kind == "time",
        "splits": inputs.splits.model_dump(mode="json"),
        "learned_on": "train",
        "selected_on": "validation",
        "data": list(inputs.sources),
        "card_sha256": file_sha256(card),
        "provenance": with_versions(origin(command)),
    }
    problem = training_problem(experiment, spec, inputs)
    facts["world"] = world_facts(problem.world)  # so that the policy file can be asked by itself
    validation = validation_of(experiment, spec, inputs)
    learned = learned_from(experiment, inputs)
    if began is not None:
        facts["from"] = learned["from"] = began.facts
    return Prepared(experiment_name(card), spec, problem, validation, facts, learned, began)


def begin_placement(start: str, mine: Sequence[str]) -> Pretrained:
    """The released placement agent that learning begins at; what it sees is its own."""
    from rlsched.agents.export import parity
    from rlsched.agents.pretrained import open_pretrained
    from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES
    from rlsched.policies.learned import KIND, load_policy

    began = open_pretrained(start, KIND, load_policy, parity)
    said = began.policy.metadata
    if (tuple(said["candidate_features"]), tuple(said["global_features"])) != (CANDIDATE_NAMES, GLOBAL_NAMES):
        raise PolicyError(
            f"{began.path} is shown {len(said['candidate_features'])} fields of a candidate and "
            f"{len(said['global_features'])} of the situation, this version shows {len(CANDIDATE_NAMES)} and "
            f"{len(GLOBAL_NAMES)}: it cannot go on learning here. Train anew, without --from."
        )
    own = ("hidden", "prior_scale", "attention", *(f"placement.{key}" for key in ObservationSettings.model_fields))
    refuse_own(mine, own, began.path)
    return began


def refuse_own(mine: Sequence[str], own: Sequence[str], path: Path) -> None:
    """Refuse ``--set`` of what a released agent brings along.

    Raises
    ------
    SpecError
    """
    for text in mine:
        key = ".".join(cards.parse_override(text)[0])
        if key in own or any(key.startswith(f"{one}.") for one in own):
            raise SpecError(
                f"{key} comes from {path}, which was trained with it: leave it out, or train without --from."
            )


def refuse_unread(mine: Sequence[str], spec: ResidualSpec) -> None:
    """Refuse ``--set`` of how to evolve where PPO learns, which does not read it.

    Raises
    ------
    SpecError
    """
    unread = [text for text in mine if cards.parse_override(text)[0][0] == "evolution"]
    if unread and spec.method != "evolution":
        raise SpecError(
            f"--set {unread[0]}: evolution.* is read with method = 'evolution' only, and the method is "
            f"{spec.method!r}. Add --set method=evolution, or leave it out."
        )


def refuse_elsewhere(tuned: str, wanted: str, where: Path) -> None:
    """Refuse to begin at a heuristic that was tuned for another problem; one that does not say for which passes.

    Parameters
    ----------
    tuned, wanted : str
        Hashes of both problems.
    where : Path
        The folder of the experiment.

    Raises
    ------
    SpecError
    """
    if tuned and tuned != wanted:
        raise SpecError(
            f"{where / TUNED_FILE} was tuned for another problem than the card, as it is set here: learning would "
            f"begin at the wrong place. Tune for this one ('rlsched tune {where.name}', with the same --set), write "
            "the base's numbers into train.toml, or begin at a released agent with --from."
        )


def learned_from(experiment: PlacementExperiment, inputs: Inputs) -> dict[str, Any]:
    """What a checkpoint is tied to: JSON values, none of which may change before it goes on."""
    keys = ("machines", "windows", "simulation", "main_metric", "typical_share")
    card = experiment.model_dump(mode="json", include=set(keys))
    return {
        "data": inputs.sha256,
        "splits": inputs.splits.model_dump(mode="json"),
        **card,
    }


def with_versions(provenance: dict[str, Any]) -> dict[str, Any]:
    """The provenance with the versions of what learns."""
    from importlib.metadata import version

    learners = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numba", "onnx", "onnxruntime", "numpy")
    return {**provenance, "versions": {**provenance["versions"], **{name: version(name) for name in learners}}}


def split_overrides(
    overrides: Sequence[str], mine: type[PpoSpec], theirs: type[cards.Spec]
) -> tuple[list[str], list[str]]:
    """Those of the training, and those of the experiment."""
    learn, rest = [], []
    for text in overrides:
        path, _ = cards.parse_override(text)
        if path[0] == "train":
            learn.append(text.strip().removeprefix("train."))
        elif path[0] in mine.model_fields or path[0] not in theirs.model_fields:
            learn.append(text)  # an unknown key is reported with those of the training
        else:
            rest.append(text)
    return learn, rest


def read_train(path: Path, overrides: Sequence[str], problem: str = "", began: Pretrained | None = None) -> TrainSpec:
    """Read a ``train.toml``; ``placement.prior = "tuned_blend"`` is the blend beside it.

    Parameters
    ----------
    path : Path
    overrides : sequence of str
    problem : str
        Hash of the experiment's problem, which the blend has to have been tuned for.
    began : Pretrained, optional
        A released agent that learning begins at: what it sees, and its width, are its own, and it does
        not look ahead again.

    Raises
    ------
    SpecError
        When there is none, or it breaks a rule.
    """
    if not path.is_file():
        raise SpecError(
            f"there is no {TRAIN_FILE} in {path.parent}: it says how to learn from that experiment. Copy the one of "
            "placement-openb and change it."
        )
    places: dict[str, str] = {}
    values = cards.apply_overrides(cards.read_toml(path), overrides, places)
    unlike = next((key for key in ("method", "evolution") if key in values), "")
    if unlike:
        given = [text for text in overrides if cards.parse_override(text)[0][0] == unlike]
        raise SpecError(
            f"{f'--set {given[0]}' if given else path}: {unlike!r} is not for placement: evolution is for scaling and "
            "consolidation only, and a placement agent learns by [lookahead] and PPO. Leave it out."
        )
    placement = values.get("placement")
    if began is not None:
        seen = began.policy.settings.model_dump(mode="json")
        values["placement"] = {**(placement if isinstance(placement, dict) else {}), **seen}
        values |= {"hidden": began.hidden, "prior_scale": float(began.weights["prior_scale"])}
        values["attention"] = "ask.weight" in began.weights
        values.pop("lookahead", None)
    elif isinstance(placement, dict) and placement.get("prior") == TUNED:
        tuned, told = load_tuned(path.parent / TUNED_FILE)
        refuse_elsewhere(str(told.get("problem_sha256", "")), problem, path.parent)
        values["placement"] = {"devices": tuned.devices, **placement, "prior": dict(tuned.weights)}
    spec = cards.validate(TrainSpec, values, str(path), places)
    if began is None and spec.prior_scale == 0:
        raise SpecError(
            f"{path}: prior_scale must be above 0 where learning begins at a heuristic: got 0, and a fresh network "
            "would place at random. Leave it out, or begin at an agent with --from."
        )
    return spec


def training_problem(experiment: PlacementExperiment, spec: TrainSpec, inputs: Inputs) -> PlacementProblem:
    """Windows of the training split to learn from."""
    options = experiment.options
    if experiment.failures is not None:
        raise SpecError(
            "training does not simulate [failures] yet: leave the table out of the card, or train on another."
        )
    # Fragmentation in the same terms as evaluation measures it.
    tasks = train_tasks(inputs.splits, inputs.trace, tasks=experiment.windows.tasks)
    typical = None if options.fragmentation == "none" else typical_requests(tasks, experiment.typical_share)
    shared: dict[str, Any] = {"n_windows": spec.n_windows, "seed": spec.seed, "curves": inputs.curves}
    windows = experiment.windows
    if windows.kind == "fill":
        size = len(inputs.machines)
        return fill_problem(
            tasks,
            inputs.machines,
            options,
            typical,
            n_machines=spec.cluster or (size, size),
            target_pct=spec.target_pct or windows.target_pct or 100.0,
            tilt=spec.tilt,
            residents=False,  # nothing leaves, so nobody's end matters
            **shared,
        )
    warmup = spec.warmup_s if spec.warmup_s is not None else windows.warmup
    if not isinstance(warmup, float) or windows.length is None:
        raise SpecError('warmup_s is needed in train.toml where the experiment warms up on "all": give seconds.')
    until = float(inputs.splits.train[1])
    return time_problem(
        inputs.trace.take(np.flatnonzero(inputs.trace.arrive_s < until)),
        inputs.machines,
        options,
        typical,
        length_s=spec.length_s or windows.length,
        warmup_s=warmup,
        until_s=until,
        n_machines=spec.cluster,
        load=spec.load,
        **shared,
    )


def validation_of(experiment: PlacementExperiment, spec: TrainSpec, inputs: Inputs) -> Validation:
    """The experiment's own validation windows, judged by its main metric."""
    arena = open_arena(experiment, inputs, "validation", count=spec.validation_windows)
    metric = METRICS[experiment.main_metric]
    if metric.better == "none":
        raise SpecError(f"main_metric {metric.name} has no better direction, so nothing can be selected by it.")
    world = World.build(
        arena.instances.trace,
        arena.instances.fleets,
        experiment.options,
        typical=arena.typical,
        curves=inputs.curves,
        residents=experiment.windows.kind == "time",
    )

    def score(world: World, state: State) -> npt.NDArray[np.float64]:
        measured = [Measured.of(world, state, n, clock=arena.instances.clock) for n in range(state.n_copies)]
        values = np.array([metric.read(one) for one in measured], np.float64)
        if np.isnan(values).any():
            raise SpecError(f"{metric.name} is not known on the validation windows, so nothing can be selected by it.")
        return values

    return Validation(world, arena.instances.windows, metric.name, score, metric.better)

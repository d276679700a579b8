"""From a scaling experiment's card and its ``train.toml`` to what the trainer takes; see ``train_inputs``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlsched import spec as cards
from rlsched.agents.spec import ScalingTrainSpec
from rlsched.cli.train_inputs import (
    TRAIN_FILE,
    refuse_elsewhere,
    refuse_own,
    refuse_unread,
    split_overrides,
    with_versions,
)
from rlsched.envs.scaling_problem import ScalingProblem
from rlsched.errors import SpecError
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.results import file_sha256, origin
from rlsched.evaluate.scaling import TUNED_FILE, check_policy, load_tuned
from rlsched.evaluate.scaling_card import TUNED_PREFIX, ScalingExperiment
from rlsched.evaluate.scaling_inputs import read_inputs
from rlsched.policies.scaling import find_scaling
from rlsched.policies.scaling.forecasts import PooledAr
from rlsched.policies.scaling.residual import Residual
from rlsched.rng import stream_seed

if TYPE_CHECKING:
    from rlsched.agents.course import Outcome
    from rlsched.agents.pretrained import Pretrained
    from rlsched.agents.scaling_course import ScalingValidation


@dataclass(frozen=True)
class PreparedScaling:
    """Everything a training needs, read and checked; fields as those of ``train_inputs.Prepared``."""

    name: str
    spec: ScalingTrainSpec
    problem: ScalingProblem
    validation: ScalingValidation
    residual: Residual
    facts: dict[str, Any]
    learned_from: dict[str, Any]
    forecaster: PooledAr | None
    start: Pretrained | None = None

    metric = "cost_usd"
    better = "down"

    def learn(self, folder: Path, *, resume: bool, progress: Callable[[str], None]) -> Outcome | None:
        """Train; see :func:`rlsched.agents.scaling_course.train_scaling`."""
        from rlsched.agents.scaling_course import train_scaling

        return train_scaling(
            self.spec,
            self.problem,
            self.validation,
            self.residual,
            folder,
            resume=resume,
            facts=self.learned_from,
            progress=progress,
            start=self.start,
        )

    def export(self, path: Path, network: Any, metadata: dict[str, Any]) -> float:
        """Write the policy file; see :func:`rlsched.agents.export_scaling.export_scaling`."""
        from rlsched.agents.export_scaling import export_scaling

        return export_scaling(path, network, self.residual, self.problem.world, metadata, self.forecaster)


def prepare_scaling(
    card: Path, overrides: Sequence[str], command: str, data_root: Path | None = None, start: str = ""
) -> PreparedScaling:
    """:func:`rlsched.cli.train_inputs.prepare` for scaling.

    Raises
    ------
    SpecError
        A card that breaks a rule, an unknown key, no ``train.toml``, a metric that is not the cost, a rule
        tuned for another problem, a world that an agent to begin at was not shown.
    """
    from rlsched.agents.scaling_course import ScalingValidation

    mine, theirs = split_overrides(overrides, ScalingTrainSpec, ScalingExperiment)
    experiment = cards.load(ScalingExperiment, card, theirs).spec
    if experiment.main_metric != PreparedScaling.metric:
        raise SpecError(f"{card}: main_metric must be cost_usd to learn from: got {experiment.main_metric!r}.")
    path = card.parent / TRAIN_FILE
    if not path.is_file():
        raise SpecError(
            f"there is no {TRAIN_FILE} in {card.parent}: it says how to learn from that experiment. Copy the one of "
            "scaling-bitbrains and change it."
        )
    places: dict[str, str] = {}
    values = cards.apply_overrides(cards.read_toml(path), mine, places)
    began = begin_scaling(start, mine) if start else None
    if began is not None:
        moves = began.policy.residual
        values |= {"base": moves.base.text, "reach": dict(moves.reach), "hidden": began.hidden}
        values["observation"] = moves.observation.model_dump(mode="json")
    spec = cards.validate(ScalingTrainSpec, values, str(path), places)
    refuse_unread(mine, spec)
    inputs = read_inputs(experiment, data_root)
    rule = spec.base.removeprefix(TUNED_PREFIX)
    if rule == spec.base:
        base = find_scaling(spec.base)
    else:
        base, told = load_tuned(card.parent / TUNED_FILE, rule)
        refuse_elsewhere(str(told.get("problem_sha256") or ""), experiment.problem_sha256, card.parent)
    check_policy(began.policy if began is not None else base, inputs.world)
    residual = Residual(replace(base, name=""), dict(spec.reach), spec.observation)
    look_back = spec.observation.reach
    windows = inputs.windows
    early = [one for name in ("train", "validation") for one in windows[name] if one.lo < look_back]
    if early:
        raise SpecError(
            f"{card}: window {early[0].name!r} begins at interval {early[0].lo}, and an agent that looks back "
            f"{look_back} cannot be asked there: lengthen windows.history, or shorten observation.level and "
            "observation.lags."
        )
    # One policy serves every service, so services that share a window are learned from one by one.
    alone = tuple(replace(one, rows=(row,)) for one in windows["train"] for row in one.rows)
    problem = ScalingProblem(inputs.world, alone)
    streams = [stream_seed(0, "window", one.name) for one in windows["validation"]]
    facts = {
        "experiment": experiment_name(card),
        "learned_on": "train",
        "selected_on": "validation",
        "data": list(inputs.sources),
        "card_sha256": file_sha256(card),
        "problem_sha256": experiment.problem_sha256,
        "base": residual.base.text,
        "provenance": with_versions(origin(command)),
    }
    learned = {"data": inputs.sha256, "problem_sha256": experiment.problem_sha256, "base": residual.base.text}
    validation = ScalingValidation(inputs.world, windows["validation"], streams)
    name, forecaster = experiment_name(card), inputs.forecaster
    if began is not None:
        facts["from"] = learned["from"] = began.facts
    return PreparedScaling(name, spec, problem, validation, residual, facts, learned, forecaster, began)


def begin_scaling(start: str, mine: Sequence[str]) -> Pretrained:
    """The released scaling agent that learning begins at; its rule, reach and observation are its own."""
    from rlsched.agents.export_scaling import scaling_parity
    from rlsched.agents.pretrained import open_pretrained
    from rlsched.policies.scaling.learned import KIND, load_scaling

    began = open_pretrained(start, KIND.kind, load_scaling, lambda net, one: scaling_parity(net, one, len(one.fields)))
    refuse_own(mine, ("base", "reach", "observation", "hidden"), began.path)
    return began

"""``rlsched tune`` of a consolidation experiment: each detection with its parameter, placement cap and evacuation.

Every family is searched with the same budget on the train days and selected on the validation
days (:mod:`rlsched.policies.tuning`); the overall winner is the best family on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import spec as cards
from rlsched.errors import SpecError
from rlsched.evaluate.consolidation import Windows
from rlsched.evaluate.consolidation_card import ConsolidationExperiment
from rlsched.evaluate.consolidation_metrics import METRICS, Finished
from rlsched.evaluate.consolidation_tuned import FIELDS, write_policy
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.results import file_sha256
from rlsched.policies.tuning import Family, tune
from rlsched.sim.consolidation.policy import DEFAULT_PARAMETER, ConsolidationPolicy

Progress = Callable[[str, float], None]

#: Detection → least and most its parameter is tuned to.
PARAMETERS = {"thr": (0.3, 1.0), "iqr": (0.2, 6.0), "mad": (0.2, 10.0), "lr": (0.8, 3.0), "lrr": (0.8, 3.0)}


@dataclass(frozen=True)
class Knob:
    """One number of a family; see ``rlsched.policies.tuning.Range``."""

    name: str
    default: float
    low: float
    high: float
    scale: str = "linear"


def knobs(detection: str) -> tuple[Knob, ...]:
    """The numbers of a family: as published by default, so that the first trial is the textbook."""
    low, high = PARAMETERS[detection]
    scale = "linear" if detection == "thr" else "log"
    return (
        Knob("parameter", DEFAULT_PARAMETER[detection], low, high, scale),
        Knob("placement_cap", 1.0, 0.2, 1.0),
        Knob("evacuate_below", 1.0, 0.0, 1.0),
    )


class Arena:
    """Scores members of families on the days of a split, all windows and seeds in one compiled call.

    Parameters
    ----------
    experiment : ConsolidationExperiment
    windows : mapping of str to Windows
        Split → its windows.
    """

    def __init__(self, experiment: ConsolidationExperiment, windows: Mapping[str, Windows]) -> None:
        from rlsched.sim.consolidation.simulate import Simulator

        self.experiment = experiment
        self.metric = METRICS[experiment.main_metric]
        self.better = self.metric.better
        self._worlds: dict[str, list[Any]] = {}
        self._simulators: dict[str, Any] = {}
        for split, several in windows.items():
            self._worlds[split] = [
                several.world(day, group, seed)
                for day in several.days
                for group in range(experiment.groups)
                for seed in several.experiment.seeds
            ]
            self._simulators[split] = Simulator(self._worlds[split], several.semantics)

    def score(self, family: str, values: Mapping[str, float], split: str) -> float:
        """Mean of the main metric over windows and seeds."""
        policy = ConsolidationPolicy(family, **{name: values[name] for name in FIELDS})
        worlds, simulator = self._worlds[split], self._simulators[split]
        n = len(worlds)
        runs = simulator.run([policy] * n, [0] * n, which=range(n))
        finished = [
            Finished(world, run.meters, simulator.n_ticks, self.experiment.pue, self.experiment.weights)
            for world, run in zip(worlds, runs, strict=True)
        ]
        return float(np.mean([self.metric.read(one) for one in finished]))  # type: ignore[arg-type]


def run_tune(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune every family of an experiment's card.

    Returns
    -------
    dict
        What ``rlsched.evaluate.tune.write_tuned`` writes.

    Raises
    ------
    SpecError
        Without ``[tune]`` or ``main_metric``.
    """
    experiment = cards.load(ConsolidationExperiment, card, overrides).spec
    if experiment.tune is None or not experiment.main_metric:
        raise SpecError(f"{card}: there is nothing to tune without a [tune] table and a main_metric. Add them.")
    root = Path(data_root) if data_root is not None else None
    how = experiment.tune
    deals = {"train": how.seeds, "validation": how.seeds if how.validation_seeds is None else how.validation_seeds}
    windows = {
        split: Windows(
            experiment.model_copy(update={"split": split, "day": ("all",), "seeds": tuple(range(deals[split]))}), root
        )
        for split in deals
    }
    arena = Arena(experiment, windows)
    families, finalists, tried, edges = [], [], 0, []
    for i, detection in enumerate(how.detections):
        name = f"{detection}_{how.selection}"
        say = None
        if progress is not None:
            begin, n = i / len(how.detections), len(how.detections)

            def say(text: str, share: float, begin: float = begin, n: int = n) -> None:
                progress(text, begin + share / n)

        found = tune(
            Family(name, knobs(detection)), arena, budget=how.budget, keep=how.keep, seed=how.seed, progress=say
        )
        policy = ConsolidationPolicy(name, **found.best.values)
        families.append((found.best.score, found.train_score, policy))
        finalists += [(one.score, ConsolidationPolicy(name, **one.values)) for one in found.finalists]
        tried += len(found.tried)
        edges += [f"{name}: {edge}" for edge in found.at_edge]
    sign = 1.0 if arena.better == "down" else -1.0
    score, train_score, best = min(families, key=lambda one: sign * one[0])
    sets = "".join(f" --set {text}" for text in overrides)
    return {
        "policy": write_policy(best),
        "metric": experiment.main_metric,
        "validation_score": score,
        "train_score": train_score,
        "tried": tried,
        "looks": len(finalists),
        "deals": deals,
        "families": [f"{write_policy(policy)} {on:.6g} {train:.6g}" for on, train, policy in families],
        "finalists": [f"{write_policy(policy)} {on:.6g}" for on, policy in finalists],
        "at_edge": edges,
        "command": f"rlsched tune {experiment_name(card)}{sets}",
        "seed": how.seed,
        "card_sha256": file_sha256(card),
        "problem_sha256": experiment.problem_sha256,
        "data_sha256": windows["train"].files,
    }

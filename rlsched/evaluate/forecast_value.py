"""What a forecast is worth: the same rule, tuned with the same effort, fed by each forecaster in turn.

Cost on the same windows, and the share of the gain from a naive forecast to a perfect one that each
forecaster realises, beside its errors on those windows.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, field_validator, model_validator

from rlsched import spec as cards
from rlsched.assets import asset_roots
from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate import forecast_consolidation as consolidation
from rlsched.evaluate.bootstrap import Bootstrap, difference_of
from rlsched.evaluate.consolidation_card import ConsolidationExperiment
from rlsched.evaluate.experiment import BootstrapSpec, _listed
from rlsched.evaluate.forecast_consolidation import LINE
from rlsched.evaluate.forecast_feeds import PERFECT as PERFECT_NAME
from rlsched.evaluate.forecast_feeds import POOLED, errors_of, fed, harness_spec, harness_world, perfect_world
from rlsched.evaluate.kinds import find_card as find_problem
from rlsched.evaluate.kinds import kind_of
from rlsched.evaluate.results import file_sha256, origin, plain, seal
from rlsched.evaluate.scaling import ScalingProblem, bound_of, simulate
from rlsched.evaluate.scaling_card import ForecastSpec, ScalingExperiment
from rlsched.evaluate.scaling_inputs import ScalingInputs, read_inputs
from rlsched.evaluate.scaling_metrics import read_metrics
from rlsched.forecast.card import QUANTILES, TrainingSpec
from rlsched.policies.scaling import ScalingPolicy, family
from rlsched.policies.tuning import Family, tune
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.world import Window, World
from rlsched.spec import Card, Spec

F64 = npt.NDArray[np.float64]
Tell = Callable[[str], None]
CARD = "value.toml"
METRIC = "cost_usd"
#: Errors of a forecaster, in the order of the table.
ERRORS = ("wql", "wql_ready", "critical")
SPLITS = ("train", "validation", "test")


class ValueSpec(Spec):
    """The card of an experiment on the value of forecasts.

    Parameters
    ----------
    question : str
    problems : list of str
        Scaling or consolidation experiments, of one kind; their load, windows, prices and horizons are taken
        as they are.
    split : {"train", "validation", "test"}
    forecasters : list of str
        In ``rlsched.forecast.rivals.FORECASTERS``; for scaling ``pooled_ar``, for consolidation ``line``, which
        is what ``lr`` expects by itself. ``perfect`` is always there besides.
    naive : str
        The forecaster the gain is counted from.
    rules : list of str
        Scaling rules that read a forecast, ``band`` around the table's median; or ``lr_mmt`` of consolidation.
    budget, keep, seed : int
        Of tuning, the same for every rule and forecaster; see ``rlsched.policies.tuning``.
    training : TrainingSpec
        Of networks and boosted trees. ``seeds`` of them are trained, tuned for and run, each on its own.
    bootstrap : BootstrapSpec
    """

    question: str = ""
    problems: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(min_length=1)
    split: Literal["train", "validation", "test"] = "test"
    forecasters: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    naive: str = "persistence"
    rules: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("newsvendor", "band", "mpc")
    budget: int = Field(default=60, ge=1)
    keep: int = Field(default=6, ge=1)
    seed: int = Field(default=0, ge=0)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    bootstrap: BootstrapSpec = Field(default_factory=BootstrapSpec)

    @field_validator("forecasters")
    @classmethod
    def _forecasters_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from rlsched.forecast.rivals import FORECASTERS

        for name in names:
            if name == PERFECT_NAME:
                raise ValueError("perfect is always there: leave it out of forecasters")
            if name not in FORECASTERS and name not in (POOLED, LINE):
                raise ValueError(f"no forecaster {name!r}.{did_you_mean(name, [*FORECASTERS, POOLED, LINE])}")
        if len(set(names)) != len(names):
            raise ValueError("must name each forecaster once")
        return names

    @field_validator("rules")
    @classmethod
    def _rules_read_forecasts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [*(name for name, rule in RULES.items() if rule.needs_forecast), *consolidation.RULES]
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is no rule that reads a forecast.{did_you_mean(name, known)}")
        if not names or len(set(names)) != len(names):
            raise ValueError("must name at least one rule, each once")
        return names

    @model_validator(mode="after")
    def _naive_is_one_of_them(self) -> ValueSpec:
        if self.naive not in self.forecasters:
            raise ValueError(f"naive must be one of forecasters: got {self.naive!r}")
        return self


def open_card(name: str, overrides: Sequence[str] = ()) -> tuple[Path, Card[ValueSpec]]:
    """Find and read a card: a name, a folder or the file.

    Raises
    ------
    SpecError
        When there is none, or it does not hold.
    """
    path = Path(name)
    path = path / CARD if path.is_dir() else path
    if not path.is_file():
        known = {one.parent.name: one for root in asset_roots("experiments") for one in sorted(root.glob(f"*/{CARD}"))}
        if name not in known:
            raise SpecError(
                f"no experiment on the value of forecasts {name!r}: it is no card, no folder with a {CARD}, and no "
                f"known name.{did_you_mean(name, known)}"
            )
        path = known[name]
    return path, cards.load(ValueSpec, path, tuple(overrides))


def run(
    path: Path,
    card: Card[ValueSpec],
    command: str,
    data: Path | None,
    tell: Tell,
    looking: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Everything: every problem, forecaster, seed and rule; ``looking`` is called before each look at the split.

    Returns
    -------
    dict
        ``experiment, provenance, problems``; see ``docs/json.md``.
    """
    began = time.monotonic()
    spec = card.spec
    name = path.resolve().parent.name
    parts = []
    for one in spec.problems:
        path_of_problem = find_problem(one)
        kind = kind_of(path_of_problem)
        check_kind(one, kind, spec)
        if kind == "consolidation":
            days = cards.load(ConsolidationExperiment, path_of_problem).spec
            found = consolidation.value_of(one, days, spec, data, tell, looking)
            parts.append(part_of(one, spec, found, consolidation.ERRORS, "pct"))
            continue
        tell(f"{one}: reading demand")
        problem = cards.load(ScalingExperiment, path_of_problem).spec
        parts.append(value_of(one, read_inputs(problem, data), spec, tell, looking))
    provenance = {
        **origin(command),
        "card_sha256": file_sha256(path),
        "card": plain(spec.model_dump()),
        "split": spec.split,
        "quantiles": list(QUANTILES),
        "seconds": round(time.monotonic() - began, 1),
    }
    rows = [row for part in parts for row in part.pop("rows")]
    return {"experiment": name, "provenance": seal(provenance), "problems": parts, "rows": rows}


def check_kind(name: str, kind: str, spec: ValueSpec) -> None:
    """Refuse a problem that the card's rules and forecasters do not fit.

    Raises
    ------
    SpecError
    """
    fitting = {"scaling": (set(RULES), LINE), "consolidation": (set(consolidation.RULES), POOLED)}
    if kind not in fitting:
        raise SpecError(f"problems must be of kind scaling or consolidation: {name} is of kind {kind!r}. Name others.")
    rules, foreign = fitting[kind]
    for rule in spec.rules:
        if rule not in rules:
            raise SpecError(f"rules: {rule!r} is no rule of {kind}, which {name} is. Give it a card of its own.")
    if foreign in spec.forecasters:
        raise SpecError(f"forecasters: {foreign!r} says nothing about {kind}, which {name} is. Leave it out.")


def part_of(name: str, spec: ValueSpec, found: dict[str, Any], errors: Sequence[str], unit: str) -> dict[str, Any]:
    """A problem's part of the document from what was found out about it.

    Parameters
    ----------
    name : str
    spec : ValueSpec
    found : dict
        ``costs``: (rule, forecaster) → (W, S); ``errors``: forecaster → one dict a seed; and what goes in as it is.
    errors : sequence of str
        Their names.
    unit : {"usd", "pct"}
        Of cost.
    """
    resample = Bootstrap(spec.bootstrap.resamples, spec.bootstrap.level, spec.bootstrap.seed)
    summary = summarise(found["costs"], spec.rules, (*spec.forecasters, PERFECT_NAME), spec.naive, resample, unit)
    by_name = found["errors"]
    mean = {one: {key: float(np.mean([seed[key] for seed in by_name[one]])) for key in errors} for one in by_name}
    rest = {key: value for key, value in found.items() if key not in ("costs", "errors")}
    return {
        "problem": name,
        "unit": unit,
        "errors": [{"forecaster": one, **plain(mean[one]), "seeds": plain(by_name[one])} for one in by_name],
        "summary": summary,
        "agreement": agreement(summary, mean, spec.rules, errors, unit),
        **rest,
    }


def value_of(
    name: str, inputs: ScalingInputs, spec: ValueSpec, tell: Tell, looking: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Cost, share of the gain and errors of every forecaster on one problem."""
    problem = inputs.spec
    if problem.forecast is None:
        raise SpecError(f"{name} has no [forecast] table, so its horizons are not known: add one to its card.")
    bare = World.build(inputs.demand, problem.types, problem.service, problem.simulation)
    horizons = problem.forecast.horizons
    windows = inputs.windows[spec.split]
    errors: dict[str, list[dict[str, float]]] = {}
    costs: dict[tuple[str, str], F64] = {}
    tuned: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for forecaster in (*spec.forecasters, PERFECT_NAME):
        worlds = feeds(forecaster, inputs, bare, spec, horizons, tell)
        looking()
        errors[forecaster] = [errors_of(world, windows) for world in worlds]
        tell(f"{name}: {forecaster}, weighted quantile loss {errors[forecaster][0]['wql']:.4f}")
        for rule in spec.rules:
            columns = []
            for seed, world in enumerate(worlds):
                policy, numbers = tuned_policy(rule, world, inputs.windows, spec)
                played = [read_metrics(sums) for sums in simulate(world, windows, policy, 0)]
                columns.append([row[METRIC] for row in played])
                tuned.append({"rule": rule, "forecaster": forecaster, "seed": seed, "policy": policy.text, **numbers})
                rows += [
                    {"problem": name, "policy": f"{rule}/{forecaster}", "rule": rule, "forecaster": forecaster,
                     "seed": seed, "window": one.name, **{key: plain(value) for key, value in row.items()}}
                    for one, row in zip(windows, played, strict=True)
                ]  # fmt: skip
            costs[rule, forecaster] = np.array(columns).T  # (W, S)
            tell(f"{name}: {rule} fed by {forecaster}: {costs[rule, forecaster].mean():.2f} USD")
    bound = bound_of(bare, windows)
    found = {
        "costs": costs,
        "errors": errors,
        "problem_sha256": problem.problem_sha256,
        "data": list(inputs.sources),
        "windows": [one.name for one in windows],
        "bound": {"name": bound.name, "cost_usd": float(np.mean(bound.values)), "doc": bound.doc},
        "tuned": tuned,
        "rows": rows,
    }
    return part_of(name, spec, found, ERRORS, "usd")


def feeds(
    forecaster: str, inputs: ScalingInputs, bare: World, spec: ValueSpec, horizons: Sequence[int], tell: Tell
) -> list[World]:
    """The world fed by a forecaster, once for every training seed that matters to it."""
    if forecaster == PERFECT_NAME:
        return [perfect_world(bare, horizons)]
    if forecaster == POOLED:
        assert inputs.spec.forecast is not None  # value_of refused it
        wanted = ForecastSpec(lags=inputs.spec.forecast.lags, horizons=tuple(horizons), quantiles=QUANTILES)
        made = dataclasses.replace(inputs, spec=inputs.spec.model_copy(update={"forecast": wanted})).forecaster
        assert made is not None  # the card above asks for one
        return [fed(bare, made.values(bare.demand)[:, :-1].copy(), horizons)]
    from rlsched.forecast.rivals import FORECASTERS

    seeds = spec.training.seeds if FORECASTERS[forecaster].trained else 1
    harness = harness_spec(horizons, spec.training)
    splits: dict[str, Sequence[Window]] = dict(inputs.windows)
    return [harness_world(bare, forecaster, seed, splits, spec.split, harness, horizons, tell) for seed in range(seeds)]


def table_family(rule: str) -> Family:
    """A rule's family that reads the forecast table, whatever else it could do."""
    own = family(rule)
    fixed = [
        dataclasses.replace(one, default=1.0, low=1.0, high=1.0) if one.name == "use_table" else one
        for one in RULES[rule].parameters
    ]
    return Family(own.name, fixed)


def tuned_policy(
    rule: str, world: World, windows: Mapping[str, Sequence[Window]], spec: ValueSpec
) -> tuple[ScalingPolicy, dict[str, Any]]:
    """The rule's numbers for one forecast: searched on train, selected on validation."""
    problem = ScalingProblem(world, windows, METRIC)
    found = tune(table_family(rule), problem, budget=spec.budget, keep=spec.keep, seed=spec.seed)
    policy = ScalingPolicy(rule, found.best.values)
    return policy, {
        "train_score": found.train_score,
        "validation_score": found.best.score,
        "tried": len(found.tried),
        "at_edge": list(found.at_edge),
    }


def summarise(
    costs: Mapping[tuple[str, str], F64],
    rules: Sequence[str],
    forecasters: Sequence[str],
    naive: str,
    resample: Bootstrap,
    unit: str = "usd",
) -> list[dict[str, Any]]:
    """Means, differences from the naive forecast, and shares of the possible gain, with intervals.

    Parameters
    ----------
    costs : mapping of (rule, forecaster) to (W, S) float64
        One row a window, one column a training seed.
    rules, forecasters : sequences of str
        ``perfect`` among the latter.
    naive : str
    resample : Bootstrap
        Windows and seeds are drawn, the same windows for everybody.
    unit : str
        Of cost; the end of its names.

    Returns
    -------
    list of dict
        ``rule, forecaster, cost_usd, ci_low, ci_high``; ``difference_usd`` from the naive forecast with its
        interval; ``share`` = (naive - cost) / (naive - perfect) with its interval, None where the perfect
        forecast is not cheaper than the naive one, in the mean or in a resample an end lies in.
    """
    out = []
    tail = (1.0 - resample.level) / 2.0
    for rule in rules:
        of_naive, of_perfect = costs[rule, naive], costs[rule, PERFECT_NAME]
        for one in forecasters:
            mine = costs[rule, one]
            cost = resample.interval(mine)
            apart = resample.interval(difference_of(mine, of_naive))
            possible = float(of_naive.mean() - of_perfect.mean())
            share: list[float | None] = [None, None, None]
            if possible > 0:
                share[0] = float((of_naive.mean() - mine.mean()) / possible)
                if len(mine) > 1:
                    base = resample.means(of_naive)
                    gap = base - resample.means(of_perfect)
                    if (gap > 0).all():
                        drawn = (base - resample.means(mine)) / gap
                        share[1:] = [float(end) for end in np.quantile(drawn, [tail, 1.0 - tail])]
            out.append(
                {
                    "rule": rule,
                    "forecaster": one,
                    f"cost_{unit}": cost.mean,
                    "ci_low": plain(cost.low),
                    "ci_high": plain(cost.high),
                    f"difference_{unit}": apart.mean,
                    "difference_low": plain(apart.low),
                    "difference_high": plain(apart.high),
                    "share": share[0],
                    "share_low": share[1],
                    "share_high": share[2],
                }
            )
    return out


def agreement(
    summary: Sequence[Mapping[str, Any]],
    errors: Mapping[str, Mapping[str, float]],
    rules: Sequence[str],
    named: Sequence[str] = ERRORS,
    unit: str = "usd",
) -> list[dict[str, Any]]:
    """Spearman's rank correlation of each error with cost over the forecasters, the perfect one left out.

    1: a lower error is always a lower cost. None where there are fewer than three forecasters, or all are equal.
    """
    out = []
    for rule in rules:
        mine = [row for row in summary if row["rule"] == rule and row["forecaster"] != PERFECT_NAME]
        cost = np.array([row[f"cost_{unit}"] for row in mine])
        for key in named:
            error = np.array([errors[row["forecaster"]][key] for row in mine])
            out.append({"rule": rule, "error": key, "spearman": _spearman(error, cost), "n": len(mine)})
    return out


def _spearman(a: F64, b: F64) -> float | None:
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    if x.std() == 0 or y.std() == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: F64) -> F64:
    """Ranks from 0; equal values share the mean of theirs."""
    below = (values[:, None] > values).sum(axis=1)
    ties = (values[:, None] == values).sum(axis=1)
    out: F64 = below + (ties - 1) / 2.0
    return out

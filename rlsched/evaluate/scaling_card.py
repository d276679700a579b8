"""The card of a scaling experiment: demand, instances, windows, splits, policies, tuning, statistics."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rlsched.envs.scaling_spot import SpotSpec
from rlsched.errors import PolicyError, did_you_mean
from rlsched.evaluate.experiment import BootstrapSpec, Option, ReferencesSpec, SplitsSpec, _duration, _listed, _seeds
from rlsched.evaluate.other_problem import not_of
from rlsched.evaluate.runs import check_runs
from rlsched.evaluate.scaling_metrics import METRICS
from rlsched.policies.scaling import find_scaling
from rlsched.policies.scaling.forecasts import HORIZONS, QUANTILES
from rlsched.policies.scaling.learned import is_learned
from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.rules.table import RULES
from rlsched.spec import Spec

TUNED_PREFIX = "tuned_"


def _entries(value: Any) -> Any:
    """Names → tables with that name; in text, the commas inside a policy's numbers do not end it."""
    if isinstance(value, str):
        whole: list[str] = []
        for part in _listed(value):
            if whole and ":" in whole[-1] and "=" in part and ":" not in part:
                whole[-1] += f",{part}"
            else:
                whole.append(part)
        value = whole
    if isinstance(value, (list, tuple)):
        return [{"policy": one} if isinstance(one, str) else one for one in value]
    return value


class ScalingEntry(Spec):
    """One policy of an experiment.

    Parameters
    ----------
    policy : str
        A rule of ``rlsched.sim.scaling.rules.table.RULES``, its text with numbers (``hpa:target=0.7``),
        ``tuned_RULE``: the one ``rlsched tune`` left in the experiment's folder, or a trained agent:
        its name, its folder or its file.
    runs : list of str
        Instead of ``policy``: the same recipe trained from several seeds, one agent each. They stand in
        one row, and intervals are over windows and training seeds.
    name : str
        What it is called in tables; the policy's by default, needed with ``runs``.
    """

    policy: str = ""
    runs: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    name: str = ""

    @model_validator(mode="after")
    def _one_policy_or_its_runs(self) -> ScalingEntry:
        check_runs(self.policy, self.runs, self.name)
        return self

    @property
    def learned(self) -> tuple[str, ...]:
        """The trained agents it stands for; none for a rule."""
        return self.runs or ((self.policy,) if is_learned(self.policy) else ())

    @property
    def label(self) -> str:
        """What the policy is called in rows and tables."""
        if self.name:
            return self.name
        return Path(self.policy).stem if is_learned(self.policy) and "/" in self.policy else self.policy

    @property
    def tuned_rule(self) -> str:
        """The rule whose tuned numbers are asked for; empty where they are given."""
        rule = self.policy.removeprefix(TUNED_PREFIX)
        return rule if rule != self.policy and rule in RULES else ""

    @field_validator("policy")
    @classmethod
    def _known(cls, value: str) -> str:
        rule = value.removeprefix(TUNED_PREFIX)
        if not value:
            return value
        if rule != value:
            if rule not in RULES:
                raise ValueError(f"unknown tuned rule {rule!r}.{did_you_mean(rule, RULES)}")
            return value
        if words := not_of(value, "scaling"):
            raise ValueError(words)
        if is_learned(value):
            return value
        try:
            find_scaling(value)
        except PolicyError as error:
            raise ValueError(str(error)) from None
        return value


class ScalingDataSpec(Spec):
    """Where demand comes from.

    Parameters
    ----------
    trace : str
        A dataset ``rlsched traces list`` shows.
    part : str, optional
        Of the dataset; its first by default. Not for a dataset that is split by day.
    series : {"usage", "jobs", "requests"}
        CPU that groups of VMs use together; CPU of the jobs that run; the dataset's own rates.
    groups : int
        Services that VMs or jobs are dealt out to at random.
    step_s : int, seconds
        The control interval; rates are averaged over it. Usage keeps its own step unless this is a
        multiple of it.
    seed : int
        Of the dealing.
    cores : float
        Of a VM whose size the source does not say.
    scale : float
        Demand is multiplied by this; 1 as measured.
    options : dict
        Of the reader.
    """

    trace: str
    part: str | None = None
    series: Literal["usage", "jobs", "requests"]
    groups: int = Field(default=1, ge=1, le=1000)
    step_s: int = Field(default=300, ge=1)
    seed: int = Field(default=0, ge=0)
    cores: float = Field(default=1.0, gt=0)
    scale: float = Field(default=1.0, gt=0)
    options: dict[str, Option] = Field(default_factory=dict)


class ScalingWindowsSpec(Spec):
    """What is replayed.

    Parameters
    ----------
    length : duration
        Of a window. Where the dataset is split by day, what of the day remains after ``history``.
    history : duration
        Before a window, known to policies. Windows of one split never overlap, histories may.
    together : bool
        True: the services of a window run side by side, and its metrics are their sums. False:
        a window for each.
    """

    length: Annotated[float | None, BeforeValidator(_duration)] = Field(default=None, gt=0)
    history: Annotated[float, BeforeValidator(_duration)] = Field(default=3600.0, gt=0)
    together: bool = True


class ForecastSpec(Spec):
    """The forecast table that rules may read, fitted on the train windows.

    Parameters
    ----------
    lags : int
    horizons, quantiles : lists
        See ``rlsched.policies.scaling.forecasts.pooled_ar``.
    """

    lags: int = Field(default=12, ge=1, le=1000)
    horizons: tuple[Annotated[int, Field(ge=0)], ...] = HORIZONS
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = QUANTILES


class ScalingTuneSpec(Spec):
    """How the tuned opponents are found; see ``rlsched.policies.tuning``.

    Parameters
    ----------
    families : list of str
        Rules that are tuned, each on its own.
    budget : int
        Tried on the train windows, for each family.
    keep : int
        The best so many are scored on the validation windows.
    seed : int
    """

    families: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    budget: int = Field(default=200, ge=1)
    keep: int = Field(default=10, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("families")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _rules(value)


def _rules(value: tuple[str, ...]) -> tuple[str, ...]:
    for rule in value:
        if rule not in RULES:
            raise ValueError(f"unknown rule {rule!r}.{did_you_mean(rule, RULES)}")
    if len(set(value)) != len(value):
        raise ValueError("must name each rule once")
    return value


class ScalingExperiment(Spec):
    """Everything a scaling experiment's card says.

    Parameters
    ----------
    kind : "scaling"
    title, question : str
    data, windows, forecast, tune, references, bootstrap
        See their classes.
    service : Service
        Of every series.
    types : list of InstanceType
        The first is what rules buy unless they say otherwise.
    simulation : ScalingOptions
    spot : SpotSpec, optional
        Measured prices of spot markets. Of the dataset's files every one counts as read.
    splits : SplitsSpec, optional
        By default those of the dataset's card.
    split : {"train", "validation", "test"}
    main_metric, metrics, judged
        As in a placement experiment; of ``rlsched.evaluate.scaling_metrics``.
    policies : list of str or ScalingEntry
    hindsight : list of str
        Controls: for each of these rules, the best numbers found **on the evaluated windows themselves**, with
        the budget of ``tune``. No policy may know them; they say what luck in choosing numbers is worth.
    bound : bool
        Compute the clairvoyant bound.
    seeds : int or list of int
        Of spot interruptions; without any the runs draw nothing and run once a window.
    """

    kind: Literal["scaling"]
    title: str
    question: str = ""
    data: ScalingDataSpec
    types: tuple[InstanceType, ...]
    service: Service = Field(default_factory=Service)
    simulation: ScalingOptions = Field(default_factory=ScalingOptions)
    spot: SpotSpec | None = None
    windows: ScalingWindowsSpec
    forecast: ForecastSpec | None = None
    splits: SplitsSpec | None = None
    split: Literal["train", "validation", "test"] = "test"
    main_metric: str = "cost_usd"
    metrics: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    judged: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    policies: Annotated[tuple[ScalingEntry, ...], BeforeValidator(_entries)]
    references: ReferencesSpec = Field(default_factory=ReferencesSpec)
    hindsight: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    bound: bool = True
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds)] = (0,)
    bootstrap: BootstrapSpec = Field(default_factory=BootstrapSpec)
    tune: ScalingTuneSpec | None = None

    @field_validator("types")
    @classmethod
    def _types_there_are(cls, value: tuple[InstanceType, ...]) -> tuple[InstanceType, ...]:
        if not value:
            raise ValueError("must name at least one instance type ([[types]])")
        return value

    @field_validator("main_metric", "judged", "metrics")
    @classmethod
    def _metrics_are_known(cls, value: Any, info: Any) -> Any:
        for name in (value,) if isinstance(value, str) else value:
            if name not in METRICS:
                raise ValueError(f"unknown metric {name!r}.{did_you_mean(name, METRICS)}")
            if info.field_name != "metrics" and METRICS[name].better == "none":
                raise ValueError(f"{name} has no better direction, so nobody can win on it")
        return value

    @field_validator("policies")
    @classmethod
    def _names_differ(cls, value: tuple[ScalingEntry, ...]) -> tuple[ScalingEntry, ...]:
        if not value:
            raise ValueError("must name at least one policy")
        labels = [one.label for one in value]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two policies are called {label!r}: give one of them another name")
        return value

    @field_validator("hindsight")
    @classmethod
    def _rules_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _rules(value)

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must hold one seed or more, each once")
        return value

    @model_validator(mode="after")
    def _forecasts_where_needed(self) -> ScalingExperiment:
        if self.forecast is None:
            rules = [one.tuned_rule or one.policy for one in self.policies if not one.learned]
            named = [RULES[find_scaling(rule).rule].name for rule in rules]
            wanting = [name for name in named if RULES[name].needs_forecast and name != "band"]
            if wanting:
                raise ValueError(f"{wanting[0]} reads forecasts: add a [forecast] table, or leave it out")
        return self

    @property
    def problem_sha256(self) -> str:
        """Of everything that makes the problem: what a tuned policy has to have been tuned on."""
        parts = {"data", "types", "service", "simulation", "windows", "forecast", "splits", "main_metric"}
        held = self.model_dump(mode="json", include=parts | ({"spot"} if self.spot is not None else set()))
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()

    @property
    def shown(self) -> tuple[str, ...]:
        """Metrics of the table, the main one first."""
        return tuple(dict.fromkeys((self.main_metric, *self.metrics)))

"""The card of a placement experiment: data, machines, windows, splits, policies, statistics."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, Field, create_model, field_validator, model_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.carbon import CarbonSpec
from rlsched.evaluate.experiment_inputs import DataSpec as DataSpec
from rlsched.evaluate.experiment_inputs import HostType as HostType
from rlsched.evaluate.experiment_inputs import MachinesSpec as MachinesSpec
from rlsched.evaluate.experiment_inputs import Option as Option
from rlsched.evaluate.metrics import METRICS
from rlsched.policies.blend import BLEND_PREFIX
from rlsched.sim.options import PlacementOptions
from rlsched.sim.rules import RULES
from rlsched.spec import Spec
from rlsched.units import parse_duration_s

Stretch = tuple[float, float]
SPLITS = ("train", "validation", "test")
ROLES = ("textbook", "published", "tuned")

_HINTS = get_type_hints(PlacementOptions)
if TYPE_CHECKING:

    class SimulationSpec(Spec):
        """The fields of ``PlacementOptions``."""

else:
    #: The fields of ``PlacementOptions`` as a table of a card: one list of options, not two.
    SimulationSpec = create_model(
        "SimulationSpec",
        __base__=Spec,
        **{one.name: (_HINTS[one.name], one.default) for one in fields(PlacementOptions)},
    )


def _listed(value: Any) -> Any:
    """``"a, b"`` of ``--set`` → ``["a", "b"]``; lists stay."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _seeds(value: Any) -> Any:
    """A number of seeds → ``0, 1, ...``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("must be a number of seeds >= 1, or a list of seeds")
        return list(range(value))
    if isinstance(value, str):
        return [int(part) if part.strip().isdigit() else part for part in value.split(",")]
    return value


def _entries(value: Any) -> Any:
    """Names → tables with that name; in text, the commas inside a blend do not end it."""
    listed = _listed(value)
    if isinstance(value, str):
        whole: list[str] = []
        for part in listed:
            if whole and whole[-1].startswith(BLEND_PREFIX) and "=" in part and not part.startswith(BLEND_PREFIX):
                whole[-1] += f",{part}"
            else:
                whole.append(part)
        listed = whole
    if isinstance(listed, (list, tuple)):
        return [{"policy": one} if isinstance(one, str) else one for one in listed]
    return listed


def _duration(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value != "all":
        return parse_duration_s(value)
    return value


class PolicyEntry(Spec):
    """One policy of an experiment.

    Parameters
    ----------
    policy : str
        A name in ``rlsched.policies.POLICIES``, the path of a policy file, or ``tuned_blend``:
        the blend that ``rlsched tune`` left in the experiment's folder. ``hindsight_blend``: of
        the finalists of that search, the one that does best on the very windows evaluated; a
        control, which can never lead.
    runs : list of str
        Instead of ``policy``: the same recipe trained from several seeds, one policy each. They
        stand in one row, and intervals are over windows and training seeds.
    name : str
        What it is called in tables; the policy's by default, needed with ``runs``.
    lifetime : {"known", "predicted", "unknown"}, optional
        What this policy may see of life spans, instead of ``simulation.lifetime``.
    unknown_lifetime_s : float, optional
        Instead of ``simulation.unknown_lifetime_s``.
    """

    policy: str = ""
    runs: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    name: str = ""
    lifetime: Literal["known", "predicted", "unknown"] | None = None
    unknown_lifetime_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_policy_or_its_runs(self) -> PolicyEntry:
        if bool(self.policy) == bool(self.runs):
            raise ValueError("give policy, or runs (the same recipe trained from several seeds), one of them")
        if self.runs and not self.name:
            raise ValueError("runs need a name, by which tables call them all together")
        if len(set(self.runs)) != len(self.runs):
            raise ValueError("runs must differ: each is a training seed of its own")
        return self

    @property
    def label(self) -> str:
        """What the policy is called in rows and tables."""
        if self.name:
            return self.name
        return Path(self.policy).stem if "/" in self.policy else self.policy


class WindowsSpec(Spec):
    """What is replayed.

    Parameters
    ----------
    kind : {"time", "fill"}
        ``time``: stretches of the trace as it happened, metered one after the other.
        ``fill``: tasks of the split in random order, drawn again where they do not suffice,
        arrive and stay until the machines have been asked for more than they have.
    length : duration
        Of the metered part (time).
    warmup : duration or ``"all"``
        Replayed before it without being metered; ``all``: from the beginning of the trace
        (time).
    count : int, optional
        Number of windows. Time: the first so many of the split, all by default. Fill: needed.
    target_pct : float
        Requests add up to this percentage of the machines' capacity (fill): of their GPUs, or
        of their CPU where they have none.
    tasks : {"all", "gpu"}
        Which tasks take part (fill).
    seed : int
        Of the draws (fill, and ``machines.sample``).
    """

    kind: Literal["time", "fill"]
    length: Annotated[float | None, BeforeValidator(_duration)] = None
    warmup: Annotated[float | Literal["all"] | None, BeforeValidator(_duration)] = None
    count: int | None = Field(default=None, ge=1)
    target_pct: float | None = Field(default=None, gt=0, le=1000)
    tasks: Literal["all", "gpu"] = "all"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fit_the_kind(self) -> WindowsSpec:
        needed, foreign = (
            (("length", "warmup"), ("target_pct",))
            if self.kind == "time"
            else (("target_pct", "count"), ("length", "warmup"))
        )
        absent = [name for name in needed if getattr(self, name) is None]
        extra = [name for name in foreign if getattr(self, name) is not None]
        if absent or extra:
            parts = [f"needs {', '.join(absent)}"] * bool(absent) + [f"has no {', '.join(extra)}"] * bool(extra)
            raise ValueError(f'kind = "{self.kind}" {" and ".join(parts)}')
        if self.length is not None and not self.length > 0:
            raise ValueError(f"length must be > 0 seconds: got {self.length}")
        return self


class SplitsSpec(Spec):
    """Half-open stretches ``[from, to)`` of arrival, seconds of the trace's clock, in order."""

    train: Stretch
    validation: Stretch
    test: Stretch

    @model_validator(mode="after")
    def _in_order(self) -> SplitsSpec:
        problems = [
            f"{name} must be [from, to) with from < to"
            for name in SPLITS
            if not getattr(self, name)[0] < getattr(self, name)[1]
        ]
        for earlier, later in pairwise(SPLITS):
            end, begin = getattr(self, earlier)[1], getattr(self, later)[0]
            if begin < end:
                problems.append(
                    f"{later} begins at {begin:g} s, before {earlier} ends at {end:g} s: they overlap, or are not in "
                    f"order. Let {later} begin at {end:g} s or later"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self


class FailuresSpec(Spec):
    """Where failures come from.

    Parameters
    ----------
    mtbf_h, mttr_h : float
        Mean hours a machine is up before it fails, and down before it is repaired; both times
        are exponential, each machine draws from a stream of its own.
    seed : int
        Root of those streams.
    file : str
        Instead of drawing: a CSV with the header ``time_s,kind,machine_id``, kind ``fail`` or
        ``repair``; relative to the card.
    """

    mtbf_h: float | None = Field(default=None, gt=0)
    mttr_h: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    file: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> FailuresSpec:
        drawn = self.mtbf_h is not None and self.mttr_h is not None
        if bool(self.file) == drawn or (self.mtbf_h is None) != (self.mttr_h is None):
            raise ValueError("give either file, or both mtbf_h and mttr_h")
        return self


class ReferencesSpec(Spec):
    """The opponents every policy is compared with; empty where there is none."""

    textbook: str = ""
    published: str = ""
    tuned: str = ""


class BootstrapSpec(Spec):
    """How intervals are made: percentile bootstrap over windows and seeds."""

    resamples: int = Field(default=10_000, ge=100, le=1_000_000)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=0, ge=0)


class TuneSpec(Spec):
    """How the tuned opponent is found; see ``rlsched.evaluate.tune``.

    Parameters
    ----------
    rules : list of str
        Of ``rlsched.sim.rules.RULES``: the family is every non-negative blend of them.
    budget : int
        Blends tried on the train windows.
    keep : int
        The best so many are scored on the validation windows; the best there is taken.
    train_windows, validation_windows : int, optional
        So many, of time windows spread evenly over the split; all by default.
    devices : {"best", "score"}
        Which GPU inside a machine; see ``Heuristic``.
    seed : int
    """

    rules: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    budget: int = Field(default=40, ge=1)
    keep: int = Field(default=5, ge=1)
    train_windows: int | None = Field(default=None, ge=1)
    validation_windows: int | None = Field(default=None, ge=1)
    devices: Literal["best", "score"] = "best"
    seed: int = Field(default=0, ge=0)

    @field_validator("rules")
    @classmethod
    def _known_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:

        for rule in value:
            if rule not in RULES:
                raise ValueError(f"unknown rule {rule!r}.{did_you_mean(rule, RULES)}")
        if len(value) < 1 or len(set(value)) != len(value):
            raise ValueError("must name one rule or more, each once")
        return value


def _known_metric(name: str, *, judged: bool = False) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}.{did_you_mean(name, METRICS)}")
    if judged and METRICS[name].better == "none":
        raise ValueError(f"{name} has no better direction, so nobody can win on it")
    return name


class PlacementExperiment(Spec):
    """Everything a placement experiment's card says.

    Parameters
    ----------
    kind : "placement"
    title, question : str
    data, machines, simulation, windows, failures, splits, references, bootstrap, tune
        See their classes. ``splits``: by default those of the dataset's card.
    split : {"train", "validation", "test"}
        Which one is evaluated.
    main_metric : str
        Who won is decided on this one, fixed before looking.
    metrics : list of str
        Shown in tables, in this order. Rows and summary hold all of them.
    judged : list of str
        Verdicts are given for these besides the main metric.
    policies : list of str or PolicyEntry
    seeds : int or list of int
        For policies that draw random numbers; the others run once a window.
    typical_share : float
        Typical requests cover this share of the train split's tasks; see
        ``rlsched.sim.fragmentation``.
    bounds : {"none", "lp"}
        ``lp``: what no policy can beat on the main metric, see ``rlsched.evaluate.bounds``.
    carbon : CarbonSpec, optional
        Intensity of the grid; without it carbon is not given.
    """

    kind: Literal["placement"]
    title: str
    question: str = ""
    data: DataSpec
    machines: MachinesSpec
    simulation: SimulationSpec = Field(default_factory=SimulationSpec)
    windows: WindowsSpec
    failures: FailuresSpec | None = None
    splits: SplitsSpec | None = None
    split: Literal["train", "validation", "test"] = "test"
    main_metric: str
    metrics: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    judged: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    policies: Annotated[tuple[PolicyEntry, ...], BeforeValidator(_entries)]
    references: ReferencesSpec = Field(default_factory=ReferencesSpec)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds)] = (0,)
    typical_share: float = Field(default=0.95, gt=0, le=1)
    bootstrap: BootstrapSpec = Field(default_factory=BootstrapSpec)
    tune: TuneSpec | None = None
    bounds: Literal["none", "lp"] = "none"
    carbon: CarbonSpec | None = None

    @field_validator("simulation")
    @classmethod
    def _simulation_fits(cls, value: Any) -> Any:
        try:
            PlacementOptions(**value.model_dump())
        except SpecError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("main_metric")
    @classmethod
    def _main_is_known(cls, value: str) -> str:
        return _known_metric(value, judged=True)

    @field_validator("metrics")
    @classmethod
    def _metrics_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_metric(name) for name in value)

    @field_validator("judged")
    @classmethod
    def _judged_have_a_direction(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_metric(name, judged=True) for name in value)

    @field_validator("policies")
    @classmethod
    def _names_differ(cls, value: tuple[PolicyEntry, ...]) -> tuple[PolicyEntry, ...]:
        if not value:
            raise ValueError("must name at least one policy")
        labels = [one.label for one in value]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two policies are called {label!r}: give one of them another name")
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must hold one seed or more, each once")
        return value

    @property
    def options(self) -> PlacementOptions:
        """``[simulation]`` as the simulator takes it."""
        return PlacementOptions(**self.simulation.model_dump())

    @property
    def problem_sha256(self) -> str:
        """Of everything that makes the problem: what a tuned blend has to have been tuned on.

        Not of who takes part, on which split, on how many windows, or how it is told.
        """
        parts = ("data", "machines", "simulation", "failures", "splits", "main_metric", "typical_share")
        held: dict[str, Any] = self.model_dump(mode="json", include=set(parts))
        # A problem that is as large as it was before these keys were known is the same problem.
        for part, key in (("data", "keep_share"), ("machines", "scale")):
            if held[part][key] == 1.0:
                del held[part][key]
        held["windows"] = self.windows.model_dump(mode="json", exclude={"count"})
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()

    @property
    def shown(self) -> tuple[str, ...]:
        """Metrics of the table, the main one first."""
        return tuple(dict.fromkeys((self.main_metric, *self.metrics)))


def experiment_name(card: Path) -> str:
    """The folder's name for ``NAME/experiment.toml``, otherwise the file's without its ending."""
    path = card.resolve()
    name = path.parent.name if path.name == "experiment.toml" else path.stem
    return re.sub(r"\s+", "-", name)

"""The card of a consolidation experiment: days, machines, policies, semantics, cost, tuning, statistics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.carbon import CarbonSpec
from rlsched.evaluate.consolidation_days import ALL, DAY
from rlsched.evaluate.consolidation_metrics import METRICS, WEIGHTS
from rlsched.evaluate.experiment import BootstrapSpec, ReferencesSpec
from rlsched.evaluate.other_problem import not_of
from rlsched.evaluate.runs import check_runs
from rlsched.policies.policy_file import is_learned
from rlsched.sim.consolidation.policy import DETECTIONS, SELECTIONS, ConsolidationPolicy
from rlsched.sim.semantics import Semantics
from rlsched.spec import Spec

#: Of the metrics of a row, those a table shows unless the card says otherwise.
SHOWN = (
    "energy_kwh", "migrations", "slatah_share", "pdm_share", "slav_share", "esv_kwh",
    "overall_sla_violation_share", "average_sla_violation_share", "host_shutdowns",
)  # fmt: skip
TUNED_PREFIX = "tuned_"
#: The best in validation of all tuned families, and the best in hindsight of all finalists.
TUNED, HINDSIGHT = "tuned", "hindsight"


def _listed(value: Any) -> Any:
    """``"a, b"`` of ``--set`` → ``["a", "b"]``; one value → a list of it; lists stay."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, (list, tuple)) else [value]


def _days(value: Any) -> Any:
    """Days as text: TOML reads ``20110303`` as a number."""
    listed = _listed(value)
    return [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in listed]


def _seeds(value: Any) -> Any:
    """A number of seeds → ``0, 1, ...``; ``"3, 5"`` → those two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return list(range(value))
    if isinstance(value, str):
        return [int(part) if part.strip().isdigit() else part for part in value.split(",")]
    return value


def _entries(value: Any) -> Any:
    """Names → tables with that name."""
    if isinstance(value, Mapping):
        return [value]
    return [{"name": one} if isinstance(one, str) else one for one in _listed(value)]


class PolicyEntry(Spec):
    """One policy of a consolidation experiment; see :class:`ConsolidationPolicy` for the fields.

    Parameters
    ----------
    name : str
        ``"dvfs"``, ``"npa"``, or detection and selection as ``"lr_mmt"``. What ``rlsched tune`` left in
        the experiment's folder: ``"tuned_lr_mmt"``, or ``"tuned"`` for the best family. ``"hindsight"``, a
        control: of all finalists of that search, the best on the very windows evaluated. A trained
        agent: its name, its folder or its file.
    runs : list of str
        Instead of ``name``: the same recipe trained from several seeds, one agent each. They stand in
        one row, and intervals are over windows, deals and training seeds.
    parameter : float, optional
        Of the detection.
    placement_cap, evacuate_below : float
    label : str
        What it is called in rows; the name by default, of a file that without folder and ending; needed
        with ``runs``.
    """

    name: str = ""
    runs: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    parameter: float | None = None
    placement_cap: float = 1.0
    evacuate_below: float = 1.0
    label: str = ""

    @property
    def shown(self) -> str:
        """What the policy is called in rows and tables."""
        if self.label:
            return self.label
        return Path(self.name).stem if self.learned and "/" in self.name else self.name

    @property
    def learned(self) -> bool:
        """True for a trained agent."""
        return bool(self.runs) or (not self.name.startswith(TUNED_PREFIX) and is_learned(self.name))

    @property
    def agents(self) -> tuple[str, ...]:
        """The trained agents it stands for; none for a policy with numbers."""
        return self.runs or ((self.name,) if self.learned else ())

    @property
    def family(self) -> str:
        """The tuned family asked for; empty where the numbers are given."""
        return self.name.removeprefix(TUNED_PREFIX) if self.name.startswith(TUNED_PREFIX) else ""

    @property
    def searched(self) -> bool:
        """True when the numbers come from ``tuned.toml``."""
        return bool(self.family) or self.name in (TUNED, HINDSIGHT)

    @property
    def policy(self) -> ConsolidationPolicy:
        """The policy itself, where its numbers are given."""
        return ConsolidationPolicy(self.name, self.parameter, self.placement_cap, self.evacuate_below)

    def check(self) -> None:
        """Refuse a name or number that cannot be.

        Raises
        ------
        SpecError
        """
        try:
            check_runs(self.name, self.runs, self.label, ("name", "label"))
        except ValueError as error:
            raise SpecError(f"{error}.") from None
        names = () if self.searched else (self.runs or (self.name,))
        if words := next((words for name in names if (words := not_of(name, "consolidation"))), ""):
            raise SpecError(words)
        if not self.searched and not self.learned:
            _ = self.policy
            return
        if self.family:
            _ = ConsolidationPolicy(self.family)
        given = [name for name in ("parameter", "placement_cap", "evacuate_below") if name in self.model_fields_set]
        if given:
            whose = "of its own" if self.learned else "of tuned.toml"
            raise SpecError(f"{self.shown} has numbers {whose}: leave {', '.join(given)} out.")


class ConsolidationTuneSpec(Spec):
    """How the tuned opponents are found; see ``rlsched.evaluate.consolidation_tune``.

    Parameters
    ----------
    detections : list of str
        Each is a family: its parameter, placement cap and evacuation are tuned.
    selection : str
    budget : int
        Members of each family tried on the train days.
    keep : int
        The best so many are scored on the validation days; the best there is taken.
    seeds : int
        Ways to deal out the VM sizes that each member is scored on.
    validation_seeds : int, optional
        The same on the validation days; ``seeds`` by default. As many as a trained agent's checkpoints are
        judged on (``validation_deals`` of ``train.toml``) make the selections alike.
    seed : int
        Of the search.
    """

    detections: Annotated[tuple[str, ...], BeforeValidator(_listed)] = tuple(DETECTIONS)
    selection: str = "mmt"
    budget: int = Field(default=60, ge=1)
    keep: int = Field(default=5, ge=1)
    seeds: int = Field(default=1, ge=1)
    validation_seeds: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("detections")
    @classmethod
    def _known_detections(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one not in DETECTIONS:
                raise ValueError(f"unknown detection {one!r}.{did_you_mean(one, DETECTIONS)}")
        if not value or len(set(value)) != len(value):
            raise ValueError("must name one detection or more, each once")
        return value

    @field_validator("selection")
    @classmethod
    def _known_selection(cls, value: str) -> str:
        if value not in SELECTIONS:
            raise ValueError(f"unknown selection {value!r}.{did_you_mean(value, SELECTIONS)}")
        return value


class ConsolidationExperiment(Spec):
    """Everything the card of a consolidation experiment says.

    Parameters
    ----------
    kind : "consolidation"
    title, question : str
    traces : str
        Name of a dataset of PlanetLab days, or a path: an archive of days, a folder of day
        folders, or one day's folder.
    day : str or list of str
        ``YYYYMMDD``, or ``"all"``.
    split : {"", "train", "validation", "test"}
        The days of this split of the dataset's card, instead of ``day``.
    groups : int
        The VMs of a day are dealt out at random to so many clusters; each is a window of its own.
    policies : list of str or PolicyEntry
    seeds : int or list of int
        Seeds of random VM selection, and of ``vm_order = "shuffled"``.
    semantics : {"default", "cloudsim_303"}
    semantics_options : dict
        Single options over that, see :class:`rlsched.sim.semantics.Semantics`.
    hosts : int
        Machines of a window; even ones HP ML110 G4, odd ones G5.
    host_mem_mib : int, optional
        Memory of each, instead of the scenario's 4 GiB.
    pue : float
        Energy of the data centre over that of its machines.
    weights : dict
        Of ``energy``, ``unmet`` and ``moves`` in ``weighted_cost_pct``.
    main_metric : str
        Who won is decided on this one; empty: nobody is said to have won.
    metrics : list of str
        Shown in tables, in this order. Rows and summary hold all of them.
    judged : list of str
        Verdicts are given for these besides the main metric.
    references, bootstrap, tune
        See their classes.
    carbon : CarbonSpec, optional
        Intensity of the grid, second 0 of each day at its ``from_s``; without it carbon is not given.
    bounds : {"none", "packing"}
        See ``rlsched.evaluate.consolidation_bound``.
    """

    kind: Literal["consolidation"]
    title: str = ""
    question: str = ""
    traces: str = "planetlab-2011"
    day: Annotated[tuple[str, ...], BeforeValidator(_days)] = (ALL,)
    split: Literal["", "train", "validation", "test"] = ""
    groups: int = Field(default=1, ge=1)
    policies: Annotated[tuple[PolicyEntry, ...], BeforeValidator(_entries)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds)] = (0,)
    semantics: str = "default"
    semantics_options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    hosts: int = Field(default=800, ge=1)
    host_mem_mib: int | None = Field(default=None, ge=1)
    pue: float = Field(default=1.0, ge=1)
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: dict(WEIGHTS))
    main_metric: str = ""
    metrics: Annotated[tuple[str, ...], BeforeValidator(_listed)] = SHOWN
    judged: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    references: ReferencesSpec = Field(default_factory=ReferencesSpec)
    bounds: Literal["none", "packing"] = "none"
    bootstrap: BootstrapSpec = Field(default_factory=BootstrapSpec)
    tune: ConsolidationTuneSpec | None = None
    carbon: CarbonSpec | None = None

    @field_validator("day", "policies", "seeds")
    @classmethod
    def _something_and_each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one")
        keys = [one.shown if isinstance(one, PolicyEntry) else one for one in value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"must name each once: {key!r} is there {keys.count(key)} times")
        return value

    @field_validator("day")
    @classmethod
    def _days_are_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for day in value:
            if day != ALL and not DAY.fullmatch(day):
                raise ValueError(f"a day is YYYYMMDD, or 'all': not {day!r}")
        if ALL in value and len(value) > 1:
            raise ValueError("'all' stands alone")
        return value

    @field_validator("policies")
    @classmethod
    def _policies_are_known(cls, value: tuple[PolicyEntry, ...]) -> tuple[PolicyEntry, ...]:
        problems = []
        for one in value:
            try:
                one.check()
            except SpecError as error:
                problems.append(str(error))
        if problems:
            raise ValueError(" ".join(problems))
        return value

    @field_validator("weights")
    @classmethod
    def _weights_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in WEIGHTS:
                raise ValueError(f"unknown weight {name!r}.{did_you_mean(name, WEIGHTS)}")
        return {**WEIGHTS, **value}

    @field_validator("main_metric", "metrics", "judged")
    @classmethod
    def _metrics_are_known(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            if name and name not in METRICS:
                raise ValueError(f"unknown metric {name!r}.{did_you_mean(name, METRICS)}")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> ConsolidationExperiment:
        if self.split and self.day != (ALL,):
            raise ValueError("give day or split, one of them (--set split= leaves the split out)")
        for name in (self.main_metric, *self.judged):
            if name and METRICS[name].better == "none":
                raise ValueError(f"{name} has no better direction, so nobody can win on it")
        if self.judged and not self.main_metric:
            raise ValueError("judged needs a main_metric")
        return self

    @property
    def problem_sha256(self) -> str:
        """Of everything that makes the problem: what a tuned policy has to have been tuned on."""
        parts = {"traces", "groups", "semantics", "semantics_options", "hosts", "host_mem_mib", "pue", "weights"}
        held = self.model_dump(mode="json", include={*parts, "main_metric"})
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()

    @property
    def chosen_semantics(self) -> Semantics:
        """The named semantics with the single options put in."""
        return Semantics.named(self.semantics).replace(self.semantics_options)

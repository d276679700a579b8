"""``rlsched evaluate`` of a consolidation experiment: policies × days × seeds → one JSON document.

The scenario is CloudSim's PlanetLab example: 800 machines of two types, one VM a trace file. With
``semantics = "cloudsim_303"`` the figures are those of CloudSim 3.0.3 (``docs/fidelity.md``).
"""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from rlsched import spec
from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.results import Document, file_sha256, grids, origin, plain, seal, summarise
from rlsched.sim.consolidation.meters import METRICS
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.semantics import Semantics
from rlsched.spec import Spec
from rlsched.traces import datasets

if TYPE_CHECKING:
    from rlsched.traces.columns import Usage

Progress = Callable[[str, float], None]

ALL = "all"
#: Of the metrics of a row, those a table shows.
SHOWN = (
    "energy_kwh", "migrations", "slatah_share", "pdm_share", "slav_share", "esv_kwh",
    "overall_sla_violation_share", "average_sla_violation_share", "host_shutdowns",
)  # fmt: skip
BOOTSTRAP = Bootstrap()
_DAY = re.compile(r"\d{8}")


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


class PolicyEntry(Spec):
    """One policy of a consolidation experiment; see :class:`ConsolidationPolicy` for the fields.

    Parameters
    ----------
    name : str
        ``"dvfs"``, ``"npa"``, or detection and selection as ``"lr_mmt"``.
    parameter : float, optional
        Of the detection.
    placement_cap, evacuate_below : float
    label : str
        What it is called in rows; the name by default.
    """

    name: str
    parameter: float | None = None
    placement_cap: float = 1.0
    evacuate_below: float = 1.0
    label: str = ""

    @property
    def policy(self) -> ConsolidationPolicy:
        """The policy itself."""
        return ConsolidationPolicy(self.name, self.parameter, self.placement_cap, self.evacuate_below)


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
    policies : list of str or PolicyEntry
    seeds : int or list of int
        Seeds of random VM selection, and of ``vm_order = "shuffled"``.
    semantics : {"default", "cloudsim_303"}
    semantics_options : dict
        Single options over that, see :class:`rlsched.sim.semantics.Semantics`.
    hosts : int
        Machines; even ones HP ML110 G4, odd ones G5.
    """

    kind: Literal["consolidation"]
    title: str = ""
    question: str = ""
    traces: str = "planetlab-2011"
    day: Annotated[tuple[str, ...], BeforeValidator(_days)] = (ALL,)
    policies: Annotated[tuple[PolicyEntry, ...], BeforeValidator(lambda value: _entries(value))]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds)] = (0,)
    semantics: str = "default"
    semantics_options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    hosts: int = Field(default=800, ge=1)

    @field_validator("day", "policies", "seeds")
    @classmethod
    def _something_and_each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one")
        keys = [(one.label or one.name) if isinstance(one, PolicyEntry) else one for one in value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"must name each once: {key!r} is there {keys.count(key)} times")
        return value

    @field_validator("day")
    @classmethod
    def _days_are_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for day in value:
            if day != ALL and not _DAY.fullmatch(day):
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
                _ = one.policy
            except SpecError as error:
                problems.append(str(error))
        if problems:
            raise ValueError(" ".join(problems))
        return value

    @property
    def chosen_semantics(self) -> Semantics:
        """The named semantics with the single options put in."""
        return Semantics.named(self.semantics).replace(self.semantics_options)


def _entries(value: Any) -> Any:
    """Names → tables with that name."""
    if isinstance(value, Mapping):
        return [value]
    return [{"name": one} if isinstance(one, str) else one for one in _listed(value)]


@dataclass(frozen=True)
class Day:
    """One day that can be read."""

    name: str
    path: Path
    inside: bool  # of an archive

    def read(self) -> Usage:
        """Its usage; the reader names file and line of whatever is wrong."""
        from rlsched.traces.read import read_usage

        return read_usage(self.path, format="planetlab", **({"day": self.name} if self.inside else {}))


def find_days(traces: str, days: Sequence[str], data_root: Path | None = None) -> list[Day]:
    """Find the days asked for, without reading them.

    Parameters
    ----------
    traces : str
        Dataset name or path; see :class:`ConsolidationExperiment`.
    days : sequence of str
        ``("all",)`` gives every day there is, ascending.
    data_root : Path, optional
        Folder the datasets lie in.

    Raises
    ------
    SpecError
        A day that is not there, with the nearest one that is.
    MissingDataError, TraceError
        No such dataset or path.
    """
    there = {day.name: day for day in _list_days(traces, data_root)}
    if tuple(days) == (ALL,):
        return [there[name] for name in sorted(there)]
    for name in days:
        if name not in there:
            raise SpecError(f"no day {name!r} in {traces}.{did_you_mean(name, there)}")
    return [there[name] for name in days]


def _list_days(traces: str, data_root: Path | None) -> list[Day]:
    from rlsched.traces.readers.source import read_source, read_tar

    path = Path(traces)
    if not path.exists() and "/" not in traces:
        card, _, path = datasets.locate(traces, None, data_root)
        if all(part.options.get("day") == name for name, part in card.parts.items()):
            return [Day(name, path, True) for name in card.parts]
    if path.is_dir():
        inner = sorted(entry for entry in path.iterdir() if entry.is_dir())
        found = [Day(entry.name, entry, False) for entry in inner if _DAY.fullmatch(entry.name)]
        if inner and not found:
            raise SpecError(
                f"the folders in {path} must be days, YYYYMMDD: got {inner[0].name!r}. Name a day's folder."
            )
        return found or [Day(path.resolve().name, path, False)]
    source = read_source(path)
    if source.data[257:262] != b"ustar":
        raise SpecError(
            f"traces must be a dataset, an archive of days, a folder of days or a day's folder: {path} is a single "
            "file. Put it into a folder of its own."
        )
    names = {match[0] for name, _ in read_tar(source) if (match := re.search(r"(?<![^/])\d{8}(?=/)", name))}
    return [Day(name, path, True) for name in sorted(names)]


def run(
    card: Path, overrides: Sequence[str] = (), *, data_root: Path | None = None, progress: Progress | None = None
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

    Returns
    -------
    dict
        The document of ``docs/json.md``. A row has ``policy, window`` (the day) ``, seed``, what
        the policy is made of, and every metric of
        :data:`rlsched.sim.consolidation.meters.METRICS`; one that does not exist for a run (mean
        time before a shutdown without shutdowns) is None. Nobody wins: the experiment compares
        with another simulator, so there is no main metric and there are no verdicts.

    Raises
    ------
    UserError
        Whatever is wrong with card, overrides, data or semantics.
    """
    began = time.monotonic()
    experiment = spec.load(ConsolidationExperiment, card, overrides).spec
    semantics = experiment.chosen_semantics
    days = find_days(experiment.traces, experiment.day, data_root)
    files: dict[str, str] = {}
    rows = list(_rows(experiment, semantics, days, files, progress))
    name = experiment_name(card)
    provenance = {
        **origin(" ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])),
        "kind": experiment.kind,
        "title": experiment.title,
        "question": experiment.question,
        "card_sha256": file_sha256(card),
        "card": plain(experiment.model_dump()),
        "set": list(overrides),
        "metrics": list(SHOWN),
        "semantics": dict(vars(semantics)),
        "data_sha256": files,
        "seeds": list(experiment.seeds),
        "bootstrap": plain(vars(BOOTSTRAP)),
        "seconds": round(time.monotonic() - began, 1),
    }
    return {
        "experiment": name,
        "provenance": seal(provenance),
        "rows": rows,
        "summary": summarise(grids(rows, list(METRICS)), BOOTSTRAP),
        "verdicts": [],
    }


def _rows(
    experiment: ConsolidationExperiment,
    semantics: Semantics,
    days: Sequence[Day],
    files: dict[str, str],
    progress: Progress | None,
) -> Iterator[dict[str, Any]]:
    from rlsched.sim.consolidation.simulate import Simulator
    from rlsched.sim.consolidation.world import planetlab_world

    say = progress or (lambda _text, _share: None)
    policies = [entry.policy for entry in experiment.policies]
    steps = len(days) * len(experiment.seeds)
    done = 0
    for day in days:
        say(f"reading {day.name}", done / steps)
        usage = day.read()
        files |= (
            {Path(str(name)).name: str(sha) for name, sha in usage.meta.get("files", {}).items()}
            if day.inside
            else {day.path.name: _digest(usage.meta.get("files", {}))}
        )
        for seed in experiment.seeds:
            say(f"{day.name}, seed {seed}: {len(policies)} policies", done / steps)
            world = planetlab_world(usage, semantics, seed=seed, n_hosts=experiment.hosts)
            runs = Simulator(world, semantics).run(policies, [seed] * len(policies))
            for entry, one in zip(experiment.policies, runs, strict=True):
                yield {
                    "policy": entry.label or entry.name,
                    "window": day.name,
                    "seed": seed,
                    "detection": one.policy.detection or one.policy.name,
                    "selection": one.policy.selection,
                    "parameter": one.policy.parameter,
                    "placement_cap": one.policy.placement_cap,
                    "evacuate_below": one.policy.evacuate_below,
                    "hosts": world.n_hosts,
                    "vms": world.n_vms,
                    **plain(one.meters.metrics()),
                }
            done += 1
    say("done", 1.0)


def _digest(files: Mapping[str, str]) -> str:
    """One hash over the hashes of a folder's files, by name."""
    lines = "".join(f"{sha}  {Path(name).name}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()

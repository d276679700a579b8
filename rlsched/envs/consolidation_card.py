"""Environment cards of kind ``consolidation``: days of load + machines + semantics + what is done and rewarded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from rlsched.assets import find_asset
from rlsched.envs.card_kind import check_kind
from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.errors import SpecError
from rlsched.rng import stream, stream_seed
from rlsched.sim.consolidation.world import planetlab_world
from rlsched.sim.semantics import Semantics
from rlsched.spec import Spec, load
from rlsched.traces.columns import Usage


class DaysSpec(Spec):
    """Where the load comes from: days of a dataset, or days drawn from a profile.

    Parameters
    ----------
    traces : str
        A dataset whose parts are days and whose card splits by day.
    split : {"train", "validation"}
        Its days are used. The test days are for ``rlsched evaluate``.
    profile : str
        Of ``traces/profiles``, instead of ``traces``.
    days : int
        Drawn from the profile.
    """

    traces: str = ""
    split: Literal["train", "validation"] = "train"
    profile: str = ""
    days: int = Field(default=4, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_source(self) -> DaysSpec:
        if bool(self.traces) == bool(self.profile):
            raise ValueError("give traces (a dataset of days) or profile, one of them")
        return self


class WorldsSpec(Spec):
    """Clusters that episodes run on.

    Parameters
    ----------
    count : int
        Worlds; each has one day, in turn, and VMs sampled from it.
    hosts : int
        Machines of CloudSim's PlanetLab scenario, two types in turn.
    host_mem_mib : int, optional
        Memory of each; the scenario's 4 GiB by default.
    vms : int, optional
        Sampled VMs; all of the day by default.
    seed : int
    """

    count: int = Field(default=16, ge=1, le=10_000)
    hosts: int = Field(default=100, ge=1)
    host_mem_mib: int | None = Field(default=None, ge=1)
    vms: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)


class ConsolidationCard(Spec):
    """An environment card of kind ``consolidation``.

    Parameters
    ----------
    kind : "consolidation"
    title : str
    data, worlds
        See their classes.
    semantics : str
        ``"default"`` or ``"cloudsim_303"``.
    semantics_options : table
        Single options over that; see ``rlsched.sim.semantics.Semantics``.
    consolidation : ConsolidationSettings
    """

    kind: Literal["consolidation"]
    title: str = ""
    data: DaysSpec
    worlds: WorldsSpec = Field(default_factory=WorldsSpec)
    semantics: str = "default"
    semantics_options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    consolidation: ConsolidationSettings = Field(default_factory=ConsolidationSettings)

    @property
    def chosen_semantics(self) -> Semantics:
        """The named semantics with the single options put in."""
        return Semantics.named(self.semantics).replace(self.semantics_options)


def resolve(
    problem: ConsolidationProblem | None, settings: ConsolidationSettings | None, card: str
) -> tuple[ConsolidationProblem, ConsolidationSettings]:
    """Fill what is not given from a card."""
    if problem is not None and settings is not None:
        return problem, settings
    spec, _ = load_card(card)
    return problem or build_problem(spec), settings or spec.consolidation


def build_problem(spec: ConsolidationCard) -> ConsolidationProblem:
    """Read or draw the days of a card, and sample its worlds.

    Raises
    ------
    SpecError, MissingDataError, TraceError
        An unknown dataset or profile, data that is not there, more VMs than a day has.
    """
    semantics = spec.chosen_semantics
    names, read = _days(spec)
    w = spec.worlds
    usages: dict[str, Usage] = {}
    worlds, labels = [], []
    for i in range(w.count):
        day = names[i % len(names)]
        if day not in usages:
            usages[day] = read(day)
        usage, seed = usages[day], stream_seed(w.seed, "world", i)
        n = len(usage) if w.vms is None else w.vms
        if n > len(usage):
            raise SpecError(f"worlds.vms must be at most {len(usage)}, the VMs of {day}: got {n}.")
        rows = np.sort(stream(seed, "vms").choice(len(usage), size=n, replace=False))
        worlds.append(
            planetlab_world(usage, semantics, seed=seed, n_hosts=w.hosts, host_mem_mib=w.host_mem_mib, rows=rows)
        )
        labels.append(f"{day}/{i:03d}")
    return ConsolidationProblem(tuple(worlds), semantics, tuple(labels))


def _days(spec: ConsolidationCard) -> tuple[list[str], Callable[[str], Usage]]:
    """Names of the days, and how to read one."""
    if spec.data.profile:
        from rlsched.traces.synthetic.draw import draw_usage
        from rlsched.traces.synthetic.profile import find_profile, load_profile

        profile = load_profile(find_profile(spec.data.profile))
        seed = spec.worlds.seed

        def draw(day: str) -> Usage:
            return draw_usage(profile, 1.0, seed=int(stream(seed, "day", day).integers(2**31)))

        return [f"{spec.data.profile}-{i}" for i in range(spec.data.days)], draw
    from rlsched.traces.datasets import locate, read_dataset

    name = spec.data.traces
    dataset, _, _ = locate(name)
    days = getattr(dataset.splits, spec.data.split, None) if dataset.splits is not None else None
    if dataset.splits is None or dataset.splits.by != "day" or not days:
        raise SpecError(f"data.traces must be a dataset whose card splits by day: {name} is not. Try planetlab-2011.")

    def read(day: str) -> Usage:
        found = read_dataset(name, day)
        if not isinstance(found, Usage):
            raise SpecError(f"data.traces must hold usage: part {day!r} of {name} holds {type(found).__name__}.")
        return found

    return [str(day) for day in days], read


def load_card(card: str | Path) -> tuple[ConsolidationCard, Path]:
    """Read an environment card by name or path.

    Raises
    ------
    SpecError
        Unknown name, a card of another kind, or one that breaks a rule.
    """
    path = find_asset("envs", card)
    check_kind(card, path, "consolidation")
    return load(ConsolidationCard, path).spec, path

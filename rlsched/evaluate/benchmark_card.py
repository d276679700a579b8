"""The card of a benchmark: which experiments, each by its own card, and on which variants of them besides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.experiment import SPLITS, _listed, experiment_name
from rlsched.spec import Spec, load

KIND = "benchmark"
_SAFE = re.compile(r"[^\w.+-]+")


class Variant(Spec):
    """The same problem at another size or load.

    Parameters
    ----------
    label : str
        What tables call it: ``364 machines``.
    set : list of str
        ``key=value`` over the experiment's card.
    about_s : float, optional
        As of an experiment; a quarter of its by default.
    """

    label: str = Field(min_length=1)
    set: tuple[str, ...] = Field(min_length=1)
    about_s: float | None = Field(default=None, gt=0)


class Entry(Spec):
    """One experiment.

    Parameters
    ----------
    name : str
        As ``rlsched evaluate`` takes it: a name, a folder, a card; relative to the benchmark's card where
        it is there.
    set : list of str
        ``key=value`` over its card.
    optional : bool
        Left out unless the benchmark's ``optional`` is true.
    compared : list of str
        Policies that are run on the variants.
    generality : list of Variant
    about_s : float
        Seconds it took where it was measured: the longest begin first, and time left is told by it. The
        results do not depend on it.
    """

    name: str
    set: tuple[str, ...] = ()
    optional: bool = False
    compared: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    generality: tuple[Variant, ...] = ()
    about_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _variants_have_policies(self) -> Entry:
        if self.generality and not self.compared:
            raise ValueError("generality needs compared: the policies to run on the variants")
        labels = [one.label for one in self.generality]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two variants are called {label!r}: give one of them another label")
        return self


class BenchmarkExperiment(Spec):
    """Everything a benchmark's card says.

    Parameters
    ----------
    kind : "benchmark"
    title, question : str
    split : {"train", "validation", "test"}
        Of every experiment that has splits.
    experiments : list of Entry
    only : list of str
        Of these, run no others; all by default.
    optional : bool
        Run those marked optional, too.
    variants : bool
        Run the variants.
    """

    kind: Literal["benchmark"]
    title: str
    question: str = ""
    split: Literal["train", "validation", "test"] = "test"
    experiments: tuple[Entry, ...] = Field(min_length=1)
    only: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    optional: bool = False
    variants: bool = True

    @field_validator("experiments")
    @classmethod
    def _each_once(cls, value: tuple[Entry, ...]) -> tuple[Entry, ...]:
        names = [one.name for one in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there {names.count(name)} times: name each experiment once")
        return value

    @model_validator(mode="after")
    def _only_what_there_is(self) -> BenchmarkExperiment:
        names = [one.name for one in self.experiments]
        for name in self.only:
            if name not in names:
                raise ValueError(f"only: no experiment {name!r}.{did_you_mean(name, names)}")
        return self

    def why_not(self, entry: Entry) -> str:
        """Why an experiment is left out; empty where it runs."""
        if self.only:
            return "" if entry.name in self.only else f"left out: only={','.join(self.only)}"
        return "left out: it is optional (--set optional=true)" if entry.optional and not self.optional else ""


@dataclass(frozen=True)
class Job:
    """One run: an experiment, or a variant of it.

    Parameters
    ----------
    name : str
        Of its folder: the experiment's, then the variant's.
    experiment : str
        The experiment's name.
    card : Path
    overrides : tuple of str
    variant : str
        Its label; empty for the experiment itself.
    about_s : float
    """

    name: str
    experiment: str
    card: Path
    overrides: tuple[str, ...]
    variant: str
    about_s: float


def jobs_of(spec: BenchmarkExperiment, folder: Path) -> list[Job]:
    """What is to run, experiments in the card's order, each followed by its variants.

    Parameters
    ----------
    spec : BenchmarkExperiment
    folder : Path
        Of the card.

    Raises
    ------
    SpecError
        Every experiment that is not there, or names another problem's benchmark, at once.
    """
    from rlsched.evaluate.kinds import find_card, kind_of, spec_of

    out: list[Job] = []
    faults: list[str] = []
    for entry in spec.experiments:
        if spec.why_not(entry):
            continue
        beside = folder / entry.name
        try:
            card = find_card(str(beside) if beside.exists() else entry.name)
            kind = kind_of(card, entry.set)
            if kind == KIND:
                raise SpecError(f"{entry.name} is a benchmark itself. Name its experiments.")
            name = experiment_name(card)
            overrides = (*entry.set, *_split(spec, card, entry, kind))
            changed = {
                one.label: (*overrides, f"policies={','.join(entry.compared)}", *one.set)
                for one in (entry.generality if spec.variants else ())
            }
            for each in (overrides, *changed.values()):
                load(spec_of(kind), card, each)  # what is wrong with a card is said before anything runs
        except SpecError as error:
            faults.append(str(error))
            continue
        if name in {one.experiment for one in out}:
            faults.append(f"two experiments are called {name!r}: rename the folder of one.")
            continue
        out.append(Job(name, name, card, overrides, "", entry.about_s))
        about = {one.label: one.about_s or entry.about_s / 4 for one in entry.generality}
        for label, each in changed.items():
            where = f"{name}@{_SAFE.sub('-', label).strip('-')}"
            if where in {job.name for job in out}:
                faults.append(f"variants {label!r} and another of {name} would share a folder: rename one.")
                continue
            out.append(Job(where, name, card, each, label, about[label]))
    if faults:
        head = f"{len(faults)} problems with experiments:" if len(faults) > 1 else ""
        raise SpecError("\n  ".join([head, *faults]) if head else faults[0])
    return out


def _split(spec: BenchmarkExperiment, card: Path, entry: Entry, kind: str) -> tuple[str, ...]:
    """The split as an override, where the experiment's own is another."""
    from rlsched.evaluate.kinds import spec_of

    loaded: Any = load(spec_of(kind), card, entry.set).spec
    own = getattr(loaded, "split", "")
    return () if own not in SPLITS or own == spec.split else (f"split={spec.split}",)

"""Check every part of every dataset there is a card for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rlsched.errors import MissingDataError, TraceError, UserError
from rlsched.traces.card import load_card
from rlsched.traces.columns import Columns, Machines
from rlsched.traces.datasets import data_root, list_datasets, locate, read_dataset
from rlsched.traces.describe import in_a_line
from rlsched.traces.lint.check import Report, check_file
from rlsched.traces.lint.finding import CHANGES, Finding
from rlsched.traces.readers import READERS


@dataclass(frozen=True)
class Checked:
    """What came out of one part.

    Parameters
    ----------
    dataset, part : str
    report : Report or None
        None where it could not be read, or is not here.
    machines : str
        The part of the dataset whose machines a trace was held against; empty for none.
    error : str
        Why there is no report.
    here : bool
        Whether the files are on this machine.
    facts : str
        What is in it, in one line; empty where it could not be read.
    """

    dataset: str
    part: str
    report: Report | None
    machines: str = ""
    error: str = ""
    here: bool = True
    facts: str = ""


def check_every(data: str | Path | None = None, progress: Callable[[str], None] | None = None) -> Iterator[Checked]:
    """Check all parts, datasets and parts in the order of their cards.

    A trace is held against the machines of its dataset, of several lists the longest.

    Parameters
    ----------
    data : str or Path, optional
        Data root; see `rlsched.traces.datasets`.
    progress : callable, optional
        Called with the name of each part before it is read.

    Raises
    ------
    MissingDataError
        There is no data root.
    """
    data_root(data)
    for listing in list_datasets(data):
        machines_part, machines = _machines(listing.name, data)
        for part in listing.parts:
            if progress is not None:
                progress(f"{listing.name} {part}")
            yield _one(listing.name, part, data, machines_part, machines)


def without_card(data: str | Path | None = None) -> list[str]:
    """Folders of the data root that no card names, ascending."""
    root = data_root(data)
    named = {load_card(listing.name).spec.folder for listing in list_datasets(data)}
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and entry.name not in named)


def _one(name: str, part: str, data: str | Path | None, machines_part: str, machines: Machines | None) -> Checked:
    facts = ""

    def read(**more: object) -> Columns:
        nonlocal facts
        columns = read_dataset(name, part, data=data, **more)
        facts = in_a_line(columns)
        return columns

    try:
        path = locate(name, part, data)[2]
    except MissingDataError as error:
        return Checked(name, part, None, error=str(error), here=False)
    try:
        report = check_file(read, path, machines=machines)
    except TraceError as error:
        return Checked(name, part, None, error=str(error))
    return Checked(name, part, report, machines_part if report.kind == "trace" else "", facts=facts)


def _machines(name: str, data: str | Path | None) -> tuple[str, Machines | None]:
    parts = load_card(name).spec.parts
    if not any(READERS[part.reader].kind == "trace" for part in parts.values()):
        return "", None
    best: tuple[str, Machines | None] = ("", None)
    for key, part in parts.items():
        if READERS[part.reader].kind != "machines":
            continue
        try:
            found = read_dataset(name, key, data=data)
        except UserError:  # reported where the part itself is checked
            continue
        if isinstance(found, Machines) and (best[1] is None or len(found) > len(best[1])):
            best = (key, found)
    return best


@dataclass(frozen=True)
class Line:
    """One rule in one dataset: where it holds, and the part in which it concerns most.

    Parameters
    ----------
    dataset : str
    parts : tuple of str
        Parts in which it was found.
    finding : Finding
        That of the part with the largest count, the first on ties; several of one name in it are joined.
    part : str
        That part.
    """

    dataset: str
    parts: tuple[str, ...]
    finding: Finding
    part: str


def lines_of(checked: list[Checked]) -> list[Line]:
    """All findings, one line a rule and dataset; of each dataset what changes results first."""
    found: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for one in checked:
        for finding in one.report.findings if one.report is not None else ():
            found.setdefault((one.dataset, finding.rule), []).append((one.part, finding))
    out = []
    for (dataset, _), where in found.items():
        part, finding = max(where, key=lambda item: item[1].count)
        texts = dict.fromkeys(one.found for other, one in where if other == part)
        finding = dataclasses.replace(finding, found="; ".join(texts))
        out.append(Line(dataset, tuple(dict.fromkeys(part for part, _ in where)), finding, part))
    order = {name: i for i, name in enumerate(dict.fromkeys(line.dataset for line in out))}
    return sorted(out, key=lambda line: (order[line.dataset], line.finding.severity != CHANGES))

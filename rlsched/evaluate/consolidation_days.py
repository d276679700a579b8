"""Days of PlanetLab-like load: finding them in a dataset, an archive, a folder of days or a day's folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlsched.errors import SpecError, did_you_mean
from rlsched.traces import datasets

if TYPE_CHECKING:
    from rlsched.traces.columns import Usage

ALL = "all"
DAY = re.compile(r"\d{8}")


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
        found = [Day(entry.name, entry, False) for entry in inner if DAY.fullmatch(entry.name)]
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


def split_days(traces: str, split: str, data_root: Path | None = None) -> tuple[str, ...]:
    """The days of a split, as the dataset's card has them.

    Raises
    ------
    SpecError
        When it is no dataset, or one that does not split by day.
    """
    if "/" in traces or Path(traces).exists():
        raise SpecError(f"split needs a dataset whose card splits by day: {traces} is a path. Name the days instead.")
    card, _, _ = datasets.locate(traces, None, data_root)
    if card.splits is None or card.splits.by != "day":
        raise SpecError(f"split needs a dataset whose card splits by day: {traces} does not. Name the days instead.")
    return tuple(str(day) for day in getattr(card.splits, split))

"""What a rule is, what it looks at, and what it says.

Two severities, told apart by one question: would a replay give other numbers than the file, taken
at its word, says it should?

- ``changes-results``: rows were left out, merged, filled, rounded or invented on reading; or replay
  refuses, rejects, or never ends them; or the numbers are likely in another unit than they were
  read in.
- ``notice``: replayed exactly as it stands, and worth knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import Columns, Machines, Trace
from rlsched.traces.lint.head import Head

Severity = Literal["changes-results", "notice"]
CHANGES: Severity = "changes-results"
NOTICE: Severity = "notice"
FIRST = 5  # places a finding names


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    rule : str
        Name of the rule, e.g. ``"gap"``.
    severity : {"changes-results", "notice"}
    count : int
        Rows, samples or series concerned.
    found : str
        What was found, with a value.
    replay : str
        What replay does about it.
    fix : str
        What to do.
    rows : tuple of int
        The first few, in the numbering of ``rows_of``.
    rows_of : {"file", "columns", "samples", ""}
        ``file``: 1 is the first data row of the file; ``columns``: rows of the columns as read,
        from 0; ``samples``: samples of the series in ``ids``, from 0; empty where no row is named.
    ids : tuple of str
        Tasks, machines or series, one for each of ``rows``, or alone.
    """

    rule: str
    severity: Severity
    count: int
    found: str
    replay: str
    fix: str
    rows: tuple[int, ...] = ()
    rows_of: str = ""
    ids: tuple[str, ...] = ()

    def place(self) -> str:
        """Where it is: ``"rows 3, 7 of the file (tasks 'a', 'b')"``; empty where nothing is named."""
        names = ", ".join(map(repr, self.ids))
        if not self.rows:
            return names
        many = "s" if len(self.rows) != 1 else ""
        what = {"file": "of the file", "columns": "as read, from 0", "samples": "of"}[self.rows_of]
        head = "sample" if self.rows_of == "samples" else "row"
        text = f"{head}{many} {', '.join(map(str, self.rows))} {what}"
        if self.rows_of == "samples":
            return f"{text} {names}"
        return f"{text} ({names})" if names else text


@dataclass(frozen=True)
class Hit:
    """What a rule's function returns: the part of a finding that depends on the data."""

    count: int
    found: str
    rows: tuple[int, ...] = ()
    rows_of: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What the rules look at.

    Parameters
    ----------
    columns : Trace, Machines, Usage, Demand or Signal
    machines : Machines, optional
        What the tasks of a trace are to run on.
    head : Head, optional
        Header and first rows of the file as text.
    """

    columns: Columns
    machines: Machines | None = None
    head: Head | None = None

    @property
    def in_file_order(self) -> bool:
        """True where row ``i`` of a trace or machine list is row ``i + 1`` of its one file."""
        report = self.columns.report
        untouched = report.rows_read == report.rows_kept == len(self.columns)
        moved = any(drop.action.startswith("sorted") for drop in report.drops)
        one_file = len(self.columns.meta.get("files", {})) == 1
        return untouched and not moved and one_file and isinstance(self.columns, (Trace, Machines))

    def rows(self, bad: npt.NDArray[np.bool_] | npt.NDArray[np.intp], found: str) -> Hit | None:
        """The hit of a rule about rows of a trace or machine list; None where there are none."""
        at = np.flatnonzero(bad) if bad.dtype == np.bool_ else bad
        if at.size == 0:
            return None
        first = at[:FIRST]
        ids = getattr(self.columns, self.columns.ROW_COLUMNS[0])[first]
        shift, where = (1, "file") if self.in_file_order else (0, "columns")
        return Hit(int(at.size), found, tuple(int(i) + shift for i in first), where, tuple(str(one) for one in ids))


@dataclass(frozen=True)
class Rule:
    """One line of the table of rules.

    Parameters
    ----------
    id : str
        Unique together with ``noun``.
    noun : {"trace", "machines", "usage", "demand", "signal", "any", "file"}
        What it looks at; ``file`` is the text, ``any`` every noun.
    severity : {"changes-results", "notice"}
    looks_for : str
    replay, fix : str
        As in `Finding`.
    find : callable
        ``find(subject) -> Hit | None``.
    """

    id: str
    noun: str
    severity: Severity
    looks_for: str
    replay: str
    fix: str
    find: Callable[[Any], Hit | None]

    def apply(self, subject: Any) -> Finding | None:
        """The finding, or None."""
        hit = self.find(subject)
        if hit is None:
            return None
        return Finding(
            self.id, self.severity, hit.count, hit.found, self.replay, self.fix, hit.rows, hit.rows_of, hit.ids
        )


def ids_of(labels: Sequence[Any] | npt.NDArray[Any]) -> tuple[str, ...]:
    """The first few labels as text."""
    return tuple(str(one) for one in labels[:FIRST])


def plural(count: int, what: str) -> str:
    """``"1 task"``, ``"2,000 tasks"``; ``what`` is the singular (``series`` stays as it is)."""
    end = "" if count == 1 or what.endswith("series") else "s"
    return f"{count:,} {what}{end}"

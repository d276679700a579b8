"""Run the rules: on columns, or on a file that a reader may refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.errors import TraceError, UserError
from rlsched.traces.columns import Columns, Machines
from rlsched.traces.lint.account import findings_of
from rlsched.traces.lint.finding import CHANGES, Finding, Rule, Subject
from rlsched.traces.lint.head import Head, read_csv_head
from rlsched.traces.lint.host_rules import HOST_RULES, SHARED_RULES
from rlsched.traces.lint.series_rules import DEMAND_RULES, USAGE_RULES
from rlsched.traces.lint.signal_rules import SIGNAL_RULES
from rlsched.traces.lint.task_rules import TASK_RULES
from rlsched.traces.lint.text_rules import TEXT_RULES
from rlsched.traces.read import kind_of

#: Every rule, in the order its findings are listed; ``(id, noun)`` is unique.
RULES: tuple[Rule, ...] = (
    *TEXT_RULES,
    *TASK_RULES,
    *HOST_RULES,
    *USAGE_RULES,
    *DEMAND_RULES,
    *SIGNAL_RULES,
    *SHARED_RULES,
)
REFUSED = "refused"


@dataclass(frozen=True)
class Report:
    """The findings about one file or part of a dataset.

    Parameters
    ----------
    source : str
    kind : str
        ``"trace"``, ``"machines"``, ``"usage"``, ``"demand"`` or ``"signal"``.
    rows_read : int
        Of the file.
    findings : tuple of Finding
        What changes results first, then by the order of the rules.
    """

    source: str
    kind: str
    rows_read: int
    findings: tuple[Finding, ...]

    @property
    def changes_results(self) -> bool:
        """Whether any finding would change results."""
        return any(one.severity == CHANGES for one in self.findings)


def check(columns: Columns, *, machines: Machines | None = None, head: Head | None = None) -> Report:
    """Apply every rule that is about this kind of columns.

    Parameters
    ----------
    columns : Trace, Machines, Usage, Demand or Signal
    machines : Machines, optional
        What the tasks of a trace are to run on; without it `too-large` is not looked for.
    head : Head, optional
        Header and first rows of the file; without it the rules about the text are left out.
    """
    subject = Subject(columns, machines, head)
    kind = kind_of(columns)
    found = [rule.apply(subject) for rule in RULES if rule.noun in (kind, "any", "file")]
    return Report(
        columns.source,
        kind,
        columns.report.rows_read or len(columns),
        _ordered(_joined([one for one in found if one is not None], list(findings_of(columns)))),
    )


def check_file(read: Callable[..., Columns], path: Path | None = None, *, machines: Machines | None = None) -> Report:
    """Read and check; where the reader refuses the file, say so and go on with the rows it can read.

    Parameters
    ----------
    read : callable
        ``read(**more)`` reads the file, with more options of the reader than it has already.
    path : Path, optional
        The file, for the rules about its text.
    machines : Machines, optional
        As for :func:`check`.

    Raises
    ------
    TraceError
        Nothing could be read at all: the reader's own error.
    """
    refused: Finding | None = None
    try:
        columns = read()
    except TraceError as error:
        try:
            columns = read(on_bad_row="skip")
        except UserError:  # every row is bad, or this reader cannot leave rows out
            raise error from None
        refused = Finding(
            REFUSED,
            CHANGES,
            1,
            str(error),
            "does not begin: the reader refuses the file; the rest is about the rows that can be read",
            "Fix the rows named below, or read with --option on_bad_row=skip and lose them.",
        )
    head = read_csv_head(path) if path is not None else None
    report = check(columns, machines=machines, head=head)
    if refused is None:
        return report
    return dataclasses.replace(report, findings=(refused, *report.findings))


def _joined(rules: Sequence[Finding], account: Sequence[Finding]) -> list[Finding]:
    """Findings of one name as one: the rule names the place, the account adds what was done."""
    out = list(rules)
    for entry in account:
        at = next((i for i, one in enumerate(rules) if one.rule == entry.rule), None)
        if at is None:
            out.append(entry)
            continue
        merged: dict[str, Any] = {"found": f"{out[at].found} (on reading: {entry.found})"}
        if entry.rows:  # rows of the file are easier to find than rows as read
            merged |= {"rows": entry.rows, "rows_of": entry.rows_of, "ids": ()}
        out[at] = dataclasses.replace(out[at], **merged)
    return out


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: one.severity != CHANGES))

"""What a reader says it did → findings.

Every entry of a `DropReport` becomes one finding. The lines below sort entries by what was done;
the first that matches wins, and an entry that none knows is taken for the worse: it changes results.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rlsched.traces.columns import Columns, Drop
from rlsched.traces.lint.finding import CHANGES, NOTICE, Finding, Severity

UNKNOWN_ENTRY = "reader-did"


@dataclass(frozen=True)
class Entry:
    """One kind of entry.

    Parameters
    ----------
    id : str
        Of the finding.
    action, rule : str
        Regular expressions, found anywhere in the entry's action and rule.
    severity : {"changes-results", "notice"}
    looks_for : str
        For the table of rules.
    replay, fix : str
        As in `Finding`.
    """

    id: str
    action: str
    rule: str
    severity: Severity
    looks_for: str
    replay: str
    fix: str


_LEFT_OUT = "does not see them: the reader left them out"

ENTRIES = (
    Entry(
        "departs-before-arrival", "^dropped", r">= (creation_time|arrive|.*\b(start|arriv|creat|submi))", CHANGES,
        "rows that end before they begin", _LEFT_OUT, "Fix the rows, or accept to lose them.",
    ),
    Entry(
        "duplicate-id", "^dropped", r"\bunique\b", CHANGES, "labels that occur twice",
        "sees the first of each: the reader left the others out", "Rename or remove the repeated rows.",
    ),
    Entry(
        "negative-value", "^(dropped|marked missing)", r"must be (>=? 0|in 0\.\.)|below 0$", CHANGES,
        "negative or impossible numbers", _LEFT_OUT,
        "Fix the rows, or accept to lose them.",
    ),
    Entry(
        "unreadable-row", "^dropped", r"\bmust\b", CHANGES, "rows that break a rule of the format", _LEFT_OUT,
        "Fix the rows, or accept to lose them.",
    ),
    Entry(
        "rows-dropped", "^dropped|^left out", "", CHANGES, "rows the reader leaves out by a documented rule", _LEFT_OUT,
        "See the reader's page for why, and its options for the other reading.",
    ),
    Entry(
        "duplicate-sample", "^merged: ", "", CHANGES, "samples of one slot: repeated or interleaved",
        "sees one sample a slot, as the account says", "Say with the results that repeated samples were merged.",
    ),
    Entry(
        "events-merged", "^merged", "", NOTICE, "events that belong to one row", "sees one row of them all",
        "Nothing: this is how the format is read.",
    ),
    Entry(
        "unsorted", "^sorted", "", NOTICE, "rows out of order of time",
        "replays them in order of time: the reader sorted them, ties in the order of the file",
        "Nothing; whatever goes by row number in another table of the source does not fit the sorted rows.",
    ),
    Entry(
        "censored", r"^kept.*censored", "", CHANGES, "tasks last seen running (right-censored)",
        "keeps them until the end of the window: they never leave",
        "Measure lives with an estimator that counts them (describe: Kaplan–Meier); keep windows clear of the end.",
    ),
    Entry(
        "no-end", "unknown departure", "", CHANGES, "tasks without an end and without a last sight",
        "keeps them until the end of the window: they never leave",
        "Use the trace for arrivals and sizes, or draw lives from a profile.",
    ),
    Entry(
        "invented-times", "row number.* as arrive_s", "", CHANGES, "a list without times",
        "has them arrive one a second in the order of the file, and none ever leaves",
        "Use it for what needs no clock: packing by order of arrival.",
    ),
    Entry(
        "snapshot", "arrival 0 and no departure", "", CHANGES, "a snapshot, which has no times",
        "has all of them arrive at once, and none ever leaves", "Use it for packing and moving, not for arrivals.",
    ),
    Entry(
        "clock-guessed", "as if none were missing", "", CHANGES, "rows without times, of which some are missing",
        "takes row numbers for times: later ones are off by as much as is missing",
        "Leave such days out where the time of day matters.",
    ),
    Entry(
        "there-at-start", "arriving at 0", "", CHANGES, "tasks that were there before the trace begins",
        "places them all at once, into an empty cluster",
        "Begin windows later, and fit no lives to them: they are cut at the start (left-truncated).",
    ),
    Entry(
        "zero-life", "leaving the moment it comes", "", NOTICE, "tasks that leave the moment they come",
        "decides about them, and frees what they took before the next arrival",
        "Check whether they failed at once, and whether your metric should count them.",
    ),
    Entry(
        "above-capacity", "above 1$", "", NOTICE, "usage above what was requested or provisioned",
        "replays it as it stands: such a task asks for more than its request",
        "Decide whether bursting is meant, or the capacity column is wrong.",
    ),
    Entry(
        "off", "^given a missing", "", CHANGES, "stretches with nothing provisioned",
        "takes the load there for missing, not 0; consolidation refuses such series",
        "Use stretches in which the machine is on.",
    ),
    Entry(
        "gap", r"^(added as|marked) missing", "", CHANGES, "stretches without data, marked missing on reading",
        "has nothing there: consolidation refuses series with gaps",
        "Use stretches without gaps, or fill them yourself and say how.",
    ),
    Entry(
        "gap-bridged", "^held", "", CHANGES, "long stretches at one value, as a format bridges gaps",
        "holds the load over the gap", 'Read with bridge = "missing" to see the gaps.',
    ),
    Entry(
        "regridded", "^averaged over time|rounded down$", "", CHANGES, "samples that are not on the grid",
        "sees the time-weighted average on the grid", "Say with the results that the series was put on a grid.",
    ),
    Entry(
        "drawn-life", "^given seconds by the rule", "", CHANGES, "lives of which only a bin is known",
        "uses a second inside the bin, drawn or chosen by bin_rule", "Repeat with other seeds, or bin_rule=lower.",
    ),
    Entry(
        "no-memory", "^given 0 (MiB|of both)", "", CHANGES, "a file without memory",
        "places by CPU and GPU alone: memory never fills",
        "Say with the results that memory was not looked at; of machines, state it (mem_mib=).",
    ),
    Entry(
        "filled-in", "^given", "", CHANGES, "values that are not in the file",
        "uses what the reader filled in, as the account says",
        "Map the column in the card, or say so with the results.",
    ),
    Entry(
        "split", "^split", "", CHANGES, "jobs larger than a machine, split into parts",
        "places each part on its own", "Say with the results that large jobs were split.",
    ),
    Entry(
        "corrected", "^read as", "", NOTICE, "misspelt words of the format", "uses the word that is meant", "",
    ),
    Entry(
        "rounded", "rounded", "", CHANGES, "quantities that are not whole in our units",
        "uses the rounded quantity", "Nothing, if less than a unit a row is nothing to you.",
    ),
    Entry(
        "request-changed", "with the request submitted", "", CHANGES, "requests that change during a life",
        "keeps the first request until the end", "Say with the results that later updates are not replayed.",
    ),
    Entry(
        "deadline-unread", "without its deadline", "", CHANGES, "deadlines a trace has no column for",
        "knows no deadline",         "Do not study deferral with it.",
    ),
    Entry(
        "never-started", "leaving at deletion_time", "", NOTICE, "requests that never started where they were recorded",
        "lets them arrive like the others, and leave when they were withdrawn",
        'Read with pending = "drop" to leave them out.',
    ),
    Entry(
        "says-nothing", "says nothing", "", NOTICE, "columns with one value in every row", "takes it as it is",
        "Say with the results that the column says nothing.",
    ),
    Entry(
        "estimated", "", "estimated by the source", NOTICE, "values the source estimated",
        "takes them for measurements", "Score no forecast on them.",
    ),
    Entry(
        "negative-price", "^kept", "negative price", NOTICE, "negative prices", "pays for what is used then",
        "Nothing: such prices occur.",
    ),
    Entry(
        "unread", "^left (aside|without)|^counted once|^read with", "", NOTICE, "what was left aside",
        "does not use it", "",
    ),
    Entry("kept", "^kept", "", NOTICE, "odd rows that were kept as they are", "takes them as they are", ""),
)  # fmt: skip


def findings_of(columns: Columns) -> Iterator[Finding]:
    """The account of a reader as findings, in its order; of a drawn trace none, whose account is the draw's card."""
    if columns.meta.get("synthetic"):
        return
    for drop in columns.report.drops:
        yield _finding(drop)


def _finding(drop: Drop) -> Finding:
    many = "s" if drop.count != 1 else ""
    found = f"{drop.count:,} row{many} {drop.action}: {drop.rule}"
    rows_of = "file" if drop.rows else ""
    for entry in ENTRIES:
        if re.search(entry.action, drop.action) and re.search(entry.rule, drop.rule):
            return Finding(
                entry.id, entry.severity, drop.count, found, entry.replay, entry.fix or "Nothing.", drop.rows, rows_of
            )
    return Finding(
        UNKNOWN_ENTRY, CHANGES, drop.count, found, "sees the rows as the reader left them", "See the reader's page.",
        drop.rows, rows_of,
    )  # fmt: skip

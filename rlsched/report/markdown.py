"""Results → Markdown: the answer, the tables, how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rlsched.evaluate.answer import answer, metric_label, show_difference, show_value
from rlsched.evaluate.results import Document
from rlsched.report.differences import differences_of
from rlsched.report.facts import facts_of
from rlsched.report.tables import (
    metric_columns,
    parts_of,
    role_of,
    table_rows,
    verdict_matrix,
    window_table,
)

WORST = 12  # windows listed


def render_markdown(document: Document) -> str:
    """The report as Markdown text, without pictures.

    The same document gives the same text. What a user wrote is escaped, so that it stays text.
    """
    provenance = document["provenance"]
    out = [f"# {safe(provenance.get('title') or document['experiment'])}", ""]
    if provenance.get("question"):
        out += [safe(provenance["question"]), ""]
    first, *rest = answer(document)
    out += [f"**{safe(first)}** {' '.join(map(safe, rest))}".strip(), ""]
    opponents, marks = verdict_matrix(document)
    if opponents:
        out += ["## Verdicts", "", "▲ better, ▼ worse, = no difference shown; the row against the column.", ""]
        heads = [f"{one.label}: {one.policy} ({one.role})" for one in opponents]
        cells = [
            [_named(document, name), *("" if mark is None else f"{mark.sign} {mark.detail}" for mark in row)]
            for name, row in marks.items()
        ]
        out += table(["policy", *heads], cells)
    columns = metric_columns(document)
    rows = [
        [_named(document, name), *(" ".join(part for part in one.cells[name] if part) for one in columns)]
        for name in table_rows(document)
    ]
    out += ["## All policies", "", *table(["policy", *(one.heading for one in columns)], rows)]
    for parts in parts_of(document):
        shown = [[name, *(f"{value:,.1f}" for value in row)] for name, row in parts.rows.items()]
        out += [f"## {safe(parts.title)} [{parts.unit}]", "", *table(["policy", *parts.labels], shown)]
    found = differences_of(document)
    if found is not None:
        lines = [["; ".join(cell) for cell in row] for row in found.rows]
        out += [f"## Where {safe(found.a)} and {safe(found.b)} differ, and why", "", safe(found.intro), ""]
        out += table(found.head, lines) if lines else []
    out += _worst(document)
    out += ["## How it was made", ""]
    if provenance.get("command"):
        out += ["```", provenance["command"], "```", ""]
    return "\n".join([*out, *(f"- {safe(name)}: {safe(value)}" for name, value in facts_of(document)), ""])


def _worst(document: Document) -> list[str]:
    found = window_table(document)
    if not found:
        return []
    metric = document["provenance"]["main_metric"]
    first, *others = found[0]["values"]
    rows = []
    for one in found[:WORST]:
        mine = one["values"][first]
        gaps = [
            f"{show_value(metric, value)} ({show_difference(metric, mine - value)})"
            if value is not None and mine is not None
            else "not given"
            for value in (one["values"][name] for name in others)
        ]
        tasks = "" if one["tasks"] is None else f"{one['tasks']:,}"
        rows.append([one["window"], tasks, show_value(metric, mine), *gaps])
    head = ["window", "tasks", first, *(f"{name} ({first} minus it)" for name in others)]
    return [f"## Worst windows of {safe(first)}: {metric_label(metric)}", "", *table(head, rows)]


def _named(document: Document, policy: str) -> str:
    role = role_of(document, policy)
    return f"{policy} ({role})" if role else policy


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table and an empty one; cells are escaped."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    return [*("| " + " | ".join(map(_cell, line)) + " |" for line in (*lines, *rows)), ""]


def _cell(text: str) -> str:
    return text if text in ("---", "---:") else safe(text)


def safe(text: str) -> str:
    """A user's text, which must not become markup."""
    for sign in "\\`*_<>|#":
        text = text.replace(sign, "\\" + sign)
    return text.replace("\n", " ")

"""Results → text for a terminal: the answer first, then tables as wide as the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsched.evaluate.answer import answer, metric_label
from rlsched.evaluate.results import Document
from rlsched.report.tables import (
    Column,
    judged_metrics,
    metric_columns,
    role_of,
    table_rows,
    verdict_table,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLE = {"better": "green", "worse": "red"}


def print_results(document: Document, console: Console) -> None:
    """Print the answer and the tables.

    Parameters
    ----------
    document : dict
    console : rich.console.Console
        Its width decides how many metrics stand beside each other.
    """
    provenance = document["provenance"]
    title = provenance.get("title") or document["experiment"]
    console.print(title, style="bold", highlight=False, markup=False)
    for line in answer(document):
        console.print(line, highlight=False, markup=False)
    for table in _metric_tables(document, console.width):
        console.print(table)
    main = provenance.get("main_metric")
    if main in judged_metrics(document):
        console.print(_verdicts(document, main))


def _metric_tables(document: Document, width: int) -> list[Table]:
    """Means with intervals, as many metrics beside each other as fit."""
    policies = table_rows(document)
    first = max([len(_named(document, policy)) for policy in policies], default=0) + 3
    groups: list[list[Column]] = []
    left = 0
    for column in metric_columns(document):
        need = _width(column) + 3  # two of padding and one between columns
        if not groups or need > left:
            groups.append([])
            left = width - first
        groups[-1].append(column)
        left -= need
    return [_table(document, policies, group) for group in groups]


def _width(column: Column) -> int:
    words = max(len(word) for word in column.heading.split())
    return max([words, *(max(len(value), len(interval)) for value, interval in column.cells.values())])


def _table(document: Document, policies: list[str], columns: list[Column]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for column in columns:
        table.add_column(Text(column.heading), justify="right", min_width=_width(column))
    for policy in policies:
        if all(column.cells[policy][0] == "–" for column in columns):
            continue  # a bound on another metric
        cells = ["\n".join(part for part in column.cells[policy] if part) for column in columns]
        table.add_row(Text(_named(document, policy)), *map(Text, cells))
    return table


def _verdicts(document: Document, metric: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    references, rows = verdict_table(document, metric)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{metric_label(metric)}: verdicts", title_justify="left")
    table.add_column("policy", no_wrap=True)
    for name in references:
        table.add_column(Text(f"against {_named(document, name)}"))
    for row in rows:
        cells = [
            Text("\n".join(part for part in (word, gap) if part), style=_STYLE.get(word, "")) for word, gap in row.cells
        ]
        table.add_row(Text(row.policy), *cells)
    return table


def _named(document: Document, policy: str) -> str:
    role = role_of(document, policy)
    return f"{policy} ({role})" if role else policy

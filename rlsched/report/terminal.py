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


def print_results(document: Document, console: Console, *, brief: bool = False) -> None:
    """Print the answer and the tables.

    Parameters
    ----------
    document : dict
    console : rich.console.Console
        Its width decides how many metrics stand beside each other.
    brief : bool
        Only the first table of metrics, and the names of what is not shown.
    """
    provenance = document["provenance"]
    title = provenance.get("title") or document["experiment"]
    console.print(title, style="bold", highlight=False, markup=False)
    for line in answer(document):
        console.print(line, highlight=False, markup=False)
    columns = metric_columns(document)
    groups = _side_by_side(document, columns, console.width)
    for group in groups[:1] if brief else groups:
        console.print(_table(document, table_rows(document), group))
    main = provenance.get("main_metric")
    if main in judged_metrics(document):
        console.print(_verdicts(document, main))
    if brief and len(groups) > 1:
        left_out = ", ".join(" ".join(one.heading.split()) for group in groups[1:] for one in group)
        console.print(f"Not shown here: {left_out}.", highlight=False, markup=False)


def _side_by_side(document: Document, columns: list[Column], width: int) -> list[list[Column]]:
    """Metrics in groups, as many beside each other as fit."""
    policies = table_rows(document)
    first = max([len(_named(document, policy)) for policy in policies], default=0) + 3
    groups: list[list[Column]] = []
    left = 0
    for column in columns:
        need = _width(column) + 3  # two of padding and one between columns
        if not groups or need > left:
            groups.append([])
            left = width - first
        groups[-1].append(column)
        left -= need
    return groups


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

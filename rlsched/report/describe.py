"""A trace → one self-contained page of facts and small pictures; opens offline, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlsched.errors import MissingDataError
from rlsched.report.plots import Picture, draw
from rlsched.report.series_views import demand_views, signal_views, usage_views
from rlsched.report.task_views import machine_views, trace_views
from rlsched.traces.columns import Columns, Demand, Machines, Trace, Usage
from rlsched.traces.store import replacing

TEMPLATE = Path(__file__).with_name("describe.html.j2")


@dataclass(frozen=True)
class Facts:
    """A table of the page: ``title`` and ``headings`` may be empty, rows hold text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def views(columns: Columns) -> list[Picture]:
    """The pictures of any of the nouns, in the order they are shown."""
    if isinstance(columns, Trace):
        return trace_views(columns)
    if isinstance(columns, Machines):
        return machine_views(columns)
    if isinstance(columns, Usage):
        return usage_views(columns)
    return demand_views(columns) if isinstance(columns, Demand) else signal_views(columns)


def render(
    columns: Columns, kind: str, *, title: str, facts: Sequence[Facts], account: Sequence[str], command: str
) -> str:
    """The page as text; the same for the same input.

    Parameters
    ----------
    columns : Trace, Machines, Usage, Demand or Signal
    kind : str
        As `rlsched.traces.read.kind_of` names it.
    title : str
    facts : sequence of Facts
    account : sequence of str
        What the reader did, a line each.
    command : str
        Which makes the page again.

    Raises
    ------
    MissingDataError
        Without jinja2 or matplotlib.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingDataError(f"the page needs {error.name}. Install it with: pip install 'rlsched[report]'") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    figures = [
        {"title": one.title, "caption": one.caption, "svg": draw(one, name=f"view-{i}")}
        for i, one in enumerate(views(columns))
    ]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        kind=kind,
        source=columns.source,
        figures=figures,
        facts=facts,
        account=account,
        command=command,
        hashes=list(columns.meta.get("files", {}).items())[:4],
        n_files=len(columns.meta.get("files", {})),
    )


def write(text: str, path: Path) -> None:
    """Write the page, all or nothing.

    Raises
    ------
    SpecError
        When the place cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

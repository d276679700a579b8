"""``rlsched report``: the table and the page of an earlier run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of an earlier run, with results.json.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the document instead of the table.")] = False,
) -> None:
    """Rebuild report.html from a run's results, and print the table.

    Example: rlsched report runs/placement-demo
    """
    from rlsched.cli.evaluate import print_document
    from rlsched.errors import SpecError
    from rlsched.evaluate.results import LEDGER, REPORT_HTML, load_document
    from rlsched.report.html import render_with_ledger
    from rlsched.traces.store import replacing

    if not folder.is_dir():
        raise SpecError(f"a run's folder is needed: {folder} is not one. Name the --out of an evaluation.")
    document = load_document(folder)
    text = render_with_ledger(document, folder / LEDGER)
    with replacing(folder / REPORT_HTML) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print_document(document, as_json=as_json)
    typer.echo(f"The report is in {folder / REPORT_HTML}.", err=True)

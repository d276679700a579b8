"""``rlsched report``: an earlier run's table, page, Markdown and data again; runs of one card as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)

FORMATS = ("html", "md", "csv", "parquet")


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folder of an earlier run; several of the same experiment.")],
    format_: Annotated[str, typer.Option("--format", help="html, md, or every table as csv or parquet.")] = "html",
    out: Annotated[Path | None, typer.Option(help="Folder to write to; the run's own by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document instead of the table.")] = False,
) -> None:
    """Rebuild the report of a run from its results, and print the table.

    html writes report.html, md report.md, csv and parquet a folder tables/ with one file a table. Several runs of
    one experiment, on the same problem and windows, become one report; --out says where. Of a benchmark that has
    not finished, the page says what is missing.

    Examples: rlsched report runs/placement-demo

    rlsched report runs/placement-demo --format csv

    rlsched report runs/benchmark

    rlsched report runs/heuristics runs/agents --out runs/together
    """
    from rlsched.cli.evaluate import print_document
    from rlsched.cli.evaluate_benchmark import report_benchmark
    from rlsched.errors import SpecError, did_you_mean
    from rlsched.evaluate.benchmark_document import is_benchmark
    from rlsched.evaluate.join import join_documents
    from rlsched.evaluate.results import LEDGER, REPORT_HTML, REPORT_MD, TABLES, check_out, load_document, write_run
    from rlsched.report.export import write_tables
    from rlsched.report.html import render_with_ledger
    from rlsched.report.markdown import render_markdown
    from rlsched.traces.store import replacing

    if format_ not in FORMATS:
        raise SpecError(f"unknown format {format_!r}.{did_you_mean(format_, FORMATS)}")
    for folder in folders:
        if not folder.is_dir():
            raise SpecError(f"a run's folder is needed: {folder} is not one. Name the --out of an evaluation.")
    if any(is_benchmark(folder) for folder in folders):
        if len(folders) > 1:
            raise SpecError("a benchmark is reported on its own: name its folder alone.")
        report_benchmark(folders[0], format_, out, as_json=as_json)
        return
    documents = [load_document(folder) for folder in folders]
    document = documents[0] if len(documents) == 1 else join_documents(documents, [str(one) for one in folders])
    if out is None and len(folders) > 1:
        raise SpecError("several runs become one report: name the folder for it with --out.")
    place = out or folders[0]
    if out is not None:
        check_out(out)
        write_run(document, out)
    if format_ in ("csv", "parquet"):
        written = write_tables(document, place / TABLES, format_)
        said = f"{len(written)} tables are in {place / TABLES}."
    else:
        page = render_with_ledger(document, folders[0] / LEDGER) if format_ == "html" else render_markdown(document)
        file = place / (REPORT_HTML if format_ == "html" else REPORT_MD)
        try:
            with replacing(file) as temporary:
                temporary.write_text(page, encoding="utf-8")
        except OSError as error:
            raise SpecError(f"cannot write {file}: {error.strerror}. Name another folder with --out.") from None
        said = f"The report is in {file}."
    print_document(document, as_json=as_json)
    typer.echo(said, err=True)

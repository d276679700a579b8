"""``rlsched evaluate benchmark``: every problem, in processes, and one page over all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rlsched.errors import MissingDataError, SpecError

if TYPE_CHECKING:
    from rlsched.evaluate.benchmark import Outcome

REFRESH_S = 0.5


def run_benchmark(
    card: Path,
    overrides: Sequence[str],
    *,
    out: Path | None,
    data: Path | None,
    jobs: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Run what is missing, write the page, print the answer.

    Raises
    ------
    SpecError
        Cards that are wrong; parts that rest on other cards; afterwards, what was skipped or failed: what
        has finished is written by then.
    typer.Exit
        With code 1, where a failure is ours.
    """
    from rlsched.evaluate import benchmark as bm
    from rlsched.evaluate.benchmark_processes import run_jobs
    from rlsched.evaluate.experiment import experiment_name

    if jobs is not None and jobs < 1:
        raise SpecError(f"--jobs must be at least 1: got {jobs}.")
    place = out if out is not None else Path("runs") / experiment_name(card)
    benchmark = bm.open_benchmark(card, overrides, place)
    if fresh:
        bm.begin_anew(place)
    outcomes = bm.look_around(benchmark)
    kept = sum(one.kept for one in outcomes)
    if kept:
        typer.echo(f"{kept} of {len(outcomes)} runs were finished before and are kept.", err=True)
    processes = min(jobs or bm.cores(), max(1, len(outcomes) - kept))
    began = time.monotonic()
    with watching(outcomes) as watch:
        outcomes = run_jobs(benchmark, outcomes, processes=processes, data_root=data, watch=watch)
    document = write_all(place, card=card.read_text(encoding="utf-8"))
    _print(document, as_json=as_json)
    cpu_s = sum(one.cpu_s for one in outcomes if not one.kept)
    seconds = time.monotonic() - began
    typer.echo(
        f"{_told(seconds)} with {processes} process{'es' if processes > 1 else ''}, {_told(cpu_s)} of processor time. "
        f"Results are in {place}.",
        err=True,
    )
    _say_what_is_missing(outcomes)


def write_all(place: Path, card: str | None = None) -> dict[str, Any]:
    """The document over all finished parts, and its page, beside them.

    Parameters
    ----------
    place : Path
        A benchmark's folder, finished or not.
    card : str, optional
        Text of the card, kept beside the results.
    """
    from rlsched.evaluate.benchmark_document import collect, parts_of_folder, write_document
    from rlsched.report.benchmark import render_benchmark

    parts = parts_of_folder(place)
    document = collect(place, parts)
    page = None
    try:
        page = render_benchmark(document, parts, place)
    except MissingDataError as error:
        typer.echo(f"No report.html: {error}", err=True)
    write_document(document, place, card=card, page=page)
    return document


def report_benchmark(place: Path, format_: str, out: Path | None, *, as_json: bool) -> None:
    """Rebuild the page of a benchmark, finished or not, or write its tables.

    Parameters
    ----------
    place : Path
        The benchmark's folder.
    format_ : {"html", "md", "csv", "parquet"}
    out : Path, optional
        Folder to write to; the benchmark's own by default.
    as_json : bool

    Raises
    ------
    SpecError
        Parts of different cards; a folder that cannot be written.
    """
    from rlsched.evaluate.benchmark_document import collect, parts_of_folder
    from rlsched.evaluate.results import REPORT_HTML, REPORT_MD, TABLES
    from rlsched.report.benchmark import render_benchmark, render_benchmark_markdown, tables_of_benchmark
    from rlsched.report.export import write_tables
    from rlsched.traces.store import replacing

    where = out or place
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"cannot write to {where}: {error.strerror}. Name another folder with --out.") from None
    if format_ == "html" and out is None:
        document = write_all(place)
        said = f"The report is in {place / REPORT_HTML}."
    else:
        parts = parts_of_folder(place)
        document = collect(place, parts)
        if format_ in ("csv", "parquet"):
            written = write_tables(document, where / TABLES, format_, tables_of_benchmark(document))
            said = f"{len(written)} tables are in {where / TABLES}."
        else:
            md = format_ == "md"
            page = render_benchmark_markdown(document, parts) if md else render_benchmark(document, parts, place)
            file = where / (REPORT_MD if md else REPORT_HTML)
            with replacing(file) as temporary:
                temporary.write_text(page, encoding="utf-8")
            said = f"The report is in {file}."
    _print(document, as_json=as_json)
    typer.echo(said, err=True)


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    from rlsched.cli.evaluate import PLAIN_WIDTH
    from rlsched.evaluate.results import dump
    from rlsched.report.benchmark_terminal import print_benchmark

    if as_json:
        typer.echo(dump(document))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
    with console.capture() as text:
        print_benchmark(document, console)
    typer.echo(text.get(), nl=False)


def _say_what_is_missing(outcomes: Sequence[Outcome]) -> None:
    from rlsched.evaluate.benchmark import FAILED, FINISHED, SKIPPED

    missing = [one for one in outcomes if one.status != FINISHED]
    if not missing:
        return
    ours = [one for one in missing if one.ours]
    for one in ours:
        typer.echo(f"{one.job.name}:\n{one.reason}", err=True)
    # The same reason is said once: a full disk stops everybody.
    reasons: dict[str, list[str]] = {}
    for one in missing:
        if not one.ours:
            reasons.setdefault(one.reason, []).append(one.job.name)
    words = {status: sum(one.status == status for one in missing) for status in (SKIPPED, FAILED)}
    counted = " and ".join(f"{n} {status}" for status, n in words.items() if n)
    lines = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    again = "What has finished is kept, and the same command goes on from there."
    text = "\n  ".join([f"of {len(outcomes)} runs {counted}. {again}", *lines])
    if ours:
        typer.echo(f"rlsched: {text}", err=True)
        raise typer.Exit(1)
    raise SpecError(text)


@contextmanager
def watching(outcomes: Sequence[Outcome]) -> Iterator[Callable[..., None]]:
    """On a terminal, bars with the time left; otherwise a line on standard error for each run that ends."""
    began = time.monotonic()
    first = _done_share(outcomes)
    seen = {one.job.name for one in outcomes if one.kept}

    def lines(now: Sequence[Outcome], _running: dict[str, Any], share: float) -> None:
        for one in now:
            if one.status != "waiting" and one.job.name not in seen:
                seen.add(one.job.name)
                left = _left(began, first, share)
                typer.echo(
                    f"{one.job.name}: {one.status} after {_told(one.seconds)}; {len(seen)} of {len(now)} done{left}",
                    err=True,
                )

    if not sys.stderr.isatty():
        yield lines
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def bars(now: Sequence[Outcome], running: dict[str, Any], share: float) -> None:
            table = Table.grid(padding=(0, 1))
            for name, (text, part) in running.items():
                table.add_row(Text(name), ProgressBar(total=1.0, completed=part, width=24), Text(text, style="dim"))
            ended = sum(one.status != "waiting" for one in now)
            live.update(
                Group(table, Text(f"{ended} of {len(now)} runs, {100 * share:.0f} %{_left(began, first, share)}"))
            )

        yield bars


def _done_share(outcomes: Sequence[Outcome]) -> float:
    from rlsched.evaluate.benchmark_processes import share_of

    return share_of(outcomes, {})


def _left(began: float, first: float, share: float) -> str:
    """About how long it will take yet, from how far it has come since it began."""
    gone = time.monotonic() - began
    if share - first < 0.02 or share >= 1.0:
        return ""
    return f", about {_told(gone * (1.0 - share) / (share - first))} left"


def _told(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"

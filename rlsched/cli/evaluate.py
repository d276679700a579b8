"""``rlsched evaluate``: policies × windows × seeds, a table, results and a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlsched.errors import MissingDataError, SpecError

if TYPE_CHECKING:
    from rlsched.evaluate.results import Document

app = typer.Typer(add_completion=False)

Sets = Annotated[list[str] | None, typer.Option("--set", help="key=value over the card's; can be repeated.")]
Data = Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")]
Out = Annotated[Path | None, typer.Option(help="Folder for results and report; runs/NAME by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]

PATIENCE_S = 2.0
PLAIN_WIDTH = 100  # of a file or pipe, which has no width of its own


@app.command()
def evaluate(
    experiment: Annotated[
        str | None, typer.Argument(help="Name of an experiment, its folder, or its card; or use --trace.")
    ] = None,
    set_: Sets = None,
    out: Out = None,
    data: Data = None,
    as_json: Json = False,
    trace: Annotated[Path | None, typer.Option(help="Tasks of your own, instead of an experiment.")] = None,
    machines: Annotated[Path | None, typer.Option(help="Machines of your own.")] = None,
    policies: Annotated[str | None, typer.Option(help="With --trace: names or policy.onnx, with commas.")] = None,
    reference: Annotated[str | None, typer.Option(help="With --trace: what runs today; the last policy.")] = None,
    columns: Annotated[str | None, typer.Option(help="Your columns: ours=theirs,... or a card.")] = None,
    machine_columns: Annotated[str | None, typer.Option(help="The same for --machines.")] = None,
    windows: Annotated[int | None, typer.Option(help="With --trace: stretches of time; about 10.")] = None,
    seeds: Annotated[int | None, typer.Option(help="With --trace: of policies that draw; 3.")] = None,
    price: Annotated[float | None, typer.Option(help="USD an hour of machines without a price.")] = None,
    power_curve: Annotated[str | None, typer.Option(help="Of machines without one, e.g. hp_ml110_g5.")] = None,
    fewer: Annotated[bool | None, typer.Option("--fewer/--no-fewer", help="Find how few machines do.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Benchmark: processes at a time; all cores.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Benchmark: forget what has finished.")] = False,
) -> None:
    """Run an experiment, or policies on data of your own, and say who won and by how much.

    Of an experiment, writes results.json, results.parquet, report.html and the card to --out; an earlier run
    there is replaced. Runs on the test split are noted in test-ledger.jsonl there, which is kept. Of --trace
    there is no card; what is given on the command line stands in its results. A benchmark runs many experiments,
    keeps what has finished, and goes on from there.

    Examples: rlsched evaluate placement-demo

    rlsched evaluate experiments/placement-openb --set split=validation --out runs/openb

    rlsched evaluate placement-demo --set policies=best_fit,fragmentation --json

    rlsched evaluate --trace vms.csv --machines nodes.csv --policies best_fit,kubernetes

    rlsched evaluate benchmark --jobs 2 --out runs/benchmark
    """
    own = {
        "machines": machines, "policies": policies, "reference": reference, "columns": columns,
        "machine_columns": machine_columns, "windows": windows, "seeds": seeds, "price": price,
        "power_curve": power_curve, "fewer": fewer,
    }  # fmt: skip
    if trace is not None:
        from rlsched.cli.whatif import run_what_if

        others = {"an experiment": experiment, "--set": set_, "--data": data, "--jobs": jobs, "--fresh": fresh}
        for name, given in others.items():
            if given:
                raise SpecError(f"--trace is for data of your own: leave {name} out ({given}), or leave out --trace.")
        run_what_if(trace, own, out=out, as_json=as_json)
        return
    lonely = next((name for name, given in own.items() if given is not None), None)
    if lonely is not None:
        raise SpecError(f"--{lonely.replace('_', '-')} is for data of your own: add --trace FILE, or leave it out.")
    if experiment is None:
        raise SpecError(
            "an experiment is needed, e.g. 'rlsched evaluate placement-demo', or data of your own: "
            "'rlsched evaluate --trace tasks.csv --machines nodes.csv'."
        )
    from rlsched.evaluate.experiment import experiment_name
    from rlsched.evaluate.keep import at_once
    from rlsched.evaluate.kinds import find_card, kind_of, run_experiment, touches_of
    from rlsched.evaluate.results import LEDGER, check_out, seal, write_run

    overrides = set_ or []
    card = find_card(experiment)
    kind = kind_of(card, overrides)
    if kind == "benchmark":
        from rlsched.cli.evaluate_benchmark import run_benchmark

        run_benchmark(card, overrides, out=out, data=data, jobs=jobs, fresh=fresh, as_json=as_json)
        return
    if jobs is not None or fresh:
        raise SpecError(
            f"--{'fresh' if fresh else 'jobs'} is for a benchmark: {card} is of kind {kind!r}. Leave it out."
        )
    place = out if out is not None else Path("runs") / experiment_name(card)
    check_out(place)
    touches = touches_of(card, overrides, place / LEDGER)
    with showing_progress() as progress:
        keep = touches.keeping(at_once)
        document = run_experiment(card, overrides, data_root=data, progress=progress, keep=keep)

    if as_json:
        provenance = document["provenance"]
        document = {**document, "provenance": seal({**provenance, "command": f"{provenance['command']} --json"})}
    touches.finish(document)
    write_run(document, place, card=card.read_text(), page=page_of(document, place / LEDGER))
    print_document(document, as_json=as_json, brief=True)
    say_where(place)


def say_where(place: Path) -> None:
    """Where the results are, and the page where there is one."""
    from rlsched.evaluate.results import REPORT_HTML

    page = place / REPORT_HTML
    where = f"; the page to open: {page}" if page.is_file() else ""
    typer.echo(f"Results are in {place}{where}; every table here: rlsched report {place}.", err=True)


def page_of(document: Document, ledger: Path) -> str | None:
    """The report; None, and a word on standard error, where the packages for it are not installed."""
    from rlsched.report.html import render_with_ledger

    try:
        return render_with_ledger(document, ledger)
    except MissingDataError as error:
        typer.echo(f"No report.html: {error}", err=True)
        return None


def print_document(document: Document, *, as_json: bool, brief: bool = False) -> None:
    """Print the answer and the tables, of a brief one the first, or the document."""
    from rich.console import Console

    from rlsched.evaluate.results import dump
    from rlsched.report.terminal import print_results

    if as_json:
        typer.echo(dump(document))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
    with console.capture() as text:
        print_results(document, console, brief=brief)
    typer.echo(text.get(), nl=False)  # a reader that stops early, such as head, is no error of ours


@contextmanager
def showing_progress() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error: on a terminal, and once it has taken over two seconds.

    Yields
    ------
    callable
        ``progress(text, share)``.
    """
    if not sys.stderr.isatty():
        yield lambda _text, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    began = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("starting", total=1.0)
    shown = False

    def progress(text: str, share: float) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began > PATIENCE_S:
            bar.start()
            shown = True
        bar.update(task, description=text, completed=share)

    try:
        yield progress
    finally:
        if shown:
            bar.stop()

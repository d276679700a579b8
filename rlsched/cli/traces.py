"""``rlsched traces list | describe | convert``, the linter, and the commands for synthetic traces."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.cli import traces_check, traces_synthetic
from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.spec import parse_override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from rlsched.traces.columns import Columns

_UNWRAPPED = 10_000  # characters
_SENTENCE = 32  # characters a column of sentences has at least

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, describe and convert workload traces.")

File = Annotated[str, typer.Argument(help="File or directory, or the name of a dataset that 'traces list' shows.")]
Format = Annotated[str | None, typer.Option(help="Format of FILE; recognised from its content by default.")]
CardOption = Annotated[str | None, typer.Option(help="Card (TOML) that names the reader, or maps columns and units.")]
Map = Annotated[
    str | None, typer.Option("--columns", help="Your columns, where they are not ours: ours=theirs,... or a card.")
]
Day = Annotated[str | None, typer.Option(help="YYYYMMDD, for PlanetLab's archive.")]
Part = Annotated[str | None, typer.Option(help="Part of a dataset; its first by default.")]
Data = Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")]
Options = Annotated[list[str] | None, typer.Option(help="Option of the reader, key=value; can be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """List the datasets there are cards for, and the formats that can be read.

    Example: rlsched traces list --data /data
    """
    import dataclasses

    from rlsched.traces.datasets import list_datasets
    from rlsched.traces.readers import READERS

    datasets = list_datasets(data)
    if as_json:
        readers = [{"name": one.name, "kind": one.kind, "title": one.title} for one in READERS.values()]
        typer.echo(json.dumps({"datasets": [dataclasses.asdict(one) for one in datasets], "readers": readers}))
        return
    table = _table("dataset", "holds", "here", "parts", "what")
    for one in datasets:
        here = "yes" if one.files_present == one.files_total else f"{one.files_present} of {one.files_total} files"
        parts = one.parts[0] + (f" and {len(one.parts) - 1} more" if len(one.parts) > 1 else "")
        table.add_row(one.name, ", ".join(one.kinds), here if one.files_present else "no", parts, one.title)
    formats = _table("format", "holds", "what")
    for reader in READERS.values():
        formats.add_row(reader.name, reader.kind, reader.title)
    _print(table, formats)


@app.command("describe")
def describe_(
    file: File,
    format: Format = None,
    card: CardOption = None,
    columns: Map = None,
    day: Day = None,
    part: Part = None,
    data: Data = None,
    option: Options = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with pictures of arrivals, sizes, lives and load here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is in a trace: counts, spans, distributions, missing values, what was dropped.

    Examples: rlsched traces describe openb_pod_list_default.csv.gz

    rlsched traces describe bitbrains-faststorage --html bitbrains.html

    rlsched traces describe azure-v1-2017 --json

    rlsched traces describe my.csv --columns arrive_s=created,cpu_mcore=vcpus,cpu_unit=cores
    """
    from rlsched.traces.describe import describe

    if html is not None:
        _check_place(html, ".html", "the page is an HTML file")
    found = read_columns(file, format, card, day, part, data, option, columns)
    facts = describe(found)
    if html is not None:
        from rlsched.cli.traces_tables import write_page

        title = f"{file}, {part}" if part else Path(file).name
        with _busy(f"drawing {html}"):
            write_page(html, found, facts, title)
    if as_json:
        typer.echo(json.dumps(facts, allow_nan=False))
        return
    from rlsched.cli.traces_tables import tables

    typer.echo(f"{facts['kind']} {facts['source']}")
    _print(*tables(facts))
    typer.echo("\n".join(found.report.lines()))
    if html is not None:
        typer.echo(f"\npage: {html}")


@app.command("convert")
def convert(
    file: File,
    out: Annotated[Path, typer.Argument(help="Parquet file to write; replaced only when all went well.")],
    format: Format = None,
    card: CardOption = None,
    columns: Map = None,
    day: Day = None,
    part: Part = None,
    data: Data = None,
    option: Options = None,
    as_json: Json = False,
) -> None:
    """Read a trace of any known format and save it as one Parquet file.

    Example: rlsched traces convert planetlab.tar.gz day.parquet --day 20110303
    """
    from rlsched.traces.read import kind_of
    from rlsched.traces.store import save

    _check_place(out, ".parquet", "the output is a Parquet file")
    if out.exists() and Path(file).exists() and out.samefile(file):
        raise SpecError(f"the output must be another file than the input: got {out} for both. Name another output.")
    found = read_columns(file, format, card, day, part, data, option, columns)
    save(found, out)
    if as_json:
        document = {"path": str(out), "kind": kind_of(found), "rows": len(found), "bytes": out.stat().st_size}
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{out}: {kind_of(found)} of {len(found):,} rows, {out.stat().st_size:,} bytes")
    typer.echo("\n".join(found.report.lines()))


traces_check.register(app)
traces_synthetic.register(app)


def read_columns(
    file: str,
    format: str | None,
    card: str | None,
    day: str | None,
    part: str | None,
    data: Path | None,
    option: list[str] | None,
    columns: str | None = None,
    columns_option: str = "--columns",
) -> Columns:
    """Read what the command line names: a file, or a dataset by the name of its card."""
    from rlsched import assets
    from rlsched.cli.traces_columns import read_mapped, suggest_map
    from rlsched.traces.datasets import read_dataset
    from rlsched.traces.read import read_any, recognise

    options: dict[str, Any] = {}
    for text in option or []:
        if "=" not in text:
            raise SpecError(f"--option needs key=value: got {text!r}. Example: --option on_bad_row=skip")
        path, value = parse_override(text)
        options[".".join(path)] = value
    if day is not None:
        options["day"] = day
    with _busy(f"reading {file}"):
        if Path(file).exists() or file not in assets.list_assets("traces"):
            for name, value in (("--part", part), ("--data", data)):
                if value is not None:
                    raise SpecError(f"{name} is for a dataset's name: {file} is a file's. Leave it out.")
            if not Path(file).exists() and Path(file).name == file and not Path(file).suffix:
                known = did_you_mean(file, assets.list_assets("traces"))
                raise TraceError(f"no file at {file}, and no dataset of that name.{known}")
            if columns is not None:
                for name, value in (("--format", format), ("--card", card)):
                    if value is not None:
                        raise SpecError(f"{columns_option} says how {file} is read: leave {name} out ({value}).")
                return read_mapped(Path(file), columns, columns_option, options)
            if format is None and card is None:
                try:
                    recognise(file)
                except TraceError as error:
                    raise suggest_map(Path(file), error, columns_option) from None
            return read_any(file, format=format, card=card, **options)
        for name, value in (("--format", format), ("--card", card), (columns_option, columns)):
            if value is not None:
                raise SpecError(f"{name} is for a file: {file} is a dataset, whose card says it. Leave it out.")
        return read_dataset(file, part, data=data, **options)


def _check_place(out: Path, suffix: str, what: str) -> None:
    """Refuse a place that cannot be written before minutes are spent on reading."""
    from rlsched.traces.store import check_writable

    if out.suffix != suffix:
        raise SpecError(f"{what}: {out} must end with {suffix}. Rename it.")
    check_writable(out)


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """Show that work goes on, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    from rlsched.traces.readers.stream import reporting

    with Console(stderr=True).status(what) as status:

        def show(name: str, done: int, total: int) -> None:
            share = f"{done / total:.0%}" if total else ""
            status.update(f"{what}: {Path(name).name} {share}")

        with reporting(show):
            yield


def _table(*headings: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        last = i == len(headings) - 1
        table.add_column(heading, no_wrap=i == 0, overflow="fold", min_width=_SENTENCE if last else None)
    return table


def _print(*things: Any) -> None:
    from rich.console import Console

    if sys.stdout.isatty():
        console = Console(highlight=False)
        for thing in things:
            console.print(thing)
        return
    # Into a file or a pipe nothing is wrapped: a line is a row.
    console = Console(highlight=False, width=_UNWRAPPED, color_system=None)
    with console.capture() as captured:
        for thing in things:
            console.print(thing)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))

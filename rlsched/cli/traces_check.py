"""``rlsched traces check``: what in a trace would change results."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.errors import SpecError

if TYPE_CHECKING:
    from rlsched.traces.columns import Columns, Machines
    from rlsched.traces.lint import Finding, Report
    from rlsched.traces.lint.every import Checked

CHANGES, UNREADABLE = 1, 2  # exit codes: something would change results; a file cannot be read
_SHOWN = 2  # places a line of the table names


def register(app: typer.Typer) -> None:
    """Put the command on the ``traces`` group."""
    app.command("check")(check_)


def check_(
    file: Annotated[
        str | None, typer.Argument(help="File or directory, or the name of a dataset that 'traces list' shows.")
    ] = None,
    machines: Annotated[
        str | None, typer.Option(help="File or dataset with the machines that the tasks are to run on.")
    ] = None,
    machines_part: Annotated[str | None, typer.Option(help="Part of that dataset; its first by default.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of FILE; recognised from its content by default.")] = None,
    card: Annotated[
        str | None, typer.Option(help="Card (TOML) that names the reader, or maps columns and units.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Your columns, where they are not ours: ours=theirs,... or a card.")
    ] = None,
    machine_columns: Annotated[str | None, typer.Option(help="The same for --machines.")] = None,
    day: Annotated[str | None, typer.Option(help="YYYYMMDD, for PlanetLab's archive.")] = None,
    part: Annotated[str | None, typer.Option(help="Part of a dataset; its first by default.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, key=value; can be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check every part of every dataset, as a table.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List what is looked for, as a table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find what in a trace would change results: bad requests, times, gaps, units, duplicates.

    Names rows, says what replay does about each and what to do. Exit code 0: nothing changes
    results; 1: something does, be it that the reader refuses the file as it stands and some of
    its rows can be read; 2: nothing can be read, or the command line is wrong.

    Examples: rlsched traces check openb_pod_list_default.csv.gz --machines openb_node_list_all_node.csv.gz

    rlsched traces check bitbrains-faststorage --json

    rlsched traces check --all
    """
    if [file is not None, everything, rules].count(True) != 1:
        raise SpecError("name one thing to check: a FILE, or --all, or --rules to see what is looked for.")
    if rules:
        _rules(as_json)
        return
    if everything:
        _everything(data, as_json)
        return
    from rlsched.cli.traces import read_columns
    from rlsched.traces.lint import check_file

    assert file is not None  # counted above
    target = file

    def read(**more: object) -> Columns:
        also = [f"{name}={value}" for name, value in more.items()]
        return read_columns(target, format, card, day, part, data, [*(option or []), *also], columns)

    hosts = _machines(machines, machines_part, machine_columns, data)
    report = check_file(read, _path(target, part, data), machines=hosts)
    _tell(report, as_json, hosts is not None)
    if report.changes_results:
        raise typer.Exit(CHANGES)


def _machines(name: str | None, part: str | None, columns: str | None, data: Path | None) -> Machines | None:
    from rlsched.cli.traces import read_columns
    from rlsched.traces.columns import Machines
    from rlsched.traces.read import kind_of

    if name is None:
        if part is not None:
            raise SpecError("--machines-part needs --machines: name the dataset it is a part of.")
        if columns is not None:
            raise SpecError("--machine-columns needs --machines: name the file whose columns it maps.")
        return None
    own = data if part is not None or not Path(name).exists() else None
    found = read_columns(name, None, None, None, part, own, None, columns, "--machine-columns")
    if not isinstance(found, Machines):
        raise SpecError(
            f"--machines must name machines: {name} holds {kind_of(found)}. Name another file, or a part of a dataset "
            "with --machines-part."
        )
    return found


def _path(file: str, part: str | None, data: Path | None) -> Path:
    from rlsched.errors import UserError
    from rlsched.traces.datasets import locate

    if Path(file).exists():
        return Path(file)
    try:
        return locate(file, part, data)[2]
    except UserError:  # reading it says why
        return Path(file)


def _tell(report: Report, as_json: bool, with_machines: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_document(report)))
        return
    n = sum(one.severity == "changes-results" for one in report.findings)
    typer.echo(f"{report.kind} {report.source}: {report.rows_read:,} rows read")
    for one in report.findings:
        typer.echo("\n".join(["", *_lines(one)]))
    hint = "" if with_machines or report.kind != "trace" else " Requests were held against no machines (--machines)."
    notices = len(report.findings) - n
    typer.echo(
        f"\n{n} finding{'s' if n != 1 else ''} would change results, {notices} would not.{hint}"
        if report.findings
        else f"\nNothing found.{hint}"
    )


def _lines(one: Finding) -> list[str]:
    where = one.place()
    mark = "changes results" if one.severity == "changes-results" else "notice"
    return [
        f"{one.rule} ({mark}): {one.found}",
        *([f"    where   {where}"] if where else []),
        f"    replay  {one.replay}",
        f"    do      {one.fix}",
    ]


def _document(report: Report) -> dict[str, Any]:
    return {
        "source": report.source,
        "kind": report.kind,
        "rows_read": report.rows_read,
        "changes_results": report.changes_results,
        "findings": [dataclasses.asdict(one) for one in report.findings],
    }


def _everything(data: Path | None, as_json: bool) -> None:
    from rlsched.cli.traces import _busy
    from rlsched.traces.datasets import data_root
    from rlsched.traces.lint.every import check_every, without_card

    with _busy("checking every dataset; about a minute"):
        checked = list(check_every(data))
    absent = without_card(data)
    if as_json:
        document = {
            "parts": [
                {
                    "dataset": one.dataset,
                    "part": one.part,
                    "machines": one.machines,
                    "error": one.error,
                    "facts": one.facts,
                    "report": _document(one.report) if one.report is not None else None,
                }
                for one in checked
            ],
            "without_card": absent,
        }
        typer.echo(json.dumps(document))
    else:
        typer.echo("\n".join(table_of(checked, absent, str(data_root(data)))))
    if any(one.error and one.here for one in checked):
        raise typer.Exit(UNREADABLE)
    if any(one.report is not None and one.report.changes_results for one in checked):
        raise typer.Exit(CHANGES)


def table_of(checked: list[Checked], absent: list[str], root: str) -> list[str]:
    """The findings of every dataset as lines of Markdown: one line a dataset and rule.

    ``root`` is the folder the data lie in, which the lines leave out.
    """
    from rlsched.traces.lint.every import lines_of

    read = [one for one in checked if one.report is not None]
    rows = sum(one.report.rows_read for one in read if one.report is not None)
    out = [
        f"{len(read)} parts of {len({one.dataset for one in read})} datasets, {rows:,} rows. **Bold** findings change "
        "results; where several parts have one, the part with most is shown.",
        "",
        *_contents(checked),
        "",
        "| dataset | finding | parts | found |",
        "| --- | --- | --- | --- |",
    ]
    n_parts = {name: sum(one.dataset == name for one in checked) for name in {one.dataset for one in checked}}
    for line in lines_of(checked):
        name = f"**{line.finding.rule}**" if line.finding.severity == "changes-results" else line.finding.rule
        where = line.part if len(line.parts) == 1 else f"{len(line.parts)} of {n_parts[line.dataset]}: {line.part}"
        if n_parts[line.dataset] == 1:
            where = ""
        first = dataclasses.replace(line.finding, rows=line.finding.rows[:_SHOWN], ids=line.finding.ids[:_SHOWN])
        place = first.place()
        found = line.finding.found + (f"; {place}" if place else "")
        out.append(f"| {line.dataset} | {name} | {where} | {_cell(found, root)} |")
    clean = [
        f"{one.dataset} {one.part}" if n_parts[one.dataset] > 1 else one.dataset
        for one in read
        if one.report is not None and not one.report.findings
    ]
    unreadable = [f"{one.dataset} {one.part} ({_cell(one.error, root)})" for one in checked if one.error and one.here]
    for text, names in (
        ("Nothing found in", clean),
        ("Could not be read", unreadable),
        ("Not on this machine", [f"{one.dataset} {one.part}" for one in checked if not one.here]),
        ("Folders without a card", absent),
    ):
        if names:
            out += ["", f"{text}: {', '.join(names)}."]
    return out


def _contents(checked: list[Checked]) -> list[str]:
    """A line a dataset and noun: its largest part, and how many findings all of them have."""
    out = ["| dataset | holds | parts | what is in it | **changes results** | notices |", "| --- " * 6 + "|"]
    groups: dict[tuple[str, str], list[Checked]] = {}
    for one in checked:
        if one.report is not None:
            groups.setdefault((one.dataset, one.report.kind), []).append(one)
    for (dataset, kind), parts in groups.items():
        largest = max(parts, key=lambda one: one.report.rows_read if one.report is not None else 0)
        found = [finding for one in parts if one.report is not None for finding in one.report.findings]
        bad = len({finding.rule for finding in found if finding.severity == "changes-results"})
        rest = len({finding.rule for finding in found if finding.severity != "changes-results"})
        what = f"{largest.part}: {largest.facts}" if len(parts) > 1 else largest.facts
        out.append(f"| {dataset} | {kind} | {len(parts)} | {what} | {bad or '–'} | {rest or '–'} |")
    return out


def _cell(text: str, root: str) -> str:
    """Text that keeps a Markdown table whole, without the folder the data lie in."""
    return text.replace(f"{root}/", "").replace("|", "\\|").replace("\n", " ").replace("*", "\\*")


def _rules(as_json: bool) -> None:
    from rlsched.traces.lint import ENTRIES, RULES

    lines = [(one.id, one.noun, one.severity, one.looks_for, one.replay) for one in RULES]
    known = {line[0] for line in lines}
    lines += [(one.id, "reader", one.severity, one.looks_for, one.replay) for one in ENTRIES if one.id not in known]
    if as_json:
        names = ("rule", "about", "severity", "looks_for", "replay")
        typer.echo(json.dumps([dict(zip(names, line, strict=True)) for line in lines]))
        return
    typer.echo("| finding | about | looks for | replay |\n| --- | --- | --- | --- |")
    for id, noun, severity, looks_for, replay in lines:
        name = f"**{id}**" if severity == "changes-results" else id
        typer.echo(f"| {name} | {noun} | {looks_for} | {replay} |")

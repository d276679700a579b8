"""``rlsched traces fit | draw | sample | fidelity | replay-drawn``: synthetic traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rlsched.errors import SpecError


def register(app: typer.Typer) -> None:
    """Put the five commands on the ``traces`` group."""
    app.command("fit")(fit)
    app.command("draw")(draw)
    app.command("sample")(sample)
    app.command("fidelity")(fidelity)
    app.command("replay-drawn")(replay_drawn)


def fit(
    file: Annotated[str, typer.Argument(help="File or directory, or the name of a dataset that 'traces list' shows.")],
    profile: Annotated[Path, typer.Argument(help="JSON file to write.")],
    format: Annotated[str | None, typer.Option(help="Format of FILE; recognised from its content by default.")] = None,
    card: Annotated[
        str | None, typer.Option(help="Card (TOML) that names the reader, or maps columns and units.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Your columns, where they are not ours: ours=theirs,... or a card.")
    ] = None,
    day: Annotated[str | None, typer.Option(help="YYYYMMDD, for PlanetLab's archive.")] = None,
    part: Annotated[str | None, typer.Option(help="Part of a dataset; its first by default.")] = None,
    usage_part: Annotated[str | None, typer.Option(help="Part of the dataset with the usage of the tasks.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Option of the reader, key=value; can be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; that of the JSON file by default.")] = None,
    min_count: Annotated[
        int, typer.Option(min=2, help="Fewest tasks or series behind any number of the profile.")
    ] = 20,
    digits: Annotated[int, typer.Option(min=1, max=6, help="Significant digits of any number of the profile.")] = 3,
    licence: Annotated[str, typer.Option(help="Licence of the data; a dataset's card knows it.")] = "",
    cite: Annotated[str, typer.Option(help="What to cite; a dataset's card knows it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Fit a profile (statistics only, no row) to a trace of tasks or of usage.

    Examples: rlsched traces fit azure-v1-2017 azure-v1.json

    rlsched traces fit my.csv my-profile.json --columns arrive_s=created,cpu_mcore=vcpus,cpu_unit=cores
    """
    from rlsched.cli.traces import read_columns
    from rlsched.traces.card import load_card
    from rlsched.traces.columns import Trace, Usage
    from rlsched.traces.read import kind_of
    from rlsched.traces.store import check_writable
    from rlsched.traces.synthetic.fit import fit_series, fit_tasks, with_usage
    from rlsched.traces.synthetic.profile import save_profile

    check_writable(profile, ".json", [file])
    found = read_columns(file, format, card, day, part, data, option, columns)
    label = name if name is not None else profile.stem
    if isinstance(found, Trace):
        made = fit_tasks(found, label, min_count, digits)
    elif isinstance(found, Usage):
        made = fit_series(found, label, min_count, digits)
    else:
        raise SpecError(f"a profile is fitted to tasks or usage: {file} holds {kind_of(found)}. Name another file.")
    if usage_part is not None:
        load = read_columns(file, None, None, None, usage_part, data, None)
        if not isinstance(found, Trace) or not isinstance(load, Usage):
            raise SpecError("--usage-part is for a dataset with tasks in --part and usage in --usage-part. Check both.")
        made = with_usage(made, fit_series(load, label, min_count, digits))
    dataset = found.meta.get("dataset")
    if dataset is not None and not cite:
        cite = load_card(str(dataset)).spec.citation
    known = {"licence": licence or made.origin.licence, "cite": cite}
    made = made.model_copy(update={"origin": made.origin.model_copy(update=known)})
    save_profile(made, profile)
    lines = [
        f"{profile}: {made.origin.tasks:,} tasks, {made.origin.series:,} series, "
        f"{made.origin.observed_s / 86_400:.2f} days; {len(made.atoms)} request shapes, {len(made.streams)} streams",
        *(f"note: {note}" for note in made.origin.notes),
    ]
    _tell(as_json, {"profile": str(profile), **made.origin.model_dump(mode="json")}, lines)


def draw(
    profile: Annotated[str, typer.Argument(help="A profile's JSON file, or a packaged name such as azure-v1.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    days: Annotated[float, typer.Option(help="Days to draw.")] = 1.0,
    scale: Annotated[float, typer.Option(help="Factor on the number of batches, or of series.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same trace.")] = 0,
    warm_days: Annotated[float, typer.Option(help="Days drawn before the start; what still runs at 0 is kept.")] = 0.0,
    max_batch: Annotated[int | None, typer.Option(help="Leave out batches of more tasks than this.")] = None,
    usage: Annotated[
        str | None, typer.Option(help="Profile with a usage part; writes OUT with .usage.parquet too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Draw a trace from a profile, of any length and at any scale.

    Example: rlsched traces draw azure-v1 vms.parquet --days 7 --scale 0.1 --seed 1
    """
    from rlsched.traces.columns import Columns
    from rlsched.traces.read import kind_of
    from rlsched.traces.store import check_writable, save
    from rlsched.traces.synthetic.draw import draw_tasks, draw_usage, draw_usage_of
    from rlsched.traces.synthetic.profile import find_profile, load_profile

    check_writable(out, ".parquet", [profile])
    made = load_profile(find_profile(profile))
    written: list[tuple[Path, Columns]] = []
    if made.streams:
        trace = draw_tasks(made, days, scale, seed, warm_days, max_batch)
        written.append((out, trace))
        if usage is not None:  # its own usage too only when asked for: that file is far larger
            load = load_profile(find_profile(usage))
            written.append((out.with_suffix(".usage.parquet"), draw_usage_of(trace, load, days * 86_400, seed)))
    else:
        for option, value in (("--usage", usage), ("--warm-days", warm_days or None), ("--max-batch", max_batch)):
            if value is not None:
                raise SpecError(f"{option} is for profiles of tasks: {profile} has usage only. Leave it away.")
        written.append((out, draw_usage(made, days, scale, seed)))
    for path, columns in written:
        save(columns, path)
    lines = [f"{path}: {kind_of(columns)} of {len(columns):,} rows, {columns.source}" for path, columns in written]
    document = {
        "files": [{"path": str(path), "kind": kind_of(columns), "rows": len(columns)} for path, columns in written]
    }
    _tell(as_json, {**document, "profile": made.origin.name, "days": days, "scale": scale, "seed": seed}, lines)


def sample(
    card: Annotated[str, typer.Argument(help="TOML card, or a packaged name such as sample/sample.toml.")],
    folder: Annotated[Path, typer.Argument(help="Folder that gets vms.parquet and machines.parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Draw a trace and its cluster as a card says.

    Example: rlsched traces sample sample/sample.toml .
    """
    from rlsched.assets import find_asset
    from rlsched.traces.store import save
    from rlsched.traces.synthetic.sample import draw_sample

    trace, machines = draw_sample(find_asset("traces", card))
    save(trace, folder / "vms.parquet")
    save(machines, folder / "machines.parquet")
    text = f"{folder}: {len(trace):,} tasks in vms.parquet, {len(machines):,} machines in machines.parquet"
    _tell(as_json, {"folder": str(folder), "tasks": len(trace), "machines": len(machines)}, [text])


def fidelity(
    card: Annotated[Path, typer.Argument(help="TOML card: seeds, and profiles with their datasets.")],
    folder: Annotated[Path, typer.Argument(help="Folder that gets results.json and results.md.")],
    data: Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure how near draws come to the traces their profiles were fitted to.

    Example: rlsched traces fidelity experiments/synthetic-fidelity/fidelity.toml runs/fidelity
    """
    from rlsched.traces.synthetic.fidelity_run import as_document, as_markdown, run_card

    rows = run_card(card, data)
    document, table = as_document(rows, card), as_markdown(rows)
    _keep(folder, "results", document, table)
    _tell(as_json, document, [table])


def replay_drawn(
    card: Annotated[Path, typer.Argument(help="TOML card: profile, dataset, policies, clusters, seeds.")],
    folder: Annotated[Path, typer.Argument(help="Folder that gets replay.json and replay.md.")],
    data: Annotated[Path | None, typer.Option(help="Folder the datasets lie in; RLSCHED_DATA by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Replay placement heuristics under the real trace and under draws, and compare.

    Example: rlsched traces replay-drawn experiments/synthetic-fidelity/replay.toml runs/fidelity
    """
    from rlsched.evaluate.synthetic_replay import as_markdown, run_card

    document = run_card(card, data)
    table = as_markdown(document)
    _keep(folder, "replay", document, table)
    _tell(as_json, document, [table])


def _keep(folder: Path, name: str, document: dict[str, Any], table: str) -> None:
    from rlsched.traces.store import replacing

    for file, text in ((f"{name}.json", json.dumps(document, indent=1) + "\n"), (f"{name}.md", table)):
        with replacing(folder / file) as part:
            part.write_text(text, encoding="utf-8")


def _tell(as_json: bool, document: dict[str, Any], lines: list[str]) -> None:
    typer.echo(json.dumps(document) if as_json else "\n".join(lines))

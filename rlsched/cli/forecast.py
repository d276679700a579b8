"""``rlsched forecast``: train forecasters, hold them against each other, make them smaller."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.cli.evaluate import Data, Json, Sets

if TYPE_CHECKING:
    from rlsched.forecast.card import ForecastSpec
    from rlsched.spec import Card

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Train forecasters and hold them against each other."
)

CardName = Annotated[str, typer.Argument(help="Name of a forecasting experiment, its folder, or its card.")]
Runs = Annotated[Path | None, typer.Option("--out", help="Folder of the trained ones; runs/NAME by default.")]
LEDGER = "test-ledger.jsonl"


@app.command()
def train(
    experiment: CardName,
    set_: Sets = None,
    out: Runs = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from what is in --out.")] = False,
    only: Annotated[str, typer.Option(help="Names of forecasters, with commas; all of the card by default.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train a card's networks and boosted trees on its train split; validation stops them early.

    A training that was killed goes on with --resume and ends with the same weights. The test
    split is not touched.

    Examples: rlsched forecast train forecast-bitbrains

    rlsched forecast train forecast-bitbrains --only cnn_lstm,lstm --set training.seeds=1 --resume
    """
    from rlsched.forecast.run import gather, names_of, train_all

    card, name, place = _open(experiment, set_, out)
    wanted = tuple(one.strip() for one in only.split(",") if one.strip())
    _check_names(wanted, names_of(card.spec))
    tell = _teller()
    tell(f"reading {', '.join(one.dataset for one in card.spec.data)}")
    material = gather(card.spec, ("train", "validation"), data)
    records = train_all(material, place, resume=resume, only=wanted, tell=tell)
    if as_json:
        typer.echo(json.dumps({"experiment": name, "out": str(place), "records": records}))
        return
    for record in sorted(records, key=lambda one: one["validation_wql"]):
        typer.echo(
            f"{record['forecaster']:<14} seed {record['seed']}: validation wql {record['validation_wql']:.4f}, "
            f"trained in {record['fit_s']:.0f} s"
        )
    typer.echo(f"Hold them against each other: rlsched forecast evaluate {experiment}")


@app.command()
def evaluate(
    experiment: CardName,
    set_: Sets = None,
    out: Runs = None,
    results: Annotated[Path | None, typer.Option(help="Folder for results; OUT/evaluation by default.")] = None,
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Score every forecaster of a card on machines and days it never saw.

    Writes results.json, results.md and plots. A run on the test split is noted in
    test-ledger.jsonl there.

    Examples: rlsched forecast evaluate forecast-bitbrains --split validation

    rlsched forecast evaluate forecast-bitbrains --json
    """
    from rlsched.errors import SpecError, did_you_mean
    from rlsched.evaluate.results import origin
    from rlsched.evaluate.touch import Touches
    from rlsched.forecast.answer import markdown, terminal
    from rlsched.forecast.run import evaluate as judge
    from rlsched.forecast.run import gather, write_json

    if split not in ("test", "validation"):
        raise SpecError(
            f"--split must be test or validation: got {split!r}.{did_you_mean(split, ('test', 'validation'))}"
        )
    card, name, place = _open(experiment, set_, out)
    folder = results if results is not None else place / ("evaluation" if split == "test" else "evaluation-validation")
    folder.mkdir(parents=True, exist_ok=True)
    tell = _teller()
    material = gather(card.spec, ("train", "validation", "test") if split == "test" else ("train", "validation"), data)
    sets = "".join(f" --set {one}" for one in set_ or [])
    provenance = origin(f"rlsched forecast evaluate {experiment}{sets} --split {split}")
    provenance |= {"card": card.spec.model_dump(mode="json")}
    seen = [{"experiment": name, "windows_sha256": material.windows[split].sha256}] if split == "test" else []
    touches = Touches(folder / LEDGER, seen)
    answer = judge(material, place, name, split, provenance, tell, touches.begin)
    touches.finish(answer.document)
    write_json(folder / "results.json", answer.document)
    (folder / "results.md").write_text(markdown(answer.document), encoding="utf-8")
    _plots(answer, card.spec, folder)
    if as_json:
        typer.echo(json.dumps(answer.document, allow_nan=False))
        return
    typer.echo(terminal(answer.document))
    typer.echo(f"Results, table and plots are in {folder}.")


@app.command()
def export(
    experiment: CardName,
    to: Annotated[Path, typer.Option(help="Folder that gets forecaster.onnx and training.json.")],
    forecaster: Annotated[
        str, typer.Option(help="A trained network; the best in validation, mean of seeds, by default.")
    ] = "",
    set_: Sets = None,
    out: Runs = None,
    data: Data = None,
) -> None:
    """Write a trained network as an ONNX file that needs numpy and onnxruntime only.

    Without --forecaster, validation chooses among the networks that were trained, by the mean over their
    seeds, and then among the seeds.

    Examples: rlsched forecast export forecast-vm --to agents/forecaster-vm
    """
    from rlsched.forecast.release import release

    card, name, place = _open(experiment, set_, out)
    record = release(card.spec, name, place, to, forecaster, data)
    for line in record["candidates"]:
        typer.echo(f"{line['forecaster']:<12} validation wql {line['wql']:.4f}, mean of {line['seeds']} seeds")
    for line in record["not_candidates"]:
        typer.echo(f"{line['forecaster']:<12} validation wql {line['wql']:.4f}, left out: {line['why']}")
    typer.echo(f"Wrote {record['forecaster']} seed {record['seed']} to {to}: {record['bytes']:,} bytes.")


@app.command()
def compress(
    experiment: CardName,
    method: Annotated[str, typer.Option(help="dynamic, static, prune, distil; several with commas.")],
    forecaster: Annotated[str, typer.Option(help="A trained network; seed 0 of the card's main one by default.")] = "",
    set_: Sets = None,
    out: Runs = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a trained network smaller, and say what that costs on validation windows.

    Examples: rlsched forecast compress forecast-vm --method dynamic,prune
    """
    from rlsched.forecast.release import compress_all

    card, name, place = _open(experiment, set_, out)
    methods = tuple(one.strip() for one in method.split(",") if one.strip())
    rows = compress_all(card.spec, name, place, methods, forecaster or card.spec.main, data, _teller())
    if as_json:
        typer.echo(json.dumps({"experiment": name, "rows": rows}, allow_nan=False))
        return
    typer.echo(f"{'':<10}{'KiB':>8}{'gzip KiB':>10}{'wql':>9}{'against full':>14}{'one, ms':>9}{'1000, s':>9}")
    for row in rows:
        typer.echo(
            f"{row['method']:<10}{row['bytes'] / 1024:>8.0f}{row['gzip_bytes'] / 1024:>10.0f}{row['wql']:>9.4f}"
            f"{row['wql_change_pct']:>+13.1f}%{row['one_ms']:>9.2f}{row['thousand_s']:>9.3f}"
        )
    typer.echo(f"The files are in {place / 'compressed'}.")


@app.command()
def value(
    experiment: Annotated[
        str, typer.Argument(help="Name of an experiment with a value.toml, its folder, or the card.")
    ],
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results; runs/NAME by default.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a forecast is worth: scaling rules fed by each forecaster, tuned alike, and by a perfect one.

    Writes results.json, results.md and a figure of error against cost. A run on the test split is
    noted in test-ledger.jsonl there.

    Examples: rlsched forecast value forecast-value --set split=validation

    rlsched forecast value forecast-value --json
    """
    from rlsched.errors import MissingDataError
    from rlsched.evaluate.forecast_value import open_card, run
    from rlsched.evaluate.results import file_sha256
    from rlsched.evaluate.touch import Touches
    from rlsched.forecast.run import write_json
    from rlsched.report.forecast_value import FIGURE, draw, markdown, terminal

    path, card = open_card(experiment, set_ or [])
    name = path.resolve().parent.name
    folder = out if out is not None else Path("runs") / name
    sets = "".join(f" --set {shlex.quote(one)}" for one in set_ or [])
    folder.mkdir(parents=True, exist_ok=True)
    seen = [{"experiment": name, "card_sha256": file_sha256(path)}] if card.spec.split == "test" else []
    touches = Touches(folder / LEDGER, seen)
    document = run(path, card, f"rlsched forecast value {name}{sets}", data, _teller(), touches.begin)
    touches.finish(document)
    write_json(folder / "results.json", document)
    (folder / "results.md").write_text(markdown(document), encoding="utf-8")
    try:
        draw(document, folder / FIGURE)
    except MissingDataError as error:
        typer.echo(f"no figure: {error}", err=True)
    if as_json:
        typer.echo(json.dumps(document, allow_nan=False))
        return
    typer.echo(terminal(document))
    typer.echo(f"Results, table and figure are in {folder}.")


def _open(experiment: str, set_: list[str] | None, out: Path | None) -> tuple[Card[ForecastSpec], str, Path]:
    from rlsched.forecast.card import find_card, read_card

    name = find_card(experiment).resolve().parent.name
    card = read_card(experiment, tuple(set_ or ()))
    return card, name, out if out is not None else Path("runs") / name


def _check_names(wanted: tuple[str, ...], known: list[str]) -> None:
    from rlsched.errors import SpecError, did_you_mean

    for one in wanted:
        if one not in known:
            raise SpecError(f"--only: the card has no forecaster {one!r}.{did_you_mean(one, known)}")


def _plots(answer: Any, spec: ForecastSpec, folder: Path) -> None:
    from rlsched.errors import MissingDataError
    from rlsched.forecast.plots import draw

    try:
        draw(answer, spec, folder)
    except MissingDataError as error:
        typer.echo(f"no plots: {error}", err=True)


def _teller() -> Callable[[str], None]:
    begin = time.monotonic()
    return lambda line: print(f"{time.monotonic() - begin:6.0f} s  {line}", file=sys.stderr, flush=True)

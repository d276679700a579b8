"""``rlsched show``: a card with every value resolved, and where each came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from rlsched.spec import Card

app = typer.Typer(add_completion=False)
#: Kinds that environments and experiments share; only an environment's card has a table of that name.
_ENVS = ("placement", "consolidation", "scaling")
#: Names of cards in an experiment's folder: one that policies run in, one of forecasters, one of their value.
_CARDS = ("experiment.toml", "forecast.toml", "value.toml")
#: Of an environment's tables where the output is no terminal.
_TABLE_WIDTH = 150


@app.command()
def show(
    card: Annotated[
        str | None,
        typer.Argument(help="Name or path of an experiment's, a dataset's or an environment's card; or the word env."),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="After env: name or path of an environment card.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value over the card's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show every value of a card, and whether it is the default, the file's, or from --set.

    Without a card: list those there are. With the word env: what an environment shows and takes.

    Examples: rlsched show placement-demo

    rlsched show experiments/placement-azure --set seeds=3

    rlsched show env placement
    """
    if card is None or (card == "env" and name is None):
        _list(card, as_json)
        return
    if card == "env" and name is not None:
        if set_:
            raise SpecError("--set has no meaning for show env: copy the card, change it, and name the copy.")
        _show_env(name, as_json)
        return
    if name is not None:
        raise SpecError(f"show takes one card: got {card!r} and {name!r}. For an environment: rlsched show env {name}.")
    from rlsched.cli.evaluate import PLAIN_WIDTH
    from rlsched.evaluate.results import plain
    from rlsched.spec import flatten

    path = find_any_card(card)
    loaded = load_any_card(path, set_ or [])
    values = dict(flatten(loaded.spec.model_dump()))
    origins = {key: _origin(loaded.origin.get(key, "default"), path) for key in values}
    _add_splits(loaded.spec, values, origins)
    _tell_others(card, path)
    if as_json:
        rows = [{"key": key, "value": plain(value), "origin": origins[key]} for key, value in values.items()]
        typer.echo(json.dumps({"card": card, "values": rows}, allow_nan=False))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    for key, value in values.items():
        table.add_row(Text(key), Text(_shown(value)), Text(origins[key]))
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table)


def _list(word: str | None, as_json: bool) -> None:
    """The cards there are, environments first; only those after the word env."""
    from rlsched.assets import list_assets
    from rlsched.spec import read_toml

    kinds = {"envs": "environment"} if word == "env" else {"envs": "environment", "experiments": "experiment"}
    rows = []
    for kind, what in kinds.items():
        for name, path in list_assets(kind).items():
            title = read_toml(path if path.is_file() else path / "experiment.toml").get("title", "")
            rows.append({"name": name, "kind": what, "title": str(title)})
    if word is None:
        for name, path in sorted(_forecast_cards().items()):
            rows.append({"name": name, "kind": "forecast", "title": str(read_toml(path).get("question", ""))})
    if as_json:
        typer.echo(json.dumps({"cards": rows}))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['kind']:<11}  {row['title']}")
    if word is None:
        typer.echo("Datasets: rlsched traces list. Tables of an environment: rlsched show env NAME.")


def _show_env(name: str, as_json: bool) -> None:
    """Observation, action and reward of an environment, as tables."""
    from rlsched.envs.tables import describe_env

    found = describe_env(name)
    if as_json:
        parts = {"observation": found.observation, "action": found.action}
        rows = {part: [{**vars(row), "shape": list(row.shape)} for row in table] for part, table in parts.items()}
        rewards = [
            {"term": term, "weight": weight, "formula": one.formula, "unit": one.unit}
            for term, (weight, one) in found.rewards.items()
        ]
        head = {"env": found.id, "card": found.card, "title": found.title}
        typer.echo(json.dumps({**head, **rows, "reward": rewards}, allow_nan=False))
        return
    typer.echo(f"{found.id}, card {found.card}: {found.title}")
    typer.echo(f'gymnasium.make("{found.id}", card="{found.card}")')
    _print_rows("Observation", [row.texts() for row in found.observation])
    _print_rows("Action", [row.texts() for row in found.action])
    _print_rows(
        "Reward: the weighted sum of",
        [
            {"term": term, "weight": f"{weight:g}", "formula": one.formula, "unit": one.unit, "meaning": one.doc}
            for term, (weight, one) in found.rewards.items()
        ],
    )


def _print_rows(title: str, rows: Sequence[dict[str, str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    for column in columns:
        table.add_column(column, no_wrap=column in ("part", "name", "shape", "dtype", "range", "weight", "term"))
    for row in rows:
        table.add_row(*(Text(row[column]) for column in columns))
    console = Console()
    (console if console.is_terminal else Console(width=_TABLE_WIDTH)).print(table)


def find_any_card(name: str) -> Path:
    """The TOML file of an experiment or a dataset.

    Raises
    ------
    SpecError
        When there is none of that name.
    """
    path = Path(name)
    if path.is_dir():
        path = _card_in(path)
    if path.is_file():
        return path
    called = cards_called(name)
    if called:
        return next(iter(called.values()))
    known = [one for cards in _cards_by_kind().values() for one in cards]
    raise SpecError(
        f"no card {name!r}: it is neither a path, nor an experiment, nor a dataset, nor an environment."
        f"{did_you_mean(name, dict.fromkeys(known))}"
    )


def cards_called(name: str) -> dict[str, Path]:
    """Cards that are called so: what to type for one and no other → file; the first is the one shown."""
    folder, _, bare = name.rpartition("/")
    found: dict[str, Path] = {}
    for kind, cards in _cards_by_kind().items():
        if bare.removesuffix(".toml") in cards and folder in ("", kind):
            found.setdefault(f"{kind}/{bare}", cards[bare.removesuffix(".toml")])
    return found


def _cards_by_kind() -> dict[str, dict[str, Path]]:
    """Folder → name → card, in the order in which a bare name is looked up."""
    from rlsched.assets import list_assets

    experiments = {name: folder / "experiment.toml" for name, folder in list_assets("experiments").items()}
    return {
        "experiments": {**_forecast_cards(), **experiments},
        "traces": list_assets("traces"),
        "envs": list_assets("envs"),
    }


def _tell_others(name: str, path: Path) -> None:
    """Say on standard error which card is shown where several have the name, and how to get the others."""
    called = cards_called(name) if "/" not in name and not Path(name).exists() else {}
    others = [f"rlsched show {one}" for one, other in called.items() if other != path]
    if others:
        shown = next(one for one, other in called.items() if other == path)
        also = f"; rlsched show env {name} has the tables of the environment" if f"envs/{name}" in called else ""
        typer.echo(f"This is {shown}. Another card has that name: {', '.join(others)}{also}.", err=True)


def _card_in(folder: Path) -> Path:
    """The card of an experiment's folder; the first name where there is none."""
    return next((folder / one for one in _CARDS if (folder / one).is_file()), folder / _CARDS[0])


def _forecast_cards() -> dict[str, Path]:
    """Cards of forecasters and of what they are worth, by the name of their folder."""
    from rlsched.assets import asset_roots

    found = [
        path for root in asset_roots("experiments") for file in _CARDS[1:] for path in sorted(root.glob(f"*/{file}"))
    ]
    return {path.parent.name: path for path in reversed(found)}  # the first root wins


def load_any_card(path: Path, overrides: Sequence[str]) -> Card[Any]:
    """Read a card of any kind, by its content.

    ``kind`` without ``policies`` and beside a table of its name marks an environment, ``kind``
    alone an experiment, ``reader`` or ``parts`` a dataset.
    """
    from rlsched import spec
    from rlsched.evaluate.kinds import kind_of, spec_of
    from rlsched.traces.card import DatasetCard

    values = spec.read_toml(path)
    if values.get("kind") in _ENVS and ("policies" not in values) and isinstance(values.get(values["kind"]), dict):
        from rlsched.envs.tables import env_spec

        loaded: Card[Any] = env_spec(path, overrides)
        return loaded
    if "kind" in values:
        return spec.load(spec_of(kind_of(path, overrides)), path, overrides)
    if "forecasters" in values and "problems" in values:
        from rlsched.evaluate.forecast_value import ValueSpec

        return spec.load(ValueSpec, path, overrides)
    if "forecasters" in values and "data" in values:
        from rlsched.forecast.card import ForecastSpec

        return spec.load(ForecastSpec, path, overrides)
    if "parts" in values or "reader" in values:
        return spec.load(DatasetCard, path, overrides)
    raise SpecError(
        f"{path} is no card that can be shown: it has neither kind (an experiment, an environment), nor forecasters "
        "(an experiment on forecasts), nor parts or reader (a dataset)."
    )


def _add_splits(spec: Any, values: dict[str, Any], origins: dict[str, str]) -> None:
    """A placement experiment without splits has those of its dataset's card: show them."""
    from rlsched.evaluate.experiment import SPLITS, PlacementExperiment
    from rlsched.evaluate.inputs import splits_of

    if not isinstance(spec, PlacementExperiment) or spec.splits is not None:
        return
    values.pop("splits")
    splits = splits_of(spec)
    for name in SPLITS:
        values[f"splits.{name}"] = getattr(splits, name)
        origins[f"splits.{name}"] = f"{spec.data.trace}.toml"


def _origin(origin: str, path: Path) -> str:
    return path.name if origin == str(path) else origin


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_item(one) for one in value) if value else "(none)"
    return _item(value)


def _item(value: Any) -> str:
    if isinstance(value, dict):
        given = [f"{key}={one}" for key, one in value.items() if one not in (None, "")]
        return " ".join(given) or "(empty)"
    if value is None or value == "":
        return "(not given)"
    return str(value)

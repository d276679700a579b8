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


@app.command()
def show(
    card: Annotated[str, typer.Argument(help="Name or path of an experiment's or a dataset's card.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value over the card's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show every value of a card, and whether it is the default, the file's, or from --set.

    Examples: rlsched show placement-demo

    rlsched show experiments/placement-azure --set seeds=3
    """
    from rlsched.cli.evaluate import PLAIN_WIDTH
    from rlsched.evaluate.results import plain
    from rlsched.spec import flatten

    path = find_any_card(card)
    loaded = load_any_card(path, set_ or [])
    values = dict(flatten(loaded.spec.model_dump()))
    origins = {key: _origin(loaded.origin.get(key, "default"), path) for key in values}
    _add_splits(loaded.spec, values, origins)
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


def find_any_card(name: str) -> Path:
    """The TOML file of an experiment or a dataset.

    Raises
    ------
    SpecError
        When there is none of that name.
    """
    from rlsched.assets import list_assets

    path = Path(name)
    if path.is_dir():
        path = path / "experiment.toml"
    if path.is_file():
        return path
    experiments, datasets = list_assets("experiments"), list_assets("traces")
    if name in experiments:
        return experiments[name] / "experiment.toml"
    if name in datasets:
        return datasets[name]
    raise SpecError(
        f"no card {name!r}: it is neither a path, nor an experiment, nor a dataset."
        f"{did_you_mean(name, [*experiments, *datasets])}"
    )


def load_any_card(path: Path, overrides: Sequence[str]) -> Card[Any]:
    """Read a card of any kind, by its content: ``kind`` marks an experiment, ``reader`` or ``parts`` a dataset."""
    from rlsched import spec
    from rlsched.evaluate.kinds import kind_of, spec_of
    from rlsched.traces.card import DatasetCard

    values = spec.read_toml(path)
    if "kind" in values:
        return spec.load(spec_of(kind_of(path, overrides)), path, overrides)
    if "parts" in values or "reader" in values:
        return spec.load(DatasetCard, path, overrides)
    raise SpecError(
        f"{path} is no card that can be shown: it has neither kind (an experiment) nor parts or reader (a dataset)."
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

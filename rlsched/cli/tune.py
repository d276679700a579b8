"""``rlsched tune``: find an experiment's tuned blend on train and validation windows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rlsched.cli.evaluate import Data, Json, Sets, showing_progress

app = typer.Typer(add_completion=False)


@app.command()
def tune(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment, its folder, or its card.")],
    set_: Sets = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Search the family that the table tune of an experiment's card names; writes tuned.toml beside the card.

    The test split is never looked at. Experiments that list the policy tuned_blend use the file.

    Examples: rlsched tune placement-demo

    rlsched tune experiments/placement-openb --set tune.budget=100
    """
    from rlsched.evaluate.answer import metric_label, show_value
    from rlsched.evaluate.kinds import find_card
    from rlsched.evaluate.tune import run_tune, write_tuned

    card = find_card(experiment)
    with showing_progress() as progress:
        found = run_tune(card, set_ or [], data_root=data, progress=progress)
    path = write_tuned(found, card.parent)
    if as_json:
        typer.echo(json.dumps(found))
        return
    metric = found["metric"]
    typer.echo(f"{path}: {found['policy']}")
    typer.echo(
        f"{metric_label(metric)}: {show_value(metric, found['validation_score'])} on validation, "
        f"{show_value(metric, found['train_score'])} on train; best of {found['tried']} tried."
    )

"""``rlsched train``: learn a policy for an experiment, choose it on validation, export it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.cli.evaluate import Data, Json, Sets

if TYPE_CHECKING:
    from rlsched.agents.course import Outcome
    from rlsched.cli.train_consolidation import PreparedConsolidation
    from rlsched.cli.train_inputs import Prepared
    from rlsched.cli.train_scaling import PreparedScaling

    Ready = Prepared | PreparedScaling | PreparedConsolidation

#: What an answer is put beside, by the metric that was learned.
RIVALS = {"cost_usd": ("tuned_band", "hpa"), "weighted_cost_pct": ("tuned", "lr_mmt")}

app = typer.Typer(add_completion=False)


@app.command()
def train(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment, its folder, or its card.")],
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result; runs/train-NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    start: Annotated[
        str,
        typer.Option("--from", help="Begin at this released agent, by name, folder or file, wherever it was tuned."),
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Train so many seeds one after the other; the best is kept.")] = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train on an experiment's train split; validation chooses, the test split is not touched.

    Learning starts exactly at the tuned heuristic that train.toml names. Writes policy.onnx, training.json,
    a TensorBoard log and a checkpoint to --out; a killed training goes on with --resume.

    Examples: rlsched train placement-openb --set steps=500000

    rlsched train experiments/placement-openb --set steps=2000000 --resume

    rlsched train scaling-surf --from agents/scaling --seeds 5
    """
    from rlsched.cli.train_inputs import prepare
    from rlsched.evaluate.kinds import find_card

    card = find_card(experiment)
    overrides = set_ or []
    began = ["--from", shlex.quote(start)] if start else []
    command = " ".join(["rlsched train", experiment, *began, *(f"--set {shlex.quote(text)}" for text in overrides)])
    # Checked and read for the first seed before any time is spent.
    first = prepare(card, overrides, command, data, start)
    place = out if out is not None else Path("runs") / f"train-{first.name}"
    records = []
    for seed in range(first.spec.seed, first.spec.seed + seeds):
        again = [*overrides, f"train.seed={seed}"]
        ready = first if seed == first.spec.seed else prepare(card, again, command, data, start)
        folder = place if seeds == 1 else place / f"seed-{seed}"
        records.append(
            (folder, _train_one(ready, folder, resume and _begun(folder, seeds), f"seed {seed}: " if seeds > 1 else ""))
        )
    best = _choose(records)
    if seeds > 1:
        _publish(records, best, place)
    if as_json:
        typer.echo(json.dumps({"out": str(place), "chosen": str(best[0]), "records": [one for _, one in records]}))
        return
    _print_answer(records, best, first.name, place)


def _begun(folder: Path, seeds: int) -> bool:
    """With several seeds, those that were never begun start afresh under --resume."""
    from rlsched.agents.course import CHECKPOINT

    return seeds == 1 or (folder / CHECKPOINT).is_file()


def _train_one(ready: Ready, folder: Path, resume: bool, prefix: str) -> dict[str, Any]:
    from rlsched.agents.record import leave
    from rlsched.errors import OurBug

    outcome = ready.learn(folder, resume=resume, progress=_teller(prefix))
    if outcome is None:
        raise OurBug("the training stopped without being told to.")
    name = ready.spec.name or ready.name
    return leave(folder, ready.spec, outcome, ready.facts, scores_of(ready, outcome), name, ready.export)


def scores_of(ready: Ready, outcome: Outcome) -> dict[str, Any]:
    """Validation scores of checkpoint 0 and of the chosen one, with paired intervals over windows."""
    import numpy as np

    from rlsched.evaluate.bootstrap import Bootstrap

    bootstrap = Bootstrap()
    columns = {"start": outcome.start, "best": outcome.best, "last": outcome.last}
    out: dict[str, Any] = {
        "metric": ready.metric,
        "better": ready.better,
        "windows": len(outcome.start),
    }
    for name, values in (*columns.items(), ("difference", np.subtract(outcome.best, outcome.start))):
        found = bootstrap.interval(np.asarray(values, np.float64)[:, None])
        ends = [None if np.isnan(end) else end for end in (found.low, found.high)]
        out |= {name: found.mean, f"{name}_ci": ends}
    return out


def _teller(prefix: str) -> Callable[[str], None]:
    """Prints validations, and other lines at most every two seconds, on standard error."""
    last = -10.0

    def tell(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if line.startswith("rollout") and now - last < 2.0:
            return
        last = now
        typer.echo(prefix + line, err=True)

    return tell


def _choose(records: Sequence[tuple[Path, dict[str, Any]]]) -> tuple[Path, dict[str, Any]]:
    """The best on validation; the first of equals."""
    sign = -1.0 if records[0][1]["scores"]["better"] == "up" else 1.0
    return min(records, key=lambda one: sign * one[1]["scores"]["best"])


def _publish(records: Sequence[tuple[Path, dict[str, Any]]], best: tuple[Path, dict[str, Any]], place: Path) -> None:
    """Copy the chosen seed's policy and record up, with the scores of every seed."""
    from rlsched.agents.record import POLICY, RECORD, write_json
    from rlsched.traces.store import replacing

    with replacing(place / POLICY) as partial:
        partial.write_bytes((best[0] / POLICY).read_bytes())
    seeds = [
        {"seed": one["train"]["seed"], "chosen_rollouts": one["chosen_rollouts"], **one["scores"]} for _, one in records
    ]
    write_json(place / RECORD, {**best[1], "seeds": seeds})


def _print_answer(
    records: Sequence[tuple[Path, dict[str, Any]]], best: tuple[Path, dict[str, Any]], name: str, place: Path
) -> None:
    from rlsched.agents.record import POLICY
    from rlsched.evaluate.answer import metric_label, show_value

    metric = best[1]["scores"]["metric"]
    for folder, record in records:
        scores = record["scores"]
        head = f"{metric_label(metric)} on {scores['windows']} validation windows"
        start, chosen = (show_value(metric, scores[key]) for key in ("start", "best"))
        after = record["chosen_rollouts"]
        if record["learned"]:
            whens = {"ppo": f"after {after} rollouts", "evolution": f"after {after} generations"}
            when = whens.get(record["chosen_stage"], "after looking ahead")
            typer.echo(f"{folder}: {head}: checkpoint 0 {start}, best {chosen} {when}.")
        else:
            typer.echo(f"{folder}: {head}: checkpoint 0 {start}, and nothing beat it: no learning.")
    low, high = best[1]["scores"]["difference_ci"]
    if best[1]["learned"] and low is not None:
        shown = low > 0 or high < 0
        typer.echo(
            f"Best minus checkpoint 0: {best[1]['scores']['difference']:+.4g} [{low:+.4g}, {high:+.4g}] over windows, "
            f"chosen on these same windows{'' if shown else '; no difference shown'}."
        )
    policies = json.dumps([*RIVALS.get(metric, ("best_fit", "tuned_blend")), str(place / POLICY)])
    typer.echo(f"Judge it on held-out windows: rlsched evaluate {name} --set 'policies={policies}'")

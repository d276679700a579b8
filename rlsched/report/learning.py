"""Training records beside each other: learning curves with intervals over seeds, and a table.

``python -m rlsched.report.learning "PPO=seed-*.json" ["ES=..."] [--line "tuned band=107.26"] [--target 107.2]
[--out curves.png]`` reads ``training.json`` files that ``rlsched train`` left. A curve is the mean over
seeds of the score on the validation windows, decided greedily, with the range of 95 % of the bootstrap
means over seeds; with one seed there is no range. Looks at validation are counted, checkpoint 0 left out.
"""

from __future__ import annotations

import argparse
import glob
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, UserError
from rlsched.evaluate.bootstrap import Bootstrap

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """One recipe trained from several seeds.

    Parameters
    ----------
    label : str
    metric, better : str
    steps : (L,) float64
        Decisions learned from at every look at validation, the first 0.
    greedy : (S, L) float64
        Mean over the validation windows, a row a seed.
    seconds : (S,) float64
        Of learning, validation left out.
    rate : (S,) float64
        Decisions learned from a second.
    """

    label: str
    metric: str
    better: str
    steps: F64
    greedy: F64
    seconds: F64
    rate: F64

    @property
    def below_start(self) -> float:
        """Share of the looks, over all seeds, that find something worse than checkpoint 0."""
        sign = 1.0 if self.better == "up" else -1.0
        return float((sign * (self.greedy[:, 1:] - self.greedy[:, :1]) < 0).mean())

    @property
    def best(self) -> F64:
        """Best score of every seed, (S,)."""
        return np.asarray(self.greedy.max(axis=1) if self.better == "up" else self.greedy.min(axis=1))

    @property
    def looks(self) -> int:
        """At validation, over all seeds."""
        return int(self.greedy[:, 1:].size)

    def steps_to(self, target: float) -> list[float]:
        """Decisions until a seed's greedy score first reaches the target; infinite for one that does not."""
        reached = self.greedy >= target if self.better == "up" else self.greedy <= target
        return [float(self.steps[row.argmax()]) if row.any() else math.inf for row in reached]


def read_group(text: str) -> Group:
    """``LABEL=PATTERN``: the records that match the pattern.

    Raises
    ------
    SpecError
        No such record, or records of different metrics or schedules.
    """
    label, found, pattern = text.partition("=")
    if not found:
        raise SpecError(f"a group is LABEL=PATTERN: got {text!r}.")
    paths = [Path(one) for one in sorted(glob.glob(pattern))]
    if not paths:
        raise SpecError(f"there is no training record that matches {pattern!r}.")
    records = [_read(path) for path in paths]
    curves = [_curve(record, path) for record, path in zip(records, paths, strict=True)]
    first = records[0]["scores"]
    for record, curve, path in zip(records, curves, paths, strict=True):
        if record["scores"]["metric"] != first["metric"] or not np.array_equal(curve[0], curves[0][0]):
            raise SpecError(f"{path} was scored otherwise, or at other steps, than {paths[0]}: label them apart.")
    seconds = [sum(line["seconds"] for line in record["curve"]) for record in records]
    rate = [curve[0][-1] / max(spent, 1e-9) for curve, spent in zip(curves, seconds, strict=True)]
    greedy = np.stack([curve[1] for curve in curves])
    return Group(label, first["metric"], first["better"], curves[0][0], greedy, np.array(seconds), np.array(rate))


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = record["scores"]["metric"], record["validations"], record["curve"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{path} is no training record of rlsched train: {error!r}.") from None
    return record


def _curve(record: dict[str, Any], path: Path) -> tuple[F64, F64]:
    """Decisions learned from, and score, at every look at validation."""
    learned = [0.0, *(line["steps"] for line in record["curve"])]
    looks = record["validations"]  # that after looking ahead stands above 0: no decision has been learned from yet
    if any(one["rollouts"] >= len(learned) for one in looks):
        raise SpecError(f"{path}: its validations look beyond its curve. Train again.")
    return np.array([learned[one["rollouts"]] for one in looks]), np.array([np.mean(one["greedy"]) for one in looks])


def interval(values: F64, bootstrap: Bootstrap) -> tuple[float, float, float]:
    """Mean over seeds with its interval; NaN ends for one seed."""
    found = bootstrap.interval(values[:, None])
    return found.mean, found.low, found.high


def table(groups: Sequence[Group], target: float | None, bootstrap: Bootstrap) -> list[str]:
    """A Markdown table, a row a group."""
    head = ["trained", "seeds", "checkpoint 0", "best, mean over seeds", "every seed", "looks", "worse than the start"]
    head.append("decisions/s, minutes")
    if target is not None:
        head.append(f"decisions to {target:g}, each seed")
    lines = [" | ".join(["", *head, ""]).strip(), " | ".join(["", *["---"] * len(head), ""]).strip()]
    for one in groups:
        mean, low, high = interval(one.best, bootstrap)
        ends = f" [{low:.5g}, {high:.5g}]" if not math.isnan(low) else ""
        cells = [
            one.label,
            str(len(one.greedy)),
            f"{one.greedy[:, 0].mean():.5g}",
            f"{mean:.5g}{ends}",
            ", ".join(f"{value:.5g}" for value in one.best),
            str(one.looks),
            f"{100 * one.below_start:.0f} %",
            f"{np.median(one.rate):,.0f}, {one.seconds.sum() / 60:.1f}",
        ]
        if target is not None:
            reached = one.steps_to(target)
            cells.append(", ".join("not reached" if math.isinf(value) else f"{value:,.0f}" for value in reached))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def draw(groups: Sequence[Group], lines: dict[str, float], path: Path, bootstrap: Bootstrap) -> None:
    """Learning curves as a PNG, written whole or not at all."""
    from matplotlib.figure import Figure

    from rlsched.evaluate.answer import metric_label, metric_unit

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for at, one in enumerate(groups):
        colour, mean = f"C{at}", one.greedy.mean(axis=0)
        axes.plot(one.steps / 1e6, mean, color=colour, label=f"{one.label}, {len(one.greedy)} seeds")
        if len(one.greedy) > 1:
            ends = np.array([interval(column, bootstrap)[1:] for column in one.greedy.T])
            axes.fill_between(one.steps / 1e6, ends[:, 0], ends[:, 1], color=colour, alpha=0.2, linewidth=0)
    for at, (label, value) in enumerate(lines.items()):
        axes.axhline(value, color="0.3", linestyle=("--", ":", "-.")[at % 3], linewidth=1, label=label)
    metric = groups[0].metric
    unit = metric_unit(metric) or ("%" if metric.endswith("_pct") else "")
    axes.set_xlabel("decisions learned from, millions")
    axes.set_ylabel(f"{metric_label(metric)} on validation{f' [{unit}]' if unit else ''}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=True, framealpha=1.0, edgecolor="none", fontsize=9, loc="best")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".png")
    os.close(handle)
    try:
        figure.savefig(partial, dpi=130, metadata={"Software": None})
        Path(partial).chmod(0o644)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _line(text: str) -> tuple[str, float]:
    label, _, value = text.rpartition("=")
    try:
        return label, float(value)
    except ValueError:
        raise SpecError(f"a line is LABEL=NUMBER: got {text!r}.") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of some training records and draw their curves; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rlsched.report.learning", description="Training records beside each other."
    )
    parser.add_argument("group", nargs="+", help='LABEL=PATTERN, such as "PPO=experiments/ppo-scaling/ppo-*.json"')
    parser.add_argument("--line", action="append", default=[], help="LABEL=NUMBER: a score to draw beside the curves")
    parser.add_argument("--target", type=float, default=None, help="say how many decisions each seed needs to reach it")
    parser.add_argument("--out", type=Path, default=None, help="the PNG to draw")
    given = parser.parse_args(argv)
    try:
        groups = [read_group(text) for text in given.group]
        if len({one.metric for one in groups}) > 1:
            raise SpecError(
                f"records are scored by different metrics: {', '.join(sorted({g.metric for g in groups}))}."
            )
        bootstrap = Bootstrap()
        print("\n".join(table(groups, given.target, bootstrap)))
        if given.out is not None:
            draw(groups, dict(_line(text) for text in given.line), given.out, bootstrap)
    except UserError as error:
        print(f"rlsched: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

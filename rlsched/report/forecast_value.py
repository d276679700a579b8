"""The value of forecasts, for people: a table of error beside cost, and a figure of one against the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import MissingDataError
from rlsched.evaluate.forecast_feeds import PERFECT
from rlsched.traces.store import replacing

FIGURE = "error-against-cost.png"
_HEADS = {
    "wql": "WQL",
    "wql_ready": "WQL when ready",
    "critical": "loss at the critical quantile",
    "mae": "mean absolute error",
}
_UNITS = {"usd": "USD", "pct": "%"}


def markdown(document: dict[str, Any]) -> str:
    """The tables of every problem: errors, then cost and share of the gain under each rule."""
    provenance = document["provenance"]
    naive = provenance["card"]["naive"]
    lines = [f"Split: {provenance['split']}. Made by `{provenance['command']}`.", ""]
    for part in document["problems"]:
        lines += [f"## {part['problem']}, {len(part['windows'])} windows", ""]
        lines += _table(_rows(part))
        unit = _UNITS[_unit(part)]
        lines += ["", f"{unit} a window; in brackets the share of the gain from {naive} to perfect, with its interval."]
        lines += [f"{_bound(part)} {part['bound']['doc']}", ""]
        lines += [*_table(_intervals(part)), ""]
        lines += [f"{unit} a window, and beside it less that of {naive}, paired by window; below 0 is cheaper.", ""]
        lines += [
            "Rank correlation of error with cost over the forecasters, perfect left out (1: less error, less cost):"
        ]
        lines += ["", *_table(_agreement(part)), ""]
    return "\n".join(lines)


def terminal(document: dict[str, Any]) -> str:
    """The same tables with columns in line."""
    out = []
    for part in document["problems"]:
        for rows in (_rows(part), _agreement(part)):
            width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
            out += ["  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip() for row in rows]
            out.append("")
        out.append(f"{part['problem']}: {_bound(part)}")
    return "\n".join(out)


def _unit(part: dict[str, Any]) -> str:
    return str(part.get("unit", "usd"))


def _bound(part: dict[str, Any]) -> str:
    value = part["bound"][f"cost_{_unit(part)}"]
    return "No bound is known." if value is None else f"Bound: {value:.2f} {_UNITS[_unit(part)]} a window."


def draw(document: dict[str, Any], path: Path) -> None:
    """Write a figure: a row a problem, a column a rule, a point a forecaster.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDataError("plots need matplotlib: it is not installed. Install rlsched[report].") from None
    rules, parts = document["provenance"]["card"]["rules"], document["problems"]
    figure = Figure(figsize=(4.2 * len(rules), 3.9 * len(parts)), layout="constrained")
    axes = figure.subplots(len(parts), len(rules), squeeze=False)
    for i, part in enumerate(parts):
        key, cost = "wql_ready" if "wql_ready" in part["errors"][0] else "wql", f"cost_{_unit(part)}"
        error = {one["forecaster"]: one[key] for one in part["errors"]}
        for j, rule in enumerate(rules):
            axis = axes[i, j]
            rows = [row for row in part["summary"] if row["rule"] == rule]
            rows = [{**row, "cost": row[cost]} for row in rows]
            rows, beyond = _within(rows, document["provenance"]["card"]["naive"])
            for row in rows:
                name = row["forecaster"]
                if name == PERFECT:
                    axis.axhline(row["cost"], color="tab:green", lw=1, ls="--")
                    axis.annotate("perfect forecast", (0.02, row["cost"]), xycoords=("axes fraction", "data"),
                                  fontsize=7, va="bottom", color="tab:green")  # fmt: skip
                else:
                    axis.plot(error[name], row["cost"], "o", ms=5, color="tab:blue")
            _name_points(axis, [row for row in rows if row["forecaster"] != PERFECT], error)
            axis.margins(x=0.15, y=0.12)
            if beyond:
                told = [
                    f"{row['forecaster']} ({error[row['forecaster']]:.3f}, {row['cost_usd']:.0f})" for row in beyond
                ]
                text = "beyond: " + ", ".join(told)
                axis.text(0.02, 0.98, text, transform=axis.transAxes, fontsize=7, va="top", color="grey")
            axis.set_title(f"{part['problem']}: {rule}", fontsize=9)
            axis.set_xlabel(
                "weighted quantile loss" + (" when an order is ready" if key == "wql_ready" else ""), fontsize=8
            )
            axis.set_ylabel(f"cost, {_UNITS[_unit(part)]} a window", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.locator_params(axis="x", nbins=5)
    figure.suptitle(f"Error against cost, {document['provenance']['split']} windows", fontsize=10)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _within(rows: list[dict[str, Any]], naive: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows to draw, and those that lose more against naive than perfect wins: they would squeeze the rest."""
    cost = {row["forecaster"]: row["cost"] for row in rows}
    limit = cost[naive] + abs(cost[naive] - cost[PERFECT])
    return [row for row in rows if row["cost"] <= limit], [row for row in rows if row["cost"] > limit]


def _name_points(axis: Any, rows: list[dict[str, Any]], error: dict[str, float]) -> None:
    """Names beside the points, spread upwards where points lie close to each other."""
    ordered = sorted(rows, key=lambda row: row["cost"])
    costs = np.array([row["cost"] for row in ordered])
    low, high = axis.get_ylim()
    places = costs.copy()
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + 0.05 * (high - low))
    places += (costs - places).mean()
    for row, place in zip(ordered, places.tolist(), strict=True):
        at = (error[row["forecaster"]], row["cost"])
        axis.annotate(
            row["forecaster"], at, xytext=(1.02, place), textcoords=("axes fraction", "data"), fontsize=7, va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "grey"}, annotation_clip=False,
        )  # fmt: skip


def _rows(part: dict[str, Any]) -> list[list[str]]:
    rules = list(dict.fromkeys(row["rule"] for row in part["summary"]))
    at = {(row["rule"], row["forecaster"]): row for row in part["summary"]}
    named, unit = [key for key in part["errors"][0] if key in _HEADS], _unit(part)
    heads = [f"{rule}, {_UNITS[unit]} [share]" for rule in rules]
    out = [["forecaster", *(_HEADS[key] for key in named), *heads]]
    for one in part["errors"]:
        name = one["forecaster"]
        cells = [name, *(f"{one[key]:.4f}" for key in named)]
        out.append([*cells, *(_cost(at[rule, name], unit) for rule in rules)])
    return out


def _intervals(part: dict[str, Any]) -> list[list[str]]:
    rules = list(dict.fromkeys(row["rule"] for row in part["summary"]))
    unit = _unit(part)
    out = [["forecaster", *(head for rule in rules for head in (rule, "less naive"))]]
    for one in part["errors"]:
        mine = {row["rule"]: row for row in part["summary"] if row["forecaster"] == one["forecaster"]}
        cells = [one["forecaster"]]
        for rule in rules:
            row = mine[rule]
            cells += [
                _interval(row[f"cost_{unit}"], row["ci_low"], row["ci_high"], ""),
                _interval(row[f"difference_{unit}"], row["difference_low"], row["difference_high"], "+"),
            ]
        out.append(cells)
    return out


def _interval(mean: float, low: float | None, high: float | None, sign: str) -> str:
    ends = "" if low is None or high is None else f" [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{mean:{sign}.2f}{ends}"


def _cost(row: dict[str, Any], unit: str) -> str:
    if row["share"] is None:
        return f"{row[f'cost_{unit}']:.2f} [no gain possible]"
    share = f"{100 * row['share']:.0f} %"
    if row["share_low"] is not None:
        share += f", {100 * row['share_low']:.0f} to {100 * row['share_high']:.0f}"
    return f"{row[f'cost_{unit}']:.2f} [{share}]"


def _agreement(part: dict[str, Any]) -> list[list[str]]:
    rules = list(dict.fromkeys(row["rule"] for row in part["agreement"]))
    out = [["error", *rules]]
    for key in dict.fromkeys(row["error"] for row in part["agreement"]):
        found = {row["rule"]: row["spearman"] for row in part["agreement"] if row["error"] == key}
        out.append([key, *("-" if found[rule] is None else f"{found[rule]:+.2f}" for rule in rules)])
    return out


def _table(rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]

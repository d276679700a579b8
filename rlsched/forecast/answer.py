"""What an evaluation says, for people: one table and one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = {
    "wql": "WQL",
    "mase": "MASE",
    "rmse": "RMSE",
    "mae": "MAE",
    "coverage_80": "in 80 %",
    "width_80": "width",
    "coverage_98": "in 98 %",
    "width_98": "width",
    "peaks_missed_share": "peaks missed",
}


def ranked(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Forecasters with their summary by metric, lowest weighted quantile loss first."""
    table: dict[str, dict[str, Any]] = {}
    for line in document["summary"]:
        table.setdefault(line["forecaster"], {})[line["metric"]] = line
    return sorted(table.items(), key=lambda one: one[1]["wql"]["mean"] or 0.0)


def sentence(document: dict[str, Any]) -> str:
    """Who has the lowest loss, and what is shown of the main forecaster."""
    order = ranked(document)
    main = document["provenance"]["card"]["main"]
    first = order[0][0]
    ablations = document["provenance"]["card"]["ablations"]
    mine = [v for v in document["verdicts"] if v["metric"] == "wql" and v["b"] not in ablations]
    count = {
        word: [v["b"] for v in mine if v["verdict"] == word] for word in ("better", "worse", "no difference shown")
    }
    parts = [f"Lowest weighted quantile loss: {first} ({order[0][1]['wql']['mean']:.4f})."]
    parts.append(f"{main} is better than {_list(count['better'])}")
    parts.append(f"worse than {_list(count['worse'])}")
    parts.append(f"and no difference is shown from {_list(count['no difference shown'])}.")
    return parts[0] + " " + ", ".join(parts[1:])


def rows_of(document: dict[str, Any]) -> list[list[str]]:
    """The cells of the table, head first."""
    main = document["provenance"]["card"]["main"]
    against = {v["b"]: v for v in document["verdicts"] if v["metric"] == "wql"}
    out = [["forecaster", "seeds", *COLUMNS.values(), "us each", f"{main} against it, WQL %"]]
    for name, metrics in ranked(document):
        cells = [name, str(metrics["wql"]["n"])]
        for metric in COLUMNS:
            value = metrics[metric]["mean"]
            cells.append(
                "-" if value is None else f"{value:.4f}" if metric in ("wql", "rmse", "mae") else f"{value:.3f}"
            )
        cells.append(f"{document['facts'][name]['us_per_forecast']:.0f}")
        cells.append(_verdict(against[name]) if name in against else "")
        out.append(cells)
    return out


def markdown(document: dict[str, Any]) -> str:
    """The whole answer as a page."""
    from_ = document["provenance"]
    head, *rows = rows_of(document)
    lines = [f"# {document['experiment']}: {from_['split']} split", "", sentence(document), ""]
    lines.append(
        f"{from_['windows']:,} windows of {from_['series']} series; intervals of 95 % over {from_['clusters']} and "
        "training seeds. Lower is better, but for coverage, which should be 0.80 and 0.98. Command: `"
        + from_["command"]
        + "`."
    )
    lines.append(
        "Intervals are of each comparison alone; the word and its p are of all comparisons of the table together "
        "(step-down max-T), and where the interval alone would say more, that stands in brackets."
    )
    lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "## By resource and horizon", "", *_by_horizon(document)]
    weights = document["facts"].get("ensemble_weighted", {}).get("fit")
    if weights:
        shown = "; ".join(", ".join(f"{name} {w:.2f}" for name, w in one.items()) for one in weights)
        lines += ["", f"Weights of the validation-weighted ensemble, one list a seed: {shown}."]
    return "\n".join(lines) + "\n"


def terminal(document: dict[str, Any]) -> str:
    """The table with columns side by side."""
    rows = [[cell for i, cell in enumerate(row) if i not in (5, 7, 9)] for row in rows_of(document)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    shown = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*shown, sentence(document)])


def _by_horizon(document: dict[str, Any]) -> list[str]:
    horizons = list(dict.fromkeys(row["horizon"] for row in document["rows"] if row["horizon"] != "all"))
    some = sorted({horizons[0], horizons[len(horizons) // 2], horizons[-1]})
    resources = list(dict.fromkeys(row["resource"] for row in document["rows"]))
    single = [one for one in resources if one != "all"] or resources
    heads = [f"{r} +{h + 1}" for r in single for h in some]
    lines = ["Weighted quantile loss, mean of the seeds; +1 is the coming interval.", ""]
    lines += ["| forecaster | " + " | ".join(heads) + " |", "|" + " --- |" * (len(heads) + 1)]
    for name, _ in ranked(document):
        cells = [_mean_of(document["rows"], name, r, h) for r in single for h in some]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _mean_of(rows: Sequence[dict[str, Any]], name: str, resource: str, horizon: int) -> str:
    found = [
        row["wql"]
        for row in rows
        if row["forecaster"] == name
        and row["resource"] == resource
        and row["horizon"] == horizon
        and row["wql"] is not None
    ]
    return f"{sum(found) / len(found):.4f}" if found else "-"


def _verdict(one: dict[str, Any]) -> str:
    if one["ci_low"] is None:
        return "not known"
    said = f"{one['difference_pct']:+.1f} [{one['ci_low']:+.1f}, {one['ci_high']:+.1f}] {one['verdict']}"
    if one["p_corrected"] is not None:
        said += f", p {one['p_corrected']:.3f}"
    return said + (f" (alone: {one['alone']})" if one["alone"] != one["verdict"] else "")


def _list(names: list[str]) -> str:
    return ", ".join(names) if names else "none"

"""Results → tables of text cells, the same for terminal and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsched.evaluate.answer import (
    metric_label,
    metric_unit,
    show_difference,
    show_interval,
    show_value,
)
from rlsched.evaluate.metrics import METRICS
from rlsched.evaluate.results import Document

_ARROW = {"down": "↓", "up": "↑", "none": ""}
_NOT_METRICS = ("policy", "window", "seed")


@dataclass(frozen=True)
class Column:
    """One metric of the table.

    Parameters
    ----------
    metric : str
    heading : str
        Label, unit, and an arrow towards the better direction.
    cells : dict of str to (str, str)
        Policy → value and interval.
    """

    metric: str
    heading: str
    cells: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class VerdictRow:
    """One policy against the references on one metric.

    Parameters
    ----------
    policy : str
    cells : tuple of (str, str)
        Verdict and difference with interval, one a reference; two empty texts for itself.
    """

    policy: str
    cells: tuple[tuple[str, str], ...]


def shown_metrics(document: Document) -> list[str]:
    """The metrics a report shows: the card's, or every number of the rows."""
    chosen = document["provenance"].get("metrics")
    if chosen:
        return list(chosen)
    rows = document["rows"]
    names = [name for name in (rows[0] if rows else {}) if name not in _NOT_METRICS]
    return [name for name in names if any(_is_number(row.get(name)) for row in rows)]


def ranked_policies(document: Document) -> list[str]:
    """Policies, best mean of the main metric first; in the order of the rows where there is none."""
    names = list(dict.fromkeys(row["policy"] for row in document["rows"]))
    metric = document["provenance"].get("main_metric")
    if metric not in METRICS:
        return names
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == metric}
    sign = 1.0 if METRICS[metric].better == "down" else -1.0
    return sorted(names, key=lambda name: (means.get(name) is None, sign * (means.get(name) or 0.0)))


def metric_columns(document: Document) -> list[Column]:
    """The table of means with intervals."""
    by = {(one["policy"], one["metric"]): one for one in document["summary"]}
    out = []
    for metric in shown_metrics(document):
        cells = {}
        for policy in ranked_policies(document):
            one = by.get((policy, metric))
            value = show_value(metric, one["mean"] if one else None)
            cells[policy] = (value, show_interval(metric, one["ci_low"], one["ci_high"]) if one else "")
        out.append(Column(metric, heading(metric), cells))
    return out


def heading(metric: str) -> str:
    """``label [unit] arrow``."""
    unit = metric_unit(metric)
    arrow = _ARROW[METRICS[metric].better] if metric in METRICS else ""
    label = metric_label(metric)
    shown_unit = f" [{unit}]" if unit and unit not in label else ""
    return f"{label}{shown_unit} {arrow}".strip()


def role_of(document: Document, policy: str) -> str:
    """``textbook``, ``published``, ``tuned``, or empty."""
    roles = document["provenance"].get("references", {})
    return next((role for role, name in roles.items() if name == policy), "")


def verdict_table(document: Document, metric: str) -> tuple[list[str], list[VerdictRow]]:
    """References that were run, and every policy against each of them."""
    names = {row["policy"] for row in document["rows"]}
    references = [name for name in document["provenance"].get("references", {}).values() if name in names]
    references = list(dict.fromkeys(references))
    pairs = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric}
    rows = []
    for policy in ranked_policies(document):
        cells = tuple(_verdict_cell(metric, pairs.get((policy, name))) for name in references)
        rows.append(VerdictRow(policy, cells))
    return references, rows


def judged_metrics(document: Document) -> list[str]:
    """Metrics there are verdicts on, the main one first."""
    found = list(dict.fromkeys(one["metric"] for one in document["verdicts"]))
    main = document["provenance"].get("main_metric")
    return sorted(found, key=lambda name: name != main)


def _verdict_cell(metric: str, one: Mapping[str, Any] | None) -> tuple[str, str]:
    if one is None:
        return "", ""
    interval = show_interval(metric, one["ci_low"], one["ci_high"])
    return one["verdict"], f"{show_difference(metric, one['difference'])} {interval}".strip()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""Results → tables of text cells, the same for terminal and HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlsched.evaluate.answer import (
    leader_of,
    metric_label,
    metric_unit,
    show_difference,
    show_gap_interval,
    show_interval,
    show_value,
)
from rlsched.evaluate.metrics import find_metric
from rlsched.evaluate.results import Document

_ARROW = {"down": "↓", "up": "↑", "none": ""}
_NOT_METRICS = ("policy", "window", "seed", "run")


@dataclass(frozen=True)
class Column:
    """One metric of the table.

    Parameters
    ----------
    metric : str
    heading : str
        Label, unit, and an arrow towards the better direction.
    cells : dict of str to (str, str)
        Policy or bound → value and interval.
    values : dict of str to float or None
        The value as a number, to sort by.
    """

    metric: str
    heading: str
    cells: Mapping[str, tuple[str, str]]
    values: Mapping[str, float | None] = field(default_factory=dict)


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
    metric = find_metric(document["provenance"].get("main_metric") or "")
    if metric is None:
        return names
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == metric.name}
    sign = 1.0 if metric.better == "down" else -1.0
    first = leader_of(document)
    return sorted(names, key=lambda name: (means.get(name) is None, sign * (means.get(name) or 0.0), name != first))


def bound_means(document: Document) -> dict[str, tuple[str, float]]:
    """Bound → its metric and its mean over the windows that have one."""
    out: dict[str, tuple[str, float]] = {}
    for name in dict.fromkeys(one["bound"] for one in document.get("bounds", [])):
        mine = [one for one in document["bounds"] if one["bound"] == name and one["value"] is not None]
        if mine:
            out[name] = mine[0]["metric"], math.fsum(one["value"] for one in mine) / len(mine)
    return out


def table_rows(document: Document) -> list[str]:
    """Rows of the table: the policies, ranked, then the bounds."""
    return [*ranked_policies(document), *bound_means(document)]


def metric_columns(document: Document) -> list[Column]:
    """The table of means with intervals, the interquartile mean of the main metric, and gaps closed to a bound."""
    by = {(one["policy"], one["metric"]): one for one in document["summary"]}
    bounds = bound_means(document)
    main = document["provenance"].get("main_metric")
    out = []
    for metric in shown_metrics(document):
        cells, values = {}, {}
        for name in table_rows(document):
            if name in bounds:
                of, mean = bounds[name]
                values[name] = mean if of == metric else None
                cells[name] = (show_value(metric, mean) if of == metric else "–", "")
                continue
            one = by.get((name, metric))
            values[name] = one["mean"] if one else None
            value = show_value(metric, one["mean"] if one else None)
            cells[name] = (value, show_interval(metric, one["ci_low"], one["ci_high"]) if one else "")
        out.append(Column(metric, heading(metric), cells, values))
        if metric == main and any(one.get("iqm") is not None for one in document["summary"]):
            out.append(_iqm_column(document, metric))
        out += [_gap_column(document, name) for name, (of, _) in list(bounds.items())[:1] if of == metric]
    return out


def _iqm_column(document: Document, metric: str) -> Column:
    by = {one["policy"]: one for one in document["summary"] if one["metric"] == metric}
    cells, values = {}, {}
    for name in table_rows(document):
        one = by.get(name, {})
        values[name] = one.get("iqm")
        known = one.get("iqm") is not None
        cells[name] = (show_value(metric, one["iqm"]) if known else "–", "")
        if known:
            cells[name] = (cells[name][0], show_interval(metric, one["iqm_low"], one["iqm_high"]))
    return Column(f"{metric}_iqm", "the same, middle half of the windows", cells, values)


def _gap_column(document: Document, bound: str) -> Column:
    gaps = {one["policy"]: one for one in document.get("gaps", []) if one["bound"] == bound}
    origin = next((one["from"] for one in gaps.values()), "")
    cells, values = {}, {}
    for name in table_rows(document):
        share = gaps[name]["share"] if name in gaps else {origin: 0.0, bound: 1.0}.get(name)
        values[name] = share
        shown = "–" if share is None else f"{100 * share:.0f} %".replace("-", "−")
        cells[name] = (shown, show_gap_interval(gaps[name]) if name in gaps else "")
    return Column(f"gap_{bound}", f"gap from {origin or 'the first reference'} to {bound} closed ↑", cells, values)


def heading(metric: str) -> str:
    """``label [unit] arrow``."""
    unit = metric_unit(metric)
    known = find_metric(metric)
    arrow = "" if known is None else _ARROW[known.better]
    label = metric_label(metric)
    shown_unit = f" [{unit}]" if unit and unit not in label else ""
    return f"{label}{shown_unit} {arrow}".strip()


def role_of(document: Document, policy: str) -> str:
    """``textbook``, ``published``, ``tuned``, ``control``, ``bound``, or empty."""
    if policy in document["provenance"].get("controls", {}):
        return "control"
    if policy in bound_means(document):
        return "bound"
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


@dataclass(frozen=True)
class Opponent:
    """A column of the verdict matrix: an opponent on a metric."""

    metric: str
    label: str
    policy: str
    role: str


@dataclass(frozen=True)
class Mark:
    """A cell of the verdict matrix: the sign, the word, and the difference with its interval and p-value."""

    sign: str
    word: str
    detail: str


_SIGN = {"better": "▲", "worse": "▼", "no difference shown": "="}


def verdict_matrix(document: Document) -> tuple[list[Opponent], dict[str, list[Mark | None]]]:
    """Everybody against every reference on every judged metric, and against the leader on the main one.

    Returns
    -------
    (list of Opponent, dict of str to list of Mark or None)
        Columns, and the row of every policy; None where it is itself, or was not compared.
    """
    main = document["provenance"].get("main_metric")
    first = leader_of(document)
    opponents = []
    for metric in judged_metrics(document):
        references, _ = verdict_table(document, metric)
        others = [first] if metric == main and first and first not in references else []
        opponents += [
            Opponent(metric, metric_label(metric), name, role_of(document, name) or "leader")
            for name in (*others, *references)
        ]
    pairs = {(one["a"], one["b"], one["metric"]): one for one in document["verdicts"]}
    rows: dict[str, list[Mark | None]] = {}
    for policy in ranked_policies(document):
        row: list[Mark | None] = []
        for against in opponents:
            one = pairs.get((policy, against.policy, against.metric))
            turned = pairs.get((against.policy, policy, against.metric))
            row.append(_mark(against.metric, one, 1) if one else _mark(against.metric, turned, -1) if turned else None)
        rows[policy] = row
    return opponents, rows


def _mark(metric: str, one: Mapping[str, Any], side: int) -> Mark:
    """A verdict from its own side (1) or from the other (-1)."""
    word = one["verdict"]
    low, high = one["ci_low"], one["ci_high"]
    if side < 0:
        word = {"better": "worse", "worse": "better"}.get(word, word)
        low, high = (None if high is None else -high), (None if low is None else -low)
    detail = f"{show_difference(metric, side * one['difference'])} {show_interval(metric, low, high)}".strip()
    p = one.get("p_corrected")
    return Mark(_SIGN[word], word, detail + (f", p {p:.2g}" if p is not None else ""))


def window_table(document: Document) -> list[dict[str, Any]]:
    """Each window under the leader, worst first, with the references beside it.

    Returns
    -------
    list of dict
        ``window, tasks`` (None where not known) and ``values``: policy → mean over its seeds.
    """
    metric = find_metric(document["provenance"].get("main_metric") or "")
    first = leader_of(document)
    if metric is None or not first:
        return []
    shown = list(dict.fromkeys((first, *verdict_table(document, metric.name)[0])))
    tasks = {one["name"]: one.get("tasks") for one in document["provenance"].get("windows", [])}
    values = window_means(document, metric.name)
    out = [
        {"window": window, "tasks": tasks.get(window), "values": {name: values[name].get(window) for name in shown}}
        for window in dict.fromkeys(row["window"] for row in document["rows"])
    ]
    sign = -1.0 if metric.better == "down" else 1.0
    return sorted(out, key=lambda one: (one["values"][first] is None, sign * (one["values"][first] or 0.0)))


def window_means(document: Document, metric: str) -> dict[str, dict[str, float]]:
    """Policy → window → mean over seeds, where every seed's value is known."""
    found: dict[str, dict[str, list[Any]]] = {}
    for row in document["rows"]:
        found.setdefault(row["policy"], {}).setdefault(row["window"], []).append(row.get(metric))
    return {
        policy: {window: math.fsum(them) / len(them) for window, them in windows.items() if None not in them}
        for policy, windows in found.items()
    }


@dataclass(frozen=True)
class Parts:
    """What a whole is made of, by policy: stacked bars.

    Parameters
    ----------
    title, unit : str
    labels : tuple of str
        One a part that is not 0 for everybody.
    rows : dict of str to tuple of float
        Policy → amount of each part, mean over windows and seeds.
    """

    title: str
    unit: str
    labels: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]

    @property
    def longest(self) -> float:
        """The largest whole."""
        return max((math.fsum(row) for row in self.rows.values()), default=0.0)


def parts_of(document: Document) -> list[Parts]:
    """The wholes that ``provenance.parts`` names, where there is something to show."""
    by = {(one["policy"], one["metric"]): one["mean"] for one in document["summary"]}
    out = []
    for one in document["provenance"].get("parts", []):
        policies = [name for name in ranked_policies(document) if (name, one["metrics"][0]) in by]
        used = [name for name in one["metrics"] if any(by.get((policy, name)) for policy in policies)]
        rows = {policy: tuple(float(by.get((policy, name)) or 0.0) for name in used) for policy in policies}
        if used and rows:
            out.append(Parts(one["title"], one["unit"], tuple(map(metric_label, used)), rows))
    return out


def _verdict_cell(metric: str, one: Mapping[str, Any] | None) -> tuple[str, str]:
    if one is None:
        return "", ""
    interval = show_interval(metric, one["ci_low"], one["ci_high"])
    return one["verdict"], f"{show_difference(metric, one['difference'])} {interval}".strip()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

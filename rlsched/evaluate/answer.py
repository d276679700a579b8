"""The honest answer in words: who won on the main metric, who did not, by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rlsched.evaluate.metrics import METRICS, Metric
from rlsched.evaluate.results import Document
from rlsched.evaluate.verdict import BETTER, MIN_WINDOWS, NO_DIFFERENCE, WORSE

NOT_GIVEN = "not given"
FEW = 4  # losers named one by one


def show_value(metric: str, value: float | None) -> str:
    """A value as tables show it: percent where the metric is a share, three digits or so, or "not given"."""
    if value is None:
        return NOT_GIVEN
    scale = percent_scale(metric)
    return _digits(value) if scale is None else f"{scale * value:.2f} %"


def show_interval(metric: str, low: float | None, high: float | None) -> str:
    """``[low, high]`` in the unit of :func:`show_value`; empty where there is none."""
    if low is None or high is None:
        return ""
    scale = percent_scale(metric)
    texts = [_digits(end) if scale is None else f"{scale * end:.2f}" for end in (low, high)]
    return f"[{', '.join(texts)}]".replace("-", "−")


def show_difference(metric: str, difference: float) -> str:
    """A signed difference; of shares and percentages in points."""
    scale = percent_scale(metric)
    if scale is None:
        return _signed(_digits(difference))
    return f"{_signed(f'{scale * difference:.2f}')} points"


def percent_scale(metric: str) -> float | None:
    """What makes a value a percentage: 100 for a share, 1 for a percentage; None for anything else."""
    known = METRICS.get(metric)
    if known is None:
        return None
    return 100.0 if known.percent else 1.0 if known.unit.startswith("%") else None


def metric_label(metric: str) -> str:
    """What headings call a metric."""
    known = METRICS.get(metric)
    return known.label if known is not None else metric


def metric_unit(metric: str) -> str:
    """The unit a heading shows: the metric's, or none where a percent sign follows each value."""
    known = METRICS.get(metric)
    return "" if known is None or percent_scale(metric) is not None else known.unit


def answer(document: Document) -> list[str]:
    """Sentences for the head of a report.

    Returns
    -------
    list of str
        The leader with its interval; the leader against each reference; who is not shown to
        be worse than the leader; who lost to whom; and what limits the answer.
    """
    provenance = document["provenance"]
    metric = provenance.get("main_metric")
    if metric not in METRICS:
        return ["The card names no main metric, so nobody is said to have won."]
    means = {one["policy"]: one for one in document["summary"] if one["metric"] == metric and one["mean"] is not None}
    if not means:
        return [f"{metric_label(metric)} is not known on these windows, so nobody is said to have won."]
    sign = 1 if METRICS[metric].better == "down" else -1
    first = min(means, key=lambda name: sign * means[name]["mean"])
    windows = len({row["window"] for row in document["rows"]})
    lines = [_lead(document, METRICS[metric], first, means[first], windows)]
    if len(means) == 1:
        return [*lines, "It ran alone, so there is nobody to compare it with."]
    pairs = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric}
    lines += _against_references(provenance, metric, first, pairs)
    lines += _rivals(metric, first, pairs)
    lines += _losers(provenance, metric, first, pairs)
    return lines + _limits(provenance, windows)


def _lead(document: Document, metric: Metric, first: str, mean: Mapping[str, Any], windows: int) -> str:
    extreme = "Lowest" if metric.better == "down" else "Highest"
    split = document["provenance"].get("split", "")
    what = f"{windows} {split} windows" if windows > 1 else f"one {split} window"
    interval = show_interval(metric.name, mean["ci_low"], mean["ci_high"])
    shown = f"{show_value(metric.name, mean['mean'])} {interval}".strip()
    many = "the mean of " if windows > 1 else "on "
    return f"{extreme} {metric.label}: {first}, {shown}, {many}{' '.join(what.split())}."


def _against_references(
    provenance: Mapping[str, Any], metric: str, first: str, pairs: Mapping[tuple[str, str], Any]
) -> list[str]:
    parts = []
    for role, name in provenance.get("references", {}).items():
        if name == first:
            parts.append(f"it is the {role} reference itself")
        elif (first, name) in pairs:
            parts.append(f"{_word(pairs[first, name])} {name} ({role}): {_gap(metric, pairs[first, name])}")
    return [f"Against the references: {'; '.join(parts)}."] if parts else []


def _rivals(metric: str, first: str, pairs: Mapping[tuple[str, str], Any]) -> list[str]:
    mine = {b: one for (a, b), one in pairs.items() if a == first}
    # A leader that is a reference was compared from the other side.
    mine |= {a: _turn(one) for (a, b), one in pairs.items() if b == first and a not in mine}
    even = [name for name, one in mine.items() if one["verdict"] == NO_DIFFERENCE]
    if not mine:
        return []
    if not even:
        return ["It is better than every other policy."]
    shown = ", ".join(f"{name} ({_gap(metric, _turn(mine[name]))})" for name in sorted(even, key=_size(mine)))
    return [f"Not shown to be worse than it: {shown}."]


def _losers(provenance: Mapping[str, Any], metric: str, first: str, pairs: Mapping[tuple[str, str], Any]) -> list[str]:
    lines = []
    for role, name in provenance.get("references", {}).items():
        lost = [one for (_, b), one in pairs.items() if b == name and one["verdict"] == WORSE]
        won = [one for (a, b), one in pairs.items() if b == name and one["verdict"] == BETTER and a != first]
        parts = []
        for word, found in ((BETTER, won), (WORSE, lost)):
            if found:
                parts.append(_listed(metric, word, found))
        if parts:
            also = "Others against" if first != name else "Against"
            lines.append(f"{also} {name} ({role}): {'; '.join(parts)}.")
    return lines


def _listed(metric: str, word: str, found: list[Any]) -> str:
    """All of a few, or how many and the range of many: the table of verdicts has every one."""
    shown = [
        f"{one['a']} ({show_difference(metric, one['difference'])})"
        for one in sorted(found, key=lambda one: abs(one["difference"]))
    ]
    if len(shown) <= FEW:
        return f"{word}: {', '.join(shown)}"
    return f"{word}: {len(shown)}, from {shown[0]} to {shown[-1]}"


def _limits(provenance: Mapping[str, Any], windows: int) -> list[str]:
    lines = []
    if windows < MIN_WINDOWS:
        lines.append(
            f"With fewer than {MIN_WINDOWS} windows no difference can be told from chance, so no verdict says better "
            "or worse."
        )
    if provenance.get("not_run"):
        lines.append(f"References that were not run: {', '.join(provenance['not_run'])}.")
    if provenance.get("tuned_elsewhere"):
        lines.append(f"Tuned on other data than these: {', '.join(provenance['tuned_elsewhere'])}. Tune again.")
    compared = provenance.get("comparisons", {})
    if compared.get("shown"):
        lines.append(
            f"{compared['shown']} of {compared['n']} comparisons show a difference; intervals are not corrected for "
            f"their number, and {compared['shown_after_holm']} would remain after Holm's correction."
        )
    return lines


def _word(one: Mapping[str, Any]) -> str:
    return {BETTER: "better than", WORSE: "worse than"}.get(one["verdict"], "no difference shown to")


def _gap(metric: str, one: Mapping[str, Any]) -> str:
    interval = show_interval(metric, one["ci_low"], one["ci_high"])
    return f"{show_difference(metric, one['difference'])} {interval}".strip()


def _turn(one: Mapping[str, Any]) -> dict[str, Any]:
    word = {BETTER: WORSE, WORSE: BETTER}.get(one["verdict"], one["verdict"])
    low, high = one["ci_high"], one["ci_low"]
    return {
        **one,
        "a": one["b"],
        "b": one["a"],
        "difference": -one["difference"],
        "ci_low": None if low is None else -low,
        "ci_high": None if high is None else -high,
        "verdict": word,
    }


def _size(pairs: Mapping[str, Any]) -> Any:
    return lambda name: abs(pairs[name]["difference"])


def _digits(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if value == int(value):
        return str(int(value))
    if size >= 1:
        return f"{value:.{1 if size >= 100 else 2}f}"
    return f"{value:.{min(8, 2 - math.floor(math.log10(size)))}f}"


def _signed(text: str) -> str:
    """A leading plus, and a minus sign as wide."""
    if text.strip("-0.,") == "":
        return text.lstrip("-")
    return f"−{text[1:]}" if text.startswith("-") else f"+{text}"

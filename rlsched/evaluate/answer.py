"""The honest answer in words: who won on the main metric, who did not, by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rlsched.evaluate.metrics import Metric, find_metric
from rlsched.evaluate.results import Document
from rlsched.evaluate.verdict import BETTER, MIN_WINDOWS, NO_DIFFERENCE, WORSE

NOT_GIVEN = "not given"
FEW = 4  # losers named one by one


def show_value(metric: str, value: float | None) -> str:
    """A value as tables show it: percent where the metric is a share, three digits or so, or "not given"."""
    if value is None:
        return NOT_GIVEN
    scale = percent_scale(metric)
    return _digits(value) if scale is None else f"{_hundredths(scale * value)} %"


def show_interval(metric: str, low: float | None, high: float | None) -> str:
    """``[low, high]`` in the unit of :func:`show_value`; empty where there is none."""
    if low is None or high is None:
        return ""
    scale = percent_scale(metric)
    texts = [_digits(end) if scale is None else _hundredths(scale * end) for end in (low, high)]
    texts = [text.lstrip("-") if text.strip("-0.") == "" else text for text in texts]  # no minus before a zero
    return f"[{', '.join(texts)}]".replace("-", "−")


def show_difference(metric: str, difference: float) -> str:
    """A signed difference; of shares and percentages in points."""
    scale = percent_scale(metric)
    if scale is None:
        return _signed(_digits(difference))
    return f"{_signed(_hundredths(scale * difference))} points"


def percent_scale(metric: str) -> float | None:
    """What makes a value a percentage: 100 for a share, 1 for a percentage; None for anything else."""
    known = find_metric(metric)
    if known is None:
        return None
    return 100.0 if known.percent else 1.0 if known.unit.startswith("%") else None


def metric_label(metric: str) -> str:
    """What headings call a metric."""
    known = find_metric(metric)
    return known.label if known is not None else metric


def metric_unit(metric: str) -> str:
    """The unit a heading shows: the metric's, or none where a percent sign follows each value."""
    known = find_metric(metric)
    return "" if known is None or percent_scale(metric) is not None else known.unit


def leader_of(document: Document) -> str:
    """Who leads on the main metric; ``""`` where nobody can be said to."""
    provenance = document["provenance"]
    known = find_metric(provenance.get("main_metric") or "")
    if known is None:
        return ""
    means = _means(document, known.name)
    leader = provenance.get("leader") or provenance.get("comparisons", {}).get("leader")
    if leader in means:
        return str(leader)
    sign = 1 if known.better == "down" else -1
    return min(means, key=lambda name: sign * means[name]["mean"], default="")


def answer(document: Document) -> list[str]:
    """Sentences for the head of a report.

    Returns
    -------
    list of str
        The leader with its interval; the leader against each reference; who is not shown to
        be worse than the leader; who lost to whom; controls and bounds; and what limits the
        answer.
    """
    # What a kind has to say besides, in its own words (a what-if: machines, money and energy).
    return [*_who_won(document), *document["provenance"].get("remarks", [])]


def _who_won(document: Document) -> list[str]:
    provenance = document["provenance"]
    metric = find_metric(provenance.get("main_metric") or "")
    if metric is None:
        return ["The card names no main metric, so nobody is said to have won."]
    means = _means(document, metric.name)
    first = leader_of(document)
    if not first:
        return [f"{metric.label} is not known on these windows, so nobody is said to have won."]
    windows = len({row["window"] for row in document["rows"]})
    lines = [_lead(document, metric, first, means[first], windows)]
    if len(means) == 1:
        return [*lines, "It ran alone, so there is nobody to compare it with."]
    pairs = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric.name}
    controls = provenance.get("controls", {})
    rivals = {(a, b): one for (a, b), one in pairs.items() if a not in controls and b not in controls}
    lines += _against_references(provenance, metric.name, first, pairs)
    lines += _rivals(metric.name, first, rivals)
    lines += _losers(provenance, metric.name, first, rivals)
    lines += _controls(document, metric.name, first, pairs)
    lines += _bounds(document, first)
    return lines + _limits(provenance, windows)


def _means(document: Document, metric: str) -> dict[str, Mapping[str, Any]]:
    """Policies that may lead and whose mean is known."""
    controls = document["provenance"].get("controls", {})
    return {
        one["policy"]: one
        for one in document["summary"]
        if one["metric"] == metric and one["mean"] is not None and one["policy"] not in controls
    }


def _lead(document: Document, metric: Metric, first: str, mean: Mapping[str, Any], windows: int) -> str:
    extreme = "Lowest" if metric.better == "down" else "Highest"
    split = document["provenance"].get("split", "")
    what = f"{windows} {split} windows" if windows > 1 else f"one {split} window"
    interval = show_interval(metric.name, mean["ci_low"], mean["ci_high"])
    unit = metric_unit(metric.name)
    shown = " ".join(part for part in (show_value(metric.name, mean["mean"]), unit, interval) if part)
    many = "the mean of " if windows > 1 else "on "
    return f"{extreme} {metric.label}: {first}, {shown}, {many}{' '.join(what.split())}."


def _against_references(
    provenance: Mapping[str, Any], metric: str, first: str, pairs: Mapping[tuple[str, str], Any]
) -> list[str]:
    parts = []
    for role, name in provenance.get("references", {}).items():
        if name == first:
            parts.append("it is the reference itself" if role == "reference" else f"it is the {role} reference itself")
        elif (first, name) in pairs:
            one = pairs[first, name]
            could = one.get("detectable")
            least = f" (these windows could have shown {_size_of(metric, could)})" if _even(one) and could else ""
            parts.append(f"{_word(one)} {name} ({role}): {_gap(metric, one)}{least}")
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
    even.sort(key=_size(mine))
    shown = [f"{name} ({_gap(metric, _turn(mine[name]))})" for name in even]
    # An interval beside 0 and no verdict: it is the correction that says no.
    corrected = any((mine[name]["ci_low"] or 0) > 0 or (mine[name]["ci_high"] or 0) < 0 for name in even)
    head = f"Not shown to be worse than it{', once corrected for the number of comparisons' if corrected else ''}"
    if len(shown) > FEW:
        return [f"{head}: {len(shown)}, from {shown[0]} to {shown[-1]}."]
    return [f"{head}: {', '.join(shown)}."]


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


def _controls(document: Document, metric: str, first: str, pairs: Mapping[tuple[str, str], Any]) -> list[str]:
    """What the best constant in hindsight reaches: more than any selection among them could."""
    by = {one["policy"]: one for one in document["summary"] if one["metric"] == metric}
    lines = []
    for name, what in document["provenance"].get("controls", {}).items():
        if name not in by or by[name]["mean"] is None:
            continue
        against = ""
        if (first, name) in pairs:
            against = f"; {first} against it: {pairs[first, name]['verdict']}, {_gap(metric, pairs[first, name])}"
        elif (name, first) in pairs:
            against = f"; against {first}: {pairs[name, first]['verdict']}, {_gap(metric, pairs[name, first])}"
        lines.append(f"Control {name}, {what}: {show_value(metric, by[name]['mean'])}{against}.")
    return lines


def _bounds(document: Document, first: str) -> list[str]:
    """The tightest bound, and how far the leader has gone towards it."""
    bounds = [one for one in document.get("bounds", []) if one["value"] is not None]
    lines = []
    if bounds:
        name, metric = bounds[0]["bound"], bounds[0]["metric"]
        values = [one["value"] for one in bounds if one["bound"] == name]
        mean = show_value(metric, math.fsum(values) / len(values))
        gap = next((g for g in document["gaps"] if (g["policy"], g["bound"]) == (first, name)), None)
        far = ""
        if gap is not None:
            ends = f" {show_gap_interval(gap)}" if gap["ci_low"] is not None else ""
            far = f"; {first} closes {100 * gap['share']:.0f} %{ends} of the gap from {gap['from']} to it"
        lines.append(f"No policy can do better than {mean} in {metric_label(metric)} ({name}){far}.")
    return lines


def show_gap_interval(gap: Mapping[str, Any]) -> str:
    """The interval of a gap closed, in percent; empty where there is none."""
    if gap["ci_low"] is None:
        return ""
    return f"[{100 * gap['ci_low']:.0f}, {100 * gap['ci_high']:.0f}]".replace("-", "−")


def _even(one: Mapping[str, Any]) -> bool:
    return bool(one["verdict"] == NO_DIFFERENCE)


def _size_of(metric: str, difference: float) -> str:
    return f"±{show_difference(metric, abs(difference)).lstrip('+')}"


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
        lines.append(
            f"Tuned on other data or for another problem than this: {', '.join(provenance['tuned_elsewhere'])}. "
            "Tune again."
        )
    if provenance.get("no_bound"):
        lines.append(f"There is no bound on the main metric: {provenance['no_bound']}.")
    compared = provenance.get("comparisons", {})
    if compared.get("ranked_windows", 0) < compared.get("windows", 0):
        lines.append(
            f"Ranked on the {compared['ranked_windows']} of {compared['windows']} windows that every policy knows; the "
            "means in tables are over the windows each knows."
        )
    if compared.get("n", 0) > 1 and "shown_uncorrected" in compared:  # runs of earlier versions lack it
        lines.append(
            f"{compared['shown']} of {compared['n']} comparisons show a difference, corrected for their number; "
            f"{compared['shown_uncorrected']} would without correction, {compared['shown_after_holm']} by Holm's. "
            "Intervals are of each comparison alone: one may leave 0 out where the verdict, corrected, shows nothing."
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


def _hundredths(value: float) -> str:
    """A percentage with two decimals; a small one with two digits, so that it is not shown as nothing."""
    size = abs(value)
    if size >= 0.1 or size < 1e-9:  # below that it is rounding, not a share of anything
        return f"{value:.2f}"
    return f"{value:.{1 - math.floor(math.log10(size))}f}"


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

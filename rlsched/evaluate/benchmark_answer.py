"""The answer over all problems in words: who won where, who did not, by how much."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rlsched.evaluate.answer import metric_label, show_value
from rlsched.evaluate.results import Document
from rlsched.evaluate.verdict import BETTER, NO_DIFFERENCE, WORSE

_AGAINST = {
    "tuned": "the tuned heuristic",
    "published": "the best published heuristic",
    "textbook": "the textbook default",
}


def benchmark_answer(document: Document) -> list[str]:
    """Sentences for the head of the page.

    Returns
    -------
    list of str
        Learned policies against tuned, published and textbook ones; tuned ones against the others; who leads each
        problem; the same at other sizes and loads; and what is missing.
    """
    problems = document["problems"]
    told = [one for one in problems if one["contests"]]
    missing = _missing(document)
    if not problems:
        return ["No problem has finished yet, so nobody is said to have won.", *missing]
    if not told:
        return ["In no finished problem do two of textbook, published, tuned and learned policies meet.", *missing]
    split = document["provenance"]["split"]
    lines = [_contest(told, "learned", "tuned", split, len(problems))]
    lines += [line for against in ("published", "textbook") if (line := _contest(told, "learned", against, "", 0))]
    lines += [line for against in ("published", "textbook") if (line := _contest(told, "tuned", against, "", 0))]
    return [*lines, _leaders(told), *_generality(document), *missing]


def _contest(problems: Sequence[Mapping[str, Any]], role: str, against: str, split: str, n: int) -> str:
    found = [
        (one["experiment"], contest)
        for one in problems
        for contest in one["contests"]
        if (contest["role"], contest["against"]) == (role, against)
    ]
    head = ""
    if split:
        there = f"{n} problem{'s' if n != 1 else ''} on {'held-out' if split == 'test' else split} data"
        if not found:
            return f"Of {there}, a learned policy and a tuned heuristic meet in none."
        few = f"{len(found)} of {there}"
        head = f"A learned policy and a tuned heuristic meet in {few}: "
    if not found:
        return ""
    if role == "learned":
        text = f"against {_AGAINST[against]} the learned policy is {_counted(found)}"
    else:
        text = f"the tuned heuristic against {_AGAINST[against]} is {_counted(found)}"
    return f"{head}{text if head else text[0].upper() + text[1:]}."


def _counted(found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    parts = []
    for word, verdict in (("better", BETTER), ("worse", WORSE), ("not shown to differ", NO_DIFFERENCE)):
        those = [(name, one) for name, one in found if one["verdict"] == verdict]
        if those:
            listed = ", ".join(f"{name} {show_gain(one)}{_could(one)}" for name, one in those)
            parts.append(f"{word} in {len(those)} ({listed})")
    return "; ".join(parts)


def _could(one: Mapping[str, Any]) -> str:
    """What could have been shown, where nothing was."""
    could = one.get("detectable_pct")
    return f", where ±{could:.2g} % could have been shown" if one["verdict"] == NO_DIFFERENCE and could else ""


def show_gain(one: Mapping[str, Any]) -> str:
    """``+1.2 % [0.4, 2.0]``: percent of the opponent's mean, above 0 where the first does better."""
    if one.get("gain_pct") is None:
        return ""
    text = f"{one['gain_pct']:+.{_places(one)}f} %"
    if one["gain_low"] is not None:
        text += f" [{one['gain_low']:.{_places(one)}f}, {one['gain_high']:.{_places(one)}f}]"
    return _ZERO.sub(lambda found: found[0].lstrip("+-"), text).replace("-", "−")


#: A zero with a sign before it.
_ZERO = re.compile(r"(?<![\d.])[+-]0\.0+(?!\d)")


def short_commit(commit: str | None) -> str:
    """The first nine digits, and whether there were changes; "unknown" outside a checkout."""
    if not commit:
        return "unknown"
    head, plus, changes = commit.partition("+")
    return f"{head[:9]}{plus}{changes}"


def _places(one: Mapping[str, Any]) -> int:
    """Decimals that show the smallest of the three numbers."""
    ends = [abs(value) for key in ("gain_pct", "gain_low", "gain_high") if (value := one[key]) is not None]
    return 1 if max(ends) >= 10 else 2


def _leaders(problems: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for one in problems:
        role = next((role for role, entry in one["classes"].items() if entry["policy"] == one["leader"]), "")
        value = f", {show_value(one['main_metric'], one['leader_mean'])}"
        word = "lowest" if one["better"] == "down" else "highest"
        who = f"{one['leader']}{f' ({role})' if role else ''}"
        parts.append(f"{one['experiment']}: {who}, {word} {metric_label(one['main_metric'])}{value}")
    return f"Best mean of each problem, which is no verdict: {'; '.join(parts)}."


def _generality(document: Document) -> list[str]:
    rows = [one for one in document["generality"] if one["variant"]]
    lines = []
    for role in ("learned", "published"):
        found = [one for one in rows if one["role"] == role and one["verdict"]]
        if not found:
            continue
        counts = {word: sum(one["verdict"] == word for one in found) for word in (BETTER, WORSE, NO_DIFFERENCE)}
        who = "the learned policy" if role == "learned" else "the published heuristic"
        lines.append(
            f"{who} against the tuned one in {len(found)}: better {counts[BETTER]}, worse {counts[WORSE]}, no "
            f"difference shown {counts[NO_DIFFERENCE]}"
        )
    return [f"At other sizes and loads, nothing tuned or trained again: {'; '.join(lines)}."] if lines else []


def _missing(document: Document) -> list[str]:
    p = document["provenance"]
    gone = [one for one in p["parts"] if one["status"] != "finished"]
    lines = []
    if gone:
        listed = "; ".join(
            f"{one['experiment']}{', ' + one['variant'] if one['variant'] else ''} ({one['status']}: "
            f"{one['reason'].splitlines()[-1] if one['reason'] else 'no reason noted'})"
            for one in gone
        )
        lines.append(f"Missing, {len(gone)} of {len(p['parts'])} runs: {listed}.")
    if p["left_out"]:
        lines.append("Not asked for: " + "; ".join(f"{name} ({why})" for name, why in p["left_out"].items()) + ".")
    if len(p["commits"]) > 1:
        made = ", ".join(map(short_commit, p["commits"]))
        lines.append(f"The parts were made by {len(p['commits'])} versions of the code: {made}.")
    return lines

"""Finished parts of a benchmark → one document: who took part as what, the contests between them, generality."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.errors import SpecError
from rlsched.evaluate.answer import leader_of
from rlsched.evaluate.benchmark import FINISHED, PARTS, STATE, UNITS, WAITING, finished_part
from rlsched.evaluate.classes import classes_of
from rlsched.evaluate.metrics import find_metric
from rlsched.evaluate.results import CARD_COPY, REPORT_HTML, RESULTS_JSON, Document, dump, origin, seal

#: Which class is held against which.
PAIRS = (
    ("learned", "tuned"), ("learned", "published"), ("learned", "textbook"),
    ("tuned", "published"), ("tuned", "textbook"), ("published", "tuned"), ("textbook", "tuned"),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One run of a benchmark.

    Parameters
    ----------
    name, experiment, variant : str
        ``variant`` is empty for the experiment itself.
    status : {"finished", "waiting", "skipped", "failed"}
    reason : str
        Why it has not finished, in words.
    document : dict or None
        Its results.
    """

    name: str
    experiment: str
    variant: str
    status: str
    reason: str
    document: Document | None


def read_state(place: Path) -> dict[str, Any]:
    """What a benchmark noted of its runs.

    Raises
    ------
    SpecError
        When the folder holds none, or it cannot be read.
    """
    try:
        state: dict[str, Any] = json.loads((place / STATE).read_text(encoding="utf-8"))
        _ = state["jobs"], state["experiment"]
    except FileNotFoundError:
        raise SpecError(
            f"no benchmark at {place}: there is no {STATE}. Run 'rlsched evaluate benchmark' first."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{place / STATE} cannot be read: {error}. Run the benchmark again.") from None
    return state


def is_benchmark(place: Path) -> bool:
    """True for the folder of a benchmark, finished or not."""
    return (place / STATE).is_file()


def parts_of_folder(place: Path) -> list[Part]:
    """Every run of a benchmark's card, finished or not, experiments and their variants in its order.

    Raises
    ------
    SpecError
        No benchmark; a part whose card, or whose overrides, are not those the benchmark noted.
    """
    out = []
    cards: dict[str, tuple[str, str]] = {}
    for row in read_state(place)["jobs"]:
        document = finished_part(place / PARTS / row["name"])
        status, reason = row["status"], row["reason"]
        if document is not None:
            status, reason = FINISHED, ""
            p = document["provenance"]
            if p.get("part", {}).get("facts", {}).get("set") != row["set"]:
                raise SpecError(
                    f"{place / PARTS / row['name']} was made with other overrides than {STATE} says: runs of different "
                    "cards cannot be mixed. Run the benchmark again with --fresh."
                )
            name, sha = cards.setdefault(row["experiment"], (row["name"], p["card_sha256"]))
            if sha != p["card_sha256"]:
                raise SpecError(
                    f"results of different cards cannot be mixed: {name} and {row['name']} in {place / PARTS} were "
                    "made with different cards of one experiment. Remove the older of them there and run the same "
                    "command again, or begin anew with --fresh."
                )
        elif status in (FINISHED, WAITING):
            units = len(list((place / UNITS / row["name"]).glob("*.json")))
            status = WAITING
            reason = f"not finished; {units} finished units are kept" if units else "not run yet"
        out.append(Part(row["name"], row["experiment"], row["variant"], status, reason, document))
    return out


def collect(place: Path, parts: Sequence[Part]) -> Document:
    """The document over all finished parts.

    Returns
    -------
    dict
        ``experiment, provenance, rows, summary, verdicts`` as of one experiment, each line with the keys
        ``experiment`` and ``variant`` besides; ``problems`` and ``generality``, see ``docs/json.md``.
    """
    state = read_state(place)
    done = [one for one in parts if one.document is not None]
    lines: dict[str, list[dict[str, Any]]] = {"rows": [], "summary": [], "verdicts": []}
    for one in done:
        for key, rows in lines.items():
            mark = {"experiment": one.experiment, "variant": one.variant}
            rows += [{**mark, **row} for row in (one.document or {})[key]]
    made = [(one.document or {})["provenance"] for one in done]
    provenance = {
        **origin(f"rlsched evaluate {state['experiment']}" + "".join(f" --set {one}" for one in state["set"])),
        "kind": "benchmark",
        "title": state["title"],
        "question": state["question"],
        "split": state["split"],
        "set": state["set"],
        "card_sha256": state["card_sha256"],
        "complete": len(done) == len(parts),
        "left_out": state["left_out"],
        "parts": [
            {
                "name": one.name,
                "experiment": one.experiment,
                "variant": one.variant,
                "status": one.status,
                "reason": one.reason,
                "run_id": one.document["provenance"]["run_id"] if one.document else None,
            }
            for one in parts
        ],
        "commits": list(dict.fromkeys(one.get("commit") for one in made)),
        "seconds": round(sum(one.get("part", {}).get("seconds", 0.0) for one in made), 1),
        "cpu_s": round(sum(one.get("part", {}).get("cpu_s", 0.0) for one in made), 1),
    }
    return {
        "experiment": state["experiment"],
        "provenance": seal(provenance),
        **lines,
        "problems": [problem_of(one.document) for one in done if not one.variant and one.document],
        "generality": [row for one in done if one.document for row in variant_rows(one)],
    }


def write_document(document: Document, place: Path, *, card: str | None = None, page: str | None = None) -> None:
    """Write the document, and the page, into a benchmark's folder; each file all or nothing.

    Raises
    ------
    SpecError
        When they cannot be written: the parts stay.
    """
    texts = {RESULTS_JSON: dump(document) + "\n", CARD_COPY: card, REPORT_HTML: page}
    for name, text in texts.items():
        if text is None:
            continue
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".partial", dir=place)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(temporary, 0o644)
                os.replace(temporary, place / name)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise SpecError(
                f"cannot write {place / name}: {error.strerror}. Make room and run the same command again: what has "
                "finished is kept."
            ) from None


def problem_of(document: Document) -> dict[str, Any]:
    """One problem as the whole page speaks of it.

    Returns
    -------
    dict
        ``experiment, title, kind, main_metric, better, leader, leader_mean, n_windows``, ``classes`` (class →
        ``policy, mean, ci_low, ci_high``; the first of several learned ones) and ``contests``: ``role, policy,
        against, opponent, verdict, gain_pct, gain_low, gain_high, p_corrected, detectable_pct``. Gains are in percent
        of the opponent's mean, above 0 where the first does better.
    """
    p = document["provenance"]
    metric = find_metric(p.get("main_metric") or "")
    out: dict[str, Any] = {
        "experiment": document["experiment"],
        "title": p.get("title") or document["experiment"],
        "kind": p.get("kind"),
        "main_metric": metric.name if metric else None,
        "better": metric.better if metric else None,
        "leader": leader_of(document) or None,
        "leader_mean": None,
        "n_windows": len({row["window"] for row in document["rows"]}),
        "classes": {},
        "contests": [],
    }
    if metric is None:
        return out
    means = {one["policy"]: one for one in document["summary"] if one["metric"] == metric.name}
    out["leader_mean"] = means.get(out["leader"], {}).get("mean")
    members = classes_of(document)
    out["classes"] = {
        role: {"policy": name, **{key: means[name][key] for key in ("mean", "ci_low", "ci_high")}}
        for role, name in members.items()
        if name in means
    }
    verdicts = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric.name}
    for role, against in PAIRS:
        a, b = members.get(role), members.get(against)
        if a is None or b is None or a == b:
            continue
        found = verdicts.get((a, b)) or _turned(verdicts.get((b, a)))
        mean = means.get(b, {}).get("mean")
        if found is not None and mean:
            out["contests"].append(
                {"role": role, "policy": a, "against": against, "opponent": b, **_gain(found, mean, metric.better)}
            )
    return out


def variant_rows(part: Part) -> list[dict[str, Any]]:
    """Generality: a line a policy of the class on this part, and its contest with the tuned one.

    Returns
    -------
    list of dict
        ``experiment, variant, role, policy, metric, mean, ci_low, ci_high, n_windows``, and against the tuned policy
        ``verdict, gain_pct, gain_low, gain_high`` (null for itself). ``variant`` is empty for the experiment as
        its card says.
    """
    document = part.document
    assert document is not None  # only finished parts are asked
    problem = problem_of(document)
    against = {one["role"]: one for one in problem["contests"] if one["against"] == "tuned"}
    rows = []
    for role, one in problem["classes"].items():
        contest = against.get(role, {})
        rows.append(
            {
                "experiment": part.experiment,
                "variant": part.variant,
                "role": role,
                "policy": one["policy"],
                "metric": problem["main_metric"],
                **{key: one[key] for key in ("mean", "ci_low", "ci_high")},
                "n_windows": problem["n_windows"],
                **{key: contest.get(key) for key in ("verdict", "gain_pct", "gain_low", "gain_high")},
            }
        )
    return rows


def _gain(one: Mapping[str, Any], mean: float, better: str) -> dict[str, Any]:
    """A difference as percent of the opponent's mean, above 0 where the first does better."""
    scale = (-100.0 if better == "down" else 100.0) / abs(mean)
    low, high = one["ci_low"], one["ci_high"]
    ends = sorted(scale * end for end in (low, high)) if low is not None and high is not None else [None, None]
    could = one.get("detectable")
    return {
        "verdict": one["verdict"],
        "gain_pct": scale * one["difference"],
        "gain_low": ends[0],
        "gain_high": ends[1],
        "p_corrected": one.get("p_corrected"),
        "detectable_pct": None if could is None else abs(scale * could),
    }


_OTHER = {"better": "worse", "worse": "better"}


def _turned(one: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A verdict from the other side."""
    if one is None:
        return None
    low, high = one["ci_low"], one["ci_high"]
    return {
        **one,
        "difference": -one["difference"],
        "ci_low": None if high is None else -high,
        "ci_high": None if low is None else -low,
        "verdict": _OTHER.get(one["verdict"], one["verdict"]),
    }

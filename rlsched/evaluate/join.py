"""Runs of one experiment, each with other policies, as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from rlsched.errors import SpecError
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.gaps import Bound
from rlsched.evaluate.metrics import Metric
from rlsched.evaluate.results import Document, seal

#: Key of the provenance → what it says. Where runs differ in one, their rows do not compare.
SAME = {
    "kind": "kind of experiment",
    "main_metric": "main metric",
    "split": "split",
    "problem_sha256": "problem (card: data, machines, simulation, windows, splits)",
    "data": "data",
    "windows": "windows",
}


#: Kind whose runs say which problem they are of → module with its ``METRICS``.
JOINED = {
    "placement": "rlsched.evaluate.metrics",
    "scaling": "rlsched.evaluate.scaling_metrics",
    "consolidation": "rlsched.evaluate.consolidation_metrics",
}
#: The same as :data:`SAME`, for one kind: seeds of a consolidation deal out the VM sizes, for everybody.
SAME_IN = {"consolidation": {"data_sha256": "data", "seeds": "seeds, which deal out the VM sizes"}}


def join_documents(documents: Sequence[Document], names: Sequence[str]) -> Document:
    """Put the policies of several runs beside each other; summary and verdicts are made anew.

    Parameters
    ----------
    documents : sequence of dict
        Two or more, of one experiment; a policy that is in several has to have the same values.
    names : sequence of str
        What the runs are called in messages.

    Raises
    ------
    SpecError
        Runs of different experiments, problems, data, splits or windows; a policy with different
        values in two of them; a kind whose runs cannot be joined.
    """
    first = documents[0]
    for document, name in zip(documents[1:], names[1:], strict=True):
        _check(first, names[0], document, name)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for document, name in zip(documents, names, strict=True):
        for row in document["rows"]:
            key = (row["policy"], row["window"], row["seed"], row.get("run"))
            if rows.setdefault(key, row) != row:
                raise SpecError(
                    f"policy {row['policy']!r} has other values in {name} than in an earlier run, on window "
                    f"{row['window']!r}: they are two policies under one name. Give one of them another name."
                )
    p = first["provenance"]
    provenances = [one["provenance"] for one in documents]
    references: dict[str, str] = {}
    for one in provenances:
        references |= one.get("references", {})
    names_there = {row["policy"] for row in rows.values()}
    card = p["card"]["bootstrap"]
    judged = [p["main_metric"], *(one for one in p["card"].get("judged", ()) if one != p["main_metric"])]
    controls = {name: what for one in provenances for name, what in one.get("controls", {}).items()}
    out = assemble(
        first["experiment"],
        list(rows.values()),
        Bootstrap(card["resamples"], card["level"], card["seed"]),
        p["main_metric"],
        judged,
        [name for name in references.values() if name in names_there],
        metrics=_metrics_of(p["kind"]),
        bounds=_bounds(documents),
        controls=list(controls),
    )
    policies = {one["name"]: one for each in provenances for one in each.get("policies", [])}
    provenance = {
        **p,
        "command": "; ".join(dict.fromkeys(one["command"] for one in provenances)),
        "joined": [one["run_id"] for one in provenances],
        "references": references,
        "controls": controls,
        "leader": out["provenance"]["leader"],
        "not_run": [name for name in references.values() if name not in names_there],
        "policies": list(policies.values()),
        "comparisons": out["provenance"],
        "tuned_elsewhere": list(dict.fromkeys(name for one in provenances for name in one.get("tuned_elsewhere", ()))),
        **({"agents": agents} if (agents := _merged(provenances, "agents")) else {}),
        "seconds": round(sum(one.get("seconds", 0.0) for one in provenances), 1),
    }
    return {**out, "timeline": first.get("timeline"), "provenance": seal(provenance)}


def _merged(provenances: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    return {name: what for one in provenances for name, what in one.get(key, {}).items()}


def _metrics_of(kind: str) -> Mapping[str, Metric]:
    found: Mapping[str, Metric] = import_module(JOINED[kind]).METRICS
    return found


def _check(first: Document, name: str, other: Document, its_name: str) -> None:
    if first["experiment"] != other["experiment"]:
        raise SpecError(
            f"results of different experiments cannot be mixed: {name} is {first['experiment']!r}, {its_name} is "
            f"{other['experiment']!r}. Report each on its own."
        )
    mine, its = first["provenance"], other["provenance"]
    if mine.get("kind") not in JOINED:
        raise SpecError(
            f"{name} is of kind {mine.get('kind')!r}: runs of kind {', '.join(JOINED)} can be joined so far. "
            "Evaluate all policies in one run."
        )
    if "problem_sha256" not in mine or "problem_sha256" not in its:
        without = name if "problem_sha256" not in mine else its_name
        raise SpecError(f"{without} does not say which problem it is of, so it cannot be joined. Run it again.")
    if not mine.get("main_metric"):
        raise SpecError(
            f"{name} names no main metric, so there is nothing to judge its policies on together. Give its card a "
            "main_metric, or report each run on its own."
        )
    for key, what in {**SAME, **SAME_IN.get(mine["kind"], {})}.items():
        if mine.get(key) != its.get(key):
            raise SpecError(
                f"results of different cards cannot be mixed: {name} and {its_name} differ in their {what}"
                f"{_both(mine.get(key), its.get(key))}. Run them with the same card, or report each on its own."
            )

    if _windows(first) != _windows(other):
        raise SpecError(
            f"results of different cards cannot be mixed: {name} and {its_name} are of other windows. Run them with "
            "the same card, or report each on its own."
        )


def _windows(document: Document) -> list[str]:
    return list(dict.fromkeys(row["window"] for row in document["rows"]))


def _both(a: Any, b: Any) -> str:
    short = all(isinstance(one, str) and len(one) <= 40 for one in (a, b))
    return f" ({a} and {b})" if short else ""


def _bounds(documents: Sequence[Mapping[str, Any]]) -> list[Bound]:
    import numpy as np

    found: list[dict[str, Any]] = next((one["bounds"] for one in documents if one.get("bounds")), [])
    out = []
    for name in dict.fromkeys(one["bound"] for one in found):
        mine = [one for one in found if one["bound"] == name]
        values = np.array([np.nan if one["value"] is None else one["value"] for one in mine])
        out.append(Bound(name, mine[0]["metric"], tuple(one["window"] for one in mine), values, mine[0]["doc"]))
    return out

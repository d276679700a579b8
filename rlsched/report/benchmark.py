"""A benchmark's parts → one page over all problems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlsched.evaluate.answer import metric_label, show_interval, show_value
from rlsched.evaluate.benchmark_answer import benchmark_answer, short_commit, show_gain
from rlsched.evaluate.benchmark_document import Part
from rlsched.evaluate.classes import CLASSES
from rlsched.evaluate.results import LEDGER, Document
from rlsched.evaluate.touch import read_ledger
from rlsched.report.html import PROBLEM, SCRIPT, context, environment
from rlsched.report.markdown import render_markdown, safe, table
from rlsched.report.tables import heading

_SIGN = {"better": "▲", "worse": "▼", "no difference shown": "="}


def render_benchmark(document: Document, parts: Sequence[Part], place: Path) -> str:
    """The page as text; it says what is missing.

    Parameters
    ----------
    document : dict
        As ``collect`` makes it.
    parts : sequence of Part
        As ``parts_of_folder`` gives them.
    place : Path
        Of the ledger.

    Raises
    ------
    MissingDataError
        Without jinja2 or matplotlib.
    """
    templates = environment()
    problem = templates.get_template(PROBLEM)
    told = []
    for one in parts:
        if one.document is None or one.variant:
            continue
        found = context(one.document, at=f"{one.name}-", h=3, brief=True)
        told.append({"id": f"p-{one.name}", "experiment": one.experiment, "title": found["title"],
                     "question": found["question"], "html": problem.render(**found)})  # fmt: skip
    p = document["provenance"]
    missing = [
        (f"{one.experiment}{f', {one.variant}' if one.variant else ''}", f"{one.status}: {one.reason}")
        for one in parts
        if one.document is None
    ]
    return str(
        templates.get_template("benchmark.html.j2").render(
            title=p["title"],
            question=p["question"],
            answer=benchmark_answer(document),
            classes=CLASSES,
            rows=overall_rows(document),
            generality=generality_tables(document),
            problems=told,
            missing=[*missing, *p["left_out"].items()],
            command=p["command"],
            facts=_facts(document),
            touches=read_ledger(place / LEDGER),
            script=SCRIPT.read_text(encoding="utf-8"),
        )
    )


def overall_rows(document: Document) -> list[dict[str, Any]]:
    """The matrix of problems and classes of policies: a row a problem, a cell a class."""
    out = []
    for one in document["problems"]:
        if not one["main_metric"]:
            continue
        contests = {(each["role"], each["against"]): each for each in one["contests"]}
        cells: list[dict[str, Any] | None] = []
        for name in CLASSES:
            entry = one["classes"].get(name)
            if entry is None:
                cells.append(None)
                continue
            against = "published" if name == "tuned" else "tuned"
            contest = contests.get((name, against))
            mark = None
            if contest is not None:
                mark = {"word": contest["verdict"], "gain": show_gain(contest), "against": contest["opponent"]}
            cells.append(
                {
                    "policy": entry["policy"],
                    "value": show_value(one["main_metric"], entry["mean"]),
                    "interval": show_interval(one["main_metric"], entry["ci_low"], entry["ci_high"]),
                    "leads": entry["policy"] == one["leader"],
                    "mark": None if mark is None else {**mark, "sign": _SIGN[mark["word"]]},
                }
            )
        out.append({"id": f"p-{one['experiment']}", "experiment": one["experiment"], "cells": cells,
                    "metric": heading(one["main_metric"]), "windows": one["n_windows"]})  # fmt: skip
    return out


def generality_tables(document: Document) -> list[dict[str, Any]]:
    """A table a problem that has variants: a row a variant, a column a policy."""
    out = []
    rows = document["generality"]
    for experiment in dict.fromkeys(one["experiment"] for one in rows):
        mine = [one for one in rows if one["experiment"] == experiment and one["metric"]]
        variants = list(dict.fromkeys(one["variant"] for one in mine))
        if len(variants) < 2:
            continue
        columns = list(dict.fromkeys((one["role"], one["policy"]) for one in mine))
        table_rows = []
        for variant in variants:
            by = {(one["role"], one["policy"]): one for one in mine if one["variant"] == variant}
            cells = [_general(by[column]) if column in by else None for column in columns]
            n_windows = next(iter(by.values()))["n_windows"]
            table_rows.append({"label": variant or "as tuned for", "cells": cells, "windows": n_windows})
        out.append(
            {
                "experiment": experiment,
                "metric": metric_label(mine[0]["metric"]),
                "policies": [f"{policy} ({role})" for role, policy in columns],
                "rows": table_rows,
            }
        )
    return out


def _general(one: dict[str, Any]) -> dict[str, str]:
    return {
        "value": show_value(one["metric"], one["mean"]),
        "interval": show_interval(one["metric"], one["ci_low"], one["ci_high"]),
        "word": one["verdict"] or "",
        "gain": show_gain(one),
    }


def _facts(document: Document) -> list[tuple[str, str]]:
    p = document["provenance"]
    done = sum(one["status"] == "finished" for one in p["parts"])
    facts = [
        ("run", p["run_id"]),
        ("page made", p["date"]),
        ("split", p["split"]),
        ("overrides", ", ".join(p["set"]) or "none"),
        ("card, SHA-256", p["card_sha256"]),
        ("runs finished", f"{done} of {len(p['parts'])}"),
        ("commits of the parts", ", ".join(short_commit(one) for one in p["commits"])),
        ("seconds, all parts added up", f"{p['seconds']:,.0f}"),
        ("processor time, s", f"{p['cpu_s']:,.0f}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in p["versions"].items())),
        ("page made on", ", ".join(f"{name} {value}" for name, value in p["machine"].items())),
    ]
    return [(name, str(value)) for name, value in facts]


def tables_of_benchmark(document: Document) -> dict[str, list[dict[str, Any]]]:
    """Name → rows, each table that has any: ``classes, contests, generality, summary, verdicts, rows``."""
    problems = document["problems"]
    found: dict[str, list[dict[str, Any]]] = {
        "classes": [
            {"experiment": one["experiment"], "metric": one["main_metric"], "class": role, **entry}
            for one in problems
            for role, entry in one["classes"].items()
        ],
        "contests": [{"experiment": one["experiment"], **contest} for one in problems for contest in one["contests"]],
        **{name: document[name] for name in ("generality", "summary", "verdicts", "rows")},
    }
    return {name: rows for name, rows in found.items() if rows}


def render_benchmark_markdown(document: Document, parts: Sequence[Part]) -> str:
    """The page as Markdown, without pictures: over all, other sizes and loads, then each problem's own report."""
    p = document["provenance"]
    first, *rest = benchmark_answer(document)
    out = [f"# {safe(p['title'])}", "", f"**{safe(first)}**", ""]
    out += [line for text in rest for line in (safe(text), "")]
    rows = overall_rows(document)
    if rows:
        cells = [[row["experiment"], *map(_cell, row["cells"]), str(row["windows"])] for row in rows]
        out += ["## Over all", "", *table(["problem", *CLASSES, "windows"], cells)]
    for one in generality_tables(document):
        lines = [
            [row["label"], *("–" if cell is None else " ".join(filter(None, cell.values())) for cell in row["cells"])]
            for row in one["rows"]
        ]
        title = f"## Other sizes and loads, {safe(one['experiment'])}: {safe(one['metric'])}"
        out += [title, "", *table(["size or load", *one["policies"]], lines)]
    out += [f"- {safe(name)}: {safe(value)}" for name, value in _facts(document)] + [""]
    for part in parts:
        if part.document is not None and not part.variant:
            out += [re.sub(r"^#", "##", line) for line in render_markdown(part.document).split("\n")]
    return "\n".join(out)


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "–"
    mark = cell["mark"]
    told = f"; {mark['sign']} {mark['word']} {mark['gain']} against {mark['against']}" if mark else ""
    return f"{cell['policy']} {cell['value']} {cell['interval']}{told}"

"""Results → one self-contained HTML page: opens offline, light and dark, on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlsched.errors import MissingDataError
from rlsched.evaluate.answer import answer, metric_label, percent_scale
from rlsched.evaluate.metric_tables import KNOWN as METRICS
from rlsched.evaluate.results import Document, read_ledger
from rlsched.report.figures import Dot, axis_values, dot_plot
from rlsched.report.tables import (
    heading,
    judged_metrics,
    metric_columns,
    ranked_policies,
    role_of,
    verdict_table,
)
from rlsched.spec import flatten

TEMPLATE = Path(__file__).with_name("report.html.j2")


def render_with_ledger(document: Document, ledger: Path) -> str:
    """The page, with the ledger's lines about this experiment."""
    return render(document, read_ledger(ledger, document["experiment"]))


def render(document: Document, touches: list[dict[str, Any]] | None = None) -> str:
    """The page as text.

    Raises
    ------
    MissingDataError
        Without jinja2 or matplotlib.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingDataError(
            f"the report needs {error.name}. Install it with: pip install 'rlsched[report]'"
        ) from None

    provenance = document["provenance"]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    policies = ranked_policies(document)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=provenance.get("title") or document["experiment"],
        question=provenance.get("question", ""),
        answer=answer(document),
        policies=[{"name": name, "role": role_of(document, name)} for name in policies],
        columns=metric_columns(document),
        figures=figures(document),
        verdicts=[_verdicts(document, metric) for metric in judged_metrics(document)],
        metrics=[METRICS[name] for name in provenance.get("metrics", []) if name in METRICS],
        contestants=provenance.get("policies", []),
        facts=_facts(document),
        sources=provenance.get("data", []),
        card=[(key, _text(value)) for key, value in flatten(provenance.get("card", {}))],
        touches=touches or [],
        command=provenance.get("command", ""),
        level=round(100 * provenance.get("bootstrap", {}).get("level", 0.95)),
    )


def figures(document: Document) -> list[dict[str, str]]:
    """A plot of the main metric, and one of each other metric there are verdicts on."""
    by = {(one["policy"], one["metric"]): one for one in document["summary"]}
    out = []
    for metric in judged_metrics(document):
        policies = [name for name in ranked_policies(document) if by[name, metric]["mean"] is not None]
        scale = percent_scale(metric)
        better = 1.0 if METRICS[metric].better == "down" else -1.0
        policies.sort(key=lambda name, m=metric, sign=better: sign * by[name, m]["mean"])  # type: ignore[misc]
        dots = []
        for i, name in enumerate(policies):
            one = by[name, metric]
            value, low, high = axis_values([one["mean"], one["ci_low"], one["ci_high"]], scale or 1.0)
            assert value is not None  # filtered above
            role = role_of(document, name)
            dots.append(Dot(f"{name} ({role})" if role else name, value, low, high, marked=i == 0, hollow=bool(role)))
        if dots:
            unit = " [%]" if scale is not None else ""
            svg = dot_plot(dots, f"{heading(metric).rstrip(' ↓↑')}{unit}", name=f"plot-{metric.replace('_', '-')}")
            label = metric_label(metric)
            caption = f"{label[0].upper()}{label[1:]}: {'lower' if better > 0 else 'higher'} is better."
            out.append({"metric": metric, "label": label, "caption": caption, "svg": svg})
    return out


def _verdicts(document: Document, metric: str) -> dict[str, Any]:
    references, rows = verdict_table(document, metric)
    named = [f"{name} ({role_of(document, name)})" for name in references]
    return {"label": metric_label(metric), "references": named, "rows": rows}


def _facts(document: Document) -> list[tuple[str, str]]:
    """What the page says about how it was made; a line for everything that is known."""
    p = document["provenance"]
    out: list[tuple[str, Any]] = [
        ("run", p.get("run_id")),
        ("date", p.get("date")),
        ("commit", p.get("commit")),
        ("card, SHA-256", p.get("card_sha256")),
        ("overrides", ", ".join(p.get("set", [])) or "none"),
        ("split", p.get("split")),
        ("seeds", ", ".join(map(str, p.get("seeds", [])))),
        ("bootstrap", _pairs(p.get("bootstrap"))),
        ("comparisons", _pairs(p.get("comparisons"))),
        ("data, SHA-256", _pairs({Path(name).name: sha for name, sha in p.get("data_sha256", {}).items()})),
        ("windows", _windows(p.get("windows", []))),
        ("machines", _pairs(p.get("machines"))),
        ("typical requests", p.get("typical_requests")),
        ("versions", _pairs(p.get("versions"))),
        ("measured on", _pairs(p.get("machine"))),
        ("seconds", p.get("seconds")),
    ]
    return [(name, str(value)) for name, value in out if value not in (None, "", [])]


def _windows(windows: list[Mapping[str, Any]]) -> str:
    if not windows:
        return ""
    tasks = [one["tasks"] for one in windows]
    return f"{len(windows)}, of {min(tasks):,} to {max(tasks):,} tasks with warm-up"


def _pairs(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_text(one)}" for key, one in value.items())
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(_item(one) for one in value) or "none"
    return "not given" if value is None or value == "" else str(value)


def _item(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={one}" for key, one in value.items() if one not in (None, ""))
    return _text(value)

"""Results → one self-contained HTML page: opens offline, light and dark, on a phone, on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlsched.errors import MissingDataError
from rlsched.evaluate.answer import (
    answer,
    leader_of,
    metric_label,
    metric_unit,
    percent_scale,
    show_difference,
    show_value,
)
from rlsched.evaluate.metrics import find_metric
from rlsched.evaluate.results import Document
from rlsched.evaluate.touch import read_ledger
from rlsched.report.differences import differences_of
from rlsched.report.facts import facts_of, text_of
from rlsched.report.figures import Dot, Spot, Strip, axis_values, dot_plot, strip_plot, trade_off
from rlsched.report.moments import moments_of
from rlsched.report.tables import (
    heading,
    judged_metrics,
    metric_columns,
    parts_of,
    ranked_policies,
    role_of,
    table_rows,
    verdict_matrix,
    verdict_table,
    window_means,
    window_table,
)
from rlsched.spec import flatten

_HERE = Path(__file__).parent
SCRIPT = _HERE / "report.js"
TEMPLATE, PROBLEM = "report.html.j2", "problem.html.j2"


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
    found = context(document, touches)
    return str(environment().get_template(TEMPLATE).render(**found, script=SCRIPT.read_text(encoding="utf-8")))


def environment() -> Any:
    """Templates of this folder; whatever goes into a page is escaped unless it says ``safe``.

    Raises
    ------
    MissingDataError
        Without jinja2.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingDataError(
            f"the report needs {error.name}. Install it with: pip install 'rlsched[report]'"
        ) from None
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def context(
    document: Document, touches: list[dict[str, Any]] | None = None, *, at: str = "", h: int = 2, brief: bool = False
) -> dict[str, Any]:
    """Everything the template of a problem asks for.

    Parameters
    ----------
    document : dict
    touches : list of dict, optional
        Lines of the ledger.
    at : str
        Put before every id, where several problems are on one page.
    h : int
        Level of headings.
    brief : bool
        Leave out what takes most room and is in the problem's own report: differences on other metrics
        than the main one, window by window but for the last reference, the resolved card.
    """
    provenance = document["provenance"]
    opponents, marks = verdict_matrix(document)
    main = provenance.get("main_metric") or ""
    judged = judged_metrics(document)
    shown = [name for name in judged if name == main] if brief else judged
    differences = spreads(document, at=at)
    return {
        "at": at,
        "h": h,
        "title": provenance.get("title") or document["experiment"],
        "question": provenance.get("question", ""),
        "answer": answer(document),
        "policies": [{"name": name, "role": role_of(document, name)} for name in table_rows(document)],
        "columns": metric_columns(document),
        "figures": figures(document, at=at),
        "opponents": opponents,
        "marks": marks,
        "verdicts": [_verdicts(document, metric) for metric in shown],
        "spreads": differences[-1:] if brief else differences,
        "trades": trades(document, at=at),
        "parts": parts_of(document),
        "moments": moments_of(document),
        "leader": leader_of(document),
        "main": {"name": main, "label": metric_label(main)},
        "differences": differences_of(document),
        "windows": window_table(document),
        "show": show_value,
        "show_difference": show_difference,
        "bounds": {one["bound"]: one["doc"] for one in document.get("bounds", [])},
        "metrics": [found for name in provenance.get("metrics", []) if (found := find_metric(name)) is not None],
        "contestants": provenance.get("policies", []),
        "facts": facts_of(document),
        "card": [] if brief else [(key, text_of(value)) for key, value in flatten(provenance.get("card", {}))],
        "touches": touches or [],
        "command": provenance.get("command", ""),
        "level": round(100 * provenance.get("bootstrap", {}).get("level", 0.95)),
    }


def figures(document: Document, *, at: str = "") -> list[dict[str, str]]:
    """A plot of the main metric, and one of each other metric there are verdicts on."""
    by = {(one["policy"], one["metric"]): one for one in document["summary"]}
    out = []
    for metric in judged_metrics(document):
        known = find_metric(metric)
        policies = [name for name in ranked_policies(document) if by[name, metric]["mean"] is not None]
        if known is None or not policies:
            continue
        scale = percent_scale(metric)
        sign = 1.0 if known.better == "down" else -1.0
        policies.sort(key=lambda name, m=metric, s=sign: s * by[name, m]["mean"])  # type: ignore[misc]
        best = next((name for name in policies if role_of(document, name) != "control"), "")
        dots = []
        for name in policies:
            one = by[name, metric]
            value, low, high = axis_values([one["mean"], one["ci_low"], one["ci_high"]], scale or 1.0)
            assert value is not None  # filtered above
            role = role_of(document, name)
            dots.append(
                Dot(f"{name} ({role})" if role else name, value, low, high, marked=name == best, hollow=bool(role))
            )
        svg = dot_plot(dots, _axis(metric), name=f"{at}plot-{metric.replace('_', '-')}")
        label = metric_label(metric)
        caption = f"{label[0].upper()}{label[1:]}: {'lower' if sign > 0 else 'higher'} is better."
        out.append({"metric": metric, "label": label, "caption": caption, "svg": svg})
    return out


#: Metrics that are put into the pictures of what is paid for what, besides the judged ones, where they are known.
CARBON = ("carbon_g_per_core_h", "carbon_kg")


def trades(document: Document, *, at: str = "") -> list[dict[str, str]]:
    """The main metric against each other judged one and carbon, and money against carbon: what is paid for what."""
    main, *others = judged_metrics(document) or [""]
    if find_metric(main) is None:
        return []
    by = {(one["policy"], one["metric"]): one["mean"] for one in document["summary"]}
    # Carbon a core-hour where it is known: the whole falls when more is turned away.
    carbon = next((one for one in CARBON if any(by.get((name, one)) is not None for name, _ in by)), None)
    money = [one for one in others if one.startswith("cost_usd")]
    pairs = [(main, one) for one in dict.fromkeys((*others, *([carbon] if carbon else [])))]
    pairs += [(one, carbon) for one in money if carbon]
    first = leader_of(document)
    out: list[dict[str, str]] = []
    for x_metric, y_metric in pairs:
        x_known, y_known = find_metric(x_metric), find_metric(y_metric)
        if x_known is None or y_known is None:
            continue
        known = [
            name
            for name in ranked_policies(document)
            if None not in (by.get((name, x_metric)), by.get((name, y_metric))) and role_of(document, name) != "control"
        ]
        places = {name: (by[name, x_metric], by[name, y_metric]) for name in known}
        if len(places) < 3:
            continue
        front = pareto_front(places, [one.better == "down" for one in (x_known, y_known)])
        a, b = (percent_scale(one) or 1.0 for one in (x_metric, y_metric))
        spots = [Spot(name, a * x, b * y, name in front, name == first) for name, (x, y) in places.items()]
        svg = trade_off(spots, _axis(x_metric), _axis(y_metric), name=f"{at}trade-{len(out)}")
        label = f"{metric_label(x_metric)} against {metric_label(y_metric)}"
        out.append({"label": label, "front": ", ".join(front), "svg": svg})
    return out


def pareto_front(places: dict[str, tuple[float, float]], lower: list[bool]) -> list[str]:
    """Names that no other is at least as good as on both and better on one; ``lower[k]``: less is better."""
    turned = {
        name: tuple(v if less else -v for v, less in zip(place, lower, strict=True)) for name, place in places.items()
    }
    return [
        name
        for name, mine in turned.items()
        if not any(all(a <= b for a, b in zip(its, mine, strict=True)) and its != mine for its in turned.values())
    ]


def spreads(document: Document, *, at: str = "") -> list[dict[str, str]]:
    """Paired differences by window on the main metric, one plot a reference."""
    metric = document["provenance"].get("main_metric") or ""
    if find_metric(metric) is None or metric not in judged_metrics(document):
        return []
    values = window_means(document, metric)
    pairs = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric}
    first, scale = leader_of(document), percent_scale(metric) or 1.0
    out: list[dict[str, str]] = []
    for reference in verdict_table(document, metric)[0]:
        strips = []
        for name in ranked_policies(document):
            one = pairs.get((name, reference))
            if one is None:
                continue
            gaps = [
                scale * (value - values[reference][window])
                for window, value in values[name].items()
                if window in values[reference]
            ]
            mean, low, high = axis_values([one["difference"], one["ci_low"], one["ci_high"]], scale)
            assert mean is not None  # a verdict has a difference
            strips.append(Strip(name, gaps, mean, low, high, marked=name == first))
        if strips:
            unit = "points" if percent_scale(metric) is not None else metric_unit(metric)
            svg = strip_plot(strips, f"difference{f' [{unit}]' if unit else ''}", name=f"{at}spread-{len(out)}")
            out.append({"reference": reference, "role": role_of(document, reference), "svg": svg})
    return out


def _axis(metric: str) -> str:
    return f"{heading(metric).rstrip(' ↓↑')}{' [%]' if percent_scale(metric) is not None else ''}"


def _verdicts(document: Document, metric: str) -> dict[str, Any]:
    references, rows = verdict_table(document, metric)
    named = [f"{name} ({role_of(document, name)})" for name in references]
    pairs = {(one["a"], one["b"]): one for one in document["verdicts"] if one["metric"] == metric}
    more = {
        (row.policy, name): _more(metric, pairs[row.policy, name])
        for row in rows
        for name in references
        if (row.policy, name) in pairs
    }
    return {"label": metric_label(metric), "references": named, "names": references, "rows": rows, "more": more}


def _more(metric: str, one: dict[str, Any]) -> str:
    """What stands below a verdict: chance of doing better, p-values, what could have been shown."""
    if one.get("improvement") is None or one.get("p_corrected") is None:
        return ""
    text = (
        f"better in {100 * one['improvement']:.0f} % of windows; p {one['p_corrected']:.2g}, Holm {one['p_holm']:.2g}"
    )
    if one["verdict"] == "no difference shown" and one.get("detectable"):
        text += f"; ±{show_difference(metric, one['detectable']).lstrip('+')} could have been shown"
    return text

"""Where two policies differ, as a table of text cells: the same for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsched.evaluate.results import Document
from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, MIB_PER_GIB, format_duration

#: Lines of text in one cell.
Cell = tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """A table of decisions on which two policies differ.

    Parameters
    ----------
    a, b : str
        The policies.
    intro : str
        What the decisions are, and how many there were.
    head : tuple of str
    rows : tuple of tuple of Cell
    """

    a: str
    b: str
    intro: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


Told = tuple[str, tuple[str, ...], list[tuple[Cell, ...]]]


def differences_of(document: Document) -> Differences | None:
    """The document's differences; None where it has none."""
    found = document.get("differences")
    if not found:
        return None
    of = {"placement": _placement, "scaling": _scaling, "consolidation": _consolidation}[found["kind"]]
    intro, head, rows = of(found)
    return Differences(found["a"], found["b"], intro, head, tuple(rows))


def differences_rows(document: Document) -> list[dict[str, str]]:
    """A row a decision, its cells as text."""
    found = differences_of(document)
    if found is None:
        return []
    return [{name: "; ".join(cell) for name, cell in zip(found.head, row, strict=True)} for row in found.rows]


def _placement(found: Mapping[str, Any]) -> Told:
    a, b = found["a"], found["b"]
    intro = (
        f"The first decisions of window {found['window']} on which they part: each is one state of {a}'s run, and what "
        f"{b} would have done in it. In the end {found['apart']:,} of {found['tasks']:,} tasks lie elsewhere than "
        f"under {b}: from the first difference on the runs drift apart."
    )
    if found["alike"]:
        intro += f" Passed over: {found['alike']} where both machines were in equal state."
    if not found["decisions"]:
        intro += " No other decision was found."
    rows: list[tuple[Cell, ...]] = [
        (
            (f"task {one['number']:,}", *(() if one["at_s"] is None else (f"at {format_duration(one['at_s'])}",))),
            _request(one["request"]),
            _machine(one, 0),
            _machine(one, 1),
            tuple(one["why"]) or ("not told",),
        )
        for one in found["decisions"]
    ]
    return intro, ("decision", "asks for", f"{a} chose", f"{b} would choose", f"why, in the words of {a}"), rows


def _request(request: Mapping[str, Any]) -> Cell:
    if not request:
        return ("not told",)
    out = [f"{request['cpu_mcore'] / MCORE_PER_CORE:g} cores", _gib(request["mem_mib"])]
    if request.get("gpu_count"):
        of = "" if request["gpu_mgpu"] == MGPU_PER_GPU else f" × {request['gpu_mgpu'] / MGPU_PER_GPU:g}"
        out.append(f"{request['gpu_count']} GPU{'s' if request['gpu_count'] > 1 else ''}{of}")
    if request.get("expected_s") is not None:
        out.append(f"for {format_duration(round(request['expected_s']))}")
    return tuple(out)


def _gib(mem_mib: int) -> str:
    gib = mem_mib / MIB_PER_GIB
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.3g} GiB"


def _machine(one: Mapping[str, Any], which: int) -> Cell:
    name = one["machines"][which]
    if name is None:
        return ("nowhere",)
    free = one.get("free", [{}, {}])[which]
    out = [name]
    if free:
        out.append(f"free: {free['cpu_mcore'] / MCORE_PER_CORE:g} cores, {_gib(free['mem_mib'])}")
    if "gpu_mgpu" in free:
        out.append("GPUs free: " + " ".join(f"{one / MGPU_PER_GPU:g}" for one in free["gpu_mgpu"]))
    score = one["scores"][which]
    if score is not None:
        out.append(f"score {score:.4g}")
    return tuple(out)


def _scaling(found: Mapping[str, Any]) -> Told:
    a, b, unit = found["a"], found["b"], found["unit"]
    parts = "; ".join(f"{name} {x:,.4g} against {y:,.4g}" for name, (x, y) in found["parts"].items())
    intro = (
        f"The intervals of window {found['window']} in which they bill the most different number of instances; they "
        f"differ in {found['apart']:,} of {found['intervals']:,}. Each plays its own run. Over the window: {parts}."
    )
    rows: list[tuple[Cell, ...]] = [
        (
            (f"{one['at_h']:.2f} h", f"service {one['service']}"),
            (f"{one['demand']:.4g} {unit}", *(_before(one["demand_before"]))),
            *(
                (
                    f"{one['instances'][i]:g} instances",
                    f"ready: {one['capacity'][i]:.4g} {unit}",
                    f"lost: {one['lost'][i]:.3g}",
                    f"{one['cost_usd'][i]:.3g} USD",
                )
                for i in (0, 1)
            ),
            tuple(one["why"]),
        )
        for one in found["decisions"]
    ]
    return intro, ("interval", "demand", a, b, "why"), rows


def _before(demand: float | None) -> Cell:
    return () if demand is None else (f"before: {demand:.4g}",)


def _consolidation(found: Mapping[str, Any]) -> Told:
    a, b = found["a"], found["b"]
    intro = (
        f"The ticks of window {found['window']} after which they leave the most different number of machines on; they "
        f"differ after {found['apart']:,} of {found['ticks']:,}. Each plays its own run."
    )
    rows: list[tuple[Cell, ...]] = [
        (
            (f"{one['at_h']:.2f} h",),
            *(
                (
                    f"{one['machines_on'][i]:g} machines on",
                    f"{one['overloaded'][i]:g} overloaded before",
                    f"{one['moves'][i]:g} moves",
                    f"{one['short_pct'][i]:.2g} % of CPU unmet in the next hour",
                )
                for i in (0, 1)
            ),
            tuple(one["why"]),
        )
        for one in found["decisions"]
    ]
    return intro, ("tick", a, b, "why"), rows

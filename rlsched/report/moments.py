"""The timeline of one window, ready to be drawn: lines as SVG points, and their values for the scrubber."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsched.evaluate.answer import leader_of
from rlsched.evaluate.results import Document

WIDTH, HEIGHT = 1000.0, 200.0
_DASHES = ("", "9 5", "2 5", "14 4 3 4", "5 2")


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Parameters
    ----------
    label : str
        ``allocated, tuned_blend``; without a policy where it is the same under each.
    points : str
        Of an SVG polyline in a box of 1000 by 200.
    kind : {"leader", "other", "demand", "capacity"}
    dash : str
        Of the stroke, so that lines differ without colour.
    """

    label: str
    points: str
    kind: str
    dash: str


@dataclass(frozen=True)
class Panel:
    """One quantity over time; ``top`` is the value at the upper edge, the lower edge is 0."""

    label: str
    unit: str
    top: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Moments:
    """A window over time.

    Parameters
    ----------
    window, x_label : str
    first, last : str
        Ends of the axis.
    metered : float or None
        Where metering begins, percent of the width.
    panels : tuple of Panel
    data : str
        JSON for the scrubber, safe inside a script element.
    count : int
        Moments there are.
    """

    window: str
    x_label: str
    first: str
    last: str
    metered: float | None
    panels: tuple[Panel, ...]
    data: str
    count: int


def moments_of(document: Document) -> Moments | None:
    """The document's timeline; None where it has none."""
    timeline = document.get("timeline")
    if not timeline:
        return None
    x = timeline["x"]
    span = (x[-1] - x[0]) or 1.0
    first = leader_of(document)
    order = list(dict.fromkeys(one["policy"] for panel in timeline["panels"] for one in panel["series"]))
    policies = [name for name in order if name and name != first]
    panels = tuple(_panel(panel, x, span, first, policies) for panel in timeline["panels"])
    start = timeline.get("metered_from")
    data = {
        "x": x,
        "x_label": timeline["x_label"],
        "series": [[one["values"] for one in panel["series"]] for panel in timeline["panels"]],
    }
    return Moments(
        timeline["window"],
        timeline["x_label"],
        f"{x[0]:.4g}",
        f"{x[-1]:.4g}",
        None if start is None else 100.0 * (start - x[0]) / span,
        panels,
        # "</script>" inside a name must not end the element.
        json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        len(x),
    )


def _panel(panel: Mapping[str, Any], x: list[float], span: float, first: str, policies: list[str]) -> Panel:
    top = max((value for one in panel["series"] for value in one["values"]), default=0.0) or 1.0
    curves = []
    for one in panel["series"]:
        points = " ".join(
            f"{WIDTH * (a - x[0]) / span:.1f},{HEIGHT * (1 - b / top):.1f}"
            for a, b in zip(x, one["values"], strict=True)
        )
        policy = one["policy"]
        if policy:
            kind = "leader" if policy == first else "other"
            dash = "" if policy == first else _DASHES[1 + policies.index(policy) % (len(_DASHES) - 1)]
        else:
            kind, dash = ("capacity" if one["name"] == "capacity" else "demand"), ""
        label = f"{one['name']}, {policy}" if policy else one["name"]
        curves.append(Curve(label, points, kind, dash))
    return Panel(panel["label"], panel["unit"], f"{top:,.6g}", tuple(curves))

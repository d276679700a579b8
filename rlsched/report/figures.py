"""Dot-and-interval plots as inline SVG that follows the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rlsched.errors import MissingDataError

#: Drawn in these colours, then replaced by the page's own (CSS variables), so that one picture
#: serves light and dark.
_INK, _SOFT, _ACCENT = "#010101", "#020202", "#030303"
_CSS = {_INK: "var(--ink)", _SOFT: "var(--soft)", _ACCENT: "var(--accent)"}
_WIDTH_IN, _ROW_IN, _MARGIN_IN = 3.9, 0.2, 0.6
_LABEL = 36  # characters


@dataclass(frozen=True)
class Dot:
    """One line of a plot.

    Parameters
    ----------
    label : str
    value : float
    low, high : float or None
        Ends of the interval.
    marked : bool
        Drawn in the accent colour: the leader.
    hollow : bool
        Drawn as a ring: a reference.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    marked: bool = False
    hollow: bool = False


def dot_plot(dots: Sequence[Dot], axis: str, *, name: str) -> str:
    """Draw values with intervals, the first on top.

    Parameters
    ----------
    dots : sequence of Dot
    axis : str
        What the horizontal axis shows.
    name : str
        Prefix of every id in the picture, so that several can lie in one page.

    Returns
    -------
    str
        An ``<svg>`` element that scales with its container; the same for the same input.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    height = _MARGIN_IN + _ROW_IN * len(dots)
    with drawing(name) as (figure_of, _):
        figure = figure_of(figsize=(_WIDTH_IN, height), layout="constrained")
        axes = figure.add_subplot()
        for row, dot in enumerate(dots):
            colour = _ACCENT if dot.marked else _INK
            if dot.low is not None and dot.high is not None:
                axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot(
                [dot.value],
                [row],
                marker="D" if dot.hollow else "o",
                markersize=5,
                color=colour,
                linestyle="none",
            )
        axes.set_yticks(range(len(dots)), [fitting(dot.label) for dot in dots])
        axes.set_ylim(len(dots) - 0.4, -0.6)
        figure.supxlabel(axis, fontsize=9)  # over the whole width: long ones fit
        axes.grid(axis="x", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        return svg_of(figure, name)


@dataclass(frozen=True)
class Strip:
    """One line of a strip plot: a dot a window.

    Parameters
    ----------
    label : str
    values : sequence of float
        Differences, one a window.
    mean : float
    low, high : float or None
        Ends of the interval of the mean.
    marked : bool
        Drawn in the accent colour: the leader.
    """

    label: str
    values: Sequence[float]
    mean: float
    low: float | None = None
    high: float | None = None
    marked: bool = False


def strip_plot(strips: Sequence[Strip], axis: str, *, name: str) -> str:
    """Draw differences by window around 0, the first strip on top; see :func:`dot_plot`.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    height = _MARGIN_IN + _ROW_IN * len(strips)
    with drawing(name) as (figure_of, _):
        figure = figure_of(figsize=(_WIDTH_IN, height), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0.0, color=_INK, linewidth=0.8)
        for row, strip in enumerate(strips):
            colour = _ACCENT if strip.marked else _INK
            axes.plot(
                list(strip.values),
                [row] * len(strip.values),
                "o",
                markersize=3,
                color=colour,
                alpha=0.35,
                markeredgewidth=0,
            )
            if strip.low is not None and strip.high is not None:
                axes.plot([strip.low, strip.high], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot([strip.mean], [row], "|", markersize=9, markeredgewidth=1.8, color=colour)
        axes.set_yticks(range(len(strips)), [fitting(strip.label) for strip in strips])
        axes.set_ylim(len(strips) - 0.4, -0.6)
        figure.supxlabel(axis, fontsize=9)  # over the whole width: long ones fit
        axes.grid(axis="x", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        return svg_of(figure, name)


@dataclass(frozen=True)
class Spot:
    """One point of a trade-off: two means, better on neither than any other (``front``), or not."""

    label: str
    x: float
    y: float
    front: bool = False
    marked: bool = False


def trade_off(spots: Sequence[Spot], x_axis: str, y_axis: str, *, name: str) -> str:
    """Draw one metric against another; those on the front are filled, joined and named; see :func:`dot_plot`.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    with drawing(name) as (figure_of, colours):
        figure = figure_of(figsize=(_WIDTH_IN, 2.7), layout="constrained")
        axes = figure.add_subplot()
        front = sorted((one for one in spots if one.front), key=lambda one: one.x)
        axes.plot([one.x for one in front], [one.y for one in front], color=colours["soft"], linewidth=1)
        for one in spots:
            colour = colours["accent"] if one.marked else colours["ink"]
            face = colour if one.front else "none"
            axes.plot([one.x], [one.y], "o", markersize=5, color=colour, markerfacecolor=face)
        axes.margins(0.18)
        middle = (min(one.x for one in spots) + max(one.x for one in spots)) / 2
        for i, one in enumerate(front):
            right = one.x <= middle  # names stay inside the picture
            axes.annotate(
                fitting(one.label),
                (one.x, one.y),
                xytext=(6 if right else -6, 6 if i % 2 == 0 else -10),
                textcoords="offset points",
                ha="left" if right else "right",
                fontsize=8,
            )
        figure.supylabel(y_axis, fontsize=9)
        figure.supxlabel(x_axis, fontsize=9)
        axes.grid(linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        return svg_of(figure, name)


@contextmanager
def drawing(name: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Matplotlib's figure class and the colours to draw in, under the page's style.

    Yields
    ------
    type, dict
        ``Figure``, and the colours ``ink``, ``soft`` and ``accent``, which `svg_of` turns into the page's own.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDataError(
            f"the report needs {error.name}. Install it with: pip install 'rlsched[report]'"
        ) from None
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 9,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.edgecolor": _SOFT,
        "grid.color": _SOFT,
    }
    with mpl.rc_context(style):
        yield Figure, {"ink": _INK, "soft": _SOFT, "accent": _ACCENT}


def fitting(label: str) -> str:
    """A label that leaves room for the picture: the middle of a long one, such as a blend's, is left to the tables."""
    if len(label) <= _LABEL:
        return label
    head = 2 * _LABEL // 3
    return f"{label[:head]}…{label[head + 1 - _LABEL :]}"


def svg_of(figure: Any, name: str) -> str:
    """A figure as an ``<svg>`` element in the page's colours; ``name`` is put before every id in it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), name)


def _inline(text: str, name: str) -> str:
    """A whole SVG file → an element for a page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    for drawn, wanted in _CSS.items():
        text = text.replace(drawn, wanted)
    return text.strip()


def axis_values(values: Sequence[Any], scale: float) -> list[float | None]:
    """Values as an axis shows them: shares as percent with ``scale = 100``."""
    return [None if value is None else float(value) * scale for value in values]

"""Small pictures for a page: lines with bands, bars, survival curves and bubbles, as inline SVG.

What is drawn is a value (`Lines`, `Bars`, `Bubbles`), so that numbers are made in one place and
drawn in another. Colours are the page's own, as in `figures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.report.figures import drawing, svg_of
from rlsched.units import format_duration

F64 = npt.NDArray[np.float64]
_SIZE_IN = (3.9, 2.1)


@dataclass(frozen=True)
class Line:
    """One line: ``y`` over ``x``, NaN where there is nothing; ``low`` and ``high`` bound a band around it."""

    label: str
    x: F64
    y: F64
    low: F64 | None = None
    high: F64 | None = None


@dataclass(frozen=True)
class Lines:
    """A picture of lines.

    Parameters
    ----------
    title, x_label, y_label, caption : str
    lines : sequence of Line
        The first is drawn in the accent colour, at most three more in ink, dashed differently.
    steps : bool
        A value holds until the next one.
    durations : bool
        ``x`` is seconds > 0 on a logarithmic axis, told as 1s, 1m, 1h, 1d.
    from_zero : bool
        The vertical axis begins at 0.
    """

    title: str
    x_label: str
    y_label: str
    caption: str
    lines: Sequence[Line]
    steps: bool = False
    durations: bool = False
    from_zero: bool = True


@dataclass(frozen=True)
class Bars:
    """A picture of bars, one for each label."""

    title: str
    x_label: str
    y_label: str
    caption: str
    labels: Sequence[str]
    values: F64


@dataclass(frozen=True)
class Bubbles:
    """Points on logarithmic axes whose area is their weight; all ``x`` and ``y`` are > 0."""

    title: str
    x_label: str
    y_label: str
    caption: str
    x: F64
    y: F64
    weight: F64


Picture = Lines | Bars | Bubbles
_DASHES = ("-", "-", (0, (4, 1.5)), (0, (1, 1.2)))
_MOST_LABELS = 12
_MARKS_S = (1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, 365 * 86_400.0)


def draw(picture: Picture, *, name: str) -> str:
    """Draw a picture as an ``<svg>`` element; the same for the same input.

    Parameters
    ----------
    picture : Lines, Bars or Bubbles
    name : str
        Prefix of every id in it, so that several can lie in one page.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    with drawing(name) as (figure_of, colours):
        figure = figure_of(figsize=_SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        if isinstance(picture, Lines):
            _lines(axes, picture, colours)
        elif isinstance(picture, Bars):
            _bars(axes, picture, colours)
        else:
            _bubbles(axes, picture, colours)
        axes.set_xlabel(picture.x_label)
        axes.set_ylabel(picture.y_label)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right", *(("left",) if isinstance(picture, Bars) else ())):
            axes.spines[side].set_visible(False)
        return svg_of(figure, name)


def _lines(axes: Any, picture: Lines, colours: dict[str, str]) -> None:
    how = {"drawstyle": "steps-post"} if picture.steps else {}
    for i, line in enumerate(picture.lines):
        colour = colours["accent"] if i == 0 else colours["ink"]
        if line.low is not None and line.high is not None:
            axes.fill_between(
                line.x, line.low, line.high, color=colours["soft"], linewidth=0, step="post" if picture.steps else None
            )
        # A value between two gaps is no line, and would not be seen.
        alone = np.isfinite(line.y) & ~np.isfinite(np.append(line.y[1:], np.nan))
        alone &= ~np.isfinite(np.insert(line.y[:-1], 0, np.nan))
        style: Any = _DASHES[i % len(_DASHES)]
        axes.plot(line.x, line.y, color=colour, linewidth=1.1, linestyle=style, label=line.label, **how)
        axes.plot(line.x[alone], line.y[alone], color=colour, linestyle="none", marker=".", markersize=2)
    if picture.durations:
        _duration_axis(axes, float(np.concatenate([line.x for line in picture.lines]).max()))
    if picture.from_zero:
        axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(axis="y", linewidth=0.5)
    if len(picture.lines) > 1:
        axes.legend(frameon=False, fontsize=7.5, labelcolor=colours["ink"], loc="best", handlelength=1.6)


def _duration_axis(axes: Any, longest_s: float) -> None:
    axes.set_xscale("log")
    marks = [mark for mark in _MARKS_S if mark <= longest_s] or [longest_s]
    axes.set_xticks(marks, [format_duration(mark) for mark in marks])
    axes.xaxis.set_ticks([], minor=True)


def _bars(axes: Any, picture: Bars, colours: dict[str, str]) -> None:
    at = np.arange(len(picture.labels))
    axes.bar(at, picture.values, width=0.8, color=colours["accent"], linewidth=0)
    every = -(-len(at) // _MOST_LABELS)
    long = max((len(label) for label in picture.labels), default=0) > (4 if len(at) > 6 else 8)
    axes.set_xticks(
        at[::every], list(picture.labels)[::every], rotation=40 if long else 0, ha="right" if long else "center"
    )
    axes.grid(axis="y", linewidth=0.5)


def _bubbles(axes: Any, picture: Bubbles, colours: dict[str, str]) -> None:
    largest = float(picture.weight.max())
    # A point is seen however rare it is: 2 square points at least.
    area = np.maximum(260.0 * picture.weight / largest, 2.0)
    axes.scatter(picture.x, picture.y, s=area, color=colours["accent"], alpha=0.55, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis, values in ((axes.xaxis, picture.x), (axes.yaxis, picture.y)):
        axis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 0.01 else f"{value:.0e}")
        low, high = np.log2(values.min()), np.log2(values.max())
        stride = max(1, int(np.ceil((high - low) / 7)))
        axis.set_ticks(2.0 ** np.arange(np.floor(low), np.ceil(high) + 1, stride))
        axis.set_ticks([], minor=True)
    axes.margins(0.12)
    axes.grid(linewidth=0.5)

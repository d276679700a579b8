"""Pictures of environments: what ``render_mode="rgb_array"`` returns and ``"human"`` shows.

Drawn with matplotlib, which is imported when the first picture is drawn and never before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, did_you_mean

RENDER_MODES = ("human", "rgb_array")
#: Pictures a second in ``human`` mode.
FPS = 8
#: Pixels.
WIDTH, HEIGHT = 1000, 640
_DPI = 100

#: Used, free, switched off or of no account, the choice, what may be chosen, trouble, text.
USED, FREE, OFF, CHOICE, OPEN, TROUBLE, INK, SOFT = (
    "#61788c",
    "#e8edf1",
    "#f7f8f9",
    "#e07b00",
    "#1468b8",
    "#c22f2f",
    "#1d2730",
    "#66727d",
)


def check_mode(mode: str | None) -> str | None:
    """Refuse a render mode there is none of.

    Raises
    ------
    SpecError
    """
    if mode is not None and mode not in RENDER_MODES:
        raise SpecError(f"unknown render_mode {mode!r}.{did_you_mean(str(mode), RENDER_MODES)} Or None: no pictures.")
    return mode


class Screen:
    """Where pictures go: an array, or a window.

    Parameters
    ----------
    mode : {"human", "rgb_array"}
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._figure: Any = None

    def figure(self) -> Any:
        """An empty figure of the screen's size.

        Raises
        ------
        MissingDataError
            When matplotlib is not installed.
        SpecError
            When there is no window to show it in.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            raise MissingDataError(
                "pictures need matplotlib: install rlsched[report], or leave render_mode out."
            ) from None
        size = (WIDTH / _DPI, HEIGHT / _DPI)
        if self.mode == "rgb_array":
            return Figure(figsize=size, dpi=_DPI, facecolor="white")
        if self._figure is None:
            import matplotlib
            import matplotlib.pyplot as plt

            if matplotlib.get_backend().lower() in ("agg", "pdf", "svg", "ps", "cairo", "template"):
                raise SpecError(
                    'render_mode="human" needs a window, and matplotlib has none here (backend '
                    f'{matplotlib.get_backend()}). Run it on a desktop, or use render_mode="rgb_array".'
                )
            self._figure = plt.figure(figsize=size, dpi=_DPI, facecolor="white")
        self._figure.clear()
        return self._figure

    def show(self, figure: Any) -> npt.NDArray[np.uint8] | None:
        """The picture as (HEIGHT, WIDTH, 3) uint8, or None after showing it in a window."""
        if self.mode == "human":
            import matplotlib.pyplot as plt

            figure.canvas.draw_idle()
            plt.pause(1.0 / FPS)
            return None
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        out: npt.NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
        return out

    def close(self) -> None:
        """Close the window."""
        if self._figure is not None:
            import matplotlib.pyplot as plt

            plt.close(self._figure)
            self._figure = None


def head(figure: Any, title: str, *lines: tuple[str, str]) -> None:
    """Write the title, and lines of (text, colour) under it."""
    figure.text(0.02, 0.965, title, fontsize=13, weight="bold", color=INK, va="top")
    for at, (text, colour) in enumerate(lines):
        figure.text(0.02, 0.917 - 0.036 * at, text, fontsize=10, color=colour, va="top")


def plain(axes: Any, label: str) -> None:
    """A quiet plot: no frame, percent ticks, a label in the corner."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(length=0, labelsize=8, colors=SOFT)
    axes.set_title(label, fontsize=9, loc="left", color=INK, pad=3)

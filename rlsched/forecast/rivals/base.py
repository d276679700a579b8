"""What every forecaster can do, and how a point forecast gets its quantiles."""

# ruff: noqa: ARG002 - the door is the same for all, so some arguments go unused
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rlsched.forecast.loss import SMALL, variability, weighted_quantile_loss
from rlsched.forecast.windows import Windows

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Tell = Callable[[str], None]


class Forecaster(Protocol):
    """A forecaster of windows."""

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """Learn from ``train``, choose on ``validation``; return what was chosen, for the record.

        With a folder, progress is kept there, and a fit that was killed goes on from it.
        """

    def predict(self, windows: Windows) -> F32:
        """Quantiles of the load, (B, R, H, Q), never descending along Q."""

    def save(self, folder: Path) -> None:
        """Write what :meth:`restore` needs."""

    def restore(self, folder: Path) -> None:
        """Load what :meth:`save` wrote."""


class Spread:
    """Quantiles of a point forecast: its errors on training windows, in units of each window's movement.

    Pooled over series, apart by resource and horizon; never below 0.
    """

    def __init__(self, quantiles: F64) -> None:
        self.quantiles = quantiles
        self.errors: F64 | None = None  # (R, H, Q)

    def fit(self, point: npt.NDArray[Any], windows: Windows) -> None:
        """Learn from points (B, R, H) of windows whose future is known."""
        unit = variability(windows.past) + SMALL
        error = (windows.future.transpose(0, 2, 1) - point) / unit[:, :, None]
        r, h = error.shape[1:]
        self.errors = np.zeros((r, h, self.quantiles.size))
        for i in range(r):
            for j in range(h):
                known = error[:, i, j][np.isfinite(error[:, i, j])]
                if known.size:
                    self.errors[i, j] = np.quantile(known, self.quantiles)

    def apply(self, point: npt.NDArray[Any], windows: Windows) -> F32:
        """(B, R, H) points → (B, R, H, Q)."""
        assert self.errors is not None, "fit comes first"
        unit = variability(windows.past) + SMALL
        out: F32 = np.maximum(point[..., None] + unit[:, :, None, None] * self.errors, 0).astype(np.float32)
        return out


class Rule:
    """A point rule with one option, chosen on validation windows, and a `Spread`."""

    def __init__(self, point: Callable[[Windows, Any], F64], options: tuple[Any, ...], quantiles: tuple[float, ...]):
        self.point, self.options = point, options
        self.quantiles = np.array(quantiles)
        self.option: Any = options[0]
        self.spread = Spread(self.quantiles)

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """See `Forecaster`; the option with the lowest weighted quantile loss, the first of equals."""
        found = []
        for option in self.options:
            spread = Spread(self.quantiles)
            spread.fit(self.point(train, option), train)
            forecast = spread.apply(self.point(validation, option), validation)
            found.append((weighted_quantile_loss(forecast, validation.future, self.quantiles), option, spread))
        best = min(found, key=lambda one: one[0])
        _, self.option, self.spread = best
        return {"option": self.option, "validation": {str(option): loss for loss, option, _ in found}}

    def predict(self, windows: Windows) -> F32:
        """See `Forecaster`."""
        return self.spread.apply(self.point(windows, self.option), windows)

    def save(self, folder: Path) -> None:
        """Nothing: a rule is fitted in a moment."""

    def restore(self, folder: Path) -> None:
        """Nothing: a rule is fitted in a moment."""


def filled(past: F32) -> F64:
    """Past with gaps bridged by the sample before, and the front by the first sample; 0 where all is missing.

    (B, L, R) → (B, R, L) float64. For rules that cannot read a mask.
    """
    x = past.transpose(0, 2, 1).astype(np.float64)
    known = np.isfinite(x)
    seen = np.maximum.accumulate(np.where(known, np.arange(x.shape[2]), -1), axis=2)
    first = known.argmax(axis=2)[..., None]
    at = np.where(seen >= 0, seen, first)
    out: F64 = np.nan_to_num(np.take_along_axis(x, at, axis=2), nan=0.0)
    return out

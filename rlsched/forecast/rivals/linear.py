"""Linear autoregression: one least-squares map for all series, on windows scaled by their own movement."""

# ruff: noqa: ARG002 - the door is the same for all, so some arguments go unused
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.loss import SMALL, variability, weighted_quantile_loss
from rlsched.forecast.rivals.base import F32, F64, Spread, Tell, filled
from rlsched.forecast.windows import Windows


class LinearAr:
    """Change from the newest sample as a linear map of the newest ``lags`` changes, by resource and horizon."""

    def __init__(self, quantiles: tuple[float, ...], lags: tuple[int, ...] = (6, 12, 36), ridge: float = 1.0) -> None:
        self.quantiles = np.array(quantiles)
        self.lags, self.ridge = lags, ridge
        self.weight: F64 | None = None  # (R, lags + 1, H)
        self.spread = Spread(self.quantiles)

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """See `Forecaster`; the number of lags is chosen on validation."""
        found = []
        for lags in self.lags:
            self.weight = self._solve(train, lags)
            self.spread = Spread(self.quantiles)
            self.spread.fit(self._point(train), train)
            loss = weighted_quantile_loss(self.predict(validation), validation.future, self.quantiles)
            found.append((loss, lags, self.weight, self.spread))
        best = min(found, key=lambda one: one[0])
        _, lags, self.weight, self.spread = best
        return {"lags": lags, "validation": {str(one[1]): one[0] for one in found}}

    def predict(self, windows: Windows) -> F32:
        """See `Forecaster`."""
        return self.spread.apply(self._point(windows), windows)

    def save(self, folder: Path) -> None:
        """Nothing: fitted in a moment."""

    def restore(self, folder: Path) -> None:
        """Nothing: fitted in a moment."""

    def _inputs(self, windows: Windows, lags: int) -> tuple[F64, F64, F64]:
        x = filled(windows.past)
        last = x[:, :, -1:]
        unit = (variability(windows.past) + SMALL)[..., None]
        scaled = (x[:, :, -lags - 1 : -1] - last) / unit
        return np.concatenate([scaled, np.ones_like(last)], axis=2), last, unit

    def _solve(self, windows: Windows, lags: int) -> F64:
        x, last, unit = self._inputs(windows, lags)
        change = (windows.future.transpose(0, 2, 1) - last) / unit
        # Changes far beyond a window's own movement would own a squared loss.
        change = np.clip(change, -20, 20)
        out = np.zeros((x.shape[1], lags + 1, change.shape[2]))
        for r in range(x.shape[1]):
            rows = np.isfinite(change[:, r]).all(axis=1) & np.isfinite(windows.past[:, -1, r])
            a, b = np.clip(x[rows, r], -20, 20), change[rows, r]
            out[r] = np.linalg.solve(a.T @ a + self.ridge * np.eye(lags + 1), a.T @ b)
        return out

    def _point(self, windows: Windows) -> F64:
        assert self.weight is not None, "fit comes first"
        x, last, unit = self._inputs(windows, self.weight.shape[1] - 1)
        change = np.einsum("brl,rlh->brh", np.clip(x, -20, 20), self.weight)
        out: F64 = np.maximum(last + unit * change, 0)
        return out


def make(spec: ForecastSpec, _name: str) -> LinearAr:
    """For the table."""
    return LinearAr(spec.window.quantiles)

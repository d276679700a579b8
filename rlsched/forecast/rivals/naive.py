"""Persistence, seasonal naive, moving average, exponentially weighted mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.rivals.base import F64, Rule, filled
from rlsched.forecast.windows import Windows
from rlsched.units import SECONDS_PER_DAY


def persistence(windows: Windows, _option: None) -> F64:
    """The newest sample, at every horizon."""
    return np.repeat(filled(windows.past)[:, :, -1:], len(windows.horizons), axis=2)


def seasonal(windows: Windows, _option: None) -> F64:
    """The sample a day before the target; the newest one where the window does not reach there."""
    out = persistence(windows, None)
    length = windows.past.shape[1]
    for step in np.unique(windows.step_s):
        rows = np.flatnonzero(windows.step_s == step)
        day = round(SECONDS_PER_DAY / int(step))
        for k, ahead in enumerate(windows.horizons):
            at = length + ahead - (ahead // day + 1) * day
            if at >= 0:
                past = windows.past[rows, at]  # (b, R)
                out[rows, :, k] = np.where(np.isfinite(past), past, out[rows, :, k])
    return out


def moving_average(windows: Windows, n: int) -> F64:
    """Mean of the newest ``n`` samples, gaps bridged."""
    return np.repeat(filled(windows.past)[:, :, -n:].mean(axis=2, keepdims=True), len(windows.horizons), axis=2)


def ewma(windows: Windows, alpha: float) -> F64:
    """Exponentially weighted mean, gaps bridged, from the oldest sample of the window on."""
    x = filled(windows.past)
    weight = alpha * (1 - alpha) ** np.arange(x.shape[2] - 1, -1, -1)
    weight[0] += (1 - alpha) ** x.shape[2]  # the level begins at the oldest sample
    return np.repeat((x @ weight)[..., None], len(windows.horizons), axis=2)


RULES: dict[str, tuple[Callable[[Windows, Any], F64], tuple[Any, ...]]] = {
    "persistence": (persistence, (None,)),
    "seasonal": (seasonal, (None,)),
    "moving_average": (moving_average, (3, 6, 12, 36)),
    "ewma": (ewma, (0.1, 0.2, 0.4, 0.6, 0.8)),
}


def make(spec: ForecastSpec, name: str) -> Rule:
    """The rule of a name, with its options to choose from."""
    point, options = RULES[name]
    return Rule(point, options, spec.window.quantiles)

"""Ensembles: averages of quantile forecasts, with equal weights or weights chosen on validation.

Quantiles are averaged one by one, so they cannot cross where the members' do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlsched.forecast.loss import weighted_quantile_loss
from rlsched.forecast.windows import Windows

F32 = npt.NDArray[np.float32]
ROUNDS = 12


def average(forecasts: Mapping[str, F32], weights: Mapping[str, float]) -> F32:
    """Weighted mean of forecasts; weights sum to 1."""
    out = np.zeros_like(next(iter(forecasts.values())))
    for name, weight in weights.items():
        if weight:
            out += np.float32(weight) * forecasts[name]
    return np.maximum.accumulate(out, axis=3)  # equal members may differ in the last bit


def choose_weights(forecasts: Mapping[str, F32], windows: Windows, quantiles: tuple[float, ...]) -> dict[str, float]:
    """Weights with a low weighted quantile loss on validation windows, by greedy selection with repeats.

    Caruana et al., ICML 2004: begin with the best member, add whichever helps most, `ROUNDS`
    times; the weights are the shares of the picks up to the best round.
    """
    levels = np.array(quantiles)
    total = np.zeros_like(next(iter(forecasts.values())), dtype=np.float64)
    picks: list[str] = []
    losses: list[float] = []
    for _ in range(ROUNDS):
        found = {
            name: weighted_quantile_loss((total + one) / (len(picks) + 1), windows.future, levels)
            for name, one in forecasts.items()
        }
        best = min(found, key=lambda name: found[name])
        picks.append(best)
        losses.append(found[best])
        total += forecasts[best]
    end = int(np.argmin(losses)) + 1
    return {name: picks[:end].count(name) / end for name in forecasts}

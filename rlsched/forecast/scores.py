"""Scores of quantile forecasts, by resource and horizon. docs/forecast.md has the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.forecast.loss import pinball, variability
from rlsched.forecast.windows import Windows

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
STILL = 1e-6  # a series that moves less than this a step has no scale, so no MASE
PEAK_SHARE = 0.05

METRICS = (
    "wql", "mase", "mae", "rmse", "coverage_80", "width_80", "coverage_98", "width_98", "peaks_missed_share",
)  # fmt: skip
LOWER_IS_BETTER = ("wql", "mase", "mae", "rmse", "peaks_missed_share")


@dataclass(frozen=True, eq=False)
class Truth:
    """What forecasts of some windows are held against.

    Parameters
    ----------
    future : (B, R, H) float64, NaN where not measured
    scale : (B, R) float64
        Mean absolute step of the series over the past of all its windows; NaN where it does not move.
    peak : (B, R, H) bool
        Among the largest 5 % of its series' and resource's targets, and above their median.
    quantiles : (Q,) float64
    """

    future: F64
    scale: F64
    peak: npt.NDArray[np.bool_]
    quantiles: F64

    @classmethod
    def of(cls, windows: Windows, quantiles: tuple[float, ...]) -> Truth:
        """The truth of windows."""
        future = windows.future.transpose(0, 2, 1).astype(np.float64)
        step = variability(windows.past)
        scale, peak = np.empty_like(step), np.zeros(future.shape, bool)
        for series in np.unique(windows.series):
            rows = np.flatnonzero(windows.series == series)
            scale[rows] = step[rows].mean(axis=0)
            for r in range(future.shape[1]):
                targets = future[rows, r]
                known = targets[np.isfinite(targets)]
                if known.size:
                    edge = np.quantile(known, 1 - PEAK_SHARE)
                    peak[rows, r] = (targets >= edge) & (targets > np.median(known))
        return cls(future, np.where(scale > STILL, scale, np.nan), peak, np.array(quantiles))

    def row(self, quantile: float) -> int:
        """Place of a quantile."""
        return int(np.flatnonzero(np.isclose(self.quantiles, quantile))[0])


def mean_of(forecast: npt.NDArray[np.floating], quantiles: F64) -> F64:
    """Mean of the distribution straight between the quantiles and ended at the outer ones, (..., Q) → (...)."""
    edges = np.concatenate([[0.0], (quantiles[1:] + quantiles[:-1]) / 2, [1.0]])
    out: F64 = forecast.astype(np.float64) @ np.diff(edges)
    return out


def losses(forecast: F32, truth: Truth) -> dict[str, F64]:
    """What the scores are made of, each (B, R, H) with NaN where it is not known.

    ``quantile``: twice the pinball loss, mean of the quantiles; ``scaled``: absolute error of
    the median over the series' scale; ``absolute``; ``squared``: of the mean; ``load``: |truth|.
    """
    q = truth.quantiles
    median = forecast[..., truth.row(0.5)].astype(np.float64)
    absolute = np.abs(truth.future - median)
    return {
        "quantile": 2 * pinball(forecast, truth.future.transpose(0, 2, 1), q).mean(axis=3),  # type: ignore[arg-type]
        "scaled": absolute / truth.scale[:, :, None],
        "absolute": absolute,
        "squared": (truth.future - mean_of(forecast, q)) ** 2,
        "load": np.abs(truth.future),
    }


def score(forecast: F32, truth: Truth, resources: tuple[str, ...], horizons: tuple[int, ...]) -> list[dict[str, Any]]:
    """Rows of scores: for every resource, and all together, every horizon, and all together.

    Returns
    -------
    list of dict
        ``resource`` and ``horizon`` (``"all"`` where together), then `METRICS`; None where unknown.
    """
    part = losses(forecast, truth)
    rows: list[dict[str, Any]] = []
    every_r = [*enumerate(resources), (slice(None), "all")] if len(resources) > 1 else [(slice(None), "all")]
    for r, resource in every_r:
        for h, horizon in [*enumerate(horizons), (slice(None), "all")]:
            at: Any = (slice(None), r, h)
            values = {name: array[at] for name, array in part.items()}
            rows.append({"resource": resource, "horizon": horizon, **_metrics(values, forecast[at], truth, at)})
    return rows


def _metrics(values: dict[str, F64], forecast: F32, truth: Truth, at: Any) -> dict[str, float | None]:
    future = truth.future[at]
    peak = truth.peak[at]
    known = np.isfinite(future)
    load = np.nansum(values["load"])
    out: dict[str, float | None] = {
        "wql": float(np.nansum(values["quantile"]) / load) if load > 0 else None,
        "mase": _mean(values["scaled"]),
        "mae": _mean(values["absolute"]),
        "rmse": None if (mean := _mean(values["squared"])) is None else float(np.sqrt(mean)),
    }
    for name, low, high in (("80", 0.1, 0.9), ("98", 0.01, 0.99)):
        below, above = forecast[..., truth.row(low)], forecast[..., truth.row(high)]
        inside = ((future >= below) & (future <= above))[known]
        out[f"coverage_{name}"] = float(inside.mean()) if inside.size else None
        out[f"width_{name}"] = _mean((above - below)[known].astype(np.float64))
    missed = (future > forecast[..., truth.row(0.95)])[peak & known]
    out["peaks_missed_share"] = float(missed.mean()) if missed.size else None
    return {name: out[name] for name in METRICS}


def _mean(values: F64) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None

"""What forecasts are trained and tuned on: the pinball loss of quantiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlsched.forecast.windows import Windows

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
SMALL = 0.002  # added to a window's variability, so that a load at rest does not weigh without bound


def variability(past: F32) -> F64:
    """Mean absolute step of each window and resource, (B, R); 0 where fewer than two samples follow each other."""
    step = np.abs(np.diff(past.astype(np.float64), axis=1))
    known = np.isfinite(step)
    out: F64 = np.where(known, step, 0).sum(1) / np.maximum(known.sum(1), 1)
    return out


def window_weight(windows: Windows, power: float) -> F32:
    """Weight of each window and resource, (B, R), with mean 1; see `TrainingSpec.loss_power`."""
    weight = (variability(windows.past) + SMALL) ** -power
    out: F32 = (weight / weight.mean()).astype(np.float32)
    return out


def pinball_torch(forecast: Tensor, future: Tensor, quantiles: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean pinball loss over what was measured.

    Parameters
    ----------
    forecast : (B, R, H, Q)
    future : (B, H, R), NaN where missing
    quantiles : (Q,)
    weight : (B, R)
    """
    truth = future.transpose(1, 2)[..., None]  # (B, R, H, 1)
    known = ~torch.isnan(truth)
    error = torch.where(known, truth, torch.zeros_like(truth)) - forecast
    loss = torch.maximum(quantiles * error, (quantiles - 1) * error) * known * weight[:, :, None, None]
    return loss.sum() / (known.sum().clamp(min=1) * quantiles.numel())


def pinball(forecast: npt.NDArray[np.floating], future: F32, quantiles: F64) -> F64:
    """Pinball loss of (B, R, H, Q) forecasts, NaN where the (B, H, R) future was not measured."""
    error = future.transpose(0, 2, 1)[..., None].astype(np.float64) - forecast
    out: F64 = np.maximum(quantiles * error, (quantiles - 1) * error)
    return out


def weighted_quantile_loss(forecast: npt.NDArray[np.floating], future: F32, quantiles: F64) -> float:
    """Twice the pinball loss over the load, mean of the quantiles, all resources together; no unit."""
    load = float(np.nansum(np.abs(future), dtype=np.float64))
    if load == 0:
        return float("nan")
    return float(2 * np.nansum(pinball(forecast, future, quantiles)) / quantiles.size / load)

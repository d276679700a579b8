"""Forecasting: ten thousand VMs at once, and one, with the packaged forecaster on one core."""

from __future__ import annotations

import time
from collections.abc import Callable

from rlsched.errors import MissingDataError, SpecError


def vms(count: int) -> Callable[[], float]:
    """Seconds to forecast ``count`` VMs, all horizons and quantiles, from full windows."""
    import numpy as np

    from rlsched.forecast.predictor import load_forecaster
    from rlsched.rng import stream

    try:
        model = load_forecaster("vm")
    except SpecError as error:
        raise MissingDataError(f"the packaged forecaster is not there: {error}") from None
    draw = stream(0, "bench", "forecast")
    past = draw.random((count, model.length, len(model.resources))).astype(np.float32)
    context = draw.random((count, 4)).astype(np.float32)
    model.quantiles_of(past[:1], context[:1])

    def once() -> float:
        begin = time.perf_counter()
        model.quantiles_of(past, context)
        return time.perf_counter() - begin

    once()
    return once

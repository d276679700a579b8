"""A small experiment for tests: windows drawn from waves, and settings that train in a second."""

import numpy as np

from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.panel import Panel
from rlsched.forecast.windows import draw_windows
from rlsched.rng import stream

RESOURCES = ("cpu_share", "mem_share")


def small_spec(**changes):
    values = {
        "data": ({"dataset": "waves"},),
        "resources": RESOURCES,
        "window": {"length": 40, "min_measured": 5, "horizons": (0, 1, 2), "train": 300, "validation": 80, "test": 80},
        "training": {"seeds": 1, "epochs": 3, "steps": 4, "batch": 32},
        "network": {"channels": 4, "kernel": 3, "dilations": (1, 2), "pool": 4, "hidden": 6},
        "forecasters": ("persistence", "linear_ar", "mlp", "cnn_lstm"),
    }
    return ForecastSpec.model_validate(values | changes)


def small_panel(series=12, ticks=400, resources=2):
    draw = stream(5, "waves")
    phase = draw.random((series, 1, 1)) * 20
    wave = 0.3 + 0.2 * np.sin((np.arange(ticks)[None, :, None] + phase) * 2 * np.pi / 20)
    values = np.abs(wave + draw.normal(0, 0.03, (series, ticks, resources))).astype(np.float32)
    values[draw.random(values.shape) < 0.02] = np.nan
    role = np.array((["train", "train", "validation", "test"] * series)[:series], object)
    return Panel(
        "waves/all",
        np.array([f"vm{i}" for i in range(series)], object),
        values,
        RESOURCES[:resources],
        np.zeros(series, np.int64),
        np.full(series, 4.0, np.float32),
        0,
        300,
        {"train": (0, 200), "validation": (200, 300), "test": (300, ticks)},
        role,
    )


def small_windows(spec, split):
    return draw_windows([small_panel()], spec, split, getattr(spec.window, split))

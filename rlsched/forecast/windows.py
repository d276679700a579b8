"""Windows: some past, the future to be forecast, and what is known about the moment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.panel import Panel
from rlsched.rng import stream
from rlsched.units import SECONDS_PER_DAY

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: What a forecaster knows beside the past, one column each.
CONTEXT = ("day_share", "week_share", "log2_cores", "log_age_h")
SECONDS_PER_WEEK = 7 * SECONDS_PER_DAY


@dataclass(frozen=True, eq=False)
class Windows:
    """Moments at which a forecast is asked for.

    Parameters
    ----------
    past : (B, L, R) float32
        Samples before the moment, the newest last; NaN where missing.
    context : (B, 4) float32
        `CONTEXT`: share of the day and of the week gone, log2 of the cores requested (NaN where
        not known), log(1 + hours since the first sample).
    future : (B, H, R) float32
        What came; NaN where it was not measured. Forecasters never see it.
    series : (B,) int64
        Equal where two windows are of the same series.
    block : (B,) int64
        Equal where two windows are of the same series and day.
    tick : (B,) int64
        Of the moment, on its source's clock.
    step_s : (B,) int64
    resources : tuple of str
    horizons : tuple of int
    """

    past: F32
    context: F32
    future: F32
    series: I64
    block: I64
    tick: I64
    step_s: I64
    resources: tuple[str, ...]
    horizons: tuple[int, ...]

    def __len__(self) -> int:
        return int(self.past.shape[0])

    def take(self, rows: npt.NDArray[Any]) -> Windows:
        """The windows of these rows."""
        past, context, future = self.past[rows], self.context[rows], self.future[rows]
        series, block, tick, step_s = (one[rows] for one in (self.series, self.block, self.tick, self.step_s))
        return Windows(past, context, future, series, block, tick, step_s, self.resources, self.horizons)

    @property
    def sha256(self) -> str:
        """Of what forecasters see, and of the moments."""
        digest = hashlib.sha256(repr((self.resources, self.horizons, self.past.shape)).encode())
        for array in (self.past, self.context, self.future, self.series, self.tick):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def draw_windows(panels: Sequence[Panel], spec: ForecastSpec, split: str, count: int) -> Windows:
    """Draw windows of a split: its machines, with every target in its stretch of time.

    Series are drawn in proportion to the moments they offer. The past of a window may reach
    back before the stretch; its targets never leave it. A moment counts when enough of its past
    was measured, something within the last twelve steps, and every step ahead in some resource.

    Raises
    ------
    TraceError
        When the split offers no window.
    """
    ahead = spec.window.horizons[-1] + 1
    rows: list[tuple[int, int, int]] = []  # source, series, number of moments
    moments: list[I64] = []
    for p, panel in enumerate(panels):
        if split not in panel.ranges:
            continue
        low, high = panel.ranges[split]
        known = np.asarray(np.isfinite(panel.values).any(axis=2))
        for s in np.flatnonzero((panel.role == split) | (panel.role == "all")):
            ticks = _moments(known[s], low, high, ahead, spec)
            if ticks.size:
                rows.append((p, int(s), ticks.size))
                moments.append(ticks)
    total = sum(size for _, _, size in rows)
    if total == 0:
        raise TraceError(
            f"the {split} split must offer at least one window of {spec.window.min_measured} measured samples and "
            f"{ahead} steps ahead: it offers none. Make the windows shorter or the split longer."
        )
    draw = stream(spec.window.seed, "windows", split)
    chosen = np.sort(draw.choice(total, size=min(count, total), replace=False))
    ends = np.cumsum([size for _, _, size in rows])
    which = np.searchsorted(ends, chosen, side="right")
    columns: dict[str, list[Any]] = {
        name: [] for name in ("past", "context", "future", "series", "block", "tick", "step")
    }
    number: dict[str, int] = {}
    blocks: dict[tuple[int, int], int] = {}
    for row in np.unique(which):
        p, s, size = rows[row]
        panel = panels[p]
        ticks = moments[row][chosen[which == row] - (ends[row] - size)]
        columns["past"].append(past_of(panel.values[s], ticks, spec.window.length))
        at = ticks[:, None] + np.array(spec.window.horizons)
        columns["future"].append(panel.values[s][at])
        columns["context"].append(context_of(panel, s, ticks))
        # The same machine of another day of the same dataset is the same series.
        key = number.setdefault(f"{panel.name.partition('/')[0]}/{panel.ids[s]}", len(number))
        columns["series"].append(np.full(ticks.size, key))
        days = (panel.start_s + ticks * panel.step_s) // SECONDS_PER_DAY
        columns["block"].append([blocks.setdefault((row, int(day)), len(blocks)) for day in days])
        columns["tick"].append(ticks)
        columns["step"].append(np.full(ticks.size, panel.step_s))
    past, context, future = (np.concatenate(columns[name]).astype(np.float32) for name in ("past", "context", "future"))
    series, block, tick, step = (
        np.concatenate(columns[name]).astype(np.int64) for name in ("series", "block", "tick", "step")
    )
    return Windows(past, context, future, series, block, tick, step, spec.resources, spec.window.horizons)


def past_of(values: F32, ticks: I64, length: int) -> F32:
    """The ``length`` samples strictly before each tick, (B, L, R); NaN before the series' clock began."""
    padded = np.concatenate([np.full((length, values.shape[1]), np.nan, np.float32), values])
    view = np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)  # (T + 1, R, L)
    return np.ascontiguousarray(view[ticks].transpose(0, 2, 1))


def context_of(panel: Panel, s: int, ticks: I64) -> F32:
    """`CONTEXT` of one series at some ticks, (B, 4)."""
    age_h = np.maximum(ticks - panel.first[s], 0) * panel.step_s / 3600.0
    return make_context(panel.start_s + ticks * panel.step_s, float(panel.size[s]), age_h)


def make_context(time_s: npt.NDArray[Any], cores: float, age_h: npt.NDArray[Any]) -> F32:
    """`CONTEXT` from seconds of a clock whose days begin at multiples of 86,400."""
    out = np.empty((len(time_s), len(CONTEXT)), np.float32)
    out[:, 0] = time_s % SECONDS_PER_DAY / SECONDS_PER_DAY
    out[:, 1] = time_s % SECONDS_PER_WEEK / SECONDS_PER_WEEK
    out[:, 2] = np.log2(cores) if cores > 0 else np.nan
    out[:, 3] = np.log1p(age_h)
    return out


def _moments(known: npt.NDArray[np.bool_], low: int, high: int, ahead: int, spec: ForecastSpec) -> I64:
    count = np.concatenate([[0], np.cumsum(known)])
    ticks = np.arange(max(low, 1), max(high - ahead + 1, max(low, 1)))
    past = count[ticks] - count[np.maximum(ticks - spec.window.length, 0)]
    coming = count[np.minimum(ticks + ahead, known.size)] - count[ticks]
    # A moment needs a past to speak from, a sample among the last twelve, and a future to be judged by.
    recent = count[ticks] - count[np.maximum(ticks - 12, 0)]
    out: I64 = ticks[(past >= spec.window.min_measured) & (recent > 0) & (coming == ahead)].astype(np.int64)
    return out

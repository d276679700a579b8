"""Usage, demand and signals → what their pictures show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.report.plots import Bars, Line, Lines, Picture
from rlsched.report.rhythm import Clock, by_slot, unit_for, width_for
from rlsched.traces.columns import Demand, Signal, Usage
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, format_duration

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_SAMPLES = 20_000_000  # of more, evenly spaced series are drawn
_LINES = 3  # series with lines of their own
_LAGS = 96
_SERIES_OF_LAGS = 200
_QUANTILES = np.linspace(0, 1, 301)


@dataclass(frozen=True)
class Samples:
    """Values of many series, one after the other.

    Parameters
    ----------
    label : str
        What is measured, with its unit.
    names : list of str
        Of the series.
    offset : (S + 1,) int64
    time_s : (n,) float64
        When the step of each value begins.
    value : (n,) float64
        NaN where missing.
    step_s : float
    """

    label: str
    names: list[str]
    offset: I64
    time_s: F64
    value: F64
    step_s: float

    @property
    def row(self) -> I64:
        """(n,) the series of each sample."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.offset))

    @property
    def span_s(self) -> float:
        """From the first to the end of the last step."""
        return float(self.time_s.max() - self.time_s.min()) + self.step_s

    def series(self, i: int) -> tuple[F64, F64]:
        """Times and values of one."""
        own = slice(int(self.offset[i]), int(self.offset[i + 1]))
        return self.time_s[own], self.value[own]


def usage_views(usage: Usage) -> list[Picture]:
    """Load over time with its spread, three series, by hour and day, distributions, autocorrelation."""
    chosen, note = _chosen(usage)
    shares = [("CPU", usage.cpu_share), ("memory", usage.mem_share)]
    shares = [(name, value) for name, value in shares if np.isfinite(value).any()]
    others = [(name, value) for name, value in usage.extra.items() if np.isfinite(value).any()]
    if not shares and not others:
        return []
    # Of other columns each has its own unit: the first is drawn where there is no share.
    label = "share of the request" if shares else others[0][0]
    name, value = shares[0] if shares else others[0]
    main = _samples_of(usage, f"{name}, {label}" if shares else name, value, chosen)
    clock = Clock.of(usage.meta)
    return [
        _over_series(main, note),
        *_examples(main),
        *_rhythms(main, clock),
        _distribution(shares or others[:1], label),
        *_means(main),
        *_lags(main),
    ]


def demand_views(demand: Demand) -> list[Picture]:
    """Rates over time, by hour and day, their distribution and autocorrelation."""
    services, steps = demand.rate.shape
    grid = demand.start_s + np.arange(steps, dtype=np.float64) * demand.step_s
    found = Samples(
        demand.unit,
        [str(one) for one in demand.service_id],
        np.arange(services + 1, dtype=np.int64) * steps,
        np.tile(grid, services),
        demand.rate.ravel(),
        float(demand.step_s),
    )
    return _few(found, Clock.of(demand.meta), "services")


def signal_views(signal: Signal) -> list[Picture]:
    """Values over time, by hour and day, their distribution (by time, not by value) and autocorrelation."""
    first, last = float(signal.time_s.min()), float(signal.end_s.max())
    step = min(float(SECONDS_PER_HOUR), width_for(last - first))
    grid = np.arange(first, last, step)
    found = Samples(
        signal.unit,
        [str(one) for one in signal.signal_id],
        np.arange(len(signal) + 1, dtype=np.int64) * grid.size,
        np.tile(grid, len(signal)),
        np.concatenate([signal.at(i, grid) for i in range(len(signal))]),
        step,
    )
    return _few(found, Clock.of(signal.meta), "signals")


def _few(found: Samples, clock: Clock, what: str) -> list[Picture]:
    """Pictures of series that are few, each of its own level: the largest, and all relative to their means."""
    if not np.isfinite(found.value).any():
        return []
    level = np.array([_mean(found.series(i)[1]) for i in range(len(found.names))])
    largest = [int(i) for i in np.argsort(-np.nan_to_num(level, nan=-np.inf), kind="stable")[:_LINES]]
    size, unit = unit_for(found.span_s)
    start = float(found.time_s.min())
    width = width_for(found.span_s, found.step_s)
    lines = []
    for i in largest:
        begin, mean = _binned(*found.series(i), width)
        lines.append(Line(_short(found.names[i]), (begin - start) / size, mean))
    which = f"The {len(largest)} largest of {len(found.names)} {what}, means" if len(found.names) > 1 else "Means"
    below = bool((np.nanmin(found.value)) < 0)
    out: list[Picture] = [
        Lines(
            "Over time", f"{unit} since the first value", found.label, f"{which} over {format_duration(width)}.",
            lines, steps=True, from_zero=not below,
        )
    ]  # fmt: skip
    out += _rhythms(found, clock, largest)
    out.append(_distribution([(_short(found.names[i]), found.series(i)[1]) for i in largest], found.label, below=below))
    return [*out, *_lags(found)]


def _chosen(usage: Usage) -> tuple[I64, str]:
    """Rows of the series that are drawn, and what to say about it."""
    n, samples = len(usage), int(usage.offset[-1])
    if samples <= _SAMPLES:
        return np.arange(n), ""
    every = -(-samples // _SAMPLES)
    return np.arange(0, n, every), f" One series in {every} is drawn."


def _samples_of(usage: Usage, label: str, value: F64, chosen: I64) -> Samples:
    length = np.diff(usage.offset)[chosen]
    offset = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    within = np.arange(offset[-1]) - np.repeat(offset[:-1], length)
    time = np.repeat(usage.start_s[chosen], length) + within * usage.step_s
    picked = value[np.repeat(usage.offset[:-1][chosen], length) + within]
    return Samples(
        label, [str(usage.series_id[i]) for i in chosen], offset, time.astype(np.float64), picked, float(usage.step_s)
    )


def _mean(value: F64) -> float:
    there = value[np.isfinite(value)]
    return float(there.mean()) if there.size else float("nan")


def _binned(time_s: F64, value: F64, width: float) -> tuple[F64, F64]:
    """Means of the values in bins of a width; NaN in a bin without any."""
    first = float(time_s.min()) // width
    number = (time_s // width - first).astype(np.int64)
    there = np.isfinite(value)
    n = int(number.max()) + 1
    many = np.bincount(number[there], minlength=n)
    total = np.bincount(number[there], weights=value[there], minlength=n)
    mean: F64 = np.divide(total, many, out=np.full(n, np.nan), where=many > 0)
    begin: F64 = (first + np.arange(n, dtype=np.float64)) * width
    return begin, mean


def _over_series(found: Samples, note: str) -> Picture:
    width = width_for(found.span_s, found.step_s)
    first = float(found.time_s.min()) // width
    number = (found.time_s // width - first).astype(np.int64)
    spread = by_slot(number, found.value, int(number.max()) + 1)
    size, unit = unit_for(found.span_s)
    at: F64 = np.arange(spread.mean.size, dtype=np.float64) * width / size
    many = f"{len(found.names):,} series" if len(found.names) > 1 else "one series"
    return Lines(
        "Load over time", f"{unit} since the first sample", found.label,
        f"Mean of the samples of {many} in steps of {format_duration(width)}; the band holds the middle 80 %.{note}",
        [Line("mean", at, spread.mean, spread.low, spread.high)],
    )  # fmt: skip


def _examples(found: Samples) -> list[Picture]:
    """Three series as they are: those with the 90 %, 50 % and 10 % quantile of the means."""
    if len(found.names) < _LINES:
        return []
    level = np.array([_mean(found.series(i)[1]) for i in range(len(found.names))])
    order = [int(i) for i in np.argsort(level, kind="stable") if np.isfinite(level[i])]
    if len(order) < _LINES:
        return []
    picked = [order[round(q * (len(order) - 1))] for q in (0.9, 0.5, 0.1)]
    length = min(max(float(np.ptp(found.series(i)[0])) for i in picked), 2.0 * SECONDS_PER_DAY)
    size, unit = unit_for(length)
    lines = []
    for i in picked:
        time, value = found.series(i)
        near = time < time[0] + length
        lines.append(Line(_short(found.names[i]), (time[near] - time[0]) / size, value[near]))
    return [
        Lines(
            "Three series", f"{unit} since each begins", found.label,
            f"The first {format_duration(length)} of the series whose mean is above 90, 50 and 10 % of all.",
            lines, steps=True,
        )
    ]  # fmt: skip


def _rhythms(found: Samples, clock: Clock, rows: list[int] | None = None) -> list[Picture]:
    """By hour of the day and by day of the week: of all samples together, or of some series apart."""
    if found.span_s < 2 * SECONDS_PER_DAY or found.step_s > SECONDS_PER_HOUR:
        return []
    parts = [("mean", found.time_s, found.value)]
    if rows is not None:
        parts = [(_short(found.names[i]), *found.series(i)) for i in rows]
    hours = [by_slot(clock.hour(time), value, 24) for _, time, value in parts]
    at = np.arange(24.0)
    if len(parts) == 1:
        lines = [Line("mean", at, hours[0].mean, hours[0].low, hours[0].high)]
        caption = "Mean of all samples; the band holds the middle 80 % of them."
    else:
        lines = [Line(name, at, one.mean) for (name, _, _), one in zip(parts, hours, strict=True)]
        caption = "Means of the same series."
    out: list[Picture] = [
        Lines(
            "By hour", clock.hours, found.label, caption, lines, from_zero=not any((line.y < 0).any() for line in lines)
        )
    ]
    if found.span_s >= 8 * SECONDS_PER_DAY:
        name, time, value = parts[0]
        day = by_slot(clock.weekday(time), value, 7)
        of = "all samples" if len(parts) == 1 else name
        caption = f"Mean of {of} over {found.span_s / SECONDS_PER_DAY:.0f} days."
        out.append(Bars("By day", clock.days, found.label, caption, clock.day_names, day.mean))
    return out


def _distribution(columns: list[tuple[str, F64]], label: str, *, below: bool = False) -> Picture:
    caption = "Samples that are not missing."
    lines = []
    for name, value in columns:
        there = value[np.isfinite(value)]
        if there.size:
            lines.append(Line(name, np.quantile(there, _QUANTILES), 100 * _QUANTILES))
    top = max(float(line.x[-4]) for line in lines)  # 99 %
    cut = any(float(line.x[-1]) > 1.5 * top for line in lines) and top > 0 and not below
    if cut:  # a few samples far out would press all others into one line
        lines = [Line(line.label, line.x[line.x <= 1.5 * top], line.y[line.x <= 1.5 * top]) for line in lines]
        caption += " Cut at 1.5 times the 99 % quantile."
    return Lines("Distribution", label, "% of the samples below", caption, lines)


def _means(found: Samples) -> list[Picture]:
    if len(found.names) < 10:
        return []
    level = np.array([_mean(found.series(i)[1]) for i in range(len(found.names))])
    level = level[np.isfinite(level)]
    if level.size < 10:
        return []
    return [
        Lines(
            "Means of the series", found.label, "% of the series below", f"{level.size:,} series with samples.",
            [Line("means", np.quantile(level, _QUANTILES), 100 * _QUANTILES)],
        )
    ]  # fmt: skip


def _lags(found: Samples) -> list[Picture]:
    """Median autocorrelation over series, up to two days or a quarter of the usual series."""
    length = np.diff(found.offset)
    usual = float(np.median(length)) * found.step_s
    reach = min(2.0 * SECONDS_PER_DAY, usual / 4)
    most = int(reach // found.step_s)
    if most < 4:
        return []
    lags = np.unique(np.linspace(1, most, _LAGS).round().astype(np.int64))
    rows = np.unique(np.linspace(0, len(found.names) - 1, _SERIES_OF_LAGS).astype(np.int64))
    curves = [curve for i in rows if (curve := _autocorrelation(found.series(int(i))[1], lags)) is not None]
    if not curves:
        return []
    table = np.array(curves)  # (series, lags)
    size, unit = unit_for(reach)
    at: F64 = lags.astype(np.float64) * found.step_s / size
    low, high = np.quantile(table, (0.1, 0.9), axis=0)
    band: dict[str, Any] = {"low": low, "high": high} if len(curves) > 1 else {}
    caption = f"Median over {len(curves):,} series; the band holds the middle 80 %." if band else "Of the one series."
    return [
        Lines(
            "Autocorrelation", f"lag, {unit}", "autocorrelation", caption,
            [Line("all", at, np.median(table, axis=0), **band)], from_zero=False,
        )
    ]  # fmt: skip


def _autocorrelation(value: F64, lags: I64) -> F64 | None:
    """Correlation of the series with itself later; None where it is short, never changes or misses too much.

    Missing samples count as the mean, and each lag is divided by the pairs that are there.
    """
    there = np.isfinite(value)
    if value.size <= 2 * int(lags[-1]) or there.mean() < 0.5:
        return None
    centred = np.where(there, value - _mean(value), 0.0)
    variance = float(centred @ centred) / int(there.sum())
    if variance <= 0:
        return None
    out = np.empty(lags.size)
    for k, lag in enumerate(lags):
        pairs = int((there[:-lag] & there[lag:]).sum())
        if pairs < 2:
            return None
        out[k] = float(centred[:-lag] @ centred[lag:]) / pairs / variance
    return out


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:13]}…{name[-13:]}"

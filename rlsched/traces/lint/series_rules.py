"""Rules about measured and offered load: `Usage` and `Demand`, as ragged series on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import F64, I64, Demand, Usage
from rlsched.traces.lint.finding import CHANGES, FIRST, NOTICE, Hit, Rule, Subject, ids_of, plural
from rlsched.traces.lint.runs import distinct_share, repeats, runs_of, series_at, series_starts
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, format_duration

_ENOUGH = 100  # samples a series must have before its pattern says something
_FINE = 0.5  # share of different values above which a repeated value is no coincidence
_REPEATED = 0.001
_DECIMALS = 6
_SHORT_SERIES = 0.5
_USUAL = 0.05
_MIXED = 0.001
_PERCENT = 1.5  # a share above this, in a column of shares, may be percent
_EVENTS = ("requests/", "messages/", "invocations/")  # units in which a rate times seconds is a count
_QUIET_S = 600.0
_QUIET_EVENTS = 100.0
_SHIFT_H = 4.0
_DAYS_A_SIDE = 7
_AGREE = 0.7  # length of the mean of the days' phases: 1 where all agree
_HOURS = 24


@dataclass(frozen=True)
class _Grid:
    """Both nouns as one: the samples of all series, one after the other; of a usage, of its first measured column."""

    value: F64
    offset: I64
    start_s: I64
    step_s: int
    ids: npt.NDArray[Any]

    def place(self, sample: int) -> tuple[str, int, float]:
        """Series, sample in it, and its time."""
        row = int(series_at(sample, self.offset))
        at = int(sample - self.offset[row])
        return str(self.ids[row]), at, float(self.start_s[row] + at * self.step_s)

    def where(self, sample: int) -> str:
        """``"series 'x' after 3d4h"``, on the clock of the columns."""
        name, _, time = self.place(sample)
        return f"series {name!r} after {format_duration(time) if time >= 0 else f'{time:g} s'}"

    def hit(self, count: int, found: str, sample: int) -> Hit:
        """A hit that names one sample."""
        name, at, _ = self.place(sample)
        return Hit(count, found, (at,), "samples", (name,))


def _grid(subject: Subject) -> _Grid:
    columns = subject.columns
    if isinstance(columns, Usage):
        measured = (columns.cpu_share, columns.mem_share, *columns.extra.values())
        value = next((one for one in measured if not np.isnan(one).all()), columns.cpu_share)
        return _Grid(value, columns.offset, columns.start_s, columns.step_s, columns.series_id)
    assert isinstance(columns, Demand)  # the table says so
    services, steps = columns.rate.shape
    start = np.full(services, columns.start_s, np.int64)
    return _Grid(columns.rate.ravel(), np.arange(services + 1) * steps, start, columns.step_s, columns.service_id)


def gap(subject: Subject) -> Hit | None:
    """Missing samples, and their longest run."""
    grid = _grid(subject)
    missing = np.isnan(grid.value)
    if not missing.any():
        return None
    begin, end = runs_of(missing, grid.offset)
    worst = int((end - begin).argmax())
    length = format_duration(float(end[worst] - begin[worst]) * grid.step_s)
    text = (
        f"{plural(int(missing.sum()), 'sample')} missing ({missing.mean():.1%}) in {plural(begin.size, 'run')}, "
        f"the longest {length} in {grid.where(int(begin[worst]))}"
    )
    return grid.hit(int(missing.sum()), text, int(begin[worst]))


def step_too_fine(subject: Subject) -> Hit | None:
    """A grid so fine that most of its slots can never have a sample."""
    grid = _grid(subject)
    known = np.flatnonzero(~np.isnan(grid.value))
    apart = np.diff(known)[np.diff(series_at(known, grid.offset)) == 0]
    if apart.size < _ENOUGH or float(np.median(apart)) < 2:
        return None
    text = (
        f"the grid has a step of {grid.step_s} s, and samples come every {np.median(apart) * grid.step_s:g} s (median)"
    )
    return Hit(int(apart.size), text)


def constant_series(subject: Subject) -> Hit | None:
    """Series in which nothing ever changes."""
    grid = _grid(subject)
    known = ~np.isnan(grid.value)
    n = np.diff(grid.offset)
    rows = np.repeat(np.arange(n.size), n)[known]
    count = np.bincount(rows, minlength=n.size)
    low, high = np.full(n.size, np.inf), np.full(n.size, -np.inf)
    np.minimum.at(low, rows, grid.value[known])
    np.maximum.at(high, rows, grid.value[known])
    bad = np.flatnonzero((count >= _ENOUGH) & (low == high))
    if bad.size == 0:
        return None
    zero = int((low[bad] == 0).sum())
    text = f"{plural(bad.size, 'series')} of {n.size:,} never change ({zero:,} of them are 0 throughout)"
    return Hit(int(bad.size), text, ids=ids_of(grid.ids[bad]))


def forward_filled(subject: Subject) -> Hit | None:
    """Repeated values that give a fill away: to the last of many digits, or rounded to six decimals."""
    grid = _grid(subject)
    value = grid.value
    fine = np.nan_to_num(distinct_share(value, grid.offset)) >= _FINE
    fine &= np.diff(grid.offset) >= _ENOUGH
    many_digits = value != np.round(value, _DECIMALS)
    again = repeats(value, grid.offset) & many_digits & np.repeat(fine, np.diff(grid.offset))
    before = np.concatenate([[np.nan], value[:-1]])
    rounded = ~series_starts(grid.offset, value.size) & (value == np.round(before, _DECIMALS)) & (value != before)
    filled = again | rounded
    known = int((~np.isnan(value)).sum())
    if filled.sum() < max(FIRST, _REPEATED * known):
        return None
    begin, end = runs_of(again if again.any() else filled, grid.offset)
    worst = int((end - begin).argmax())
    length = format_duration(float(end[worst] - begin[worst] + 1) * grid.step_s)
    text = (
        f"{plural(int(filled.sum()), 'sample')} ({filled.sum() / known:.1%}) repeat the one before, "
        f"{int(rounded.sum()):,} of them rounded to {_DECIMALS} decimals; the longest run {length} at "
        f"{value[begin[worst]]:.9g} in {grid.where(int(begin[worst]))}"
    )
    return grid.hit(int(filled.sum()), text, int(begin[worst]))


def samples_differ(subject: Subject) -> Hit | None:
    """Series much shorter than the length that most of them share."""
    grid = _grid(subject)
    cells = np.add.reduceat(~np.isnan(grid.value), grid.offset[:-1]) if isinstance(subject.columns, Demand) else None
    n = np.diff(grid.offset) if cells is None else cells
    median = float(np.median(n))
    usual = np.abs(n - median) <= _USUAL * median
    short = np.flatnonzero(n < _SHORT_SERIES * median)
    if n.size < 2 or usual.mean() < 0.5 or short.size == 0:
        return None
    text = (
        f"{plural(short.size, 'series')} of {n.size:,} have less than half of the usual {median:,.0f} samples, "
        f"the fewest {int(n.min()):,}"
    )
    return Hit(int(short.size), text, ids=ids_of(grid.ids[short]))


def above_capacity(subject: Subject) -> Hit | None:
    """Shares above 1: more used than requested or provisioned."""
    usage = subject.columns
    assert isinstance(usage, Usage)
    parts, total, first = [], 0, -1
    for name in (*Usage.SAMPLE_COLUMNS, *(extra for extra in usage.extra if extra.endswith("_share"))):
        value = usage.extra[name] if name in usage.extra else getattr(usage, name)
        above = np.flatnonzero(value > 1)
        if above.size:
            parts.append(f"{name} above 1 in {plural(above.size, 'sample')}, up to {value[above].max():.4g}")
            total += above.size
            first = int(above[value[above].argmax()]) if first < 0 else first
    return _grid(subject).hit(int(total), "; ".join(parts), first) if parts else None


def percent_mixed(subject: Subject) -> Hit | None:
    """Shares of which some are percent: a second hump at a hundred times the first."""
    usage = subject.columns
    assert isinstance(usage, Usage)
    for name in Usage.SAMPLE_COLUMNS:
        value = getattr(usage, name)
        known = value[~np.isnan(value) & (value > 0)]
        high, low = known[known > _PERCENT], known[known <= 1]
        if high.size < max(FIRST, _MIXED * known.size) or low.size < FIRST:
            continue
        if np.median(high) >= 10 * np.median(low) and np.median(high) > 2 and np.quantile(high, 0.99) <= 110:
            at = int(np.flatnonzero(value > _PERCENT)[0])
            text = (
                f"{name} has {plural(low.size, 'sample')} up to 1 and {plural(high.size, 'sample')} around "
                f"{np.median(high):.3g}: fractions and percent in one column?"
            )
            return _grid(subject).hit(int(high.size), text, at)
    return None


def percent_unit(subject: Subject) -> Hit | None:
    """A whole column a hundredfold: percent taken for fractions, or fractions for percent."""
    usage = subject.columns
    assert isinstance(usage, Usage)
    for name in Usage.SAMPLE_COLUMNS:
        value = getattr(usage, name)
        known = value[~np.isnan(value) & (value > 0)]
        if known.size < _ENOUGH:
            continue
        if np.median(known) > _PERCENT and np.quantile(known, 0.99) <= 110:
            return Hit(known.size, f"half of {name} is above {np.median(known):.3g}: percent taken for fractions?")
        if len(usage) >= FIRST and known.max() <= 0.0101 and known.size >= 10 * _ENOUGH:
            return Hit(known.size, f"{name} is never above {known.max():.3g}: fractions taken for percent?")
    return None


def mean_above_max(subject: Subject) -> Hit | None:
    """Averages above the maximum of the same slot."""
    usage = subject.columns
    assert isinstance(usage, Usage)
    top = usage.extra.get("cpu_max_share")
    if top is None:
        return None
    bad = np.flatnonzero(usage.cpu_share > top)
    if bad.size == 0:
        return None
    at = int(bad[0])
    text = f"cpu_share above cpu_max_share in {plural(bad.size, 'sample')}: {usage.cpu_share[at]:.4g} > {top[at]:.4g}"
    return _grid(subject).hit(int(bad.size), text, at)


def unlike_lengths(subject: Subject) -> Hit | None:
    """Series that do not all begin together and have the same number of samples."""
    usage = subject.columns
    assert isinstance(usage, Usage)
    n = np.diff(usage.offset)
    if np.unique(n).size == 1 and np.unique(usage.start_s).size == 1:
        return None
    text = (
        f"series have {int(n.min()):,} to {int(n.max()):,} samples and begin at {int(usage.start_s.min()):,} to "
        f"{int(usage.start_s.max()):,} s"
    )
    return Hit(len(usage), text, ids=(str(usage.series_id[n.argmin()]), str(usage.series_id[n.argmax()])))


def outage(subject: Subject) -> Hit | None:
    """Runs of zeros in which the rate before and after would have brought a hundred events."""
    if not (isinstance(subject.columns, Demand) and subject.columns.unit.startswith(_EVENTS)):
        return None  # a number of GPUs may well be 0
    grid = _grid(subject)
    begin, end = runs_of(grid.value == 0, grid.offset)
    long = (end - begin) * grid.step_s >= _QUIET_S
    begin, end = begin[long], end[long]
    if begin.size == 0:
        return None
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(grid.value))])
    row = series_at(begin, grid.offset)
    width = np.minimum(end - begin, max(1, int(SECONDS_PER_HOUR // grid.step_s)))
    before = np.maximum(begin - width, grid.offset[row])
    after = np.minimum(end + width, grid.offset[row + 1])
    rate = [
        np.divide(total[b] - total[a], b - a, out=np.full(begin.size, np.nan), where=b > a)
        for a, b in ((before, begin), (end, after))
    ]
    events = np.nan_to_num(np.minimum(rate[0], rate[1])) * (end - begin) * grid.step_s
    begin, end = begin[events >= _QUIET_EVENTS], end[events >= _QUIET_EVENTS]
    if begin.size == 0:
        return None
    worst = int((end - begin).argmax())
    length = format_duration(float(end[worst] - begin[worst]) * grid.step_s)
    zeros = int((end - begin).sum())
    text = (
        f"{plural(begin.size, 'run')} of zeros ({plural(zeros, 'sample')}) beside a busy hour on either side, "
        f"the longest {int(end[worst] - begin[worst]):,} samples ({length}) in {grid.where(int(begin[worst]))}: "
        "off, not idle?"
    )
    return grid.hit(zeros, text, int(begin[worst]))


def clock_step(subject: Subject) -> Hit | None:
    """A day's rhythm that shifts by hours for good: two logs glued together, or a clock set anew."""
    grid = _grid(subject)
    worst: tuple[float, int, int] | None = None
    for row in range(grid.offset.size - 1):
        found = _rhythm_shift(grid.value[grid.offset[row] : grid.offset[row + 1]], grid.step_s)
        if found is not None and (worst is None or abs(found[0]) > abs(worst[0])):
            worst = (found[0], found[1], row)
    if worst is None:
        return None
    hours, day, row = worst
    sample = int(grid.offset[row]) + day * (SECONDS_PER_DAY // grid.step_s)
    text = (
        f"the daily rhythm of series {str(grid.ids[row])!r} comes {abs(hours):.1f} h "
        f"{'later' if hours > 0 else 'earlier'} from about day {day} on, and stays so: are two logs glued together, "
        "or was a clock set?"
    )
    return grid.hit(1, text, sample)


def _rhythm_shift(value: F64, step_s: int) -> tuple[float, int] | None:
    """Hours the daily wave moves at the day where it moves most, and that day; None below four hours.

    The wave's phase is that of the 24 h term of a Fourier series, a day at a time; the phases of
    seven days before must agree among themselves, and those of seven days after.
    """
    if SECONDS_PER_HOUR % step_s:
        return None
    hourly = value[: value.size - value.size % (SECONDS_PER_DAY // step_s)]
    hourly = hourly.reshape(-1, SECONDS_PER_HOUR // step_s)
    known = ~np.isnan(hourly)
    count = known.sum(axis=1)
    mean = np.divide(np.where(known, hourly, 0).sum(axis=1), count, out=np.full(count.size, np.nan), where=count > 0)
    days = mean.reshape(-1, _HOURS)
    wave = days @ np.exp(2j * np.pi * np.arange(_HOURS) / _HOURS)
    unit = np.divide(wave, np.abs(wave), out=np.full(wave.size, np.nan + 0j), where=np.abs(wave) > 0)
    best: tuple[float, int] | None = None
    for day in range(_DAYS_A_SIDE, unit.size - _DAYS_A_SIDE):
        # The day of the step itself belongs to neither side.
        sides = [unit[day - _DAYS_A_SIDE : day], unit[day + 1 : day + 1 + _DAYS_A_SIDE]]
        means = [
            complex(side[~np.isnan(side)].mean()) if (~np.isnan(side)).sum() >= _DAYS_A_SIDE - 1 else 0j
            for side in sides
        ]
        if min(abs(means[0]), abs(means[1])) < _AGREE:
            continue
        hours = float(np.angle(means[1] * np.conj(means[0]))) * _HOURS / (2 * np.pi)
        if abs(hours) >= _SHIFT_H and (best is None or abs(hours) > abs(best[0])):
            best = (hours, day)
    return best


_GAP_FIX = "Use stretches without gaps, or fill them yourself and say how."
_BOTH = {
    "constant": ("constant-series", NOTICE, "series in which nothing ever changes (100 samples or more)",
                 "replays them as they are",
                 "Leave them out where forecasts are scored: any forecast of them is perfect.",
                 constant_series),
    "filled": ("forward-filled", NOTICE, "repeated values that give a fill away: of many digits, or rounded",
               "takes them for measurements", "Mark them missing, or keep forecasts from being scored on them.",
               forward_filled),
    "fine": ("step-too-fine", CHANGES, "a grid whose step is finer than the samples come",
             "treats the slots between as missing",
             "Read with a larger step (step_s), or check the unit of the stamps.",
             step_too_fine),
}  # fmt: skip


def _usage(*line: Any) -> Rule:
    return Rule(line[0], "usage", *line[1:])


def _demand(*line: Any) -> Rule:
    return Rule(line[0], "demand", *line[1:])


USAGE_RULES = (
    _usage("gap", CHANGES, "missing samples", "consolidation refuses series with gaps", _GAP_FIX, gap),
    _usage(
        "unlike-lengths", NOTICE, "series that differ in begin or number of samples",
        "consolidation refuses them as they are; each is replayed on its own elsewhere",
        "Cut or drop series until they agree.", unlike_lengths,
    ),
    _usage(
        "samples-differ", CHANGES, "series with less than half of the samples that most have",
        "consolidation refuses them", "Leave the short ones out.", samples_differ,
    ),
    _usage(
        "above-capacity", NOTICE, "usage above what was requested or provisioned",
        "replays it as it stands: such a task asks for more than its request",
        "Decide whether bursting is meant, or the capacity column is wrong.", above_capacity,
    ),
    _usage(
        "percent-mixed", CHANGES, "percent and fraction mixed in one column",
        "takes all of them for fractions: some loads a hundredfold",
        "Divide the percent by 100 before reading.", percent_mixed,
    ),
    _usage(
        "percent-unit", CHANGES, "percent taken for fractions, or fractions for percent",
        "takes it as it is: loads a hundredfold, or a hundredth", "Convert the column before reading.", percent_unit,
    ),
    _usage(
        "mean-above-max", CHANGES, "an average above the maximum of the same slot",
        "replays the average", "Check that the two files are of the same VMs and slots.", mean_above_max,
    ),
    _usage(*_BOTH["fine"]),
    _usage(*_BOTH["constant"]),
    _usage(*_BOTH["filled"]),
)  # fmt: skip

DEMAND_RULES = (
    _demand(
        "gap", CHANGES, "missing steps", "has no demand there: nothing is offered, and nothing can be scaled to it",
        _GAP_FIX, gap,
    ),
    _demand(
        "outage", CHANGES, "runs of zeros in the middle of busy hours",
        "offers no load there, and scales in", "Mark them missing (zero_run_missing_s of counts_per_second).", outage,
    ),
    _demand(
        "clock-step", CHANGES, "a daily rhythm that shifts by four hours or more for good",
        "replays one continuous clock: whatever goes by the time of day is off after it",
        "Read with cut_at and cut_s where seconds are cut out, or split the file there.", clock_step,
    ),
    _demand(
        "samples-differ", NOTICE, "services with less than half of the steps that most have",
        "replays each where it is known", "Choose the stretch that all of them cover.", samples_differ,
    ),
    _demand(*_BOTH["fine"]),
    _demand(*_BOTH["constant"]),
    _demand(*_BOTH["filled"]),
)  # fmt: skip

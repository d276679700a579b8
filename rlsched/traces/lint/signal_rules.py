"""Rules about signals: carbon, prices, availability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import F64, Signal
from rlsched.traces.lint.finding import CHANGES, NOTICE, Hit, Rule, Subject, ids_of, plural
from rlsched.traces.lint.runs import distinct_share, repeats, runs_of, series_at
from rlsched.units import SECONDS_PER_DAY, format_duration

_REGULAR = 0.5  # share of the blocks that are steady, on a grid
_STEADY = 0.9  # share of a block's intervals that are the usual one
_RARE = 0.01
_COVER = 0.95
_BLOCK = 96  # intervals over which the usual one is judged
_LOWEST_CARBON = 15.0  # g/kWh: below it, as a mean over months, no grid of a country lies that burns anything
_FINE = 0.2


def _signal(subject: Subject) -> Signal:
    assert isinstance(subject.columns, Signal)  # the table says so
    return subject.columns


def _where(signal: Signal, sample: int) -> tuple[str, int, float]:
    row = int(series_at(sample, signal.offset))
    return str(signal.signal_id[row]), int(sample - signal.offset[row]), float(signal.time_s[sample])


def _hit(signal: Signal, count: int, found: str, sample: int) -> Hit:
    name, at, _ = _where(signal, sample)
    return Hit(count, found, (at,), "samples", (name,))


def gap(subject: Subject) -> Hit | None:
    """Stretches in which the value is not known."""
    signal = _signal(subject)
    until = np.append(signal.time_s[1:], 0).astype(np.float64)
    until[signal.offset[1:] - 1] = signal.end_s
    missing = np.flatnonzero(np.isnan(signal.value))
    if missing.size == 0:
        return None
    length = until[missing] - signal.time_s[missing]
    worst = int(missing[length.argmax()])
    name, _, time = _where(signal, worst)
    text = (
        f"{missing.size:,} stretch{'es' if missing.size > 1 else ''} without a value, the longest "
        f"{format_duration(float(length.max()))} in signal {name!r} after {format_duration(time)}"
    )
    return _hit(signal, int(missing.size), text, worst)


def step_change(subject: Subject) -> Hit | None:
    """Signals on a grid whose step changes for good."""
    signal = _signal(subject)
    found: list[tuple[str, float, float, int]] = []
    for row in range(len(signal)):
        at, _, usual, steady = _grid_of(signal, row)
        changes = np.flatnonzero((np.diff(usual) != 0) & steady[1:] & steady[:-1])
        if changes.size == 1 and steady.mean() >= _REGULAR:
            k = int(changes[0])
            found.append((str(signal.signal_id[row]), float(usual[k]), float(usual[k + 1]), int(at[(k + 1) * _BLOCK])))
    if not found:
        return None
    name, before, after, sample = found[0]
    text = (
        f"{plural(len(found), 'signal')} with a step that changes: {name!r} from {before:g} s to {after:g} s about "
        f"{format_duration(float(signal.time_s[sample]))} after the start"
    )
    return _hit(signal, len(found), text, sample)


def odd_step(subject: Subject) -> Hit | None:
    """Single intervals longer or shorter than the steady ones around them."""
    signal = _signal(subject)
    count, worst = 0, (0.0, 0.0, 0.0, -1)
    for row in range(len(signal)):
        at, step, usual, steady = _grid_of(signal, row)
        calm = steady & (np.concatenate([[0], np.diff(usual)]) == 0) & (np.concatenate([np.diff(usual), [0]]) == 0)
        expected = np.repeat(usual, _BLOCK)[: step.size]
        odd = np.flatnonzero(np.repeat(calm, _BLOCK)[: step.size] & (step != expected))
        if odd.size and odd.size <= _RARE * step.size:
            count += odd.size
            far = odd[np.abs(step[odd] / expected[odd] - 1).argmax()]
            worst = max(worst, (abs(step[far] / expected[far] - 1), step[far], expected[far], int(at[far])))
    if count == 0:
        return None
    name, _, time = _where(signal, worst[3])
    text = (
        f"{plural(count, 'interval')} unlike those around: {worst[1]:g} s instead of {worst[2]:g} s in signal {name!r} "
        f"after {format_duration(time)}"
    )
    return _hit(signal, count, text, worst[3])


def _grid_of(signal: Signal, row: int) -> tuple[npt.NDArray[np.intp], F64, F64, npt.NDArray[np.bool_]]:
    """Samples that have a next one, the seconds to it; of each block of them the usual step, and if it is steady.

    Stretches without a value are no step.
    """
    own = np.arange(signal.offset[row], signal.offset[row + 1] - 1)
    known = ~np.isnan(signal.value)
    at = own[known[own] & known[own + 1]]
    step = (signal.time_s[at + 1] - signal.time_s[at]).astype(np.float64)
    blocks = [step[i : i + _BLOCK] for i in range(0, step.size, _BLOCK)]
    usual = np.array([np.median(block) for block in blocks])
    steady = np.array([(block == middle).mean() >= _STEADY for block, middle in zip(blocks, usual, strict=True)], bool)
    return at, step, usual, steady


def constant_run(subject: Subject) -> Hit | None:
    """A day or more of one value to the last digit, in a signal that otherwise changes at every step."""
    signal = _signal(subject)
    fine = np.nan_to_num(distinct_share(signal.value, signal.offset)) >= _FINE
    looked = np.repeat(fine, np.diff(signal.offset))
    again = repeats(signal.value, signal.offset) & looked
    begin, end = runs_of(again, signal.offset)
    if begin.size == 0:
        return None
    length = signal.time_s[end - 1] - signal.time_s[begin - 1]
    long = np.flatnonzero((length >= SECONDS_PER_DAY) & (end - begin >= 12))
    if long.size == 0:
        return None
    worst = int(long[length[long].argmax()])
    name, _, time = _where(signal, int(begin[worst]))
    text = (
        f"{plural(long.size, 'run')} of a day or more at one value, the longest "
        f"{format_duration(float(length[worst]))} at {signal.value[begin[worst]]:g} in signal {name!r} "
        f"after {format_duration(time)}"
    )
    return _hit(signal, int((end - begin)[long].sum()), text, int(begin[worst]))


def samples_differ(subject: Subject) -> Hit | None:
    """Signals of one file that end at different times."""
    signal = _signal(subject)
    first = signal.time_s[signal.offset[:-1]].astype(np.float64)
    last = signal.end_s.astype(np.float64)
    cover = last - first
    whole = float(last.max() - first.min())
    short = np.flatnonzero(cover < _COVER * whole)
    if len(signal) < 2 or short.size == 0:
        return None
    text = (
        f"{plural(short.size, 'signal')} of {len(signal)} cover less than 95 % of the {format_duration(whole)} of all, "
        f"the shortest {format_duration(float(cover.min()))}"
    )
    return Hit(int(short.size), text, ids=ids_of(signal.signal_id[short]))


def carbon_level(subject: Subject) -> Hit | None:
    """Carbon intensities with a mean below anything a country's grid has."""
    signal = _signal(subject)
    if signal.unit != "g/kWh":
        return None
    means = [float(np.nanmean(signal.series(row)[1])) for row in range(len(signal))]
    low = [(mean, str(signal.signal_id[row])) for row, mean in enumerate(means) if mean < _LOWEST_CARBON]
    if not low:
        return None
    text = ", ".join(f"{name!r} has a mean of {mean:.3g} g/kWh" for mean, name in sorted(low))
    return Hit(len(low), text, ids=tuple(name for _, name in sorted(low)))


SIGNAL_RULES = (
    Rule(
        "gap", "signal", CHANGES, "stretches in which the value is not known",
        "has no value there: what runs then cannot be charged or accounted",
        "Lay windows beside the gap, or choose another zone.", gap,
    ),
    Rule(
        "step-change", "signal", NOTICE, "a step that changes for good inside a signal",
        "goes by the time stamps: each value holds until the next",
        "Use the stamps, never the row number.", step_change,
    ),
    Rule(
        "odd-step", "signal", NOTICE, "single intervals unlike those around",
        "holds the value over the long one", "Use the stamps, never the row number.", odd_step,
    ),
    Rule(
        "constant-run", "signal", NOTICE, "a day or more at one value to the last digit",
        "replays it as it stands", "Check whether the source filled or estimated it.", constant_run,
    ),
    Rule(
        "samples-differ", "signal", NOTICE, "signals that do not cover the same time",
        "has no value of a signal before its begin and after its end", "Choose the stretch that all of them cover.",
        samples_differ,
    ),
    Rule(
        "carbon-level", "signal", NOTICE, "carbon intensities with a mean below 15 g/kWh",
        "accounts with the level as it stands", "Use the shape, and another source for levels.", carbon_level,
    ),
)  # fmt: skip

"""Tasks and machines → what their pictures show."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.report.plots import Bars, Bubbles, Line, Lines, Picture
from rlsched.report.rhythm import Clock, by_slot, counts, unit_for, width_for
from rlsched.traces.columns import UNKNOWN, Machines, Trace
from rlsched.traces.describe import survival
from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, MIB_PER_GIB, SECONDS_PER_DAY, SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]
_SHAPES = 150  # bubbles
_POINTS = 400  # of a curve
_AT_ONCE = 0.02  # share of tasks at the first moment above which they were there before


def trace_views(trace: Trace) -> list[Picture]:
    """Arrivals over time, by hour and by day; sizes; GPUs; lives; what is running."""
    return [*_arrivals(trace), *_sizes(trace), *_gpus(trace), *_lives(trace), *_running(trace)]


def machine_views(machines: Machines) -> list[Picture]:
    """Capacities, and GPUs by model."""
    out = _shapes(
        "Capacities",
        "Each circle is a shape; its area is the number of machines.",
        machines.cpu_mcore,
        machines.mem_mib,
    )
    if machines.gpu_models:
        devices = np.bincount(
            machines.gpu_model[machines.gpu_model >= 0],
            weights=machines.gpu_count[machines.gpu_model >= 0],
            minlength=len(machines.gpu_models),
        )
        order = np.argsort(-devices, kind="stable")
        names = [machines.gpu_models[i] for i in order]
        out.append(Bars("GPUs", "model", "devices", "Devices of each model.", names, devices[order].astype(np.float64)))
    per_machine = np.bincount(machines.gpu_count)
    if per_machine.size > 1:
        have = np.flatnonzero(per_machine)
        out.append(
            Bars(
                "GPUs of a machine", "GPUs", "machines", "Machines by the number of their GPUs.",
                [str(n) for n in have], per_machine[have].astype(np.float64),
            )
        )  # fmt: skip
    return out


def _arrivals(trace: Trace) -> list[Picture]:
    clock = Clock.of(trace.meta)
    arrive = trace.arrive_s.astype(np.float64)
    first, last = float(arrive[0]), float(arrive[-1])
    if last <= first:
        return []
    note = ""
    there = arrive == first
    if there.mean() > _AT_ONCE:
        arrive = arrive[~there]
        note = f" Left out: {int(there.sum()):,} tasks at the first moment."
    span = last - first
    size, unit = unit_for(span)
    found = counts(arrive, width_for(span), first, last)
    out: list[Picture] = [
        Lines(
            "Arrivals", f"{unit} since the trace began", "tasks per hour",
            f"Arrivals in steps of {found.width}.{note}",
            [Line("arrivals", found.begin_s / size, found.per_hour)], steps=True,
        )
    ]  # fmt: skip
    if span >= 2 * SECONDS_PER_DAY:
        hourly = counts(arrive, SECONDS_PER_HOUR, first, last, clock.origin_s % SECONDS_PER_HOUR)
        spread = by_slot(clock.hour(hourly.begin_s), hourly.per_hour, 24)
        out.append(
            Lines(
                "Arrivals by hour", clock.hours, "tasks per hour",
                f"Mean over {span / SECONDS_PER_DAY:.1f} days; the band holds the middle 80 % of them.",
                [Line("arrivals", np.arange(24.0), spread.mean, spread.low, spread.high)],
            )
        )  # fmt: skip
    if span >= 8 * SECONDS_PER_DAY:
        daily = counts(arrive, SECONDS_PER_DAY, first, last, clock.origin_s % SECONDS_PER_DAY)
        spread = by_slot(clock.weekday(daily.begin_s), 24 * daily.per_hour, 7)
        out.append(
            Bars(
                "Arrivals by day", clock.days, "tasks per day", f"Mean over {daily.begin_s.size} whole days.",
                clock.day_names, spread.mean,
            )
        )  # fmt: skip
    return out


def _sizes(trace: Trace) -> list[Picture]:
    out = _shapes(
        "Requests", "Each circle is a request; its area is the number of tasks.", trace.cpu_mcore, trace.mem_mib
    )
    for title, label, value in (
        ("CPU requests", "cores", trace.cpu_mcore / MCORE_PER_CORE),
        ("Memory requests", "GiB", trace.mem_mib / MIB_PER_GIB),
    ):
        if np.unique(value).size > 1:
            out.append(_octaves(title, label, value))
    return out


def _octaves(title: str, label: str, value: F64) -> Bars:
    """Shares of tasks by powers of two; a bin holds what is above the one below it, up to its label."""
    some = value[value > 0]
    octave = np.ceil(np.round(np.log2(some), 9)).astype(np.int64)
    low = int(octave.min())
    many = np.bincount(octave - low)
    names = [f"{2.0**k:g}" if k >= -3 else f"1/{2**-k}" for k in range(low, low + many.size)]
    shares = many / value.size
    if some.size < value.size:
        names, shares = ["0", *names], np.concatenate([[1 - some.size / value.size], shares])
    return Bars(
        title, f"{label}, up to", "% of the tasks",
        "Powers of two: a bar counts tasks above the label before it, up to its own.", names, 100 * shares,
    )  # fmt: skip


def _shapes(
    title: str, caption: str, cpu_mcore: npt.NDArray[np.int64], mem_mib: npt.NDArray[np.int64]
) -> list[Picture]:
    """CPU against memory; nothing where fewer than three shapes have both."""
    both = (cpu_mcore > 0) & (mem_mib > 0)
    if not both.any():
        return []
    shapes, many = np.unique(np.stack([cpu_mcore[both], mem_mib[both]]), axis=1, return_counts=True)
    if many.size < 3:
        return []
    order = np.argsort(-many, kind="stable")[:_SHAPES]
    if many.size > _SHAPES:
        caption += f" The {_SHAPES} most common of {many.size:,}: {many[order].sum() / cpu_mcore.size:.0%} of all."
    elif not both.all():
        caption += f" Without the {int((~both).sum()):,} that name no CPU or no memory."
    x, y = shapes[0][order] / MCORE_PER_CORE, shapes[1][order] / MIB_PER_GIB
    return [Bubbles(title, "cores", "memory, GiB", caption, x, y, many[order].astype(np.float64))]


def _gpus(trace: Trace) -> list[Picture]:
    if not (trace.gpu_count > 0).any():
        return []
    asked = trace.gpu_count * trace.gpu_mgpu / MGPU_PER_GPU
    names = ["0", "≤ ¼", "≤ ½", "< 1", "1", "2", "3–4", "5–8", "> 8"]
    edges = [0.0, 0.25, 0.5, 0.9999, 1.0, 2.0, 4.0, 8.0]
    many = np.bincount(np.searchsorted(edges, asked, side="left"), minlength=len(names))
    share = 100 * many / len(trace)
    return [Bars("GPUs of a task", "GPUs", "% of the tasks", "Shares of one device, or several.", names, share)]


def _lives(trace: Trace) -> list[Picture]:
    known = trace.depart_s != UNKNOWN
    censored = ~known & (trace.last_seen_s != UNKNOWN)
    life = (trace.depart_s - trace.arrive_s)[known].astype(np.float64)
    age = (trace.last_seen_s - trace.arrive_s)[censored].astype(np.float64)
    if np.unique(life).size < 2:
        return []
    times, alive = survival(life, age)
    some = times > 0
    times, alive = times[some], alive[some]
    pick = np.unique(np.linspace(0, times.size - 1, _POINTS).astype(np.int64))
    caption = f"Kaplan–Meier over {life.size:,} known ends"
    caption += f" and {age.size:,} tasks last seen running." if age.size else "."
    unknown = int((~known & ~censored).sum())
    if unknown:
        caption += f" Without {unknown:,} of unknown end."
    return [
        Lines(
            "Lives", "life", "% still running", caption,
            [Line("lives", times[pick], 100 * alive[pick])], steps=True, durations=True,
        )
    ]  # fmt: skip


def _running(trace: Trace) -> list[Picture]:
    """Cores (or GPUs) asked for by what runs; tasks of unknown end would run for ever and are left out."""
    ends = trace.last_seen_s.astype(np.float64)
    told = ends != UNKNOWN
    if not told.any() or float(ends[told].max()) <= float(trace.arrive_s[0]):
        return []
    amount = trace.cpu_mcore / MCORE_PER_CORE
    label = "cores"
    if not amount.any():
        amount, label = trace.gpu_count * trace.gpu_mgpu / MGPU_PER_GPU, "GPUs"
    begin = trace.arrive_s[told].astype(np.float64)
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    if last <= first:
        return []
    grid = np.linspace(first, last, _POINTS)
    arrived = _until(begin, amount[told], grid)
    left = _until(ends[told], amount[told], grid)
    size, unit = unit_for(last - first)
    caption = f"What tasks ask for while they run, until the last arrival: {label}."
    if not told.all():
        caption += f" Without {int((~told).sum()):,} of unknown end."
    return [
        Lines(
            "Running", f"{unit} since the trace began", f"{label} requested", caption,
            [Line("running", grid / size, arrived - left)],
        )
    ]  # fmt: skip


def _until(time_s: F64, amount: npt.NDArray[Any], grid: F64) -> F64:
    """Sum of the amounts whose time is at most each moment of the grid."""
    order = np.argsort(time_s, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(amount[order])])
    out: F64 = total[np.searchsorted(time_s[order], grid, side="right")]
    return out

"""Columns → a plain dictionary of numbers that says what is in them.

Everything in the result is JSON: numbers, text, lists and dictionaries, ``None`` where a number
is not defined. Keys carry their unit as suffix. `rlsched.cli.traces` draws it as tables.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import ANY_MODEL, UNKNOWN, Columns, Demand, DropReport, Machines, Signal, Trace, Usage
from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, MIB_PER_GIB, SECONDS_PER_HOUR, format_duration

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_COMMON = 8
F64 = npt.NDArray[np.float64]


def describe(columns: Columns) -> dict[str, Any]:
    """Count, span, distributions and gaps of any of the nouns.

    Returns
    -------
    dict
        ``kind, source, rows, report`` and, by kind, the parts documented at
        :func:`describe_trace`, :func:`describe_machines`, :func:`describe_usage`,
        :func:`describe_demand` and :func:`describe_signal`.
    """
    if isinstance(columns, Trace):
        kind, body = "trace", describe_trace(columns)
    elif isinstance(columns, Machines):
        kind, body = "machines", describe_machines(columns)
    elif isinstance(columns, Usage):
        kind, body = "usage", describe_usage(columns)
    elif isinstance(columns, Demand):
        kind, body = "demand", describe_demand(columns)
    else:
        kind, body = "signal", describe_signal(columns)
    head = {"kind": kind, "source": columns.source, "rows": len(columns)}
    return {**head, **body, "report": _report(columns.report), "meta": _short_meta(columns.meta)}


def describe_trace(trace: Trace) -> dict[str, Any]:
    """``span``, ``arrivals_per_hour``, ``requests``, ``lifetimes``, ``gpus``, ``missing``, ``groups``.

    ``arrivals_per_hour`` counts whole hours from the first arrival (the last, broken hour is left
    out where there is another); ``burstiness`` is their variance over their mean: 1 for Poisson
    arrivals, larger when they clump. A lifetime is *censored* where the task was last seen
    running, *unknown* where not even that is known.
    """
    known = trace.depart_s != UNKNOWN
    censored = ~known & (trace.last_seen_s != UNKNOWN)
    life = (trace.depart_s - trace.arrive_s)[known].astype(np.float64)
    age = (trace.last_seen_s - trace.arrive_s)[censored].astype(np.float64)
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    ends = trace.last_seen_s[trace.last_seen_s != UNKNOWN]
    return {
        "span": {
            "first_arrival_s": first,
            "last_arrival_s": last,
            "last_event_s": max(last, float(ends.max())) if ends.size else last,
        },
        "arrivals_per_hour": _per_hour(trace.arrive_s.astype(np.float64)),
        "requests": {
            "cpu_mcore": _distribution(trace.cpu_mcore),
            "mem_mib": _distribution(trace.mem_mib),
            "total_cores": float(trace.cpu_mcore.sum() / MCORE_PER_CORE),
            "total_gib": float(trace.mem_mib.sum() / MIB_PER_GIB),
            "most_common": _most_common(
                ("cpu_mcore", trace.cpu_mcore),
                ("mem_mib", trace.mem_mib),
                ("gpu_count", trace.gpu_count),
                ("gpu_mgpu", trace.gpu_mgpu),
            ),
        },
        "lifetimes": {
            "known": int(known.sum()),
            "censored": int(censored.sum()),
            "unknown": int((~known & ~censored).sum()),
            "known_s": _distribution(life),
            "kaplan_meier_median_s": kaplan_meier_median(life, age),
        },
        "gpus": _gpus(trace),
        "missing": {
            "depart_s": int((~known).sum()),
            "last_seen_s": int((trace.last_seen_s == UNKNOWN).sum()),
            "tenant": int((trace.tenant == UNKNOWN).sum()),
            "group": int((trace.group == UNKNOWN).sum()),
            "expected_s": int(np.isnan(trace.expected_s).sum()),
        },
        "groups": _group_sizes(trace.group),
    }


def describe_machines(machines: Machines) -> dict[str, Any]:
    """``capacity`` (totals), ``shapes`` (the most common), ``gpu_models`` (devices of each), ``missing``."""
    return {
        "capacity": {
            "cores": float(machines.cpu_mcore.sum() / MCORE_PER_CORE),
            "mem_gib": float(machines.mem_mib.sum() / MIB_PER_GIB),
            "gpus": int(machines.gpu_count.sum()),
            "machines_with_gpu": int((machines.gpu_count > 0).sum()),
        },
        "shapes": _most_common(
            ("cpu_mcore", machines.cpu_mcore), ("mem_mib", machines.mem_mib), ("gpu_count", machines.gpu_count)
        ),
        "gpu_models": {
            name: int(machines.gpu_count[machines.gpu_model == i].sum()) for i, name in enumerate(machines.gpu_models)
        },
        "missing": {
            "power_curve": int((machines.power_curve == UNKNOWN).sum()),
            "site": int((machines.site == UNKNOWN).sum()),
            "price_per_h": int(np.isnan(machines.price_per_h).sum()),
        },
    }


def describe_usage(usage: Usage) -> dict[str, Any]:
    """``step_s``, ``samples``, ``span``, ``length`` (samples a series), and of each column its
    distribution over all samples, ``missing_share`` and ``lag1``.

    ``lag1`` is the median over the series of the correlation of a sample with the next one;
    pairs with a missing sample do not count, nor do series that never change.
    """
    length = np.diff(usage.offset)
    end = usage.start_s + length * usage.step_s
    columns: dict[str, Any] = {}
    for name in (*Usage.SAMPLE_COLUMNS, *usage.extra):
        value = usage.extra[name] if name in usage.extra else getattr(usage, name)
        missing = int(np.isnan(value).sum())
        columns[name] = {
            **_distribution(value),
            "missing": missing,
            "missing_share": _number(missing / value.size) if value.size else None,
            "lag1": _median_lag1(value, usage.offset),
        }
    return {
        "step_s": usage.step_s,
        "samples": int(usage.offset[-1]),
        "span": {"first_s": int(usage.start_s.min()), "last_s": int(end.max())},
        "length": _distribution(length),
        "columns": columns,
        "missing": {
            "cpu_mcore": int((usage.cpu_mcore == UNKNOWN).sum()),
            "mem_mib": int((usage.mem_mib == UNKNOWN).sum()),
        },
    }


def describe_demand(demand: Demand) -> dict[str, Any]:
    """``step_s``, ``steps``, ``unit``, and the distribution, gaps and lag-1 of ``rate``."""
    services, steps = demand.rate.shape
    offset = np.arange(services + 1) * steps
    rate = demand.rate.ravel()
    return {
        "step_s": demand.step_s,
        "steps": steps,
        "unit": demand.unit,
        "span": {"first_s": demand.start_s, "last_s": demand.start_s + steps * demand.step_s},
        "rate": {
            **_distribution(rate),
            "missing": int(np.isnan(rate).sum()),
            "missing_share": float(np.isnan(rate).mean()),
            "lag1": _median_lag1(rate, offset),
        },
    }


def describe_signal(signal: Signal) -> dict[str, Any]:
    """``unit``, ``span``, ``values`` (how many a signal has), ``hold_s`` (how long one holds), and
    the distribution, gaps and lag-1 of ``value``.

    The distribution counts every value once, however long it holds; lag-1 is between neighbours.
    """
    until = np.empty_like(signal.time_s)
    until[:-1] = signal.time_s[1:]
    until[signal.offset[1:] - 1] = signal.end_s
    missing = int(np.isnan(signal.value).sum())
    return {
        "unit": signal.unit,
        "span": {"first_s": float(signal.time_s.min()), "last_s": float(signal.end_s.max())},
        "values": _distribution(np.diff(signal.offset)),
        "hold_s": _distribution(until - signal.time_s),
        "value": {
            **_distribution(signal.value),
            "missing": missing,
            "missing_share": missing / signal.value.size,
            "lag1": _median_lag1(signal.value, signal.offset),
        },
    }


def in_a_line(columns: Columns) -> str:
    """What is in it, in one line: how much, over what time, of what level.

    Examples
    --------
    ``"8,152 tasks over 149d7h; 10.5 cores and 36.4 GiB on average; half live 9m"``
    """
    if isinstance(columns, Trace):
        return _line_of_trace(columns)
    if isinstance(columns, Machines):
        totals = (
            (columns.cpu_mcore.sum() / MCORE_PER_CORE, "cores"),
            (columns.mem_mib.sum() / MIB_PER_GIB, "GiB"),
            (columns.gpu_count.sum(), "GPUs"),
        )
        return ", ".join([f"{len(columns):,} machines", *(f"{total:,.0f} {unit}" for total, unit in totals if total)])
    if isinstance(columns, Usage):
        end = columns.start_s + np.diff(columns.offset) * columns.step_s
        span = float(end.max() - columns.start_s.min())
        known = columns.cpu_share[~np.isnan(columns.cpu_share)]
        level = f"; CPU {_three(float(known.mean()))} of the request on average" if known.size else ""
        return (
            f"{len(columns):,} series of {format_duration(columns.step_s)}, {columns.cpu_share.size:,} samples over "
            f"{format_duration(span)}{level}"
        )
    if isinstance(columns, Demand):
        services, steps = columns.rate.shape
        known = columns.rate[~np.isnan(columns.rate)]
        level = f"; mean {_three(float(known.mean()))}, up to {_three(float(known.max()))}" if known.size else ""
        return (
            f"{services:,} series of {columns.unit}, {steps:,} steps of {format_duration(columns.step_s)} over "
            f"{format_duration(steps * columns.step_s)}{level}"
        )
    known = columns.value[~np.isnan(columns.value)]
    level = f"; {_three(float(known.min()))} to {_three(float(known.max()))} {columns.unit}" if known.size else ""
    span = float(columns.end_s.max()) - float(columns.time_s.min())
    return f"{len(columns):,} signals, {columns.value.size:,} values over {format_duration(span)}{level}"


def _line_of_trace(trace: Trace) -> str:
    known = trace.depart_s != UNKNOWN
    censored = ~known & (trace.last_seen_s != UNKNOWN)
    median = kaplan_meier_median(
        (trace.depart_s - trace.arrive_s)[known].astype(np.float64),
        (trace.last_seen_s - trace.arrive_s)[censored].astype(np.float64),
    )
    gpus = float((trace.gpu_count * trace.gpu_mgpu).sum()) / MGPU_PER_GPU
    sizes = [
        f"{_three(total / len(trace))} {unit}"
        for total, unit in (
            (float(trace.cpu_mcore.sum()) / MCORE_PER_CORE, "cores"),
            (float(trace.mem_mib.sum()) / MIB_PER_GIB, "GiB"),
            (gpus, "GPUs"),
        )
        if total
    ]
    life = f"; half live {format_duration(median)}" if median is not None else ""
    span = format_duration(float(trace.arrive_s[-1]) - float(trace.arrive_s[0]))
    return f"{len(trace):,} tasks arriving over {span}; {', '.join(sizes)} on average{life}"


def _three(value: float) -> str:
    """Three figures."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def kaplan_meier_median(life_s: F64, age_s: F64) -> float | None:
    """Median lifetime that lets tasks still running count for as long as they were seen.

    Parameters
    ----------
    life_s : (n,) float64, seconds
        Lifetimes that ended.
    age_s : (m,) float64, seconds
        Ages at which the others were last seen running (right-censored).

    Returns
    -------
    float or None
        The smallest life at which the survival estimate is at most one half; None when it never
        falls that far. A task that ends and one last seen at the same age: the end comes first.

    References
    ----------
    Kaplan, Meier, JASA 53(282), 1958.
    """
    if life_s.size == 0:
        return None
    times, alive = survival(life_s, age_s)
    below = np.flatnonzero(alive <= 0.5 + 1e-12)  # the product of exact fractions, rounded
    return float(times[below[0]]) if below.size else None


def survival(life_s: F64, age_s: F64) -> tuple[F64, F64]:
    """Kaplan–Meier estimate of the share still running after each life that ended.

    Parameters
    ----------
    life_s, age_s : float64, seconds
        As for :func:`kaplan_meier_median`; at least one life.

    Returns
    -------
    (u,) float64, (u,) float64
        The different lives, ascending, and the share left right after each.
    """
    times, ends = np.unique(life_s, return_counts=True)
    everyone = np.sort(np.concatenate([life_s, age_s]))
    at_risk = everyone.size - np.searchsorted(everyone, times, side="left")
    # The logarithm is 0 - inf only where all who are left end, and then nobody is left.
    with np.errstate(divide="ignore"):
        return times, np.exp(np.cumsum(np.log1p(-ends / at_risk)))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _distribution(values: npt.NDArray[Any]) -> dict[str, float | None]:
    """Mean, smallest, largest and quantiles (linear) of the values that are not missing."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    names = ["mean", "min", *(f"p{round(100 * q):02d}" for q in QUANTILES), "max"]
    if known.size == 0:
        return dict.fromkeys(names)
    numbers = [known.mean(), known.min(), *np.quantile(known, QUANTILES), known.max()]
    return {name: _number(float(number)) for name, number in zip(names, numbers, strict=True)}


def _per_hour(arrive_s: F64) -> dict[str, float | None]:
    hour = ((arrive_s - arrive_s[0]) // SECONDS_PER_HOUR).astype(np.int64)
    counts = np.bincount(hour)
    if counts.size > 1:
        counts = counts[:-1]
    mean = float(counts.mean())
    return {
        "hours": int(counts.size),
        "mean": mean,
        "p95": float(np.quantile(counts, 0.95)),
        "max": int(counts.max()),
        "burstiness": _number(float(counts.var()) / mean) if mean > 0 else None,
    }


def _most_common(*columns: tuple[str, npt.NDArray[np.int64]]) -> list[dict[str, Any]]:
    """The most frequent combinations; equal counts by ascending values."""
    rows = np.stack([value for _, value in columns], axis=1)
    shapes, counts = np.unique(rows, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_COMMON]
    names = [name for name, _ in columns]
    return [
        {
            **{name: int(value) for name, value in zip(names, shapes[i], strict=True)},
            "count": int(counts[i]),
            "share": float(counts[i] / rows.shape[0]),
        }
        for i in order
    ]


def _gpus(trace: Trace) -> dict[str, Any]:
    count, share = trace.gpu_count, trace.gpu_mgpu
    return {
        "cpu_only": int((count == 0).sum()),
        "sharing": int(((count == 1) & (share < MGPU_PER_GPU)).sum()),
        "one_whole": int(((count == 1) & (share == MGPU_PER_GPU)).sum()),
        "several": int((count > 1).sum()),
        "gpus_requested": float((count * share).sum() / MGPU_PER_GPU),
        "bound_to_models": int(((count > 0) & (trace.gpu_model_mask != ANY_MODEL)).sum()),
        "models": {
            name: int(((trace.gpu_model_mask != ANY_MODEL) & ((trace.gpu_model_mask >> i) & 1 == 1)).sum())
            for i, name in enumerate(trace.gpu_models)
        },
    }


def _group_sizes(group: npt.NDArray[np.int64]) -> dict[str, Any]:
    sizes = np.unique(group[group != UNKNOWN], return_counts=True)[1]
    return {"count": int(sizes.size), "size": _distribution(sizes)}


def _median_lag1(values: F64, offset: npt.NDArray[np.int64]) -> float | None:
    """Median over the series of Pearson's correlation of neighbours; None when no series has one."""
    out = []
    for start, stop in pairwise(offset):
        series = values[start:stop]
        now, then = series[:-1], series[1:]
        both = ~(np.isnan(now) | np.isnan(then))
        now, then = now[both], then[both]
        if now.size < 2:
            continue
        now, then = now - now.mean(), then - then.mean()
        spread = math.sqrt(float(now @ now) * float(then @ then))
        if spread > 0:
            out.append(float(now @ then) / spread)
    return float(np.median(out)) if out else None


def _report(report: DropReport) -> dict[str, Any]:
    return {
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "drops": [
            {"rule": drop.rule, "action": drop.action, "count": drop.count, "rows": list(drop.rows)}
            for drop in report.drops
        ],
    }


def _short_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Provenance; of many files their number instead of each hash."""
    files = meta.get("files", {})
    return {**meta, "files": files if len(files) <= 4 else {"count": len(files)}}

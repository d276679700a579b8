"""Rules about a trace of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import ANY_MODEL, F64, I64, UNKNOWN, Machines, Trace
from rlsched.traces.lint.finding import CHANGES, NOTICE, Hit, Rule, Subject, plural
from rlsched.units import MCORE_PER_CORE, format_duration

_SHORT_LIFE_S = 1.0  # median life below this: seconds were divided by a thousand
_LONG_LIFE_S = 10 * 365 * 86_400.0  # median life above this: milliseconds were taken for seconds
_FEW = 20  # fewer tasks say nothing about a scale
_EPOCH_S = 6e8  # 1989: a clock that counts from 1970
_FIRST_MOMENT = 0.1  # share of the tasks at the first moment above which they were there before
_ZERO_LIVES = 0.01
_SOME = 5  # of them: a life that rounds to 0 s is no pattern
_GAP_S = 600.0
_GAP_MOMENTS = 100  # moments of arrival in as long a time on either side of a gap
#: MiB a core below and above which memory is likely in another unit.
_MIB_PER_CORE = (32.0, 1_000_000.0)
_MOST_CORES = 1000.0  # a task's median request above this is likely millicores taken for cores


def _trace(subject: Subject) -> Trace:
    assert isinstance(subject.columns, Trace)  # the table says so
    return subject.columns


def _life(trace: Trace) -> F64:
    """Lives that are known and longer than 0, seconds."""
    known = trace.depart_s != UNKNOWN
    life = (trace.depart_s - trace.arrive_s)[known].astype(np.float64)
    out: F64 = life[life > 0]
    return out


def zero_request(subject: Subject) -> Hit | None:
    """Tasks without CPU, or without memory where others have some."""
    trace = _trace(subject)
    no_cpu, no_mem = trace.cpu_mcore == 0, (trace.mem_mib == 0) & bool((trace.mem_mib > 0).any())
    n_cpu, n_mem = int(no_cpu.sum()), int(no_mem.sum())
    parts = [f"{plural(n, 'task')} with {what}" for n, what in ((n_cpu, "cpu_mcore 0"), (n_mem, "mem_mib 0")) if n]
    return subject.rows(no_cpu | no_mem, ", ".join(parts))


def no_memory(subject: Subject) -> Hit | None:
    """A trace in which nobody asks for memory."""
    trace = _trace(subject)
    if bool((trace.mem_mib > 0).any()):
        return None
    return Hit(len(trace), "mem_mib is 0 in every row")


def memory_unit(subject: Subject) -> Hit | None:
    """Memory a core far outside of what machines have: another unit, or a filler."""
    trace = _trace(subject)
    asks = (trace.cpu_mcore > 0) & (trace.mem_mib > 0)
    if int(asks.sum()) < _FEW:
        return None
    per_core = float(np.median(trace.mem_mib[asks] / trace.cpu_mcore[asks])) * MCORE_PER_CORE
    if _MIB_PER_CORE[0] <= per_core <= _MIB_PER_CORE[1]:
        return None
    low, high = int(trace.mem_mib[asks].min()), int(trace.mem_mib[asks].max())
    same = f"{low} MiB in every row" if low == high else f"{low:,} to {high:,} MiB"
    return Hit(int(asks.sum()), f"half of the tasks ask for at most {per_core:.3g} MiB a core ({same})")


def cpu_unit(subject: Subject) -> Hit | None:
    """CPU requests that look like cores taken for millicores, or the other way round."""
    cpu = _trace(subject).cpu_mcore
    asked = cpu[cpu > 0]
    if asked.size < _FEW:
        return None
    median = float(np.median(asked))
    if int(asked.max()) <= 128:
        return Hit(int(asked.size), f"no task asks for more than {asked.max()} millicores: cores taken for millicores?")
    if median > _MOST_CORES * MCORE_PER_CORE:
        cores = median / MCORE_PER_CORE
        return Hit(
            int(asked.size), f"half of the tasks ask for {cores:,.0f} cores or more: millicores taken for cores?"
        )
    return None


def too_large(subject: Subject) -> Hit | None:
    """Requests that no machine of the list could hold, even empty and up."""
    trace, machines = _trace(subject), subject.machines
    if machines is None:
        return None
    bad = ~holdable(trace, machines)
    if not bad.any():
        return None
    rows = np.flatnonzero(bad)
    mask = _masks(trace, machines)
    whys = [
        ("cpu_mcore", trace.cpu_mcore[rows] > machines.cpu_mcore.max(), trace.cpu_mcore, machines.cpu_mcore),
        ("mem_mib", trace.mem_mib[rows] > machines.mem_mib.max(), trace.mem_mib, machines.mem_mib),
        ("gpu_count", trace.gpu_count[rows] > machines.gpu_count.max(), trace.gpu_count, machines.gpu_count),
    ]
    parts = []
    rest = np.ones(rows.size, bool)
    for name, why, asked, there in whys:
        if why.any():
            most = int(asked[rows[why]].max())
            parts.append(f"{int(why.sum()):,} by {name} (up to {most:,}; the largest machine has {int(there.max()):,})")
            rest &= ~why
    no_model = rest & (trace.gpu_count[rows] > 0) & ~_model_there(mask[rows], machines)
    if no_model.any():
        parts.append(f"{int(no_model.sum()):,} by GPU model (no machine has one they allow)")
    if (rest & ~no_model).any():
        parts.append(f"{int((rest & ~no_model).sum()):,} by what they ask for together")
    text = f"{plural(rows.size, 'task')} of {len(trace):,} fit no machine of {machines.source}: {', '.join(parts)}"
    return subject.rows(bad, text)


def holdable(trace: Trace, machines: Machines) -> npt.NDArray[np.bool_]:
    """Whether some machine, empty and up and not oversubscribed, could hold each task, ``(K,)`` bool."""
    mask = _masks(trace, machines)
    wants = np.stack([trace.cpu_mcore, trace.mem_mib, trace.gpu_count, np.where(trace.gpu_count > 0, mask, 0)], axis=1)
    shapes, back = np.unique(wants, axis=0, return_inverse=True)
    has = np.stack([machines.cpu_mcore, machines.mem_mib, machines.gpu_count, machines.gpu_model], axis=1)
    fits = np.zeros(shapes.shape[0], bool)
    for cpu, mem, gpus, model in np.unique(has, axis=0).tolist():
        allowed = (shapes[:, 2] == 0) | ((model >= 0) & ((shapes[:, 3] >> max(model, 0)) & 1 == 1))
        fits |= (shapes[:, 0] <= cpu) & (shapes[:, 1] <= mem) & (shapes[:, 2] <= gpus) & allowed
    out: npt.NDArray[np.bool_] = fits[back.ravel()]
    return out


def _masks(trace: Trace, machines: Machines) -> I64:
    """The allowed models of each task as bits of ``machines.gpu_models``; all bits where every model is."""
    bits = [1 << machines.gpu_models.index(name) if name in machines.gpu_models else 0 for name in trace.gpu_models]
    codes, back = np.unique(trace.gpu_model_mask, return_inverse=True)
    there = [
        ANY_MODEL if code == ANY_MODEL else sum(bit for i, bit in enumerate(bits) if (code >> i) & 1)
        for code in codes.tolist()
    ]
    return np.array(there, np.int64)[back]


def _model_there(mask: I64, machines: Machines) -> npt.NDArray[np.bool_]:
    models = np.unique(machines.gpu_model[(machines.gpu_count > 0) & (machines.gpu_model >= 0)])
    some = sum(1 << int(model) for model in models)
    return np.asarray((mask & some) != 0)


def censored(subject: Subject) -> Hit | None:
    """Tasks last seen running: their end is not known."""
    trace = _trace(subject)
    bad = (trace.depart_s == UNKNOWN) & (trace.last_seen_s != UNKNOWN)
    if not bad.any():
        return None
    age = (trace.last_seen_s - trace.arrive_s)[bad]
    text = (
        f"{plural(int(bad.sum()), 'task')} ({bad.mean():.1%}) last seen running, "
        f"{format_duration(float(np.median(age)))} old (median)"
    )
    return subject.rows(bad, text)


def no_end(subject: Subject) -> Hit | None:
    """Tasks of which neither the end nor a last sight is known."""
    trace = _trace(subject)
    bad = (trace.depart_s == UNKNOWN) & (trace.last_seen_s == UNKNOWN)
    everyone = "every task" if bad.all() else f"{plural(int(bad.sum()), 'task')} ({bad.mean():.1%})"
    return subject.rows(bad, f"{everyone} without an end and without a last sight")


def zero_life(subject: Subject) -> Hit | None:
    """Tasks that leave the moment they come, if they are five and more than a hundredth."""
    trace = _trace(subject)
    bad = trace.depart_s == trace.arrive_s
    if bad.sum() < _SOME or bad.mean() <= _ZERO_LIVES:
        return None
    return subject.rows(bad, f"{plural(int(bad.sum()), 'task')} ({bad.mean():.1%}) with a life of 0 s")


def there_at_start(subject: Subject) -> Hit | None:
    """A crowd at the first moment: what was running before the trace began."""
    trace = _trace(subject)
    bad = trace.arrive_s == trace.arrive_s[0]
    if len(trace) < _FEW or bad.mean() < _FIRST_MOMENT or trace.meta.get("warm_tasks"):
        return None
    text = (
        f"{plural(int(bad.sum()), 'task')} ({bad.mean():.1%}) arrive at the first moment, {trace.arrive_s[0]:g} s: "
        "they were there before, and only what was left of their lives is in the trace"
    )
    return subject.rows(bad, text)


def arrival_gap(subject: Subject) -> Hit | None:
    """Stretches without an arrival that the rate on both sides does not explain."""
    trace = _trace(subject)
    when, first = np.unique(trace.arrive_s.astype(np.float64), return_index=True)
    gap = np.diff(when)
    long = np.flatnonzero(gap >= _GAP_S)
    left = long + 1 - np.searchsorted(when, when[long] - gap[long], side="left")
    right = np.searchsorted(when, when[long + 1] + gap[long], side="right") - (long + 1)
    long = long[np.minimum(left, right) >= _GAP_MOMENTS]
    if long.size == 0:
        return None
    worst = int(long[gap[long].argmax()])
    text = (
        f"{plural(long.size, 'gap')} in the arrivals, the longest {format_duration(gap[worst])} after "
        f"{format_duration(when[worst])}; in as long a time before and after, tasks arrive at {_GAP_MOMENTS} moments "
        "or more"
    )
    return subject.rows(first[long + 1], text)


def time_unit(subject: Subject) -> Hit | None:
    """Lives so short or so long that the times are likely a thousandth or a thousandfold."""
    life = _life(_trace(subject))
    if life.size < _FEW:
        return None
    median = float(np.median(life))
    if median < _SHORT_LIFE_S:
        return Hit(int(life.size), f"half of the tasks live {median:.3g} s or less: seconds taken for milliseconds?")
    if median > _LONG_LIFE_S:
        years = median / (365 * 86_400)
        return Hit(
            int(life.size), f"half of the tasks live {years:,.0f} years or more: milliseconds taken for seconds?"
        )
    return None


def clock_since_1970(subject: Subject) -> Hit | None:
    """Arrivals that count from 1970 instead of from the start of the trace."""
    first = float(_trace(subject).arrive_s[0])
    return Hit(len(subject.columns), f"the first arrival is at {first:.0f} s") if first >= _EPOCH_S else None


def _rule(id: str, severity: Any, looks_for: str, replay: str, fix: str, find: Any) -> Rule:
    return Rule(id, "trace", severity, looks_for, replay, fix, find)


TASK_RULES = (
    _rule(
        "too-large", CHANGES, "requests that no machine of --machines can hold",
        "rejects them as too_large whatever the policy (unless cpu_ratio or mem_ratio oversubscribe)",
        "Take machines that fit the trace, or leave these tasks out on purpose.", too_large,
    ),
    _rule(
        "zero-request", NOTICE, "requests of 0 CPU or 0 memory",
        "places them anywhere: they take nothing of what they do not ask for",
        "Check that 0 is meant, and not missing.", zero_request,
    ),
    _rule(
        "no-memory", CHANGES, "a trace in which nobody asks for memory",
        "places by CPU and GPU alone: memory never fills",
        "Map a memory column in the card, or say with the results that memory was not looked at.", no_memory,
    ),
    _rule(
        "memory-unit", CHANGES, "memory a core that no machine has: below 32 MiB or above 1 TB",
        "takes it as it is: memory never fills, or nothing fits",
        "Check the unit (mem_unit); where the source has no memory, say so with the results.", memory_unit,
    ),
    _rule(
        "cpu-unit", CHANGES, "cores taken for millicores, or millicores for cores",
        "takes it as it is: everything fits, or nothing does",
        'Set cpu_unit in the card ("cores" or "mcore").', cpu_unit,
    ),
    _rule(
        "censored", CHANGES, "tasks last seen running (right-censored)",
        "keeps them until the end of the window: they never leave",
        "Measure lives with an estimator that counts them (describe: Kaplan–Meier); keep windows clear of the end.",
        censored,
    ),
    _rule(
        "no-end", CHANGES, "tasks without an end and without a last sight",
        "keeps them until the end of the window: they never leave",
        "Use the trace for arrivals and sizes, or draw lives from a profile.", no_end,
    ),
    _rule(
        "zero-life", NOTICE, "tasks that leave the moment they come (five, and more than one in a hundred)",
        "decides about them, and frees what they took before the next arrival",
        "Check whether they failed at once, and whether your metric should count them.", zero_life,
    ),
    _rule(
        "there-at-start", CHANGES, "a tenth or more of the tasks at the first moment",
        "places them all at once, into an empty cluster",
        "Begin windows later, and fit no lives to them: they are cut at the start (left-truncated).", there_at_start,
    ),
    _rule(
        "arrival-gap", CHANGES, "stretches without arrivals that the rate on both sides does not explain",
        "lets the cluster drain as if nobody had come",
        "Lay windows beside the gap.", arrival_gap,
    ),
    _rule(
        "time-unit", CHANGES, "seconds taken for milliseconds, or the other way round (by the median life)",
        "takes the times as they are: everything a thousand times too fast, or too slow",
        "Set time_unit in the card.", time_unit,
    ),
    _rule(
        "clock-since-1970", NOTICE, "arrivals that count from 1970",
        "starts at the first arrival; windows and splits must be given on this clock",
        'Set time_origin = "first" in the card.', clock_since_1970,
    ),
)  # fmt: skip

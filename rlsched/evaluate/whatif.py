"""What if: a user's own trace and machines under several policies, with no card at all.

The first fifth of the time only warms the machines up, and tells what typical requests are;
the rest is cut into equal windows, each played by every policy after a warm-up of everything
before it. Besides the tables of any evaluation there is a number a platform engineer can use:
how many machines each policy would have needed.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.keep import Keep, at_once
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.metrics import METRICS
from rlsched.evaluate.placement import PARTS, Arena, Contestant, check_contestants, describe, describe_windows, play
from rlsched.evaluate.results import Document, origin, plain, seal
from rlsched.evaluate.whatif_fewer import find_fewer
from rlsched.evaluate.whatif_inputs import Given
from rlsched.evaluate.whatif_words import sentences
from rlsched.evaluate.windows import Instances
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Window
from rlsched.traces.columns import Machines, Trace
from rlsched.units import format_duration

NAME = "what-if"
PAST = 0.2  # share of the time that only warms up
WINDOWS = 10
MIN_TASKS = 30  # arrivals a window should have
POLICIES = ("best_fit", "dot_product", "first_fit", "kubernetes")
_JUDGED = ("active_machines", "energy_kwh", "cost_usd")
SHOWN = ("acceptance_share", "cpu_alloc_share", "mem_alloc_share", "gpu_alloc_share", *_JUDGED)
Progress = Callable[[str, float], None]


def what_if(
    given: Given,
    policies: Sequence[str] = POLICIES,
    *,
    reference: str | None = None,
    windows: int | None = None,
    seeds: int = 3,
    fewer: bool = True,
    bootstrap: Bootstrap | None = None,
    command: str = "",
    progress: Progress | None = None,
    keep: Keep = at_once,
) -> Document:
    """Evaluate policies on a user's own data.

    Parameters
    ----------
    given : Given
        As ``rlsched.evaluate.whatif_inputs.read_files`` reads it.
    policies : sequence of str
        Names, blends, or paths of trained ones.
    reference : str, optional
        What everybody is compared with, e.g. what runs today; the last by default.
    windows : int, optional
        10 by default, fewer where each would have less than 30 arrivals.
    seeds : int
        Of policies that draw random numbers.
    fewer : bool
        Whether to find out how many machines each would have needed.
    bootstrap : Bootstrap, optional
    command : str
        For provenance.
    progress : callable, optional
    keep : callable, optional
        See :mod:`rlsched.evaluate.keep`.

    Returns
    -------
    dict
        The document of ``docs/json.md``, with ``needed``.

    Raises
    ------
    UserError
        An unknown policy or reference, or too short a trace for so many windows.
    """
    began = time.monotonic()
    bootstrap = bootstrap or Bootstrap()
    trace, machines = given.trace, given.machines
    if seeds < 1:
        raise SpecError(f"--seeds must be >= 1: got {seeds}.")
    contestants = contestants_of(policies)
    names = [one.name for one in contestants]
    reference = names[-1] if reference is None else reference
    if reference not in names:
        raise SpecError(f"--reference must be one of the policies: got {reference!r}.{did_you_mean(reference, names)}")
    cut, past = cut_windows(trace, windows)
    options = options_for(trace, machines, contestants)
    typical = typical_requests(past) if options.fragmentation != "none" else None
    check_contestants(contestants, options)
    arena = Arena(Instances(trace, (machines,), cut, True), options, typical, {})

    def part(lo: float, hi: float) -> Progress | None:
        return None if progress is None else lambda text, share: progress(text, lo + (hi - lo) * share)

    rows = play(arena, contestants, range(seeds), part(0.0, 0.2 if fewer else 1.0), keep=keep)
    rejected = rejected_metric(trace, machines)
    # Where nobody ever turns anything away, everybody wins on that; fewer machines in use is then the question.
    main = rejected if any(row[rejected] for row in rows) else "active_machines"
    known = [name for name in _JUDGED if all(row[name] is not None for row in rows)]
    judged = tuple(dict.fromkeys((main, *known)))
    document = assemble(NAME, rows, bootstrap, main, judged, [reference])
    needed = find_fewer(arena, contestants, reference, rejected, bootstrap, part(0.2, 1.0)) if fewer else None
    compared = document["provenance"]
    provenance = {
        **origin(command or f"rlsched evaluate --policies {','.join(map(shlex.quote, names))}"),
        "kind": "placement",
        "title": f"What if: {trace_name(given)}",
        "question": "Which policy would have served these tasks best on these machines, and with how many fewer?",
        "main_metric": main,
        "metrics": [main, *(name for name in (rejected, *SHOWN) if name != main and _known(rows, name))],
        "references": {"reference": reference},
        "leader": compared["leader"],
        "not_run": [],
        "data": list(given.sources),
        "seeds": list(range(seeds)),
        "policies": [describe(one) for one in contestants],
        **describe_windows(arena),
        "parts": PARTS,
        "options": plain(vars(options)),
        "bootstrap": {"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
        "comparisons": compared,
        "seconds": round(time.monotonic() - began, 1),
    }
    document = {**document, "needed": needed, "provenance": provenance}
    provenance["remarks"] = [*sentences(document, machines), *given.notes, split_words(trace, cut)]
    return {**document, "provenance": seal(provenance)}


def cut_windows(trace: Trace, count: int | None = None) -> tuple[tuple[Window, ...], Trace]:
    """Windows by the trace's own length, and the past they may learn from.

    Parameters
    ----------
    trace : Trace
    count : int, optional
        At most ten by default: as many as have thirty arrivals each.

    Returns
    -------
    (tuple of Window, Trace)
        After the first fifth of the time between the first and the last arrival, equal stretches;
        each is warmed up by everything before it. The past is that fifth.

    Raises
    ------
    SpecError
        When a window would hold no task, or the trace has no stretch of time at all.
    """
    if count is not None and count < 1:
        raise SpecError(f"--windows must be >= 1: got {count}.")
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    begin = first + PAST * (last - first)
    after = len(trace) - int(np.searchsorted(trace.arrive_s, begin))
    if not last > first:
        raise SpecError(
            f"a trace must have tasks that arrive at different times to be cut into windows: all {len(trace):,} of "
            f"{trace.source} arrive at {first:g} s. Check which column is arrive_s, and time_unit."
        )
    n = count if count is not None else max(1, min(WINDOWS, after // MIN_TASKS))
    while True:
        edges = np.linspace(begin, last, n + 1)
        rows = np.searchsorted(trace.arrive_s, edges, side="left")
        rows[-1] = len(trace)
        empty = np.flatnonzero(np.diff(rows) == 0)
        if not empty.size:
            break
        if count is not None:
            i = int(empty[0])
            raise SpecError(
                f"each of {n} windows must hold a task: none of {trace.source} arrives in [{edges[i]:g}, "
                f"{edges[i + 1]:g}) s. Ask for fewer with --windows."
            )
        n -= 1  # one window always holds the last task
    cut = tuple(
        Window(0, int(rows[i + 1]), float(edges[i]), float(edges[i + 1]), 0, f"window-{i:02d}") for i in range(n)
    )
    return cut, past_of(trace)


def past_of(trace: Trace) -> Trace:
    """The tasks of the first fifth of the time: all that typical requests may be learnt from."""
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    return trace.take(slice(0, max(1, int(np.searchsorted(trace.arrive_s, first + PAST * (last - first))))))


def options_for(trace: Trace, machines: Machines, contestants: Sequence[Contestant]) -> PlacementOptions:
    """Options that let every policy run and none look ahead.

    Rules that look at life spans see the trace's own predictions where it has some, otherwise
    only how long tasks have run so far: never the true end.
    """
    learned = {str(one.policy.fragmentation) for one in contestants if hasattr(one.policy, "fragmentation")}
    needs = any(one.needs_typical for one in contestants)
    measured: Any = "none"
    if len(learned) == 1:
        measured = learned.pop()  # what it was trained on; check_contestants says where that cannot be
    elif needs or learned:
        measured = "gpu" if int(machines.gpu_count.sum()) else "cpu"
    predicted = bool((~np.isnan(trace.expected_s)).any())
    return PlacementOptions(fragmentation=measured, lifetime="predicted" if predicted else "unknown")


def rejected_metric(trace: Trace, machines: Machines) -> str:
    """What is scarce: GPU where tasks ask for it and machines have it, otherwise CPU."""
    with_gpu = int(machines.gpu_count.sum()) > 0 and int(trace.gpu_count.sum()) > 0
    return "rejected_gpu_share" if with_gpu else "rejected_cpu_share"


def split_words(trace: Trace, cut: Sequence[Window]) -> str:
    """How the time was split, in a sentence."""
    begin, length = cut[0].start_s, cut[0].stop_s - cut[0].start_s
    warm = format_duration(begin - float(trace.arrive_s[0]))
    return (
        f"The first {warm} only warm the machines up; what follows is {len(cut)} window{'s' if len(cut) > 1 else ''} "
        f"of {format_duration(length)}, each played from the first task on."
    )


def trace_name(given: Given) -> str:
    """The two files, for a title."""
    return " on ".join(str(one["name"]) for one in given.sources) or "a trace"


def _known(rows: Sequence[dict[str, Any]], metric: str) -> bool:
    return metric in METRICS and any(row[metric] is not None for row in rows)

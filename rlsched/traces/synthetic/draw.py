"""Draw traces from a profile."""

from __future__ import annotations

import numpy as np

from rlsched.errors import SpecError
from rlsched.rng import stream
from rlsched.traces.columns import I64, UNKNOWN, Drop, DropReport, Trace, Usage
from rlsched.traces.synthetic.arrivals import STEP_S, draw_moments, draw_sizes
from rlsched.traces.synthetic.lifetimes import draw_lives
from rlsched.traces.synthetic.mix import draw_mixed
from rlsched.traces.synthetic.profile import Profile
from rlsched.traces.synthetic.sizes import ATOM_COLUMNS, draw_codes
from rlsched.traces.synthetic.usage import UsagePart
from rlsched.traces.synthetic.usage_draw import draw_shares
from rlsched.units import SECONDS_PER_DAY


def draw_tasks(
    profile: Profile,
    days: float,
    scale: float = 1.0,
    seed: int = 0,
    warm_days: float = 0.0,
    max_batch: int | None = None,
) -> Trace:
    """Draw a trace.

    Parameters
    ----------
    profile : Profile
        One with a task part.
    days : float
        Length of the trace, ``> 0``; batches arrive in ``[0, days)``.
    scale : float
        Factor on the number of batches, ``> 0``; batches keep their sizes.
    seed : int
    warm_days : float
        Draw this much before the start too, and keep what is still running at 0: those tasks
        come first, arrive at 0 and have what is left of their lives. 0 starts empty.
    max_batch : int, optional
        Leave out batches of more tasks than this, for a cluster that one such batch would fill;
        ``report`` counts them.

    Returns
    -------
    Trace
        ``task_id`` 0.., ``group`` one number a batch, times in whole seconds. Where the profile
        has no lives, ``depart_s`` is -1. Every end is given, also those after the last arrival.

    Raises
    ------
    SpecError
        When an argument is out of range, the profile has no task part, or nothing arrives.
    """
    if not profile.streams:
        raise SpecError(
            f"profile {profile.origin.name!r} has no task part: it was fitted to usage. Draw usage from it."
        )
    _check(days, scale, seed)
    if not (np.isfinite(warm_days) and warm_days >= 0):
        raise SpecError(f"warm_days must be >= 0: got {warm_days!r}. Use 0 to start with nothing running.")
    if max_batch is not None and max_batch < 1:
        raise SpecError(f"max_batch must be >= 1: got {max_batch}. Leave it away to keep every batch.")
    before = int(np.ceil(warm_days * SECONDS_PER_DAY / STEP_S))
    steps = int(np.ceil(days * SECONDS_PER_DAY / STEP_S))
    parts = [_draw_stream(profile, i, before, steps, scale, seed) for i in range(len(profile.streams))]
    arrive, depart, code, batch = (np.concatenate(column) for column in zip(*parts, strict=True))
    _, batch, size = np.unique(batch, return_inverse=True, return_counts=True)
    running = arrive < days * SECONDS_PER_DAY
    running &= (arrive >= 0) | (depart > 0)  # of the time before, only what still runs at 0
    left_out = running & (size[batch] > max_batch) if max_batch is not None else np.zeros_like(running)
    running &= ~left_out
    lost = int(left_out.sum())
    drops = (Drop(f"of a batch of more than {max_batch} tasks", "left out", lost),) if lost else ()
    arrive, depart, code, batch = (column[running] for column in (arrive, depart, code, batch))
    if arrive.size == 0:
        raise SpecError(f"nothing arrives in {days:g} days at scale {scale:g}. Raise days or scale.")
    warm = int((arrive < 0).sum())
    arrive = np.maximum(arrive, 0)  # as the docstring says: already running means arriving at 0
    order = np.lexsort((batch, arrive))
    arrive, depart, code, batch = (column[order] for column in (arrive, depart, code, batch))
    _, first, group = np.unique(batch, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)  # batches numbered in the order they come
    table = np.asarray([[getattr(atom, name) for name in ATOM_COLUMNS] for atom in profile.atoms], dtype=np.int64)
    columns = {name: table[code, i] for i, name in enumerate(ATOM_COLUMNS)}
    return Trace(
        task_id=np.arange(arrive.size, dtype=np.int64),
        arrive_s=arrive,
        depart_s=depart,
        group=rank[group],
        gpu_models=profile.gpu_models,
        source=f"drawn from profile {profile.origin.name}",
        meta={
            "synthetic": True,
            "profile": profile.origin.name,
            "days": days,
            "scale": scale,
            "seed": seed,
            "warm_days": warm_days,
            "warm_tasks": warm,
            "max_batch": max_batch,
            "licence": profile.origin.licence,
            "cite": profile.origin.cite,
        },
        report=DropReport(arrive.size + lost, arrive.size, drops),
        **columns,
    )


def _draw_stream(profile: Profile, i: int, before: int, steps: int, scale: float, seed: int) -> tuple[I64, ...]:
    """Arrival, departure, atom and batch of every task of one stream; times from the start of the draw."""
    part = profile.streams[i]
    moment = draw_moments(part.arrivals, -before, before + steps, scale, stream(seed, "arrivals", i))
    step = moment // STEP_S
    moment = moment - before * STEP_S
    size = draw_sizes(part.arrivals, moment.size, stream(seed, "batches", i))
    share = np.asarray(part.sizes.atom_share, np.float64)
    heads = draw_mixed(share, part.sizes.drift, step, before + steps, stream(seed, "mix", i))
    code = draw_codes(part.sizes, heads, size, stream(seed, "sizes", i))
    arrive = np.repeat(moment, size)
    batch = np.repeat(np.arange(moment.size, dtype=np.int64), size) * len(profile.streams) + i
    if part.lifetimes is None:
        return arrive, np.full(arrive.size, UNKNOWN, np.int64), code, batch
    life = draw_lives(part.lifetimes, code, size, stream(seed, "lives", i))
    return arrive, arrive + np.floor(life).astype(np.int64), code, batch


def draw_usage(profile: Profile, days: float, scale: float = 1.0, seed: int = 0) -> Usage:
    """Draw usage series that all run through the whole time.

    Parameters
    ----------
    profile : Profile
        One with a usage part.
    days : float
        Length, ``> 0``.
    scale : float
        Factor on the number of series of the source, ``> 0``; at least one is drawn.
    seed : int

    Raises
    ------
    SpecError
        When an argument is out of range or the profile has no usage part.
    """
    part = _usage_part(profile)
    _check(days, scale, seed)
    count = max(round(part.series * scale), 1)
    samples = np.full(count, int(np.ceil(days * SECONDS_PER_DAY / part.step_s)), np.int64)
    start = np.zeros(count, np.int64)
    cpu, mem = draw_shares(part, start, samples, seed)
    return Usage(
        series_id=np.arange(count, dtype=np.int64),
        offset=np.concatenate([[0], np.cumsum(samples)]),
        start_s=start,
        step_s=part.step_s,
        cpu_share=cpu,
        mem_share=mem,
        source=f"drawn from profile {profile.origin.name}",
        meta={"synthetic": True, "profile": profile.origin.name, "days": days, "scale": scale, "seed": seed},
    )


def draw_usage_of(trace: Trace, profile: Profile, until_s: float, seed: int = 0) -> Usage:
    """Draw usage for the tasks of a trace, from arrival to departure.

    Parameters
    ----------
    trace : Trace
    profile : Profile
        One with a usage part; it need not be the one the trace was drawn from. Which class of
        series a task gets does not depend on its request.
    until_s : float, seconds
        No sample at or after this; tasks without a known end run until here.
    seed : int

    Returns
    -------
    Usage
        One series a task, in the order of the trace, on the grid of the profile's step; the
        sample at ``k * step_s`` stands for the step that begins there, so a task has at least one.
    """
    part = _usage_part(profile)
    _check(1.0, 1.0, seed)
    step = part.step_s
    arrive = trace.arrive_s.astype(np.float64)
    end = np.where(trace.depart_s == UNKNOWN, until_s, np.minimum(trace.depart_s, until_s))
    first = np.floor(arrive / step).astype(np.int64)
    samples = np.maximum(np.ceil(end / step).astype(np.int64) - first, 1)
    cpu, mem = draw_shares(part, first * step, samples, seed)
    return Usage(
        series_id=trace.task_id,
        offset=np.concatenate([[0], np.cumsum(samples)]),
        start_s=first * step,
        step_s=step,
        cpu_share=cpu,
        mem_share=mem,
        cpu_mcore=trace.cpu_mcore,
        mem_mib=trace.mem_mib,
        source=f"drawn from profile {profile.origin.name}",
        meta={"synthetic": True, "profile": profile.origin.name, "seed": seed, "until_s": until_s},
    )


def _usage_part(profile: Profile) -> UsagePart:
    if profile.usage is None:
        raise SpecError(
            f"profile {profile.origin.name!r} has no usage part: it was fitted to tasks. Draw tasks from it, or name a "
            "usage profile such as bitbrains."
        )
    return profile.usage


def _check(days: float, scale: float, seed: int) -> None:
    for label, value in (("days", days), ("scale", scale)):
        if not (np.isfinite(value) and value > 0):
            raise SpecError(f"{label} must be > 0: got {value!r}. Example: {label} = 1")
    if seed < 0:
        raise SpecError(f"seed must be >= 0: got {seed}. Example: seed = 0")

"""Draw traces from a profile."""

from __future__ import annotations

import numpy as np

from rlsched.errors import SpecError
from rlsched.rng import stream
from rlsched.traces.columns import I64, UNKNOWN, Trace
from rlsched.traces.synthetic.arrivals import STEP_S, draw_moments, draw_sizes
from rlsched.traces.synthetic.lifetimes import draw_lives
from rlsched.traces.synthetic.profile import Profile
from rlsched.traces.synthetic.sizes import ATOM_COLUMNS, draw_codes
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
        ``meta["left_out_tasks"]`` counts them.

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
    for label, value in (("days", days), ("scale", scale)):
        if not (np.isfinite(value) and value > 0):
            raise SpecError(f"{label} must be > 0: got {value!r}. Example: {label} = 1")
    if not (np.isfinite(warm_days) and warm_days >= 0):
        raise SpecError(f"warm_days must be >= 0: got {warm_days!r}. Use 0 to start with nothing running.")
    if seed < 0:
        raise SpecError(f"seed must be >= 0: got {seed}.")
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
            "left_out_tasks": int(left_out.sum()),
            "licence": profile.origin.licence,
            "cite": profile.origin.cite,
        },
        **columns,
    )


def _draw_stream(profile: Profile, i: int, before: int, steps: int, scale: float, seed: int) -> tuple[I64, ...]:
    """Arrival, departure, atom and batch of every task of one stream; times from the start of the draw."""
    part = profile.streams[i]
    moment = draw_moments(part.arrivals, -before, before + steps, scale, stream(seed, "arrivals", i))
    moment = moment - before * STEP_S
    size = draw_sizes(part.arrivals, moment.size, stream(seed, "batches", i))
    code = draw_codes(part.sizes, size, stream(seed, "sizes", i))
    arrive = np.repeat(moment, size)
    batch = np.repeat(np.arange(moment.size, dtype=np.int64), size) * len(profile.streams) + i
    if part.lifetimes is None:
        return arrive, np.full(arrive.size, UNKNOWN, np.int64), code, batch
    life = draw_lives(part.lifetimes, code, size, stream(seed, "lives", i))
    return arrive, arrive + np.floor(life).astype(np.int64), code, batch

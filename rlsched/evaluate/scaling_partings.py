"""Where two scaling policies part, and why: the intervals of a window in which they want the most different."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.results import plain
from rlsched.policies.scaling import ScalingPolicy
from rlsched.policies.scaling.learned import LearnedScaling
from rlsched.rng import stream_seed
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.state import State
from rlsched.sim.scaling.world import Window, World
from rlsched.units import SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]
Anybody = ScalingPolicy | LearnedScaling
SHOWN = 6
APART_S = 1800.0  # two intervals shown of one service are at least so far from each other


def watch_window(world: World, window: Window, policy: Anybody, seed: int) -> tuple[F64, F64 | None]:
    """Play one window and keep what every interval showed.

    Parameters
    ----------
    world : World
    window : Window
    policy : ScalingPolicy or LearnedScaling
    seed : int
        Of the interruptions; the window's name is mixed in, as in an evaluation.

    Returns
    -------
    log : (T, S, 21) float64
        Columns ``rlsched.sim.scaling.state.LAST``.
    numbers : (T, S, P) float64, or None
        Of the rule that a learned policy moves, interval by interval.
    """
    from rlsched.sim.scaling.simulate import run

    stream = [stream_seed(seed, "window", window.name)]
    if isinstance(policy, ScalingPolicy):
        return run(world, [window], [policy.choice()], stream, log=True)[1][0], None
    log: list[F64] = []
    numbers: list[F64] = []

    def watch(state: State, params: F64, _wanted: F64) -> None:
        log.append(state.code.last[0].copy())
        numbers.append(params[0].copy())

    policy.run(world, [window], stream, watch)
    return np.stack(log), np.stack(numbers)


def scaling_partings(
    world: World, window: Window, mine: tuple[str, Anybody], theirs: tuple[str, Anybody], seed: int
) -> dict[str, Any]:
    """The intervals in which two policies bill the most different number of instances.

    Both play the whole window, each in its own states: after the first difference the fleets differ too.

    Returns
    -------
    dict
        ``intervals`` (of all services), ``apart`` (with different instances), ``parts`` (what each part of the cost
        came to, under each) and ``decisions``: ``at_h, service, demand, instances, capacity, lost, cost_usd`` (each of
        both), ``moved`` (the numbers a learned policy had set then, and those it was tuned to) and ``why``.
    """
    (a, numbers), (b, _) = (watch_window(world, window, one[1], seed) for one in (mine, theirs))
    billed = np.stack([a[:, :, st.L_BILLED], b[:, :, st.L_BILLED]])
    gap = np.abs(billed[0] - billed[1])
    found: list[dict[str, Any]] = []
    taken: list[tuple[int, int]] = []
    far = APART_S / world.step_s
    for flat in np.argsort(-gap, axis=None, kind="stable"):
        t, s = (int(one) for one in np.unravel_index(flat, gap.shape))
        if gap[t, s] == 0 or len(found) == SHOWN:
            break
        if any(s == other and abs(t - before) < far for before, other in taken):
            continue
        taken.append((t, s))
        found.append(_tell(world, (t, s), (a, b), numbers, mine))
    found.sort(key=lambda one: (one["at_h"], one["service"]))
    parts = {
        name: [float(log[:, :, st.LAST.index(name)].sum()) for log in (a, b)]
        for name in st.COST
        if any(log[:, :, st.LAST.index(name)].any() for log in (a, b))
    }
    return {"intervals": int(gap.size), "apart": int((gap > 0).sum()), "parts": plain(parts), "decisions": found}


def _tell(
    world: World, where: tuple[int, int], logs: tuple[F64, F64], numbers: F64 | None, mine: tuple[str, Anybody]
) -> dict[str, Any]:
    t, s = where

    def both(name: str) -> list[float]:
        return [float(log[t, s, st.LAST.index(name)]) for log in logs]

    out: dict[str, Any] = {
        "at_h": t * world.step_s / SECONDS_PER_HOUR,
        "service": s,
        "demand": both("demand")[0],
        "demand_before": float(logs[0][t - 1, s, st.L_DEMAND]) if t else None,
        "instances": both("billed"),
        "capacity": both("capacity"),
        "lost": both("lost"),
        "cost_usd": [math.fsum(float(log[t, s, st.LAST.index(name)]) for name in st.COST) for log in logs],
        "moved": {},
        "why": [],
    }
    policy = mine[1]
    if isinstance(policy, LearnedScaling) and numbers is not None:
        base = policy.residual.base.values
        at = list(base)
        moved = {name: [float(numbers[t, s, at.index(name)]), float(base[name])] for name in policy.residual.reach}
        out["moved"] = moved
        out["why"] = [
            f"{mine[0]} set {name} to {now:.3g}, tuned {tuned:.3g}{_meaning(name, now > tuned)}"
            for name, (now, tuned) in moved.items()
            if now != tuned
        ]
    more, fewer = (0, 1) if out["instances"][0] > out["instances"][1] else (1, 0)
    if out["lost"][fewer] > out["lost"][more]:
        out["why"].append("the smaller fleet lost demand here")
    elif not any(out["lost"]):
        out["why"].append("nothing was lost under either: the larger fleet only cost more here")
    return out


def _meaning(name: str, more: bool) -> str:
    """What a number of the band means, where it is one of them."""
    words = {
        "k_low": ("orders up to more above the forecast", "orders up to less above the forecast"),
        "k_width": ("gives instances back later", "gives instances back sooner"),
    }
    return f": {words[name][0 if more else 1]}" if name in words else ""

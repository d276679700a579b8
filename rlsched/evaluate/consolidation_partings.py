"""One consolidation window over time under several policies, and where two of them want the most different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.policies.consolidation.learned import LearnedConsolidation
from rlsched.policies.consolidation.residual import NUMBERS
from rlsched.sim.consolidation.policy import ConsolidationPolicy, policy_code
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.state import ENERGY, REQUESTED, SHORT, TICK, State
from rlsched.sim.consolidation.world import World
from rlsched.sim.semantics import Semantics
from rlsched.units import JOULE_PER_KWH, SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]
Anybody = ConsolidationPolicy | LearnedConsolidation
SHOWN = 6
APART_S = 3600.0  # two ticks shown are at least so far from each other
#: What is kept of each tick: the columns of ``TICK``, then these sums since the beginning.
SUMMED = ("energy_ws", "requested", "short")


def watch_window(world: World, semantics: Semantics, policy: Anybody, seed: int) -> tuple[F64, F64 | None]:
    """Play one window and keep what every tick showed.

    Returns
    -------
    log : (T, 10) float64
        Columns ``TICK``, then ``SUMMED``, added up since the beginning.
    numbers : (T, 3) float64, or None
        Of a learned policy, tick by tick; columns ``NUMBERS``.
    """
    simulator = Simulator(world, semantics)
    log: list[F64] = []
    numbers: list[F64] = []

    def keep(state: State) -> None:
        sums = state.code.sums[0, [ENERGY, REQUESTED, SHORT]]
        log.append(np.concatenate([state.code.last_tick[0], sums]))

    def watch(state: State, now: F64) -> None:
        keep(state)
        numbers.append(now[0].copy())

    if isinstance(policy, LearnedConsolidation):
        policy.residual.run(simulator, [seed], policy.actions, watch=watch)
        return np.stack(log), np.stack(numbers)
    state, code = State.new(simulator.worlds, [seed]), policy_code([policy])
    simulator.begin(state, code)
    while not state.code.done.all():
        simulator.tick(state, code)
        keep(state)
    return np.stack(log), None


def consolidation_timeline(window: str, logs: Sequence[tuple[str, F64]], step_s: float) -> dict[str, Any]:
    """A window over time, as ``rlsched.evaluate.timeline.placement_timeline``.

    Parameters
    ----------
    window : str
    logs : sequence of (str, (T, 10) float64)
        Policy and what :func:`watch_window` kept.
    step_s : float
        Between two ticks.
    """
    hours = np.arange(len(logs[0][1])) * step_s / SECONDS_PER_HOUR
    on, over, moves = (TICK.index(name) for name in ("hosts_active_after", "hosts_overloaded", "migrations"))
    energy, asked, short = (len(TICK) + SUMMED.index(name) for name in SUMMED)

    def each(name: str, values: Sequence[F64]) -> list[dict[str, Any]]:
        told = zip(logs, values, strict=True)
        return [{"name": name, "policy": policy, "values": _rounded(one)} for (policy, _), one in told]

    shown = {
        ("Machines on", "machines", "on"): [log[:, on] for _, log in logs],
        ("Machines overloaded", "machines", "overloaded"): [log[:, over] for _, log in logs],
        ("Moves so far", "moves", "moves"): [np.cumsum(log[:, moves]) for _, log in logs],
        ("Energy so far", "kWh", "energy"): [log[:, energy] / JOULE_PER_KWH for _, log in logs],
        ("Unmet CPU so far", "% of what was asked for", "unmet"): [
            100.0 * log[:, short] / np.maximum(log[:, asked], 1e-300) for _, log in logs
        ],
    }
    panels = [
        {"label": label, "unit": unit, "series": each(name, values)} for (label, unit, name), values in shown.items()
    ]
    return {
        "window": window,
        "x": _rounded(hours),
        "x_label": "hours since the window began",
        "metered_from": None,
        "panels": panels,
    }


def consolidation_partings(
    mine: tuple[str, Anybody], logs: tuple[F64, F64], numbers: F64 | None, step_s: float
) -> dict[str, Any]:
    """The ticks after which two policies leave the most different number of machines on.

    Parameters
    ----------
    mine : (str, policy)
        The first; a learned one tells what it had set.
    logs : two of (T, 10) float64
    numbers : (T, 3) float64, optional
        Of the first.
    step_s : float

    Returns
    -------
    dict
        ``ticks``, ``apart`` (with another number of machines on), and ``decisions``: ``at_h``, ``machines_on,
        overloaded, moves, short_pct`` (CPU not given in the hour that follows; each of both), ``moved`` and ``why``.
    """
    on, over, moves = (TICK.index(name) for name in ("hosts_active_after", "hosts_overloaded", "migrations"))
    asked, short = (len(TICK) + SUMMED.index(name) for name in ("requested", "short"))
    gap = np.abs(logs[0][:, on] - logs[1][:, on])
    far = max(1, round(APART_S / step_s))
    taken: list[int] = []
    for t in np.argsort(-gap, kind="stable").tolist():
        if gap[t] == 0 or len(taken) == SHOWN:
            break
        if all(abs(t - other) >= far for other in taken):
            taken.append(t)
    found = []
    for t in sorted(taken):
        later = min(t + far, len(gap) - 1)
        lost = [
            100.0 * float(log[later, short] - log[t, short]) / max(float(log[later, asked] - log[t, asked]), 1e-300)
            if later > t
            else 0.0
            for log in logs
        ]
        one: dict[str, Any] = {
            "at_h": t * step_s / SECONDS_PER_HOUR,
            "machines_on": [float(log[t, on]) for log in logs],
            "overloaded": [float(log[t, over]) for log in logs],
            "moves": [float(log[t, moves]) for log in logs],
            "short_pct": lost,
        }
        found.append({**one, **_why(mine, numbers, t, one)})
    return {"ticks": len(gap), "apart": int((gap > 0).sum()), "decisions": found}


def _why(mine: tuple[str, Anybody], numbers: F64 | None, t: int, one: dict[str, Any]) -> dict[str, Any]:
    name, policy = mine
    why, moved = [], {}
    if isinstance(policy, LearnedConsolidation) and numbers is not None:
        base = policy.residual.base
        moved = {
            key: [float(numbers[t, NUMBERS.index(key)]), float(getattr(base, key))] for key in policy.residual.reach
        }
        why = [
            f"{name} set {key} to {now:.3g}, tuned {tuned:.3g}{_meaning(key, now > tuned)}"
            for key, (now, tuned) in moved.items()
            if now != tuned
        ]
    fewer = 0 if one["machines_on"][0] < one["machines_on"][1] else 1
    if one["short_pct"][fewer] > one["short_pct"][1 - fewer]:
        why.append("with fewer machines on, more CPU was not given in the hour that follows")
    else:
        why.append("with fewer machines on, no more CPU was withheld in the hour that follows")
    return {"moved": moved, "why": why}


def _meaning(key: str, more: bool) -> str:
    words = {
        "placement_cap": ("fills receiving machines further", "fills receiving machines less"),
        "evacuate_below": ("empties machines that are fuller", "empties only emptier machines"),
    }
    return f": {words[key][0 if more else 1]}" if key in words else ""


def _rounded(values: F64) -> list[float]:
    return [round(float(value), 4) for value in values]

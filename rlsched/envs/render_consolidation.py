"""The picture of ``rlsched/Consolidation-v0``: the load of every machine, the knobs, and what the ticks cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsched.envs.consolidation_episodes import ConsolidationEpisodes
from rlsched.envs.render import CHOICE, FREE, OFF, SOFT, TROUBLE, USED, head, plain
from rlsched.sim.consolidation.state import ENERGY, MIGRATIONS
from rlsched.units import format_duration

#: Joules of a kilowatt-hour.
_KWH = 3.6e6


@dataclass(frozen=True)
class Tick:
    """What the picture remembers of a tick.

    Parameters
    ----------
    at_s : float
        On the clock of the episode.
    on : int
        Machines.
    moves : int
        Since the episode began.
    energy_kwh : float
        Likewise.
    unmet : float
        Share of the CPU asked for that is not given now.
    """

    at_s: float
    on: int
    moves: int
    energy_kwh: float
    unmet: float


def tick_of(episodes: ConsolidationEpisodes) -> Tick:
    """The present moment of copy 0."""
    code = episodes.state.code
    asked, used = float(code.host_asked[0].sum()), float(code.host_used[0].sum())
    return Tick(
        float(code.now_s[0]),
        int(code.host_on[0].sum()),
        int(code.counts[0, MIGRATIONS]),
        float(code.sums[0, ENERGY]) / _KWH,
        max(0.0, 1.0 - used / asked) if asked > 0 else 0.0,
    )


def remember(past: list[Tick], now: Tick) -> None:
    """Note a moment; between the moves of one tick no time passes, so they are one."""
    if past and past[-1].at_s == now.at_s:
        past[-1] = now
    else:
        past.append(now)


def draw_consolidation(
    figure: Any, episodes: ConsolidationEpisodes, past: list[Tick], action: Mapping[str, float] | str | None
) -> None:
    """Draw copy 0.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty.
    episodes : ConsolidationEpisodes
    past : list of Tick
        Since the episode began, this moment included.
    action : mapping of str to float, or str, optional
        The last choice: knobs by name, or a move in words.
    """
    code = episodes.state.code
    world = episodes.problem.worlds[int(code.world[0])]
    now, n = past[-1], world.n_hosts
    title = (
        f"Consolidation-v0 · {n:,} machines, {world.n_vms:,} VMs · {episodes.problem.names[int(code.world[0])]} · "
        f"{format_duration(float(code.now_s[0]))} · return {episodes.returns[0]:.4g}"
    )
    state = (
        f"now {now.on} machines are on and {now.unmet:.2%} of the CPU asked for is not given · "
        f"{now.moves:,} moves and {now.energy_kwh:.2f} kWh so far"
    )
    knobs = action if isinstance(action, Mapping) else {}
    words = ", ".join(f"{name} {value:.3g}" for name, value in knobs.items()) or action
    said = (f"chosen last: {words}", CHOICE) if words else ("nothing chosen yet", SOFT)
    head(figure, title, (state, SOFT), said)
    grid = figure.add_gridspec(
        2, 2, left=0.05, right=0.985, top=0.80, bottom=0.07, hspace=0.35, wspace=0.12, height_ratios=[1.5, 1.0]
    )
    _hosts(figure.add_subplot(grid[0, :]), episodes, n, knobs)
    ticks = np.arange(len(past))
    left, right = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    left.fill_between(ticks, [one.on for one in past], color=USED, step="post", linewidth=0)
    left.set_ylim(0, n * 1.02)
    plain(left, "machines on, tick by tick")
    right.plot(ticks, [100 * one.unmet for one in past], color=TROUBLE, linewidth=1.4)
    right.set_ylim(0, max(1.0, 110 * max(one.unmet for one in past)))
    plain(right, "CPU asked for and not given, %, tick by tick")
    for axes in (left, right):
        axes.set_xlim(0, max(10, len(past) - 1))


def _hosts(axes: Any, episodes: ConsolidationEpisodes, n: int, knobs: Mapping[str, float]) -> None:
    code = episodes.state.code
    capacity = np.maximum(code.host_used[0, :n] + code.host_free[0, :n], 1e-9)
    on = code.host_on[0, :n]
    used = np.where(on, 100.0 * code.host_share[0, :n], 0.0)
    lacking = np.where(on, 100.0 * np.maximum(code.host_asked[0, :n] - code.host_used[0, :n], 0.0) / capacity, 0.0)
    order = np.lexsort((np.arange(n), -used, ~on))  # machines that are on first, the fullest first
    x = np.arange(n)
    width = 0.8 if n <= 200 else 1.0
    axes.bar(x, 100.0, color=np.where(on[order], FREE, OFF), width=width)
    axes.bar(x, used[order], color=USED, width=width)
    axes.bar(x, lacking[order], bottom=100.0, color=TROUBLE, width=width)
    for name, value in knobs.items():
        if name in ("placement_cap", "evacuate_below") and 0 < value <= 1:
            axes.axhline(100 * value, color=CHOICE, linewidth=1.2, linestyle="--")
            axes.text(n - 0.5, 100 * value + 1.5, name.replace("_", " "), color=CHOICE, fontsize=8, ha="right")
    axes.set_ylim(0, max(104.0, 104.0 + float(lacking.max())))
    axes.set_xlim(-0.7, n - 0.3)
    axes.set_xticks([])
    axes.set_yticks([0, 50, 100])
    plain(axes, "CPU in use, % of each machine, fullest first · pale: off · red: asked for beyond what there is")

"""The picture of ``rlsched/Scaling-v0``: demand against capacity, the backlog, and what it cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.render import CHOICE, INK, SOFT, TROUBLE, USED, head, plain
from rlsched.envs.scaling_episodes import ScalingEpisodes
from rlsched.sim.scaling import state as st
from rlsched.units import format_duration

#: Intervals that are in the picture.
SHOWN = 288
#: Parts of the cost and their colours, in the order of ``rlsched.sim.scaling.state.COST``.
_COLOURS = (USED, "#a9bac8", TROUBLE, "#e39a9a", "#c9a227")


def draw_scaling(figure: Any, episodes: ScalingEpisodes, past: list[npt.NDArray[np.float64]], action: Any) -> None:
    """Draw copy 0, all services added up.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty.
    episodes : ScalingEpisodes
    past : list of (21,) float64
        ``StateCode.last`` of every interval since the episode began, added up over services.
    action : sequence of float, optional
        The last choice.
    """
    world, code = episodes.problem.world, episodes.state.code
    clock = code.clock[0]
    done, left = int(clock[st.C_T] - clock[st.C_LO]), int(clock[st.C_HI] - clock[st.C_T])
    window = episodes.problem.windows[int(episodes.window[0])].name
    n = episodes.problem.n_services
    several = f"{n} services · " if n > 1 else ""
    title = f"Scaling-v0 · {several}{window} · {format_duration(done * world.step_s)} in, {left} intervals to go"
    if not past:
        head(figure, title, ("no interval has run yet", SOFT))
        return
    table = np.stack(past)
    now, cost = table[-1], table[:, : len(st.COST)]
    state = (
        f"demand {now[st.L_DEMAND]:.3g}, capacity {now[st.L_CAPACITY]:.3g}, {now[st.L_READY]:.0f} instances serve, "
        f"{now[st.L_BILLED]:.0f} are billed; {cost.sum():.2f} USD so far"
    )
    head(figure, title, (state, SOFT), (f"chosen last: {action_words(episodes, action)}", CHOICE))
    first = max(0, len(table) - SHOWN)
    table, x = table[first:], np.arange(first, len(table))
    grid = figure.add_gridspec(
        3, 1, left=0.06, right=0.985, top=0.80, bottom=0.06, hspace=0.45, height_ratios=[2, 1, 1]
    )
    axes = [figure.add_subplot(grid[panel]) for panel in range(3)]
    axes[0].fill_between(x, table[:, st.L_CAPACITY], color="#d5dee5", step="mid", linewidth=0)
    axes[0].plot(x, table[:, st.L_CAPACITY], color=CHOICE, linewidth=1.6, drawstyle="steps-mid")
    axes[0].plot(x, table[:, st.L_DEMAND], color=INK, linewidth=1.4)
    plain(axes[0], f"demand (black) and capacity that serves (orange), {world_unit(episodes)}, by interval")
    axes[1].fill_between(x, table[:, st.L_BACKLOG], color="#e9c1c1", step="mid", linewidth=0)
    axes[1].plot(x, table[:, st.L_LOST], color=TROUBLE, linewidth=1.4, drawstyle="steps-mid")
    plain(axes[1], "work that waits (pale) and is lost (red)")
    below = np.zeros(len(table))
    for part, (name, colour) in enumerate(zip(st.COST, _COLOURS, strict=True)):
        axes[2].bar(x, table[:, part], bottom=below, color=colour, width=1.0, label=name.removesuffix("_usd"))
        below = below + table[:, part]
    axes[2].legend(ncols=5, fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.97), labelcolor=SOFT)
    plain(axes[2], "cost of each interval, USD")
    for one in axes:
        one.set_xlim(first - 0.5, max(first + 10, x[-1] + 0.5))
        one.set_ylim(0, None)


def action_words(episodes: ScalingEpisodes, action: Any) -> str:
    """What an action of copy 0 asks for, rounded as the step rounds it: instances up, the type to the nearest.

    Parameters
    ----------
    episodes : ScalingEpisodes
    action : (S * A,) numbers
        As ``episodes.action_space()`` has them.
    """
    types, settings = episodes.problem.world.types, episodes.settings
    names, discrete = episodes.action_names, settings.actions == "discrete"
    said = []
    for numbers in np.asarray(action, np.float64).reshape(episodes.problem.n_services, len(names)):
        value = dict(zip(names, map(float, numbers), strict=True))
        wanted = math.ceil(value["instances"] + (episodes.problem.limits[0] if discrete else 0))
        text = f"{wanted} instance{'s' if wanted != 1 else ''}"
        if "type" in value:
            text += f" of {types[math.floor(value['type'] + 0.5)].name}"
        if "spot_share" in value:
            text += f", {value['spot_share'] / (settings.spot_steps if discrete else 1):.0%} on the spot market"
        said.append(text)
    return "; ".join(said)


def world_unit(episodes: ScalingEpisodes) -> str:
    """What demand is counted in."""
    return str(getattr(episodes.problem.world, "unit", "") or "units")

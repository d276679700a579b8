"""The picture of ``rlsched/Placement-v0``: machines as bars by resource and GPU, the request, the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.episodes import Episodes
from rlsched.envs.render import CHOICE, FREE, INK, OFF, OPEN, SOFT, USED, head, plain
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.units import format_duration

#: Machines that have bars of their own; of larger clusters, the candidates and the last choice have.
MAX_BARS = 48
#: Bars are no wider than where there are this many.
MIN_BARS = 8
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """The last choice.

    Parameters
    ----------
    task, machine : int
        Rows of the trace and of the machines.
    devices : int
        Bits of the GPUs it got.
    """

    task: int
    machine: int
    devices: int


def last_placed(episodes: Episodes, task: int, machine: int) -> Placed:
    """What a decision did, read from the state after it."""
    arrays = episodes.state.arrays
    local = task - int(arrays.counter[0, st.C_LO])
    running = int(arrays.task_i[0, local, st.K_MACHINE]) == machine
    return Placed(task, machine, int(arrays.task_i[0, local, st.K_GPUS]) if running else 0)


def draw_placement(figure: Any, episodes: Episodes, last: Placed | None) -> None:
    """Draw copy 0.

    Parameters
    ----------
    figure : matplotlib Figure
        Empty.
    episodes : Episodes
    last : Placed, optional
        The last choice.
    """
    world, state = episodes.problem.world, episodes.state
    count = state.arrays.counter[0]
    size = int(world.arrays.fleet_n[int(count[st.C_FLEET]), wd.L_N])
    candidates = episodes.out.rows[0][episodes.out.action_mask[0] > 0]
    rows = np.arange(size)
    waits = int(state.task[0]) >= 0
    if size > MAX_BARS:
        shown = candidates[:MAX_BARS] if waits else _fullest(episodes, size)
        rows = np.unique([*shown, *([last.machine] if last else [])]).astype(np.int64)
    head(figure, _title(episodes, size), _request(episodes, candidates.size), _choice(episodes, last, rows))
    with_gpus = bool(world.arrays.fleet_i[:, wd.L_GPUS].any())
    panels = 2 + with_gpus
    grid = figure.add_gridspec(
        panels + (size > MAX_BARS),
        1,
        left=0.05,
        right=0.985,
        top=0.80,
        bottom=0.075,
        hspace=0.42,
        height_ratios=[1.0] * panels + [0.35] * (size > MAX_BARS),
    )
    axes = [figure.add_subplot(grid[panel]) for panel in range(panels)]
    _bars(
        axes[0],
        episodes,
        rows,
        candidates,
        last,
        wd.L_CPU,
        st.M_CPU,
        "CPU in use, % of each machine · outline: what the waiting task would take · orange: the last choice"
        if waits
        else f"CPU in use, % of {'each machine' if rows.size == size else f'the {MAX_BARS} fullest machines'}, "
        "numbered by row · orange: the last choice",
    )
    _bars(axes[1], episodes, rows, candidates, last, wd.L_MEM, st.M_MEM, "memory in use, %")
    if with_gpus:
        _devices(axes[2], episodes, rows, last)
    _names(axes[-1], rows, candidates, last, waits)
    if size > MAX_BARS:
        _overview(figure.add_subplot(grid[panels]), episodes, size, candidates, last)


def _title(episodes: Episodes, size: int) -> str:
    window = episodes.problem.windows[int(episodes.window[0])].name
    at = format_duration(float(episodes.state.clock_s[0]))
    return (
        f"Placement-v0 · {size:,} machines · {window or 'window'} · {at} · decision {int(episodes.steps[0])} · "
        f"return {episodes.returns[0]:.4g}"
    )


def _request(episodes: Episodes, n: int) -> tuple[str, str]:
    task = int(episodes.state.task[0])
    if task < 0:
        return "the window has ended: nothing waits", SOFT
    placed = " (it waited in the queue)" if episodes.state.arrays.counter[0, st.C_SOURCE] else ""
    return f"waits: {_words(episodes, task)}{placed}; it may go to {n} candidates, numbered 0 to {n - 1}", OPEN


def _choice(episodes: Episodes, last: Placed | None, rows: I64) -> tuple[str, str]:
    if last is None:
        return "nothing chosen yet", SOFT
    name = _fleet(episodes).machine_id[last.machine]
    gone = "" if last.machine in rows else ", not shown"
    return f"chosen last: {name} for {_words(episodes, last.task)}{gone}", CHOICE


def _words(episodes: Episodes, task: int) -> str:
    trace = episodes.problem.world.trace
    cores = trace.cpu_mcore[task] / 1000
    words = f"{cores:g} core{'s' if cores != 1 else ''}, {trace.mem_mib[task] / 1024:.3g} GiB"
    n, share = int(trace.gpu_count[task]), int(trace.gpu_mgpu[task])
    if n:
        words += f", {share / 10:g} % of a GPU" if share < 1000 else f", {n} GPU{'s' if n > 1 else ''}"
    return words


def _fleet(episodes: Episodes) -> Any:
    return episodes.problem.world.fleets[int(episodes.state.arrays.counter[0, st.C_FLEET])]


def _capacity(episodes: Episodes, column: int) -> I64:
    out: I64 = episodes.problem.world.arrays.fleet_i[int(episodes.state.arrays.counter[0, st.C_FLEET]), column]
    return out


def _bars(
    axes: Any,
    episodes: Episodes,
    rows: I64,
    candidates: I64,
    last: Placed | None,
    column: int,
    free: int,
    label: str,
) -> None:
    capacity = np.maximum(_capacity(episodes, column)[rows], 1)
    machine = episodes.state.arrays.machine_i[0]
    used = 100.0 * (1.0 - machine[free, rows] / capacity)
    x = np.arange(rows.size)
    up = machine[st.M_UP, rows] == 1
    axes.bar(x, 100.0, color=[FREE if one else OFF for one in up], width=0.8)
    axes.bar(x, used, color=USED, width=0.8)
    task = int(episodes.state.task[0])
    if task >= 0:
        asked = int(episodes.problem.world.arrays.task_i[task, column])
        at = np.flatnonzero(np.isin(rows, candidates))
        axes.bar(
            x[at],
            100.0 * asked / capacity[at],
            bottom=used[at],
            color="none",
            edgecolor=OPEN,
            width=0.72,
            linewidth=1.2,
        )
    if last is not None and last.machine in rows:
        bar = int(np.flatnonzero(rows == last.machine)[0])
        if _still_there(episodes, last):
            asked = int(episodes.problem.world.arrays.task_i[last.task, column])
            share = 100.0 * asked / capacity[bar]
            axes.bar([bar], [share], bottom=[used[bar] - share], color=CHOICE, width=0.8)
    axes.set_ylim(0, 104)
    axes.set_xlim(-0.7, max(rows.size, MIN_BARS) - 0.3)
    axes.set_yticks([0, 50, 100])
    axes.set_xticks([])
    plain(axes, label)


def _still_there(episodes: Episodes, last: Placed) -> bool:
    arrays = episodes.state.arrays
    task = arrays.task_i[0, last.task - int(arrays.counter[0, st.C_LO])]
    return bool(task[st.K_STATUS] == st.RUNNING and task[st.K_MACHINE] == last.machine)


def _devices(axes: Any, episodes: Episodes, rows: I64, last: Placed | None) -> None:
    device = episodes.state.arrays.gpu[0, rows]
    deep = device.shape[1]
    for at, shares in enumerate(device):
        n = int((shares >= 0).sum())
        width = 0.8 / max(n, 1)
        for d in range(n):
            left = at - 0.4 + d * width
            used = 1.0 - shares[d] / 1000.0
            axes.bar([left], [100.0], width=width * 0.88, align="edge", color=FREE)
            axes.bar([left], [100.0 * used], width=width * 0.88, align="edge", color=USED)
    if last is not None and last.machine in rows and _still_there(episodes, last) and last.devices:
        at = int(np.flatnonzero(rows == last.machine)[0])
        n = int((device[at] >= 0).sum())
        share = float(episodes.problem.world.arrays.task_i[last.task, wd.T_MGPU]) / 10.0
        for d in range(n):
            if last.devices >> d & 1:
                top = 100.0 - device[at, d] / 10.0
                axes.bar(
                    [at - 0.4 + d * 0.8 / n],
                    [share],
                    bottom=[top - share],
                    width=0.88 * 0.8 / n,
                    align="edge",
                    color=CHOICE,
                )
    axes.set_ylim(0, 104)
    axes.set_xlim(-0.7, max(rows.size, MIN_BARS) - 0.3)
    axes.set_yticks([0, 50, 100])
    axes.set_xticks([])
    plain(axes, f"GPUs in use, %: one bar a device, up to {deep} a machine")


def _fullest(episodes: Episodes, size: int) -> I64:
    """Rows of the machines with the largest share of their CPU in use, lowest row on ties."""
    capacity = np.maximum(_capacity(episodes, wd.L_CPU)[:size], 1)
    out: I64 = np.argsort(episodes.state.arrays.machine_i[0, st.M_CPU, :size] / capacity, kind="stable")[:MAX_BARS]
    return out


def _names(axes: Any, rows: I64, candidates: I64, last: Placed | None, waits: bool) -> None:
    """Under the last panel: the number of each candidate, in its colour, else a dot; rows where nothing waits."""
    number = {int(row): at for at, row in enumerate(candidates)} if waits else {}
    axes.set_xticks(np.arange(rows.size), [str(number.get(int(row), "·" if waits else row)) for row in rows])
    for tick, row in zip(axes.get_xticklabels(), rows, strict=True):
        chosen = last is not None and int(row) == last.machine
        tick.set_color(CHOICE if chosen else OPEN if int(row) in number else SOFT)
        tick.set_fontweight("bold" if chosen or int(row) in number else "normal")
        tick.set_fontsize(8)


def _overview(axes: Any, episodes: Episodes, size: int, candidates: I64, last: Placed | None) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    capacity = np.maximum(_capacity(episodes, wd.L_CPU)[:size], 1)
    used = 1.0 - episodes.state.arrays.machine_i[0, st.M_CPU, :size] / capacity
    shades = LinearSegmentedColormap.from_list("use", [FREE, USED, INK])
    axes.imshow(used[None, :], aspect="auto", cmap=shades, vmin=0, vmax=1, interpolation="nearest")
    axes.plot(candidates, np.full(candidates.size, -0.62), "v", color=OPEN, markersize=4, clip_on=False)
    if last is not None:
        axes.plot([last.machine], [0.62], "^", color=CHOICE, markersize=6, clip_on=False)
    axes.set_yticks([])
    axes.set_xlim(-0.5, size - 0.5)
    plain(axes, f"all {size:,} machines by row: CPU in use, light to dark; blue: candidates, orange: the last choice")

"""What ``rlsched replay`` shows: bars, machines as a strip of levels, tasks, and two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlsched.evaluate.answer import metric_label, metric_unit, show_difference, show_value
from rlsched.evaluate.results import plain
from rlsched.evaluate.whatif_log import NOWHERE, Log
from rlsched.evaluate.whatif_moment import Fork, Moment
from rlsched.traces.columns import UNKNOWN
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB, format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BAR = 30  # cells
LEVELS = "▁▂▃▄▅▆▇█"
FULLEST = 5


def bars(
    policy: str,
    clock_s: float,
    *,
    tasks: tuple[int, int],
    rejected: int,
    running: int,
    levels: dict[str, tuple[int, int]],
) -> Table:
    """Clock and counts above one bar a resource; resources nobody has are left out."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE,
        show_header=False,
        title=Text(f"{policy} at {format_duration(clock_s)}"),
        title_justify="left",
        pad_edge=False,
    )
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    share = tasks[0] / max(1, tasks[1])
    table.add_row("tasks", _bar(share), f"{tasks[0]:,} of {tasks[1]:,}; {running:,} run, {rejected:,} turned away")
    for name, (used, there) in levels.items():
        if there:
            table.add_row(name, _bar(used / there), f"{100 * used / there:.1f} %")
    return table


def print_moment(log: Log, moment: Moment, console: Console, *, whole: bool) -> None:
    """The state at a moment: bars, one mark a machine, the fullest machines, the last tasks."""
    trace = log.trace
    used, capacity = moment.used.sum(axis=0), moment.capacity.sum(axis=0)
    console.print(
        bars(
            f"{log.policy}{', last arrival,' if whole else ''}",
            moment.at_s,
            tasks=(moment.arrived, len(trace)),
            rejected=moment.rejected,
            running=moment.running,
            levels={
                "CPU": (int(used[0]), int(capacity[0])),
                "memory": (int(used[1]), int(capacity[1])),
                "GPU": (int(used[2]), int(capacity[2])),
                "machines": (moment.active, len(log.machines)),
            },
        )
    )
    console.print(f"Fullest resource of each machine, in order: {strip(moment)}", highlight=False, markup=False)
    console.print(_fullest(log, moment))
    console.print(_last(log, moment))


def strip(moment: Moment) -> str:
    """One mark a machine: how much of its fullest resource is in use; a dot where it is empty."""
    return "".join(
        "·" if not count else LEVELS[min(len(LEVELS) - 1, int(share * len(LEVELS)))]
        for count, share in zip(moment.tasks.tolist(), _shares(moment), strict=True)
    )


def print_fork(log: Log, branch: Fork, console: Console) -> None:
    """Two runs from one moment on, side by side, and where they part."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console.print(
        f"From {format_duration(branch.at_s)} to the last arrival, {format_duration(branch.stop_s)}: what was "
        f"recorded, and the same state continued under {branch.other}.",
        highlight=False,
        markup=False,
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", f"{branch.policy} (recorded)", branch.other, "difference"):
        table.add_column(Text(name), justify="left" if not name else "right")
    for metric, (mine, theirs) in branch.metrics.items():
        unit = metric_unit(metric)
        gap = "" if mine is None or theirs is None else show_difference(metric, theirs - mine)
        # "rejected [tasks]", but not "used machines [machines]".
        heading = f"{metric_label(metric)}{f' [{unit}]' if unit and unit not in metric_label(metric) else ''}"
        table.add_row(Text(heading), show_value(metric, mine), show_value(metric, theirs), gap)
    console.print(table)
    if branch.first < 0:
        words = f"All {branch.later:,} later tasks go where they went: the two policies do not differ here."
    else:
        before, after = (_machine(log, int(run[branch.first])) for run in (log.machine, branch.machine))
        words = (
            f"{branch.moved:,} of {branch.later:,} later tasks go elsewhere, {str(log.trace.task_id[branch.first])!r} "
            f"at {format_duration(float(log.trace.arrive_s[branch.first]))} first: {before} becomes "
            f"{after}."
        )
    console.print(words, highlight=False, markup=False)
    console.print(
        "One moment of one trace: a difference here may be chance. 'rlsched evaluate --trace' gives intervals.",
        highlight=False,
        markup=False,
    )


def document(log: Log, moment: Moment, branch: Fork | None) -> dict[str, Any]:
    """The same as one JSON document; see ``docs/what-if.md``."""
    out: dict[str, Any] = {
        "policy": log.policy,
        "at_s": moment.at_s,
        "arrived": moment.arrived,
        "running": moment.running,
        "finished": moment.finished,
        "rejected": moment.rejected,
        "machines": [
            {
                "machine_id": str(name),
                "tasks": int(count),
                **dict(zip(("cpu_mcore", "mem_mib", "gpu_mgpu"), map(int, used), strict=True)),
            }
            for name, count, used in zip(log.machines.machine_id, moment.tasks, moment.used, strict=True)
        ],
        "what_if": None,
    }
    if branch is not None:
        out["what_if"] = {
            "policy": branch.other,
            "stop_s": branch.stop_s,
            "metrics": {name: {"recorded": mine, "other": theirs} for name, (mine, theirs) in branch.metrics.items()},
            "later_tasks": branch.later,
            "moved_tasks": branch.moved,
            "first_moved": None if branch.first < 0 else str(log.trace.task_id[branch.first]),
        }
    plain_out: dict[str, Any] = plain(out)
    return plain_out


def _fullest(log: Log, moment: Moment) -> Table:
    table = _table(f"Fullest {min(FULLEST, len(log.machines))} machines", "machine", "tasks", "cores", "GiB", "GPUs")
    shares = _shares(moment)
    for row in sorted(range(len(shares)), key=lambda i: (-shares[i], i))[:FULLEST]:
        used, there = moment.used[row].tolist(), moment.capacity[row].tolist()
        cells = [
            f"{a / unit:.4g} of {b / unit:.4g}" if b else "–"
            for a, b, unit in zip(used, there, (MCORE_PER_CORE, MIB_PER_GIB, 1000), strict=True)
        ]
        table.add_row(_text(log.machines.machine_id[row]), str(int(moment.tasks[row])), *cells)
    return table


def _last(log: Log, moment: Moment) -> Table:
    table = _table("Last to arrive", "task", "at", "cores", "GiB", "GPUs", "went to", "ends")
    trace = log.trace
    for row in moment.last.tolist():
        end = "unknown" if trace.depart_s[row] == UNKNOWN else format_duration(float(trace.depart_s[row]))
        gpus = int(trace.gpu_count[row])
        table.add_row(
            _text(trace.task_id[row]),
            format_duration(float(trace.arrive_s[row])),
            f"{trace.cpu_mcore[row] / MCORE_PER_CORE:g}",
            f"{trace.mem_mib[row] / MIB_PER_GIB:.4g}",
            f"{gpus} x {trace.gpu_mgpu[row] / 1000:g}" if gpus else "–",
            _text(_machine(log, int(log.machine[row]))),
            end if log.machine[row] != NOWHERE else "",
        )
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    return table


def _text(value: object) -> Any:
    from rich.text import Text

    return Text(str(value))  # not markup: a task may be called [red]


def _machine(log: Log, row: int) -> str:
    return "turned away" if row == NOWHERE else str(log.machines.machine_id[row])


def _shares(moment: Moment) -> list[float]:
    """Share of its fullest resource in use, of each machine."""
    return [
        max((a / b for a, b in zip(used, there, strict=True) if b), default=0.0)
        for used, there in zip(moment.used.tolist(), moment.capacity.tolist(), strict=True)
    ]


def _bar(share: float) -> str:
    full = round(BAR * min(1.0, share))
    return "█" * full + "░" * (BAR - full)

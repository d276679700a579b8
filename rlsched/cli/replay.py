"""``rlsched replay``: one policy on one trace, watched, recorded, looked into, and continued otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlsched.errors import SpecError
from rlsched.units import parse_duration_s

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rlsched.evaluate.whatif_log import Log
    from rlsched.sim.state import State
    from rlsched.sim.world import World

app = typer.Typer(add_completion=False)
PLAIN_WIDTH = 100


@app.command()
def replay(
    trace: Annotated[Path | None, typer.Option(help="Tasks to replay.")] = None,
    machines: Annotated[Path | None, typer.Option(help="Machines they run on.")] = None,
    policy: Annotated[str | None, typer.Option(help="Name, blend, or policy.onnx; best_fit.")] = None,
    log: Annotated[Path | None, typer.Option(help="Record the run here; alone: a run recorded before.")] = None,
    at: Annotated[str | None, typer.Option(help="Show this moment of the trace's clock, e.g. 2d4h.")] = None,
    what_if: Annotated[str | None, typer.Option(help="Go on from --at under this policy; say what changes.")] = None,
    columns: Annotated[str | None, typer.Option(help="Your columns: ours=theirs,... or a card.")] = None,
    machine_columns: Annotated[str | None, typer.Option(help="The same for --machines.")] = None,
    price: Annotated[float | None, typer.Option(help="USD an hour of machines without a price.")] = None,
    power_curve: Annotated[str | None, typer.Option(help="Of machines without one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a policy that draws random numbers; 0.")] = None,
    seconds: Annotated[float, typer.Option(help="How long the live view should last at least.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Watch one policy place a trace, look at any moment, and ask what another would have done from there.

    Examples: rlsched replay --trace vms.csv --machines nodes.csv --policy best_fit --log run.parquet

    rlsched replay --log run.parquet --at 2d4h

    rlsched replay --log run.parquet --at 2d4h --what-if first_fit
    """
    from rlsched.evaluate.whatif_log import load_log
    from rlsched.evaluate.whatif_moment import check_at, fork, moment_of

    if what_if is not None and at is None:
        raise SpecError("--what-if needs a moment to go on from: add --at, e.g. --at 2d4h.")
    if not 0 <= seconds <= 3600:
        raise SpecError(f"--seconds must be in 0..3600: got {seconds}.")
    moment = None if at is None else _moment(at)
    own = {
        "machines": machines, "policy": policy, "columns": columns, "machine_columns": machine_columns,
        "price": price, "power_curve": power_curve, "seed": seed,
    }  # fmt: skip
    if trace is None:
        lonely = next((name for name, given in own.items() if given is not None), None)
        if lonely is not None:
            raise SpecError(f"--{lonely.replace('_', '-')} is for a new run: add --trace FILE, or leave it out.")
        if log is None:
            raise SpecError(
                "a run is needed: --trace tasks.csv --machines nodes.csv for a new one, or --log FILE for one that was "
                "recorded."
            )
        run = load_log(log)
    else:
        run = _record(trace, own, log, seconds)
    if moment is not None:
        check_at(run, moment)
    shown = moment_of(run, _end_of(run) if moment is None else moment)
    branch = None if what_if is None or moment is None else fork(run, moment, what_if)
    from rlsched.cli import replay_views as views

    if as_json:
        from rlsched.evaluate.results import dump

        typer.echo(dump(views.document(run, shown, branch)))
        return
    console = _console()
    with console.capture() as text:
        views.print_moment(run, shown, console, whole=moment is None)
        if branch is not None:
            views.print_fork(run, branch, console)
    typer.echo(text.get(), nl=False)


def _record(trace: Path, own: dict[str, Any], log: Path | None, seconds: float) -> Log:
    from rlsched.evaluate.whatif_inputs import read_files
    from rlsched.evaluate.whatif_log import record, save_log
    from rlsched.traces.store import check_writable

    if own["machines"] is None:
        raise SpecError(f"--trace needs machines to run on: add --machines FILE (a row a machine) for {trace}.")
    if log is not None:
        check_writable(log, ".parquet", [trace, own["machines"]])
    given = read_files(
        trace,
        own["machines"],
        columns=own["columns"],
        machine_columns=own["machine_columns"],
        price_per_h=own["price"],
        power_curve=own["power_curve"],
    )
    for note in given.notes:
        typer.echo(note, err=True)
    name = own["policy"] or "best_fit"
    with _live(name, seconds) as watch:
        run = record(given.trace, given.machines, name, seed=own["seed"] or 0, watch=watch)
    if log is not None:
        save_log(run, log)
        typer.echo(f"Recorded in {log}. Look into it with: rlsched replay --log {log} --at TIME", err=True)
    return run


@contextmanager
def _live(policy: str, seconds: float) -> Iterator[Callable[[World, State], None] | None]:
    """A view of the run on standard error while it lasts; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    from rlsched.evaluate.whatif_log import FRAMES

    pause = seconds / FRAMES
    with Live(console=Console(stderr=True), refresh_per_second=12, transient=True) as live:

        def watch(world: World, state: State) -> None:
            live.update(frame(policy, world, state))
            if pause:
                live.refresh()
                time.sleep(pause)

        yield watch


def frame(policy: str, world: World, state: State) -> RenderableType:
    """One picture of a run: clock, tasks, and how full the machines are."""
    from rlsched.cli.replay_views import bars
    from rlsched.sim import state as st
    from rlsched.sim.world import L_CPU, L_GPUS, L_MEM, L_N

    count = state.arrays.counter[0]
    fleet = world.arrays.fleet_i[0]
    n = int(world.arrays.fleet_n[0, L_N])
    return bars(
        policy,
        float(state.clock_s[0]),
        # Warm-up is none, so the meters count from the first task.
        tasks=(int(count[st.C_ARRIVED]), len(world.trace)),
        rejected=int(count[st.C_REJECTED]),
        running=int(count[st.C_RUNNING]),
        levels={
            "CPU": (int(count[st.C_RUN_CPU]), int(fleet[L_CPU].sum())),
            "memory": (int(count[st.C_RUN_MEM]), int(fleet[L_MEM].sum())),
            "GPU": (int(count[st.C_RUN_GPU]), int(fleet[L_GPUS].sum()) * 1000),
            "machines": (int(count[st.C_ACTIVE]), n),
        },
    )


def _moment(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise SpecError(f"--at: {error}.") from None


def _end_of(run: Log) -> float:
    return float(run.trace.arrive_s[-1])


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)

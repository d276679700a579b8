"""The jobs of a benchmark in processes of their own: as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from rlsched.evaluate.benchmark import (
    FAILED,
    FINISHED,
    WAITING,
    Benchmark,
    Outcome,
    run_job,
    write_state,
)
from rlsched.traces.advice import is_on_the_command_line, on_the_command_line

#: Told every outcome, the shares of those that run by name, and the share of all work that is done.
Watch = Callable[[Sequence[Outcome], dict[str, tuple[str, float]], float], None]
POLL_S = 0.5
EVERY_S = 0.2  # seconds between two words on one job's progress


def run_jobs(
    benchmark: Benchmark,
    outcomes: Sequence[Outcome],
    *,
    processes: int,
    data_root: Path | None = None,
    watch: Watch | None = None,
) -> list[Outcome]:
    """Run every job that has not finished; the longest begin first.

    Parameters
    ----------
    benchmark : Benchmark
    outcomes : sequence of Outcome
        As ``look_around`` gives them.
    processes : int
        At a time. With one, jobs run one after the other in a process of their own all the same, so
        that a job killed for its memory ends nothing else.
    data_root : Path, optional
    watch : callable, optional

    Returns
    -------
    list of Outcome
        In the order given. What could not be run says why; what runs when somebody interrupts is
        stopped, and its finished units are kept.
    """
    done = list(outcomes)
    waiting = sorted(
        (i for i, one in enumerate(done) if one.status == WAITING), key=lambda i: (-done[i].job.about_s, i)
    )
    write_state(benchmark, done)
    context = multiprocessing.get_context("spawn")  # threads of numba and of onnxruntime do not survive a fork
    running: dict[Connection, tuple[int, Any]] = {}
    shares: dict[str, tuple[str, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, processes):
                i = waiting.pop(0)
                mine, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work, args=(benchmark, done[i], data_root, theirs, is_on_the_command_line()), daemon=True
                )
                process.start()
                theirs.close()  # so that its end is seen when the process is gone
                running[mine] = i, process
                shares[done[i].job.name] = "starting", 0.0
            for one in wait(list(running), POLL_S):
                assert isinstance(one, Connection)  # nothing else is waited for
                i, process = running[one]
                if _hear(one, process, done, i, shares):
                    del running[one]
                    one.close()
                    process.join()
                    shares.pop(done[i].job.name, None)
                    write_state(benchmark, done)
            if watch is not None:
                watch(done, dict(shares), share_of(done, shares))
    finally:
        for _, process in running.values():
            process.terminate()
        for one, (_, process) in running.items():
            process.join()
            one.close()
    return done


def share_of(outcomes: Sequence[Outcome], shares: dict[str, tuple[str, float]]) -> float:
    """Share of the work that is done, jobs weighed by how long they take."""
    whole = sum(one.job.about_s for one in outcomes)
    done = sum(
        one.job.about_s * (shares.get(one.job.name, ("", 0.0))[1] if one.status == WAITING else 1.0) for one in outcomes
    )
    return done / whole if whole else 1.0


def _hear(
    connection: Connection, process: Any, done: list[Outcome], i: int, shares: dict[str, tuple[str, float]]
) -> bool:
    """Take one message; True when the job is over."""
    try:
        kind, value = connection.recv()
    except EOFError:
        process.join()
        why = f"its process ended with code {process.exitcode}"
        if process.exitcode is not None and process.exitcode < 0:
            why = f"its process was ended by signal {-process.exitcode} ({signal.Signals(-process.exitcode).name})"
        done[i].status = FAILED
        done[
            i
        ].reason = f"{why}, perhaps for want of memory. Its finished units are kept: run the same command to go on."
        return True
    if kind == "progress":
        shares[done[i].job.name] = value
        return False
    done[i] = value
    return True


def _work(
    benchmark: Benchmark, one: Outcome, data_root: Path | None, connection: Connection, command_line: bool
) -> None:
    """In the process of a job: run it, telling how far it is, and hand back what became of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us stops us
    last = 0.0

    def progress(text: str, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            connection.send(("progress", (text, min(1.0, share))))

    try:
        with on_the_command_line() if command_line else nullcontext():
            connection.send(("outcome", run_job(benchmark, one, data_root, progress)))
    except BrokenPipeError:
        return  # whoever started us is gone; finished units are kept
    finally:
        connection.close()


def all_finished(outcomes: Sequence[Outcome]) -> bool:
    """True when nothing is missing."""
    return all(one.status == FINISHED for one in outcomes)

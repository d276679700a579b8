"""A benchmark: many experiments side by side, one process each, kept as they finish.

The folder of a benchmark holds, besides its own results, ``parts/NAME`` (a run's folder for each
experiment and variant that has finished) and ``units/NAME`` (finished units of one that has not).
Whatever kills it, the same command goes on from there; and as nothing that is computed depends on
the others, the results are the same whatever the number of processes.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlsched.errors import MissingDataError, SpecError, UserError
from rlsched.evaluate.benchmark_card import BenchmarkExperiment, Job, jobs_of
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.keep import Units, digest
from rlsched.evaluate.results import (
    LEDGER,
    RUN_FILES,
    Document,
    agents_sha256,
    check_out,
    file_sha256,
    load_document,
    seal,
    write_run,
)
from rlsched.spec import load
from rlsched.traces.store import replacing

STATE, PARTS, UNITS = "benchmark.json", "parts", "units"
WAITING, FINISHED, SKIPPED, FAILED = "waiting", "finished", "skipped", "failed"
#: Fact of a part → what it is called in messages.
FACTS = {
    "card_sha256": "card",
    "tuned_sha256": "tuned.toml",
    "set": "overrides",
    "agents": "trained agents",
    "version": "version of rlsched",
}
#: Told the name of a job, what it is doing, and the share of it that is done.
Progress = Callable[[str, str, float], None]


@dataclass
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : Job
    status : {"waiting", "finished", "skipped", "failed"}
    reason : str
        Why it was skipped, or what went wrong.
    seconds, cpu_s : float
        Of the process that finished it; processor time of that process.
    ours : bool
        A failure of ours, with its traceback in ``reason``.
    facts : dict
        Hashes the results rest on.
    kept : bool
        Finished by an earlier call.
    """

    job: Job
    status: str = WAITING
    reason: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    ours: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    kept: bool = False


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's card, resolved, and the folder it runs in.

    Parameters
    ----------
    card : Path
    overrides : tuple of str
    spec : BenchmarkExperiment
    jobs : tuple of Job
    out : Path
    """

    card: Path
    overrides: tuple[str, ...]
    spec: BenchmarkExperiment
    jobs: tuple[Job, ...]
    out: Path

    @property
    def name(self) -> str:
        """As an experiment's."""
        return experiment_name(self.card)

    def part(self, job: Job) -> Path:
        """Folder of a finished job."""
        return self.out / PARTS / job.name

    def units(self, job: Job, facts: Mapping[str, Any]) -> Units:
        """Finished units of a job."""
        return Units(self.out / UNITS / job.name, facts)


def open_benchmark(card: Path, overrides: Sequence[str], out: Path) -> Benchmark:
    """Read the card and everything it names, and look whether the folder can be written.

    Raises
    ------
    SpecError
        Whatever is wrong with the cards or the overrides; a folder that holds something else.
    """
    spec = load(BenchmarkExperiment, card, overrides).spec
    jobs = tuple(jobs_of(spec, card.parent))
    check_folder(out)
    return Benchmark(card, tuple(overrides), spec, jobs, out)


def check_folder(out: Path) -> None:
    """Refuse a folder that no benchmark left there, or that cannot be written; see ``check_out``."""
    names = {one.name for one in out.iterdir()} if out.is_dir() else set()
    if STATE in names:
        foreign = sorted(names - {*RUN_FILES, STATE, PARTS, UNITS} - {one for one in names if one.startswith(".")})
        if foreign:
            raise SpecError(
                f"cannot write results to {out}: it holds {foreign[0]!r}, which no benchmark left there. Name an "
                "empty or a new folder with --out."
            )
        return
    check_out(out)
    if names - {LEDGER}:
        raise SpecError(
            f"cannot write a benchmark to {out}: it holds a run of one experiment. Name an empty or a new folder with "
            "--out."
        )


def facts_of(job: Job) -> dict[str, Any]:
    """What a job's results rest on, besides the data: hashes of card, tuned numbers and agents, and overrides."""
    from rlsched import __version__

    tuned = job.card.parent / "tuned.toml"
    return {
        "card_sha256": file_sha256(job.card),
        "tuned_sha256": file_sha256(tuned) if tuned.is_file() else None,
        "set": list(job.overrides),
        "agents": agents_sha256(job.card, job.overrides),
        "version": __version__,
    }


def look_around(benchmark: Benchmark) -> list[Outcome]:
    """What has been finished by earlier calls, and what waits.

    Raises
    ------
    SpecError
        Where a finished part rests on other facts than it would now: its results are not to be mixed
        with new ones.
    """
    out, changed = [], []
    for job in benchmark.jobs:
        facts = facts_of(job)
        one = Outcome(job, facts=facts)
        document = finished_part(benchmark.part(job))
        if document is not None:
            made = document["provenance"].get("part", {})
            before = made.get("facts", {})
            odd = [what for key, what in FACTS.items() if before.get(key) != facts[key]]
            if odd:
                changed.append(f"{job.name}: other {' and '.join(odd)}")
            one.status, one.kept = FINISHED, True
            one.seconds, one.cpu_s = made.get("seconds", 0.0), made.get("cpu_s", 0.0)
        out.append(one)
    if changed:
        raise SpecError(
            f"results of cards that changed in between cannot be mixed: {benchmark.out} holds finished parts made "
            f"with something else than now ({'; '.join(changed)}). Name another folder with --out, remove those from "
            f"{benchmark.out / PARTS}, or begin anew with --fresh."
        )
    return out


def finished_part(folder: Path) -> Document | None:
    """The document of a finished part; None where it is not there."""
    return load_document(folder) if (folder / "results.json").is_file() else None


def begin_anew(out: Path) -> None:
    """Take away everything an earlier benchmark left, but its ledger.

    Raises
    ------
    SpecError
        A folder that is no benchmark's.
    """
    check_folder(out)
    for name in (PARTS, UNITS):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (STATE, *RUN_FILES):
        path = out / name
        if name == LEDGER or not path.exists():
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def run_job(
    benchmark: Benchmark, one: Outcome, data_root: Path | None, progress: Callable[[str, float], None]
) -> Outcome:
    """Run one job to its end in this process, and write its part.

    Returns
    -------
    Outcome
        Never raises for what is wrong with one experiment: the others go on.
    """
    import time
    import traceback

    from rlsched.evaluate.kinds import run_experiment, touches_of

    began, job = time.monotonic(), one.job
    try:
        one.facts = facts_of(job)  # as they are now: others may have run for long since they were first looked at
        units = benchmark.units(job, one.facts)
        touches = touches_of(job.card, job.overrides, benchmark.out / LEDGER)
        keep = touches.keeping(units)
        document = run_experiment(job.card, job.overrides, data_root=data_root, progress=progress, keep=keep)
        now = facts_of(job)
        if now != one.facts:
            odd = [what for key, what in FACTS.items() if now[key] != one.facts[key]]
            raise SpecError(f"other {' and '.join(odd)} than when it began: run the same command again.")
        one.seconds = round(time.monotonic() - began, 1)
        used = resource.getrusage(resource.RUSAGE_SELF)
        one.cpu_s = round(used.ru_utime + used.ru_stime, 1)
        part = {"of": benchmark.name, "experiment": job.experiment, "variant": job.variant, "facts": one.facts,
                "seconds": one.seconds, "cpu_s": one.cpu_s}  # fmt: skip
        document = {**document, "provenance": seal({**document["provenance"], "part": part})}
        touches.finish(document)
        write_run(document, benchmark.part(job), card=job.card.read_text(encoding="utf-8"))
        units.clear()
        one.status = FINISHED
    except MissingDataError as error:
        one.status, one.reason = SKIPPED, str(error)
    except UserError as error:
        one.status, one.reason = FAILED, str(error)
    except BrokenPipeError:
        raise  # whoever asked is gone
    except OSError as error:
        one.status, one.reason = FAILED, f"{error.strerror or error} ({error.filename or benchmark.out})"
    except Exception:
        one.status, one.reason, one.ours = FAILED, traceback.format_exc(), True
    one.seconds = round(time.monotonic() - began, 1)
    return one


def write_state(benchmark: Benchmark, outcomes: Sequence[Outcome]) -> None:
    """Note what has become of every job, all or nothing.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    rows = [
        {
            "name": one.job.name,
            "experiment": one.job.experiment,
            "variant": one.job.variant,
            "status": one.status,
            "reason": one.reason,
            "seconds": one.seconds,
            "cpu_s": one.cpu_s,
            "set": list(one.job.overrides),
        }
        for one in outcomes
    ]
    left_out = {one.name: why for one in benchmark.spec.experiments if (why := benchmark.spec.why_not(one))}
    state = {
        "experiment": benchmark.name,
        "card_sha256": file_sha256(benchmark.card),
        "title": benchmark.spec.title,
        "question": benchmark.spec.question,
        "split": benchmark.spec.split,
        "set": list(benchmark.overrides),
        "left_out": left_out,
        "jobs": rows,
    }
    try:
        benchmark.out.mkdir(parents=True, exist_ok=True)
        with replacing(benchmark.out / STATE) as temporary:
            temporary.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"cannot write results to {benchmark.out}: {error.strerror}. Name another folder with --out."
        ) from None


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fingerprint(document: Document) -> str:
    """SHA-256 of what was measured and concluded: the same for the same cards, data and code, whenever it was run."""
    return digest({key: document.get(key) for key in ("rows", "summary", "verdicts", "bounds", "gaps", "timeline")})

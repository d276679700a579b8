"""A benchmark of tiny problems in a folder, run in this process."""

from __future__ import annotations

from pathlib import Path

from evaluate_worlds import CARD, write_experiment

from rlsched.evaluate.benchmark import Benchmark, Outcome, look_around, open_benchmark, run_job, write_state

BENCHMARK = """\
kind = "benchmark"
title = "Two tiny problems"
[[experiments]]
name = "a"
about_s = 2
compared = ["best_fit", "first_fit"]
generality = [{ label = "three machines", set = ["machines.sample=3"] }]
[[experiments]]
name = "b"
set = ["policies=best_fit,worst_fit"]
[[experiments]]
name = "c"
optional = true
"""


def write_benchmark(folder: Path) -> Path:
    """``all.toml``, and the experiments ``a``, ``b`` and ``c`` beside it."""
    textbook = 'textbook = "best_fit"\n'
    roles = CARD.replace(textbook, f'{textbook}published = "worst_fit"\ntuned = "first_fit"\n')
    for name in "abc":
        write_experiment(folder / name, roles)
    path = folder / "all.toml"
    path.write_text(BENCHMARK)
    return path


def silent(_text: str, _share: float) -> None:
    """Told how far it is, and says nothing."""


def run_here(benchmark: Benchmark) -> list[Outcome]:
    """Every job that waits, in this process."""
    found = look_around(benchmark)
    out = [one if one.kept else run_job(benchmark, one, None, silent) for one in found]
    write_state(benchmark, out)
    return out


def finished(folder: Path, *overrides: str) -> Path:
    """The folder of a benchmark that has run."""
    run_here(open_benchmark(write_benchmark(folder), overrides, folder / "out"))
    return folder / "out"

"""``rlsched evaluate`` and ``report`` of a benchmark as a user types them, and what happens when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmark_worlds import BENCHMARK, finished, write_benchmark

from rlsched.evaluate.results import LEDGER
from rlsched.evaluate.touch import read_ledger

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
PATIENCE_S = 300.0


def main(*argv: object) -> int:
    from rlsched.cli.main import main

    return main([str(one) for one in argv])


@pytest.mark.slow
def test_a_benchmark_is_run_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card, out = write_benchmark(tmp_path), tmp_path / "out"
    assert main("evaluate", card, "--out", out, "--jobs", "2") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "Two tiny problems"
    assert "3 of 3 done" in shown.err
    assert "with 2 processes" in shown.err
    assert sorted(os.listdir(out)) == [
        "benchmark.json", "experiment.toml", "parts", "report.html", "results.json", LEDGER, "units",
    ]  # fmt: skip
    touched = (out / "parts" / "a" / "results.json").stat().st_mtime_ns
    assert main("evaluate", card, "--out", out, "--json") == 0
    shown = capsys.readouterr()
    assert "3 of 3 runs were finished before and are kept" in shown.err
    assert list(json.loads(shown.out))[:5] == ["experiment", "provenance", "rows", "summary", "verdicts"]
    assert (out / "parts" / "a" / "results.json").stat().st_mtime_ns == touched
    assert main("evaluate", card, "--out", out, "--fresh", "--set", "only=b") == 0
    assert os.listdir(out / "parts") == ["b"]
    assert len(read_ledger(out / LEDGER)) == 4  # what was touched stays touched


@pytest.mark.slow
def test_what_is_skipped_exits_2_and_is_named_after_the_rest_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLSCHED_DATA", str(tmp_path / "none"))
    card, out = write_benchmark(tmp_path), tmp_path / "out"
    card.write_text(BENCHMARK.replace("policies=best_fit,worst_fit", "data.trace=azure-v1-2017"))
    assert main("evaluate", card, "--out", out, "--set", "variants=false") == 2
    said = capsys.readouterr().err
    assert "rlsched: of 2 runs 1 skipped. What has finished is kept" in said
    assert "b: there is no data folder" in said
    assert "skipped: there is no data folder" in (out / "report.html").read_text()


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_from_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card, out = write_benchmark(tmp_path), tmp_path / "out"
    command = [sys.executable, "-m", "rlsched", "evaluate", str(card), "--out", str(out), "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    while not list(out.glob("parts/*/results.json")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = {one: one.stat().st_mtime_ns for one in out.glob("parts/*/results.json")}
    # Whoever still computes for it finds nobody to tell, and ends.
    while _children_of(out):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert main("report", out) == 0
    assert "Missing, " in capsys.readouterr().out
    assert main("evaluate", card, "--out", out, "--jobs", "1") == 0
    assert "were finished before and are kept" in capsys.readouterr().err
    assert {one: one.stat().st_mtime_ns for one in first} == first
    assert json.loads((out / "results.json").read_text())["provenance"]["complete"]


def _children_of(out: Path) -> list[str]:
    """Processes of ours that keep units for that folder: spawned ones, whose parent is gone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            here = os.readlink(entry / "cwd") == os.getcwd()
        except OSError:
            continue
        if "multiprocessing.spawn" in words and parent == "1" and here:
            found.append(words)
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "{card}", "--jobs", "0"], "--jobs must be at least 1: got 0"),
        (["evaluate", "{a}", "--jobs", "2"], "--jobs is for a benchmark"),
        (["evaluate", "{a}", "--fresh"], "--fresh is for a benchmark"),
        (["evaluate", "--trace", "x.csv", "--jobs", "2"], "leave --jobs out (2)"),
        (["evaluate", "{card}", "--set", "only=d"], "only: no experiment 'd'"),
        (["evaluate", "{card}", "--out", "/proc/results"], "/proc cannot be written"),
        (["tune", "{card}"], "have no family to tune"),
    ],
)
def test_user_errors_exit_2_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"card": write_benchmark(tmp_path), "a": tmp_path / "a"}
    assert main(*(one.format(**places) for one in arguments)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_finished_benchmark_is_reported_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished(tmp_path, "only=a")
    for form in ("html", "md", "csv", "parquet"):
        assert main("report", out, "--format", form) == 0
    said = capsys.readouterr().err
    assert f"The report is in {out / 'report.html'}" in said
    assert f"The report is in {out / 'report.md'}" in said
    assert f"6 tables are in {out / 'tables'}" in said
    assert main("report", out, "--format", "md", "--out", tmp_path / "elsewhere") == 0
    assert (tmp_path / "elsewhere" / "report.md").is_file()
    assert main("report", out, out / "parts" / "a", "--out", tmp_path / "both") == 2
    assert "a benchmark is reported on its own" in capsys.readouterr().err
    assert main("evaluate", tmp_path / "a", "--out", out) == 2  # one experiment is not written over it
    assert "which no earlier run left there" in capsys.readouterr().err

"""``rlsched evaluate --trace`` on a dataset's own file: answer and ledger say that its test split was looked at."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from whatif_worlds import MACHINE_MAP, TRACE_MAP, odd_files

from rlsched.evaluate import ledger
from rlsched.evaluate.results import LEDGER
from rlsched.evaluate.touch import read_ledger

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


def test_a_look_at_a_test_split_is_said_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rlsched.cli.main import main

    trace, machines = odd_files(tmp_path)
    sha = hashlib.sha256(trace.read_bytes()).hexdigest()
    card = tmp_path / "toy.toml"
    card.write_text(
        f'folder = "toy"\n[parts.a]\npath = "x.csv"\nreader = "openb_pods"\n[files]\n"x.csv" = "{sha}"\n'
        '[splits]\npart = "a"\nby = "arrive_s"\ntrain = [0, 1]\nvalidation = [1, 2]\ntest = [2, 3]\n'
    )
    monkeypatch.setattr(ledger, "list_assets", lambda _kind: {"toy": card})
    out = tmp_path / "out"
    command = ["evaluate", "--trace", str(trace), "--machines", str(machines), "--columns", TRACE_MAP]
    command += ["--machine-columns", MACHINE_MAP, "--policies", "best_fit,first_fit", "--no-fewer", "--out", str(out)]
    for times in (1, 2):
        assert main(command) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "vms.csv is a file of the dataset toy, whose card sets arrive_s in [2, 3) s of part a apart" in said
        lines = read_ledger(out / LEDGER)
        assert len(lines) == times
        assert lines[-1]["policies"] == ["best_fit", "first_fit"]
    assert "Every touch of the test split (2)" in (out / "report.html").read_text()

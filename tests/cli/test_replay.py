"""``rlsched replay`` and ``rlsched evaluate --trace`` as a user types them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from whatif_worlds import MACHINE_MAP, TRACE_MAP, odd_files

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
MAPS = ("--columns", TRACE_MAP, "--machine-columns", MACHINE_MAP)


def main(*argv: object) -> int:
    from rlsched.cli.main import main

    return main([str(one) for one in argv])


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    odd_files(tmp_path)
    return ("--trace", "vms.csv", "--machines", "nodes.csv")


def test_a_run_is_recorded_looked_into_and_continued(
    files: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("replay", *files, *MAPS, "--policy", "worst_fit", "--log", "run.parquet") == 0
    shown = capsys.readouterr()
    assert "worst_fit, last arrival, at 19h55m" in shown.out
    assert "Recorded in run.parquet." in shown.err

    assert main("replay", "--log", "run.parquet", "--at", "4h") == 0
    shown = capsys.readouterr()
    assert "worst_fit at 4h" in shown.out
    assert "49 of 240" in shown.out  # one every five minutes, the first at 0

    assert main("replay", "--log", "run.parquet", "--at", "4h", "--what-if", "best_fit") == 0
    shown = capsys.readouterr()
    assert "energy [kWh]" in shown.out  # and not eaten as markup
    assert "of 191 later tasks go elsewhere" in shown.out
    assert "may be chance" in shown.out


def test_json_of_a_moment_and_of_what_if(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main("replay", *files, *MAPS, "--at", "4h", "--what-if", "best_fit", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["at_s"], told["arrived"], told["what_if"]["later_tasks"]) == (14400.0, 49, 191)
    assert sum(one["tasks"] for one in told["machines"]) == told["running"]
    assert told["what_if"]["metrics"]["energy_kwh"] == {"recorded": None, "other": None}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "a run is needed"),
        (("--log", "no.parquet"), "is not there"),
        (("--log", "vms.csv"), "must be whole"),
        (("--policy", "best_fit", "--log", "no.parquet"), "--policy is for a new run"),
        (("--log", "no.parquet", "--what-if", "best_fit"), "add --at"),
        (("--trace", "vms.csv"), "--trace needs machines"),
        (("--log", "no.parquet", "--at", "soon"), "expected a duration such as '2d4h'"),
        (("--trace", "vms.csv", "--machines", "nodes.csv"), "add: --columns"),
        (("--trace", "vms.csv", "--machines", "nodes.csv", *MAPS, "--seed", "-1"), "--seed must be >= 0"),
        (("--trace", "vms.csv", "--machines", "nodes.csv", "--log", "no/run.parquet"), "there is no folder no"),
        (("--log", "no.parquet", "--seconds", "-1"), "--seconds must be in 0..3600"),
    ],
)
def test_what_cannot_be_replayed_is_one_clear_error(
    argv: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("replay", *argv) == 2
    assert says in capsys.readouterr().err


def test_evaluate_takes_files_of_ones_own(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("evaluate", *files, *MAPS, "--policies", "worst_fit,blend:best_fit=2,fragmentation=1,first_fit")
    assert main(*argv, "--power-curve", "hp_ml110_g4") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("What if: vms.csv on nodes.csv\n")
    assert "With worst_fit you would have needed " in " ".join(shown.out.split())
    assert sorted(os.listdir("runs/what-if")) == ["report.html", "results.json", "results.parquet"]
    document = json.loads(Path("runs/what-if/results.json").read_text())
    assert [one["policy"] for one in document["needed"]["by_policy"]] == [
        "worst_fit",
        "blend:best_fit=2,fragmentation=1",
        "first_fit",
    ]
    assert "--policies" in document["provenance"]["command"]
    assert str(Path.cwd()) not in json.dumps(document)  # no path of this machine
    assert main("report", "runs/what-if") == 0
    assert "you would have needed" in " ".join(capsys.readouterr().out.split())


def test_json_of_a_what_if_is_one_document(files: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", *files, *MAPS, "--policies", "best_fit,first_fit", "--no-fewer", "--json") == 0
    assert json.loads(capsys.readouterr().out)["needed"] is None


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "an experiment is needed"),
        (("--machines", "nodes.csv"), "--machines is for data of your own"),
        (("placement-demo", "--trace", "vms.csv"), "leave an experiment out"),
        (("--trace", "vms.csv", "--set", "seeds=1"), "leave --set out"),
        (("--trace", "vms.csv"), "--trace needs machines"),
        (("--trace", "vms.csv", "--machines", "nodes.csv"), "add: --machine-columns"),
        (("--trace", "vms.csv", "--machines", "nodes.csv", "--policies", "a,,b"), "one comma between"),
        (("--trace", "vms.csv", "--machines", "nodes.csv", *MAPS, "--seeds", "0"), "--seeds must be >= 1"),
        (("--trace", "vms.csv", "--machines", "nodes.csv", *MAPS, "--windows", "0"), "--windows must be >= 1"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_error(
    argv: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("evaluate", *argv) == 2
    assert says in capsys.readouterr().err
    assert not Path("runs").exists()

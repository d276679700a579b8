"""``rlsched evaluate``, ``report``, ``show`` and ``tune`` as a user types them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from evaluate_worlds import CARD

from rlsched.evaluate.results import LEDGER
from rlsched.evaluate.touch import read_ledger

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


def main(*argv: object) -> int:
    from rlsched.cli.main import main

    return main([str(one) for one in argv])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_evaluate_prints_the_answer_first_and_writes_everything(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("evaluate", card.parent, "--out", tmp_path / "runs" / "one") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2][1].startswith("Lowest rejected CPU: ")
    assert "Results are in" in shown.err
    assert sorted(os.listdir(tmp_path / "runs" / "one")) == [
        "experiment.toml",
        "report.html",
        "results.json",
        "results.parquet",
        LEDGER,
    ]
    assert os.listdir(tmp_path / "runs") == ["one"]  # and nothing beside it
    (touch,) = read_ledger(tmp_path / "runs" / "one" / LEDGER)
    assert touch["experiment"] == "tiny"
    assert touch["run_id"]
    assert "Every touch of the test split (1)" in (tmp_path / "runs" / "one" / "report.html").read_text()


def test_without_out_a_run_goes_to_runs_and_is_replaced_by_the_next(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main("evaluate", card, "--set", "split=validation") == 0
    assert os.listdir("runs") == ["tiny"]  # validation is not the test split: no ledger


def test_json_is_one_document_on_standard_output(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", card, "--json", "--set", "seeds=1", "--set", "policies=random,best_fit") == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document)[:5] == ["experiment", "provenance", "rows", "summary", "verdicts"]
    assert document["provenance"]["command"].endswith("--set policies=random,best_fit --json")
    assert document == json.loads(Path("runs/tiny/results.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "placement-dmeo"], "Did you mean 'placement-demo'"),
        (
            ["evaluate", "{card}", "--set", "windows.lenght=3"],
            "rlsched: --set: 1 problem: unknown key 'windows.lenght'",
        ),
        (["evaluate", "{card}", "--out", "/proc/results"], "/proc cannot be written"),
        (["evaluate", "{card}", "--set", "splits.test=[30_000, 72_000]"], "test begins at 30000 s, before validation"),
        (["evaluate", "{card}", "--set", "policies=lr_mmt"], "it is one of consolidation"),
        (["evaluate", "{card}", "--set", "policies=bestfit"], "Did you mean 'best_fit'"),
        (["evaluate", "{card}", "--set", "kind=placment"], "--set: unknown kind 'placment'. Did you mean 'placement'"),
        (["evaluate", "{card}", "--set", "seeds"], "--set needs key=value"),
        (["evaluate", "{card}", "--set", "data.trace=none.csv"], "none.csv"),
        (["evaluate", "{card}", "--data", "absent", "--set", "data.trace=azure-v1-2017"], "no data folder"),
        (["evaluate", "{card}", "--out", "{card}"], "it is a file"),
        (["evaluate", "{folder}/.."], "there is no experiment.toml"),
        (["evaluate"], "an experiment is needed"),
        (["report", "absent"], "a run's folder is needed"),
        (["report", "{folder}"], "no results at"),
        (["show", "placement-dmeo"], "Did you mean 'placement-demo'"),
        (["tune", "{card}"], "no [tune] table"),
    ],
)
def test_a_mistake_exits_2_with_one_message_and_leaves_nothing(
    card: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir(card.parent))
    filled = [one.replace("{card}", str(card)).replace("{folder}", str(card.parent)) for one in arguments]
    assert main(*filled) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert os.listdir() == []
    assert sorted(os.listdir(card.parent)) == before


def test_a_trace_that_no_machine_can_serve_exits_2(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    types = "machines.types=[{name='tiny', count=1, cpu_mcore=1, mem_mib=1}]"
    assert main("evaluate", card, "--set", "machines.source=", "--set", types) == 2
    assert "no machine can hold any task" in capsys.readouterr().err
    assert os.listdir() == []


def test_report_rebuilds_the_page_from_the_results(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", card) == 0
    first = capsys.readouterr()
    assert "every table here: rlsched report runs/tiny" in " ".join(first.err.split())
    page = Path("runs/tiny/report.html")
    before = page.read_text()
    page.unlink()
    assert main("report", "runs/tiny") == 0
    told = capsys.readouterr().out
    # Line by line what the run said, and between them the tables that it leaves to the page.
    shown, rest = first.out.split("Not shown here: ", 1)[0].splitlines(), iter(told.splitlines())
    assert [line for line in shown if line not in rest] == []
    (gone,) = re.findall(r"Not shown here: (.*)\.", " ".join(first.out.split()))
    for name in gone.split(", "):
        assert name.split()[0] in told
    assert "cost [USD]" in gone
    assert "cost [USD]" not in first.out.split("Not shown here")[0]
    assert "Not shown here" not in told
    assert page.read_text() == before
    assert main("report", "runs/tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out)["experiment"] == "tiny"


def test_show_says_where_every_value_came_from(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("show", card, "--set", "seeds=3", "--json") == 0
    values = {one["key"]: one for one in json.loads(capsys.readouterr().out)["values"]}
    assert values["seeds"] == {"key": "seeds", "value": [0, 1, 2], "origin": "--set"}
    assert values["windows.length"] == {"key": "windows.length", "value": 3600.0, "origin": "experiment.toml"}
    assert values["simulation.pue"] == {"key": "simulation.pue", "value": 1.0, "origin": "default"}
    assert values["simulation.checkpoint_interval_s"]["value"] == "inf"
    assert main("show", card) == 0
    assert "windows.length" in capsys.readouterr().out


def test_show_takes_datasets_and_the_splits_they_lend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("show", "azure-v1-2017") == 0
    assert "splits.test" in capsys.readouterr().out
    assert main("show", "placement-azure", "--json") == 0
    values = {one["key"]: one for one in json.loads(capsys.readouterr().out)["values"]}
    assert values["splits.test"]["origin"] == "azure-v1-2017.toml"
    Path("odd.toml").write_text("x = 1\n")
    assert main("show", "odd.toml") == 2
    assert "is no card that can be shown" in capsys.readouterr().err


def test_tune_writes_the_blend_beside_the_card(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card.write_text(CARD + '\n[tune]\nrules = ["best_fit", "cosine"]\nbudget = 5\n')
    assert main("tune", card) == 0
    assert "on validation" in capsys.readouterr().out
    assert main("tune", card, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tried"] == 5
    assert main("evaluate", card, "--set", "policies=best_fit,tuned_blend") == 0
    assert "tuned_blend" in capsys.readouterr().out


def test_without_the_report_packages_results_are_written_all_the_same(
    card: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main("evaluate", card) == 0
    assert "No report.html: the report needs jinja2" in capsys.readouterr().err
    assert not Path("runs/tiny/report.html").exists()
    assert Path("runs/tiny/results.json").is_file()


def test_an_interrupted_run_leaves_nothing(
    card: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rlsched.evaluate.results.write_parquet", interrupt)
    assert main("evaluate", card, "--set", "split=validation") == 130
    assert "nothing half-written was kept" in capsys.readouterr().err
    assert os.listdir("runs") == []


def test_a_run_on_the_test_split_that_is_interrupted_at_its_first_result_is_noted(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rlsched.evaluate.placement._play_one", interrupt)
    assert main("evaluate", card) == 130
    assert os.listdir("runs/tiny") == [LEDGER]
    (touch,) = read_ledger(Path("runs/tiny") / LEDGER)
    assert touch["experiment"] == "tiny"
    assert "run_id" not in touch


def test_a_bar_is_drawn_on_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("rlsched.cli.evaluate.PATIENCE_S", 1e9)
    from rlsched.cli.evaluate import showing_progress

    with showing_progress() as progress:
        progress("quick", 0.5)
    assert "quick" not in capsys.readouterr().err
    monkeypatch.setattr("rlsched.cli.evaluate.PATIENCE_S", -1.0)
    with showing_progress() as progress:
        progress("slow", 0.5)
    assert "slow" in capsys.readouterr().err


def test_the_demo_ships_and_shows_energy_and_money(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--set", "policies=best_fit,cosine", "--set", "windows.count=2"]
    assert main("evaluate", "placement-demo", "--out", "demo", *few) == 0
    shown = capsys.readouterr().out
    assert "energy [kWh]" in " ".join(shown.split())
    assert "cost [USD]" in " ".join(shown.split())
    assert "not given" not in shown


def test_report_writes_markdown_and_every_table_as_data(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", card, "--set", "policies=first_fit,best_fit") == 0
    assert main("report", "runs/tiny", "--format", "md") == 0
    assert Path("runs/tiny/report.md").read_text().startswith("# Tiny\n")
    assert main("report", "runs/tiny", "--format", "csv") == 0
    assert main("report", "runs/tiny", "--format", "parquet", "--out", "elsewhere") == 0
    assert "tables are in elsewhere/tables" in capsys.readouterr().err
    assert Path("runs/tiny/tables/verdicts.csv").read_text().startswith("a,b,metric,difference,")
    assert Path("elsewhere/tables/verdicts.parquet").is_file()
    assert main("evaluate", card, "--set", "policies=first_fit,best_fit") == 0  # over all of that
    assert sorted(os.listdir("runs/tiny")) == sorted(
        ["experiment.toml", "report.html", "results.json", "results.parquet", LEDGER]
    )


def test_runs_of_one_card_become_one_report_and_those_of_two_do_not(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out, sets in (("a", "policies=first_fit,best_fit"), ("b", "policies=cosine,best_fit")):
        assert main("evaluate", card, "--set", sets, "--out", out) == 0
    assert main("report", "a", "b", "--out", "both", "--json") == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert {row["policy"] for row in json.loads(shown)["rows"]} == {"first_fit", "best_fit", "cosine"}
    assert "cosine" in Path("both/report.html").read_text()
    assert main("report", "a", "b") == 2
    assert "name the folder for it with --out" in capsys.readouterr().err
    assert main("evaluate", card, "--set", "simulation.pue=2", "--out", "c") == 0
    assert main("report", "a", "c", "--out", "none") == 2
    assert "results of different cards cannot be mixed: a and c differ in their problem" in capsys.readouterr().err
    assert not Path("none").exists()
    assert main("report", "a", "--format", "pdf") == 2
    assert "unknown format 'pdf'" in capsys.readouterr().err

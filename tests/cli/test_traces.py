import json
from pathlib import Path

import pytest

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
DATA = Path(__file__).parents[1] / "data"


def main(argv: list[str]) -> int:
    from rlsched.cli.main import main

    return main(argv)


def test_list_names_datasets_and_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "list"]) == 0
    shown = capsys.readouterr().out
    assert "azure-v1-2017" in shown
    assert "bitbrains" in shown
    assert main(["traces", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"name", "title", "kinds", "parts", "files_present", "files_total"} == set(document["datasets"][0])
    assert "generic" in [one["name"] for one in document["readers"]]


def test_describe_shows_counts_and_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "describe", str(DATA / "openb_pods.csv")]) == 0
    shown = capsys.readouterr().out
    assert "ends censored" in shown
    assert "5 rows read, 5 kept" in shown
    assert main(["traces", "describe", str(DATA / "openb_pods.csv"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "trace"
    assert facts["lifetimes"]["censored"] == 1


@pytest.mark.parametrize("name", ["openb_nodes.csv", "bitbrains", "own_names.csv", "azure_v1/traces/tiny.txt"])
def test_describe_draws_every_kind(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "describe", str(DATA / name)]) == 0
    assert "rows read" in capsys.readouterr().out


def test_describe_takes_a_card_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = [str(DATA / "foreign.csv"), "--card", str(DATA / "foreign.toml")]
    assert main(["traces", "describe", *foreign, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 3
    pods = ["traces", "describe", str(DATA / "openb_pods.csv"), "--json", "--option"]
    assert main([*pods, "running=departed"]) == 0
    assert json.loads(capsys.readouterr().out)["lifetimes"]["censored"] == 0


def test_convert_writes_what_can_be_described_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pods.parquet"
    assert main(["traces", "convert", str(DATA / "openb_pods.csv"), str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"path": str(out), "kind": "trace", "rows": 5, "bytes": out.stat().st_size}
    assert main(["traces", "describe", str(DATA / "openb_pods.csv"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["traces", "describe", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_a_bad_file_exits_2_with_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text((DATA / "openb_pods.csv").read_text().replace("p1,6000", "p1,abc"))
    assert main(["traces", "convert", str(bad), str(tmp_path / "out.parquet")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rlsched: cpu_milli must be a whole number: got 'abc' in row 2 (line 3)")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "alibaba-gpu-202"], "Did you mean 'alibaba-gpu-2023'"),
        (["describe", "absent.csv"], "no file at absent.csv"),
        (["describe", "azure-v1-2017", "--data", "absent"], "there is no data folder"),
        (["describe", "azure-v1-2017", "--format", "generic"], "--format is for a file"),
        (["describe", "{pods}", "--part", "dev"], "--part is for a dataset's name"),
        (["describe", "{pods}", "--option", "running"], "--option needs key=value: got 'running'"),
        (["describe", "{pods}", "--day", "20110303"], "format 'openb_pods' has no option 'day'"),
        (["describe", "{pods}", "--format", "openb"], "unknown format 'openb'"),
        (["convert", "{pods}", "out.csv"], "must end with .parquet"),
        (["convert", "{pods}", "absent/out.parquet"], "there is no folder absent"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_wrong_command_line_exits_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    line = [one.replace("{pods}", str(DATA / "openb_pods.csv")) for one in arguments]
    assert main(["traces", *line]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_the_output_may_not_be_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pods.parquet"
    assert main(["traces", "convert", str(DATA / "openb_pods.csv"), str(path)]) == 0
    before = path.read_bytes()
    assert main(["traces", "convert", str(path), str(path)]) == 2
    assert path.read_bytes() == before

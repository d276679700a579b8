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


def test_a_line_of_a_piped_list_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(["traces", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for one in (*document["datasets"], *document["readers"]):
        row = [line for line in shown if line.split()[:1] == [one["name"]] and line.endswith(one["title"])]
        assert len(row) == 1, one
    assert all(line == line.rstrip() for line in shown)


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


def test_describe_writes_a_page_beside_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "pods.html"
    assert main(["traces", "describe", str(DATA / "openb_pods.csv"), "--html", str(page)]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "<td>5</td>" in text.replace("\n", "")
    assert "5 rows read, 5 kept" in text
    assert "<svg" in text
    assert main(["traces", "describe", str(DATA / "openb_pods.csv"), "--html", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 5
    assert [one.name for one in tmp_path.iterdir()] == ["pods.html"]


def test_a_folder_that_is_no_trace_names_the_one_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    inner = tmp_path / "all" / "a" / "b"
    inner.mkdir(parents=True)
    shutil.copy(DATA / "openb_pods.csv", inner)
    assert main(["traces", "convert", str(tmp_path / "all"), str(tmp_path / "out.parquet")]) == 2
    error = capsys.readouterr().err
    assert f"{inner / 'openb_pods.csv'} in it is one (openb_pods)" in error
    shutil.copytree(DATA / "bitbrains", tmp_path / "more" / "2013-8")
    assert main(["traces", "convert", str(tmp_path / "more"), str(tmp_path / "out.parquet")]) == 2
    assert f"holds none, {tmp_path / 'more' / '2013-8'} does" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_reading_and_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import rlsched.traces.store as store

    pods, out = str(DATA / "openb_pods.csv"), tmp_path / "out.parquet"
    monkeypatch.setattr(store.os, "access", lambda *_: False)
    assert main(["traces", "convert", "absent.csv", str(out)]) == 2
    assert f"no permission to write in {tmp_path}" in capsys.readouterr().err
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    assert main(["traces", "convert", pods, str(tmp_path / "file" / "out.parquet")]) == 2
    assert "file is a file. Name a folder." in capsys.readouterr().err

    def full(*_: object, **__: object) -> None:
        raise OSError(28, f"Error writing bytes to file. Detail: [errno 28] {out}.123.partial")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    assert main(["traces", "convert", pods, str(out)]) == 2
    error = capsys.readouterr().err
    assert "no space left on device" in error
    assert "partial" not in error


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
        (["describe", "{pods}", "--html", "page.txt"], "must end with .html"),
        (["describe", "{pods}", "--html", "absent/page.html"], "there is no folder absent"),
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

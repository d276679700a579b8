"""``rlsched traces describe|check|convert|fit --columns``: files whose column names are not ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")

TASKS = "name,created,ended,vcpus,gib\na,0,600,2,4\nb,60,700,4,16\n"
MAP = "task_id=name,arrive_s=created,depart_s=ended,cpu_mcore=vcpus,mem_mib=gib,cpu_unit=cores,mem_unit=gib"
NODES_MAP = "machine_id=host,cpu_mcore=cores,mem_mib=ram,cpu_unit=cores,mem_unit=gib"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks.csv").write_text(TASKS)
    (tmp_path / "nodes.csv").write_text("host,cores,ram\nn1,8,32\n")
    (tmp_path / "other.csv").write_text("alpha,beta\n1,2\n")
    monkeypatch.chdir(tmp_path)


def main(*words: str) -> int:
    from rlsched.cli.main import main

    return main(["traces", *words])


def test_a_map_reads_tasks_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("describe", "tasks.csv", "--columns", MAP, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["rows"]) == ("trace", 2)
    assert main("describe", "nodes.csv", "--columns", NODES_MAP, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["rows"]) == ("machines", 1)


def test_check_maps_both_files_and_convert_keeps_what_was_read(tmp_path: Path) -> None:
    import rlsched

    words = ("--columns", MAP, "--machines", "nodes.csv", "--machine-columns", NODES_MAP)
    assert main("check", "tasks.csv", *words) == 0
    assert main("convert", "tasks.csv", "tasks.parquet", "--columns", MAP) == 0
    assert rlsched.read_trace("tasks.parquet").cpu_mcore.tolist() == [2000, 4000]


def test_without_a_map_the_error_is_one_that_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("describe", "tasks.csv") == 2
    said = capsys.readouterr().err
    line = next(line for line in said.splitlines() if "If this is right, add: --columns" in line)
    assert main("describe", "tasks.csv", "--columns", line.split("--columns ")[1].strip("'")) == 0
    assert main("check", "tasks.csv", "--columns", MAP, "--machines", "nodes.csv") == 2
    assert "add: --machine-columns machine_id=host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("describe", "other.csv"), "Or map them with --columns"),
        (("describe", "tasks.csv", "--columns", "cpu_mcore=vcpus"), "must say where arrive_s is"),
        (("describe", "tasks.csv", "--columns", "nothing.toml"), "there is no file 'nothing.toml'"),
        (("describe", "tasks.csv", "--columns", MAP.replace("vcpus", "vcpu")), "'vcpu' is no column of tasks.csv"),
        (("describe", "tasks.csv", "--columns", MAP, "--format", "swf"), "leave --format out"),
        (("describe", "azure-v1-2017", "--columns", MAP), "--columns is for a file"),
        (
            ("check", "tasks.csv", "--columns", MAP, "--machine-columns", NODES_MAP),
            "--machine-columns needs --machines",
        ),
        (
            ("describe", "nodes.csv", "--columns", "machine_id=host,cpu_mcore=cores,memory=ram"),
            "unknown column 'memory'",
        ),
    ],
)
def test_what_is_wrong_with_a_map_is_said(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(*words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "--machine-columns:" not in said


def test_a_folder_from_which_files_vanish_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "busy"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("no trace")
    os.mkfifo(folder / "pipe")  # no file, and reading it would wait for ever
    real = os.scandir

    def scandir(path: str | os.PathLike[str]) -> object:
        if str(path).endswith("sub"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main("describe", str(folder)) == 2
    assert "first file 'a.txt'" in capsys.readouterr().err

import json
from pathlib import Path

import numpy as np
import pytest

from rlsched.traces.columns import Trace, Usage
from rlsched.traces.store import load, save

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


@pytest.fixture
def vms(tmp_path: Path) -> Path:
    k = np.arange(2000)
    trace = Trace(k, k * 100, k * 100 + 600 + k % 7 * 100, np.where(k % 3 == 0, 4000, 1000), np.full(2000, 2048))
    save(trace, tmp_path / "vms.parquet")
    return tmp_path / "vms.parquet"


def run(*words: object) -> int:
    from rlsched.cli.main import main

    return main(["traces", *map(str, words)])


def test_fit_then_draw_gives_a_trace(vms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("fit", vms, tmp_path / "p.json", "--name", "mine") == 0
    assert "2,000 tasks" in capsys.readouterr().out
    assert run("draw", tmp_path / "p.json", tmp_path / "out.parquet", "--days", 2, "--seed", 3) == 0
    drawn = load(tmp_path / "out.parquet")
    assert isinstance(drawn, Trace)
    assert drawn.meta["profile"] == "mine"
    assert set(np.unique(drawn.cpu_mcore)) == {1000, 4000}


def test_draw_with_usage_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "a.parquet"
    assert run("draw", "azure-v1", out, "--days", 0.1, "--scale", 0.05, "--usage", "planetlab", "--json") == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [f["kind"] for f in files] == ["trace", "usage"]
    usage = load(tmp_path / "a.usage.parquet")
    assert isinstance(usage, Usage)
    assert len(usage) == len(load(out))


def test_draw_of_a_usage_profile_writes_usage(tmp_path: Path):
    assert run("draw", "planetlab", tmp_path / "u.parquet", "--days", 0.5, "--scale", 0.02) == 0
    assert isinstance(load(tmp_path / "u.parquet"), Usage)


def test_sample_writes_trace_and_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("sample", "sample/sample.toml", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == len(load(tmp_path / "vms.parquet"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("draw", "azure-v2", "o.parquet"), "Did you mean 'azure-v1'"),
        (("draw", "azure-v1", "o.parquet", "--days", "0"), "days must be > 0: got 0"),
        (("draw", "azure-v1", "o.parquet", "--usage", "openb-default"), "has no usage part"),
        (("draw", "bitbrains", "o.parquet", "--usage", "bitbrains"), "--usage is for profiles of tasks"),
        (("draw", "azure-v1", "no/such/o.parquet", "--days", "0.1"), "no folder"),
        (("fit", "nothing.csv", "p.json"), "nothing.csv"),
        (("sample", "nothing.toml", "."), "nothing.toml"),
    ],
)
def test_mistakes_exit_2_with_one_message_and_leave_no_file(words, said, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_machines_cannot_be_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from rlsched.traces.columns import Machines

    save(Machines(np.arange(2), np.full(2, 1000), np.full(2, 1000)), tmp_path / "m.parquet")
    assert run("fit", tmp_path / "m.parquet", tmp_path / "p.json") == 2
    assert "holds machines" in capsys.readouterr().err


def test_what_is_read_is_never_overwritten_and_names_say_what_is_written(
    vms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "p.json"
    assert run("fit", vms, profile) == 0
    before = profile.read_bytes()
    assert run("fit", profile, profile) == 2
    assert "it is read for this, and would be overwritten" in capsys.readouterr().err
    assert profile.read_bytes() == before
    assert run("fit", vms, vms) == 2
    assert "must end with .json" in capsys.readouterr().err
    (tmp_path / "mine.csv").write_text("kept")
    assert run("draw", profile, tmp_path / "mine.csv") == 2
    assert "must end with .parquet" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text() == "kept"

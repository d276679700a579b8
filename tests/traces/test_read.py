import gzip
from pathlib import Path

import pytest

import rlsched
from rlsched.errors import SpecError, TraceError
from rlsched.traces.read import kind_of, read_any, read_demand, recognise


def test_the_format_is_recognised_from_the_content(samples: Path, planetlab_day: Path) -> None:
    found = {
        "openb_pods.csv": "openb_pods",
        "openb_pods_untimed.csv": "openb_pods",
        "openb_nodes.csv": "openb_nodes",
        "azure_v1/traces/tiny.txt": "azure_v1",
        "bitbrains": "bitbrains",
        "bitbrains/7.csv": "bitbrains",
        "own_names.csv": "generic",
        "own_machines.csv": "generic",
    }
    for name, reader in found.items():
        assert recognise(samples / name).name == reader, name
    assert recognise(planetlab_day).name == "planetlab"
    assert recognise(planetlab_day / "b_vm").name == "planetlab"


def test_provenance_is_in_meta(samples: Path) -> None:
    trace = rlsched.read_trace(samples / "openb_pods.csv", running="departed")
    assert trace.meta["reader"] == "openb_pods"
    assert trace.meta["options"] == {"running": "departed"}
    assert trace.meta["rlsched"] == rlsched.__version__
    (sha256,) = trace.meta["files"].values()
    assert len(sha256) == 64


def test_a_format_can_be_forced(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\n")
    with pytest.raises(TraceError, match="column 'name' is missing"):
        read_any(tmp_path / "x", format="openb_pods")


@pytest.mark.parametrize(
    ("function", "wanted", "right"),
    [
        (rlsched.read_trace, "trace", "read_machines"),
        (rlsched.read_usage, "usage", "read_machines"),
        (read_demand, "demand", "read_machines"),
    ],
)
def test_the_wrong_noun_is_told_with_the_right_function(samples: Path, function, wanted: str, right: str) -> None:
    with pytest.raises(TraceError, match=rf"must hold {wanted}: it holds machines. Read it with rlsched\.{right}"):
        function(samples / "openb_nodes.csv")


def test_machines_asked_of_a_trace_are_refused(samples: Path) -> None:
    with pytest.raises(TraceError, match=r"must hold machines: it holds trace. Read it with rlsched\.read_trace"):
        rlsched.read_machines(samples / "openb_pods.csv")


def test_an_unknown_format_and_an_unknown_option_get_the_nearest_name(samples: Path) -> None:
    with pytest.raises(SpecError, match=r"unknown format 'openb_pod'. Did you mean 'openb_pods'"):
        rlsched.read_trace(samples / "openb_pods.csv", format="openb_pod")
    with pytest.raises(SpecError, match=r"format 'openb_pods' has no option 'runing'. Did you mean 'running'"):
        rlsched.read_trace(samples / "openb_pods.csv", runing="departed")


def test_each_bad_file_is_one_clear_error(samples: Path, tmp_path: Path) -> None:
    good = (samples / "openb_pods.csv").read_bytes()
    (tmp_path / "truncated.gz").write_bytes(gzip.compress(good)[:-20])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "unknown").write_bytes(b"one,two\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "other folder").mkdir()
    (tmp_path / "other folder" / "notes").write_text("hello\n")
    messages = {
        "truncated.gz": "a gzip file must be complete",
        "empty": "a trace file must not be empty",
        "unknown": r"must be of a known format: .*starts with 'one,two', is of none. .*traces list.*`format`.*`card`",
        "folder": "a trace directory must hold files",
        "other folder": "must be of a known format: the directory .*first file 'notes'",
        "absent": "no file at",
    }
    before = sorted(tmp_path.rglob("*"))
    for name, message in messages.items():
        with pytest.raises(TraceError, match=message):
            read_any(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_kinds_have_names(samples: Path) -> None:
    assert kind_of(read_any(samples / "openb_pods.csv")) == "trace"
    assert kind_of(read_any(samples / "bitbrains")) == "usage"

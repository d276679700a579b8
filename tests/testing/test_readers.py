"""Every reader of the table keeps the contract; and the contract catches readers that do not."""

import dataclasses
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reader_samples import SAMPLES

from rlsched.errors import SpecError, TraceError
from rlsched.testing.readers import check_reader
from rlsched.traces import store
from rlsched.traces.columns import DropReport, Trace
from rlsched.traces.readers import READERS, Reader

DATA = Path(__file__).parents[1] / "data"


def good_files(name: str, folder: Path) -> tuple[list[Path], Path | None]:
    """Files a reader must read, and the folder their neighbours lie in."""
    if name == "openb_pods":
        return [DATA / "openb_pods.csv", DATA / "openb_pods_untimed.csv"], None
    if name == "openb_nodes":
        return [DATA / "openb_nodes.csv"], None
    if name == "azure_v1":
        return [DATA / "azure_v1" / "traces" / "tiny.txt"], DATA / "azure_v1"
    if name == "bitbrains":
        return [DATA / "bitbrains" / "12.csv", DATA / "bitbrains"], None
    if name == "planetlab":
        day = folder / "20110303"
        day.mkdir()
        (day / "b_vm").write_text("".join(f"{7 * i % 101}\n" for i in range(288)))
        (day / "a vm with blanks").write_text("3\n" * 288)
        return [day, day / "b_vm"], None
    if name == "rlsched":
        store.save(READERS["openb_pods"].read(DATA / "openb_pods.csv"), folder / "pods.parquet")
        store.save(READERS["openb_nodes"].read(DATA / "openb_nodes.csv"), folder / "nodes.parquet")
        store.save(READERS["bitbrains"].read(DATA / "bitbrains"), folder / "usage.parquet")
        return [folder / "pods.parquet", folder / "nodes.parquet", folder / "usage.parquet"], None
    if name == "generic":
        return [DATA / "own_names.csv", DATA / "own_machines.csv"], None
    if name in SAMPLES:
        return SAMPLES[name](folder)
    pytest.fail(f"reader {name} has no good file here: name an eye-size one in reader_samples.py")


@pytest.mark.parametrize("name", list(READERS))
def test_every_reader_keeps_the_contract(name: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    files, together = good_files(name, tmp_path / "good")
    check_reader(READERS[name], files, tmp_path, together=together, others=list(READERS.values()))


def a_reader(monkeypatch: pytest.MonkeyPatch, **parts: Callable[..., Any]) -> Reader:
    """The pod reader with some of its functions replaced by bad ones."""
    from rlsched.traces.readers import openb_pods

    module = types.ModuleType("a_bad_reader")
    module.sniff = parts.get("sniff", openb_pods.sniff)  # type: ignore[attr-defined]
    module.read = parts.get("read", openb_pods.read)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_bad_reader", module)
    return Reader("bad", "trace", "a bad reader", "a_bad_reader")


def pods(path: Path) -> Trace:
    out = READERS["openb_pods"].read(path)
    assert isinstance(out, Trace)
    return out


def test_the_contract_passes_for_a_reader_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_reader(a_reader(monkeypatch), [DATA / "openb_pods.csv"], tmp_path)


def not_the_same_twice(path: Path) -> Trace:
    trace = pods(path)
    return dataclasses.replace(trace, priority=trace.priority + np.random.default_rng().integers(0, 2**40))


def drops_silently(path: Path) -> Trace:
    trace = pods(path).take(slice(0, 3))
    return dataclasses.replace(trace, report=DropReport(5, 3))


def swallows_everything(path: Path) -> Trace:
    try:
        return pods(path)
    except TraceError:
        return pods(DATA / "openb_pods.csv")


def blames_the_card(path: Path) -> Trace:
    try:
        return pods(path)
    except TraceError as error:
        raise SpecError("no") from error


def litters(path: Path) -> Trace:
    trace = pods(path)
    if path.parent != DATA:
        (path.parent / f"{len(list(path.parent.iterdir()))}.cache").write_text("")
    return trace


def breaks_an_invariant(path: Path) -> Trace:
    trace = pods(path)
    return dataclasses.replace(trace, arrive_s=trace.arrive_s[::-1])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (not_the_same_twice, "twice must give the same columns"),
        (drops_silently, r"5 rows read \+ 0 split off must be 3 kept \+ 0 dropped or merged"),
        (swallows_everything, "must be a TraceError, and was read without one"),
        (blames_the_card, "must be a TraceError, not SpecError"),
        (litters, "nothing may be written beside"),
        (lambda path: dataclasses.replace(pods(path), meta={}), "must map each file to its SHA-256"),
        (lambda path: dataclasses.replace(pods(path), source=""), "source must name the file"),
        (lambda path: READERS["openb_nodes"].read(DATA / "openb_nodes.csv"), "must give trace"),
    ],
)
def test_the_contract_catches_a_bad_reader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[..., Any], message: str
) -> None:
    (tmp_path / "here").mkdir()
    copy = tmp_path / "here" / "pods.csv"
    copy.write_bytes((DATA / "openb_pods.csv").read_bytes())
    with pytest.raises(AssertionError, match=message):
        check_reader(a_reader(monkeypatch, read=read), [copy], tmp_path)


def test_the_contract_catches_a_broken_invariant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"arrive_s must be ascending|depart_s must be >= arrive_s"):
        check_reader(a_reader(monkeypatch, read=breaks_an_invariant), [DATA / "openb_pods.csv"], tmp_path)


def test_the_contract_catches_recognition_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_name = a_reader(monkeypatch, sniff=lambda head, path: path.suffix == ".csv")
    with pytest.raises(AssertionError, match="recognised by its content, under any name"):
        check_reader(by_name, [DATA / "openb_pods.csv"], tmp_path)


def test_the_contract_catches_a_reader_that_takes_others_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    greedy = a_reader(monkeypatch, sniff=lambda head, path: True)
    with pytest.raises(AssertionError, match="must not be taken for bad"):
        check_reader(READERS["openb_nodes"], [DATA / "openb_nodes.csv"], tmp_path, others=[greedy])


def test_the_contract_asks_for_a_good_file(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="give at least one good file"):
        check_reader(READERS["openb_pods"], [], tmp_path)

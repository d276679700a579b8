import hashlib
import shutil
from pathlib import Path

import pytest

from rlsched import assets
from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.datasets import data_root, list_datasets, locate, read_dataset
from rlsched.traces.read import read_any
from rlsched.traces.readers import READERS


@pytest.fixture
def card(samples: Path, tmp_path: Path) -> Path:
    """A dataset of two parts in a data folder of its own."""
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    lines = ['licence = "free"', 'folder = "mine"', "[parts]"]
    lines.append('pods = { path = "openb_pods.csv", reader = "openb_pods", options = { running = "departed" } }')
    lines.append('nodes = { path = "openb_nodes.csv", reader = "openb_nodes" }')
    lines.append("[files]")
    for name in ("openb_pods.csv", "openb_nodes.csv"):
        shutil.copy(samples / name, folder / name)
        lines.append(f'"{name}" = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"')
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines))
    return path


def test_the_first_part_is_the_default_and_the_cards_options_are_used(card: Path) -> None:
    trace = read_dataset(str(card), data=card.parent / "data")
    assert isinstance(trace, Trace)
    assert (trace.depart_s >= 0).all()
    assert trace.meta["part"] == "pods"
    assert trace.meta["licence"] == "free"
    again = read_dataset(str(card), data=card.parent / "data", running="at_end")
    assert isinstance(again, Trace)
    assert (again.depart_s == -1).sum() == 1


def test_a_part_is_chosen_by_name(card: Path) -> None:
    assert isinstance(read_dataset(str(card), "nodes", data=card.parent / "data"), Machines)
    with pytest.raises(SpecError, match=r"has no part 'node'. Did you mean 'nodes'"):
        read_dataset(str(card), "node", data=card.parent / "data")


def test_a_file_that_is_not_the_cards_is_refused(card: Path) -> None:
    path = card.parent / "data" / "mine" / "openb_pods.csv"
    path.write_text(path.read_text().replace("p4,1000", "p4,1001"))
    with pytest.raises(TraceError, match=r"the SHA-256 of .*openb_pods\.csv must be .*Get the file again"):
        read_dataset(str(card), data=card.parent / "data")


def test_the_data_root_is_the_argument_then_the_variable_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable", "house/shared/data", "house/main/rlsched"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path / "house" / "main" / "rlsched")
    monkeypatch.setenv("RLSCHED_DATA", str(tmp_path / "variable"))
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() == tmp_path / "variable"
    monkeypatch.delenv("RLSCHED_DATA")
    assert data_root() == tmp_path / "house" / "shared" / "data"


def test_missing_data_say_what_to_set(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(MissingDataError, match=r"is not on this machine: there is no .*RLSCHED_DATA or `data`"):
        locate(str(card), data=tmp_path / "nothing")
    with pytest.raises(MissingDataError, match=r"there is no data folder: `data` says .*absent"):
        locate(str(card), data=tmp_path / "absent")
    monkeypatch.setenv("RLSCHED_DATA", str(tmp_path / "gone"))
    with pytest.raises(MissingDataError, match=r"there is no data folder: RLSCHED_DATA says .*gone"):
        locate(str(card))


def test_datasets_are_listed_with_or_without_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLSCHED_DATA", str(tmp_path / "gone"))
    listed = {one.name: one for one in list_datasets()}
    assert listed["planetlab-2011"].files_present == 0
    assert listed["planetlab-2011"].kinds == ("usage",)
    assert len(listed["planetlab-2011"].parts) == 10
    (tmp_path / "data" / "planetlab").mkdir(parents=True)
    (tmp_path / "data" / "planetlab" / "planetlab.tar.gz").write_bytes(b"x")
    listed = {one.name: one for one in list_datasets(tmp_path / "data")}
    assert listed["planetlab-2011"].files_present == listed["planetlab-2011"].files_total == 1


def test_every_default_part_can_be_read(real: Path) -> None:
    for one in list_datasets(real):
        columns = read_dataset(one.name, data=real)
        assert columns.meta["dataset"] == one.name
        assert len(columns) > 0


def test_the_page_on_datasets_names_every_format_and_dataset() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    for name in [*READERS, *(one.name for one in list_datasets())]:
        assert f"`{name}`" in page, name


def test_the_card_on_the_page_is_a_good_card(tmp_path: Path, samples: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    (tmp_path / "vms.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    trace = read_any(samples / "foreign.csv", card=tmp_path / "vms.toml")
    assert trace.same_as(read_any(samples / "foreign.csv", card=samples / "foreign.toml"))

"""Every packaged card against the data it describes, where they are."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rlsched import assets
from rlsched.traces.card import load_card
from rlsched.traces.columns import Columns, Demand, Signal, Trace, Usage
from rlsched.traces.datasets import read_dataset

CARDS = [name for name, path in assets.list_assets("traces").items() if load_card(path).spec.parts]
SLOW = {"cluster-pools-2024", "bitbrains-faststorage"}  # read by the tests of their readers


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_where_from_on_what_terms_and_in_which_units(name: str) -> None:
    card = load_card(name).spec
    for field in ("title", "home", "licence", "citation", "folder"):
        assert getattr(card, field), field
    assert card.files
    assert card.units


#: What cannot be split in time, and why.
UNSPLIT = {
    "alibaba-spot-2026": "a list of nodes",
    "azure-v1-format-sample": "ten rows that show the format",
    "bytedance-rescheduling": "two snapshots",
    "maro-toy": "twelve VMs",
}


def test_every_dataset_is_split_but_those_without_a_course_of_time() -> None:
    assert {name for name in CARDS if load_card(name).spec.splits is None} == set(UNSPLIT)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_the_hashes_of_the_stored_files_and_paths_that_are_there(name: str, real: Path) -> None:
    card = load_card(name).spec
    sums = dict(reversed(line.split(maxsplit=1)) for line in (real / "SHA256SUMS").read_text().splitlines())
    for file, sha in card.files.items():
        assert sums[f"{card.folder}/{file}"] == sha, file
    for part in card.parts.values():
        assert (real / card.folder / part.path).exists(), part.path


@pytest.mark.parametrize("name", [name for name in CARDS if name not in SLOW])
def test_what_is_read_has_its_hashes_in_the_card_and_fills_every_stretch_of_the_split(name: str, real: Path) -> None:
    card = load_card(name).spec
    split = card.splits
    by_time = split is not None and split.by in ("arrive_s", "time_s")
    columns = read_dataset(name, split.part if split is not None else None, data=real)
    folder = (real / card.folder).resolve()
    assert columns.report.rows_kept > 0
    for file in columns.meta["files"]:
        assert Path(file).resolve().relative_to(folder).as_posix() in card.files
    if split is None or not by_time:
        return
    times = times_of(columns)
    for stretch in (split.train, split.validation, split.test):
        begin, end = int(stretch[0]), int(stretch[1])
        assert ((times >= begin) & (times < end)).any(), stretch
    assert times.min() >= int(split.train[0])
    assert times.max() < int(split.test[1]), "the test range must reach to the end"


def times_of(columns: Columns) -> npt.NDArray[Any]:
    """The times a split of these columns is about."""
    if isinstance(columns, Trace):
        return columns.arrive_s
    if isinstance(columns, Usage):
        lengths = np.diff(columns.offset)
        pairs = zip(columns.start_s, lengths, strict=True)
        return np.concatenate([start + columns.step_s * np.arange(n) for start, n in pairs])
    if isinstance(columns, Demand):
        return columns.start_s + columns.step_s * np.arange(columns.rate.shape[1])
    assert isinstance(columns, Signal)
    return columns.time_s

"""Every packaged card against the data it describes, where they are."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import assets
from rlsched.traces.card import load_card
from rlsched.traces.columns import Demand, Machines, Signal, Trace, Usage
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


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_the_hashes_of_the_stored_files_and_paths_that_are_there(name: str, real: Path) -> None:
    card = load_card(name).spec
    sums = dict(reversed(line.split(maxsplit=1)) for line in (real / "SHA256SUMS").read_text().splitlines())
    for file, sha in card.files.items():
        assert sums[f"{card.folder}/{file}"] == sha, file
    for part in card.parts.values():
        assert (real / card.folder / part.path).exists(), part.path


@pytest.mark.parametrize("name", [name for name in CARDS if name not in SLOW])
def test_the_first_part_of_a_card_can_be_read_and_all_its_files_are_hashed(name: str, real: Path) -> None:
    card = load_card(name).spec
    columns = read_dataset(name, data=real)
    folder = real / card.folder
    assert columns.report.rows_kept > 0
    for file in columns.meta["files"]:
        assert Path(file).resolve().relative_to(folder.resolve()).as_posix() in card.files


@pytest.mark.parametrize("name", [name for name in CARDS if name not in SLOW])
def test_every_stretch_of_a_split_holds_something(name: str, real: Path) -> None:
    split = load_card(name).spec.splits
    if split is None or split.by == "day" or split.by == "part":
        return
    columns = read_dataset(name, split.part, data=real)
    assert not isinstance(columns, Machines)
    if isinstance(columns, Trace):
        times = columns.arrive_s
    elif isinstance(columns, Usage):
        times = np.concatenate(
            [
                start + columns.step_s * np.arange(n)
                for start, n in zip(columns.start_s, np.diff(columns.offset), strict=True)
            ]
        )
    elif isinstance(columns, Demand):
        times = columns.start_s + columns.step_s * np.arange(columns.rate.shape[1])
    else:
        assert isinstance(columns, Signal)
        times = columns.time_s
    for stretch in (split.train, split.validation, split.test):
        begin, end = int(stretch[0]), int(stretch[1])
        assert ((times >= begin) & (times < end)).any(), stretch
    assert times.min() >= int(split.train[0])
    assert times.max() < int(split.test[1]), "the test range must reach to the end"

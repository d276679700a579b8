import hashlib
from pathlib import Path

import pytest

from rlsched.assets import list_assets
from rlsched.errors import SpecError
from rlsched.traces.card import load_card
from rlsched.traces.datasets import list_datasets

MINE = """
reader = "generic"
[table]
columns = { task_id = "id", arrive_s = "t", cpu_mcore = "c" }
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_card_of_ones_own_needs_a_reader_and_a_column_map(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, MINE)).spec
    assert card.reader == "generic"
    assert card.table is not None
    assert card.table.mem_unit == "mib"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"', r"a card names a reader, or parts with readers"),
        ('reader = "genric"', r"unknown reader 'genric'. Did you mean 'generic'"),
        ('reader = "generic"', r'reader = "generic" and a \[table\] belong together'),
        (MINE + 'cpu_unit = "core"', r"table.cpu_unit: input should be 'mcore' or 'cores': got 'core'"),
        (MINE + 'delimeter = ";"', r"unknown key 'table.delimeter'. Did you mean 'delimiter'"),
        (MINE + 'delimiter = ";;"', r"table.delimiter: must be one character"),
        (MINE.replace("arrive_s", "arive_s"), r"unknown column 'arive_s' of a trace. Did you mean 'arrive_s'"),
        (MINE.replace('cpu_mcore = "c"', 'mem_mib = "m"'), r"a trace must name the file's column for cpu_mcore"),
        (MINE + 'time_unit = "datetime"', r'time_unit = "datetime" needs time_origin = "first"'),
        (MINE.replace("{", '{ depart_s = "e", duration_s = "l",'), r"depart_s or duration_s, not both"),
        (MINE.replace("{", '{ gpu_mgpu = "g",'), r"needs gpu_count"),
        (MINE.replace("table", "tabel"), r"unknown key 'tabel'. Did you mean 'table'"),
    ],
)
def test_a_wrong_card_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_card(write(tmp_path, text))


PARTS = """
[parts]
a = { path = "x.csv", reader = "openb_pods" }
[splits]
part = "a"
by = "arrive_s"
train = [0, 10]
validation = [10, 20]
test = [20, 30]
[files]
"x.csv" = "%s"
""" % ("0" * 64)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[10, 20]", "[9, 20]", r"\(9, 20\) begins before \(0, 10\) ends"),
        ("[10, 20]", "[20, 10]", r"validation must ascend"),
        ("[10, 20]", "[10, 15, 20]", r"validation must be \[from, to\)"),
        ("[10, 20]", '["a", "b"]', r"validation must be two seconds"),
        ('"arrive_s"', '"day"', r"train must be days as text"),
        ('part = "a"', 'part = "b"', r"no part 'b'"),
        ('x.csv", reader', '../x.csv", reader', r"must be a path below the dataset's folder"),
        ("0" * 64, "0" * 63, r"must be 64 hexadecimal digits"),
        ('"openb_pods"', '"openb"', r"unknown reader 'openb'"),
    ],
)
def test_wrong_parts_and_splits_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    load_card(write(tmp_path, PARTS))
    assert old in PARTS
    with pytest.raises(SpecError, match=message):
        load_card(write(tmp_path, PARTS.replace(old, new, 1)))


#: Datasets without times (machines, a snapshot of two clusters) or with a handful of rows.
WITHOUT_SPLIT = {"alibaba-spot-2026", "bytedance-rescheduling", "azure-v1-format-sample", "maro-toy"}


def test_a_split_by_parts_names_parts_that_are_there(tmp_path: Path) -> None:
    by_part = PARTS.replace('"arrive_s"', '"part"').replace("[0, 10]", '["a"]').replace("[10, 20]", '["b"]')
    by_part = by_part.replace("[20, 30]", '["c"]')
    with pytest.raises(SpecError, match=r"no part 'b'. .*Known: a"):
        load_card(write(tmp_path, by_part))
    entry = next(line for line in by_part.splitlines() if line.startswith("a = "))
    whole = by_part.replace(entry, "\n".join(name + entry[1:] for name in "abc"))
    split = load_card(write(tmp_path, whole)).spec.splits
    assert split is not None
    assert (split.train, split.validation, split.test) == (("a",), ("b",), ("c",))


def test_every_packaged_card_is_whole() -> None:
    names = [one.name for one in list_datasets()]
    assert {"alibaba-gpu-2023", "azure-v1-2017", "bitbrains-faststorage", "planetlab-2011"} <= set(names)
    for name in names:
        card = load_card(name).spec
        assert card.title, name
        assert card.home.startswith("http"), name
        assert card.licence, name
        assert card.citation, name
        assert card.units, name
        assert (card.splits is None) == (name in WITHOUT_SPLIT), name
        assert card.folder, name
        for part in card.parts.values():
            listed = part.path == "." or any(
                file == part.path or file.startswith(f"{part.path}/") for file in card.files
            )
            assert listed, f"{name}: no SHA-256 for {part.path}"
    assert set(names) <= set(list_assets("traces"))


def test_the_hashes_of_the_cards_are_those_of_the_files(real: Path) -> None:
    for one in list_datasets():
        card = load_card(one.name).spec
        for file, sha256 in card.files.items():
            assert hashlib.sha256((real / card.folder / file).read_bytes()).hexdigest() == sha256, file

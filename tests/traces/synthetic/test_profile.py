import json
from pathlib import Path

import pytest
from traces_synthetic_builders import profile

from rlsched.errors import SpecError
from rlsched.traces.synthetic.profile import load_profile, save_profile


def test_a_saved_profile_loads_equal(tmp_path: Path):
    path = tmp_path / "toy.json"
    save_profile(profile(), path)
    assert load_profile(path) == profile()
    assert [p.name for p in tmp_path.iterdir()] == ["toy.json"]


def test_tables_stand_on_one_line_each(tmp_path: Path):
    save_profile(profile(), tmp_path / "toy.json")
    lines = (tmp_path / "toy.json").read_text().splitlines()
    assert sum("day_factors" in line and line.count(",") >= 48 for line in lines) == 1
    assert len(lines) < 80


def edit(path: Path, **changes) -> Path:
    save_profile(profile(), path)
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))
    return path


def test_missing_file_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(SpecError, match=r"no profile at .*toy\.json.*rlsched traces fit FILE toy\.json"):
        load_profile(tmp_path / "toy.json")


def test_other_json_is_refused(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(SpecError, match="rlsched-profile"):
        load_profile(tmp_path / "x.json")


def test_text_that_is_not_json_is_refused_with_its_place(tmp_path: Path):
    (tmp_path / "x.json").write_text("kind = 1")
    with pytest.raises(SpecError, match=r"not a JSON profile: .*line 1"):
        load_profile(tmp_path / "x.json")


def test_another_version_is_refused(tmp_path: Path):
    with pytest.raises(SpecError, match="version must be 1: got 2"):
        load_profile(edit(tmp_path / "x.json", version=2))


def test_unknown_key_is_refused(tmp_path: Path):
    with pytest.raises(SpecError, match=r"unknown key 'stream'.*streams"):
        load_profile(edit(tmp_path / "x.json", stream=[]))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("streams", 0, "sizes", "atom_share"), [0.5], "atom_share must have 2 numbers"),
        (("streams", 0, "sizes", "atom_share"), [0.0, 0.0], "atom_share: must be >= 0 and not all 0"),
        (
            ("streams", 0, "sizes", "drift"),
            [{"atoms": [9], "components": [{"tau_s": 0, "variance": 1}]}],
            "drift must name atoms 0..1, each once",
        ),
        (("streams", 0, "arrivals", "batch_size_edges"), [5, 2, 1], "batch_size_edges must ascend from at least 1"),
        (("streams", 0, "arrivals", "batch_size_share"), [1.0], "batch_size_share must have 2 numbers"),
        (("streams", 0, "arrivals", "day_factors"), [-1.0] * 48, "day_factors: must be >= 0 and not all 0"),
        (("streams", 0, "lifetimes", "curves", 0, "survival"), [1.0, 0.2, 0.5], "survival must fall from 1"),
        (("streams", 0, "lifetimes", "curves", 0, "edge_s"), [0.0, 9.0], "edge_s and survival must be as long"),
        (("streams", 0, "lifetimes", "curves", 0, "atoms"), [0], "curves must cover every atom once"),
    ],
)
def test_a_table_that_cannot_be_drawn_from_is_refused_when_loading(tmp_path: Path, place, value, said):
    path = edit(tmp_path / "x.json")
    values = json.loads(path.read_text())
    at = values
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    path.write_text(json.dumps(values))
    with pytest.raises(SpecError, match=said):
        load_profile(path)

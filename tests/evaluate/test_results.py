"""The document, its Parquet twin, its folder, and the ledger of the test split."""

from __future__ import annotations

import json
import math
import os
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from rlsched.errors import SpecError
from rlsched.evaluate.placement import run
from rlsched.evaluate.results import (
    LEDGER,
    agents_sha256,
    check_out,
    dump,
    grids,
    load_document,
    plain,
    seal,
    write_run,
)
from rlsched.evaluate.touch import Touches, read_ledger

ROWS = [
    {"policy": "a", "window": "w0", "seed": 0, "x": 1.0},
    {"policy": "a", "window": "w0", "seed": 1, "x": 2.0},
    {"policy": "a", "window": "w1", "seed": 0, "x": 3.0},
    {"policy": "a", "window": "w1", "seed": 1, "x": None},
    {"policy": "b", "window": "w0", "seed": None, "x": 5.0},
    {"policy": "b", "window": "w1", "seed": None, "x": 6.0},
]
DOCUMENT = {
    "experiment": "toy",
    "provenance": {"split": "test", "date": "2026-01-01", "card_sha256": "ab", "commit": None, "run_id": "r"},
    "rows": ROWS,
    "summary": [],
    "verdicts": [],
}


def test_rows_become_a_grid_of_windows_and_seeds() -> None:
    found = grids(ROWS, ["x"])
    assert found["a"]["x"][0].tolist() == [1.0, 2.0]
    assert found["a"]["x"][1, 0] == 3.0
    assert math.isnan(found["a"]["x"][1, 1])
    assert found["b"]["x"].tolist() == [[5.0], [6.0]]
    with pytest.raises(SpecError, match="policy 'b' has no row for window 'w1'"):
        grids(ROWS[:-1], ["x"])


def test_plain_values_are_strict_json() -> None:
    assert plain({"a": (1, math.nan, math.inf, -math.inf)}) == {"a": [1, None, "inf", "-inf"]}
    with pytest.raises(ValueError, match="JSON"):
        dump({"x": math.nan})


def test_a_run_is_written_read_back_and_replaced(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    card = {**DOCUMENT, "provenance": {**DOCUMENT["provenance"], "card_sha256": sha256(b"kind = 1").hexdigest()}}  # type: ignore[dict-item]
    write_run(card, out, card="kind = 1", page="<p>")
    assert sorted(one.name for one in out.iterdir()) == [
        "experiment.toml",
        "report.html",
        "results.json",
        "results.parquet",
    ]
    assert load_document(out) == card
    write_run({**DOCUMENT, "experiment": "other"}, out)
    assert load_document(out / "results.json")["experiment"] == "other"
    assert [one.name for one in out.parent.iterdir()] == ["run"]
    assert not (out / "report.html").exists()


def test_parquet_is_tidy_typed_and_carries_provenance(card: Path, tmp_path: Path) -> None:
    document = run(card, ["policies=random,best_fit"])
    write_run(document, tmp_path / "run")
    table = parquet.read_table(tmp_path / "run" / "results.parquet")
    assert table.column_names == list(document["rows"][0])
    assert table.num_rows == len(document["rows"])
    assert str(table.schema.field("cost_usd").type) == "double"  # all unknown here, a number all the same
    assert table.column("cost_usd").null_count == table.num_rows
    assert str(table.schema.field("seed").type) == "int64"
    header = json.loads(table.schema.metadata[b"rlsched"])
    assert header["provenance"] == document["provenance"]
    assert header["experiment"] == "tiny"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    check_out(out)  # empty is fine
    (out / "thesis.tex").write_text("years")
    with pytest.raises(SpecError, match=r"it holds 'thesis.tex', which no earlier run left there"):
        write_run(DOCUMENT, out)
    (out / "results.json").write_text("{}")
    with pytest.raises(SpecError, match="thesis"):
        write_run(DOCUMENT, out)
    assert (out / "thesis.tex").read_text() == "years"
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SpecError, match="it is a file"):
        check_out(file)
    with pytest.raises(SpecError, match="cannot be written"):
        check_out(file / "below")


def test_an_interrupted_run_leaves_a_ledger_that_the_next_one_keeps(tmp_path: Path) -> None:
    Touches(tmp_path / "run" / LEDGER, [{"experiment": "toy"}]).begin()
    check_out(tmp_path / "run")
    for _ in range(2):
        write_run(DOCUMENT, tmp_path / "run")
    assert len(read_ledger(tmp_path / "run" / LEDGER, "toy")) == 1


def test_a_card_of_another_run_beside_the_results_is_refused(tmp_path: Path) -> None:
    write_run(DOCUMENT, tmp_path / "run", card="kind = 1")
    with pytest.raises(SpecError, match="is not the card these results were made with"):
        load_document(tmp_path / "run")
    assert load_document(tmp_path / "run" / "results.json") == DOCUMENT


def test_a_disk_that_cannot_be_written_is_found_out_before_anything_is_computed() -> None:
    with pytest.raises(SpecError, match="/proc cannot be written"):
        check_out(Path("/proc/here"))  # not even root can make a folder there


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SpecError, match="cannot be written"):
        check_out(tmp_path / "run")


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(DOCUMENT, tmp_path / "run")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rlsched.evaluate.results.write_parquet", full)
    with pytest.raises(SpecError, match="No space left on device"):
        write_run({**DOCUMENT, "experiment": "second"}, tmp_path / "run")
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
    assert load_document(tmp_path / "run")["experiment"] == "toy"


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no results at"), ("{", "is not a results document"), ('{"rows": []}', "it lacks experiment, provenance")],
)
def test_documents_that_are_none_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        load_document(tmp_path)


def test_the_run_id_tells_runs_apart() -> None:
    one = seal({"date": "2026-01-02T03:04:05+00:00", "x": 1})
    assert one["run_id"].startswith("20260102T030405-")
    assert one["run_id"] != seal({"date": "2026-01-02T03:04:05+00:00", "x": 2})["run_id"]


def test_the_policy_files_a_card_names_are_told_by_their_hashes(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(b"whatever it holds")
    card = tmp_path / "experiment.toml"
    card.write_text(
        f'policies = ["best_fit", "scaling", {{ name = "seeds", runs = ["scaling/seeds/1.onnx", "{file}"] }}]'
    )
    found = agents_sha256(card, [])
    assert list(found) == ["scaling", "scaling/seeds/1.onnx", str(file)]
    assert found[str(file)] == sha256(b"whatever it holds").hexdigest()
    assert found["scaling"] != found["scaling/seeds/1.onnx"]
    assert list(agents_sha256(card, ["policies=best_fit,scaling"])) == ["scaling"]

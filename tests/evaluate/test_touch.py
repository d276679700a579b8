"""Touches of test splits: noted as they begin, completed as they end, one a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlsched.errors import SpecError
from rlsched.evaluate.keep import at_once
from rlsched.evaluate.kinds import KEEPING, KINDS, find_card, spec_of, touches_of
from rlsched.evaluate.results import LEDGER
from rlsched.evaluate.touch import Touches, read_ledger

LINE = {"experiment": "toy", "card_sha256": "ab"}
DOCUMENT: dict[str, Any] = {
    "experiment": "toy",
    "rows": [{"policy": "a"}, {"policy": "b"}, {"policy": "a"}],
    "provenance": {"date": "2026-01-01", "commit": None, "run_id": "r", "split": "test"},
}


def test_a_run_is_one_touch_from_the_first_unit_that_is_made(tmp_path: Path) -> None:
    ledger = tmp_path / "runs" / LEDGER
    touches = Touches(ledger, [LINE])
    keep = touches.keeping(at_once)
    assert not ledger.exists()
    seen = [keep(key, lambda: len(read_ledger(ledger))) for key in ("one", "two")]
    assert seen == [1, 1]  # it was noted when the unit was made, and once
    (begun,) = read_ledger(ledger)
    assert "run_id" not in begun
    assert begun["date"]
    touches.finish(DOCUMENT)
    assert read_ledger(ledger, "toy") == [
        {"date": "2026-01-01", **LINE, "commit": None, "run_id": "r", "policies": ["a", "b"]}
    ]
    assert len(ledger.read_text().splitlines()) == 2  # nothing is rewritten
    assert read_ledger(ledger, "other") == read_ledger(tmp_path / "none") == []


def test_a_run_that_was_killed_stays_beside_the_one_that_was_not(tmp_path: Path) -> None:
    ledger = tmp_path / LEDGER
    ledger.write_text(json.dumps({**LINE, "date": "2025", "run_id": "old", "policies": ["a"]}) + "\n")
    for ended in (False, True):
        touches = Touches(ledger, [LINE])
        touches.begin()
        if ended:
            touches.finish(DOCUMENT)
    assert [one.get("run_id") for one in read_ledger(ledger, "toy")] == ["old", None, "r"]


def test_units_that_were_kept_are_no_new_look_and_the_run_is_noted_all_the_same(tmp_path: Path) -> None:
    touches = Touches(tmp_path / LEDGER, [LINE])
    assert touches.keeping(lambda _key, _make: "kept")("one", lambda: "made") == "kept"
    assert not (tmp_path / LEDGER).exists()
    touches.finish(DOCUMENT)
    assert len(read_ledger(tmp_path / LEDGER)) == 1


@pytest.mark.parametrize(("set_", "noted"), [((), 1), (("split=validation",), 0)])
def test_only_the_test_split_is_noted(tmp_path: Path, set_: tuple[str, ...], noted: int) -> None:
    touches = touches_of(find_card("scaling-surf"), set_, tmp_path / LEDGER)
    touches.begin()
    touches.finish(DOCUMENT)
    assert len(read_ledger(tmp_path / LEDGER, "scaling-surf")) == noted


def test_every_kind_that_knows_a_test_split_tells_before_it_looks() -> None:
    # What keeps no units would be noted only when it has finished; a benchmark runs the other kinds.
    knowing = {kind for kind in KINDS if "split" in spec_of(kind).model_fields}
    assert knowing == {*KEEPING, "benchmark"}


def test_a_ledger_that_cannot_be_written_stops_the_run_before_it_looks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot note the touch of the test split in"):
        Touches(tmp_path / "file" / LEDGER, [LINE]).keeping(at_once)("one", lambda: pytest.fail("it looked"))


def test_a_line_that_was_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text(json.dumps(LINE) + "\n" + '{"experiment": "to')
    with pytest.raises(SpecError, match=r"test-ledger.jsonl, line 2: not JSON"):
        read_ledger(tmp_path / LEDGER)


def test_what_was_set_over_the_card_is_noted(tmp_path: Path) -> None:
    touches_of(find_card("scaling-surf"), ["windows.count=3"], tmp_path / LEDGER).begin()
    assert [one["set"] for one in read_ledger(tmp_path / LEDGER)] == [["windows.count=3"]]

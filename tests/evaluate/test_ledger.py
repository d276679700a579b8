"""A file of a dataset, given as a user's own, is recognised by its bytes; the test split in it is noted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rlsched.evaluate import ledger
from rlsched.evaluate.results import file_sha256
from rlsched.evaluate.touch import read_ledger

SHA = hashlib.sha256(b"tasks").hexdigest()
OTHER = hashlib.sha256(b"other tasks").hexdigest()
CARD = f"""\
title = "Toy"
folder = "toy"
[parts.pods]
path = "pods.csv"
reader = "openb_pods"
[parts.more]
path = "more.csv"
reader = "openb_pods"
[files]
"pods.csv" = "{SHA}"
"more.csv" = "{OTHER}"
[splits]
part = "pods"
by = "arrive_s"
train = [0, 10]
validation = [10, 20]
test = [20, 30]
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(CARD)
    monkeypatch.setattr(ledger, "list_assets", lambda _kind: {"toy": path})
    return path


def source(sha: str, role: str = "trace") -> dict[str, object]:
    return {"role": role, "name": "mine.csv", "part": None, "files": {"mine.csv": sha}}


def test_a_datasets_file_under_another_name_is_recognised(card: Path) -> None:
    (seen,) = ledger.seen_test_splits([source(SHA), source(SHA, "machines")])
    assert (seen.file, seen.dataset) == ("mine.csv", "toy")
    assert seen.card_sha256 == file_sha256(card)
    assert "arrive_s in [20, 30) s of part pods apart as its test split" in seen.words


@pytest.mark.parametrize("found", [source(OTHER), source("0" * 64), source(SHA, "machines")])
def test_other_parts_other_files_and_machines_hold_no_test_split(card: Path, found: dict[str, object]) -> None:
    assert ledger.seen_test_splits([found]) == []


def test_where_parts_are_the_splits_the_file_decides(card: Path) -> None:
    head = CARD[: CARD.index("[splits]")]
    third = '[parts.third]\npath = "third.csv"\nreader = "openb_pods"\n'
    splits = '[splits]\npart = "pods"\nby = "part"\ntrain = ["pods"]\nvalidation = ["third"]\ntest = ["more"]\n'
    order = head.replace("[parts.pods]", "[parts.a]").replace("[parts.more]", "[parts.z]")
    card.write_text(order + third + splits.replace("pods", "a").replace("more", "z"))
    assert ledger.seen_test_splits([source(SHA)]) == []
    (seen,) = ledger.seen_test_splits([source(OTHER)])
    assert seen.test == "part z"


def test_each_is_a_touch_in_the_ledger(card: Path, tmp_path: Path) -> None:
    file = tmp_path / "run" / "test-ledger.jsonl"
    document = {"experiment": "what-if", "rows": [{"policy": "a"}, {"policy": "b"}, {"policy": "a"}],
                "provenance": {"date": "2026-01-01", "commit": None, "run_id": "r"}}  # fmt: skip
    for _ in range(2):
        touches = ledger.touches_of_files(ledger.seen_test_splits([source(SHA)]), "what-if", file)
        touches.begin()
        touches.finish(document)
    lines = read_ledger(file, "what-if")
    assert len(lines) == 2
    assert lines[0]["dataset"] == "toy"
    assert lines[0]["policies"] == ["a", "b"]
    assert lines[0]["card_sha256"] == file_sha256(card)

"""``rlsched show env`` as a user types it."""

from __future__ import annotations

import json

import pytest

from rlsched.cli.main import main


def show(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["show", *words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_without_a_card_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = show(capsys)
    assert code == 0
    assert "placement" in out
    assert "placement-demo" in out
    code, out, _ = show(capsys, "env", "--json")
    assert {row["kind"] for row in json.loads(out)["cards"]} == {"environment"}


def test_the_tables_name_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    from rlsched.observe.features import FEATURES

    code, out, _ = show(capsys, "env", "placement")
    assert code == 0
    for feature in FEATURES:
        assert f" {feature.name} " in out
    for word in ("Observation", "Action", "Reward", "action_mask", "rejected_cpu", "(16,)", "[-1, 1]"):
        assert word in out
    code, out, _ = show(capsys, "env", "placement", "--json")
    rows = json.loads(out)["observation"]
    assert [row["name"] for row in rows][:-1] == [feature.name for feature in FEATURES]
    assert rows[0] == {
        "part": "candidates",
        "name": "cpu_free",
        "shape": [16],
        "dtype": "float32",
        "low": 0,
        "high": 1,
        "unit": "share of the machine's CPU",
        "meaning": "free before the task is placed",
    }


def test_an_environment_card_is_shown_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = show(capsys, "placement")
    assert code == 0
    assert "placement.candidates" in out
    code, out, _ = show(capsys, "placement", "--set", "placement.candidates=5", "--json")
    values = {row["key"]: row for row in json.loads(out)["values"]}
    assert values["placement.candidates"] == {"key": "placement.candidates", "value": 5, "origin": "--set"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env", "plcement"], "no environment card 'plcement'"),
        (["a", "b"], "show takes one card: got 'a' and 'b'"),
        (["env", "placement", "--set", "title=x"], "--set has no meaning for show env"),
    ],
)
def test_what_cannot_be_shown_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = show(capsys, *words)
    assert code == 2
    assert message in err
    assert out == ""


def test_the_card_of_moves_shows_the_table_of_moves(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = show(capsys, "env", "consolidation-moves", "--json")
    assert code == 0
    found = json.loads(out)
    assert [(row["name"], row["low"], row["high"]) for row in found["action"]] == [("move", 0, 32)]
    assert {row["part"] for row in found["observation"]} == {"globals", "candidates", "action_mask"}

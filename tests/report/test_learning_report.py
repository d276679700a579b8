"""Training records beside each other: curves, the table, and what is said of records that do not compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlsched.report.learning import main, read_group


def record(path: Path, greedy: list[float], metric: str = "cost_usd", **changes: Any) -> None:
    looks = [
        {"stage": "ppo" if i else "prior", "rollouts": 2 * i, "greedy": [value - 1, value + 1], "sampled": [value]}
        for i, value in enumerate(greedy)
    ]
    curve = [{"steps": 100.0 * (i + 1), "seconds": 0.5} for i in range(2 * (len(greedy) - 1))]
    made = {"scores": {"metric": metric, "better": "down"}, "validations": looks, "curve": curve, **changes}
    path.write_text(json.dumps(made))


def test_the_table_has_every_seed_looks_speed_and_steps_to_a_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "ppo-0.json", [10.0, 9.5, 9.0])
    record(tmp_path / "ppo-1.json", [10.0, 9.8, 9.6])
    record(tmp_path / "es-0.json", [10.0, 10.2, 10.4])
    groups = [f"PPO={tmp_path}/ppo-*.json", f"evolution={tmp_path}/es-*.json"]
    out = tmp_path / "plots" / "curves.png"
    assert main([*groups, "--line", "tuned = here=9.9", "--target", "9.7", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| PPO | 2 | 10 | 9.3 [9, 9.6] | 9, 9.6 | 4 | 0 % | 200, 0.1 | 200, 400 |"
    # Checkpoint 0 counts among what may be chosen: learning that only harms is no learning.
    assert lines[3] == "| evolution | 1 | 10 | 10 | 10 | 2 | 100 % | 200, 0.0 | not reached |"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [one.name for one in out.parent.iterdir()] == ["curves.png"]
    group = read_group(groups[0])
    assert group.steps.tolist() == [0.0, 200.0, 400.0]
    assert group.best.tolist() == [9.0, 9.6]


def test_records_that_do_not_compare_are_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "a-0.json", [10.0, 9.5])
    record(tmp_path / "a-1.json", [10.0, 9.5, 9.0])
    record(tmp_path / "b-0.json", [10.0, 9.5], metric="weighted_cost_pct")
    (tmp_path / "c-0.json").write_text("{}")
    for arguments, message in (
        ([f"a={tmp_path}/a-*.json"], "at other steps, than"),
        ([f"a={tmp_path}/a-0.json", f"b={tmp_path}/b-*.json"], "different metrics: cost_usd, weighted_cost_pct"),
        ([f"c={tmp_path}/c-*.json"], "is no training record of rlsched train"),
        ([f"d={tmp_path}/d-*.json"], "no training record that matches"),
        (["nothing"], "a group is LABEL=PATTERN: got 'nothing'"),
        ([f"a={tmp_path}/a-0.json", "--line", "x", "--out", f"{tmp_path}/x.png"], "a line is LABEL=NUMBER: got 'x'"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err

"""Failures named in a card reach the simulator, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.assets import find_asset
from rlsched.errors import SpecError, TraceError
from rlsched.evaluate.placement import run

CARD = find_asset("experiments", "placement-demo")
SHORT = ["policies=best_fit", "bootstrap.resamples=100", "references.published=", "references.tuned="]


def card() -> Path:
    return CARD / "experiment.toml" if CARD.is_dir() else CARD


def total(overrides: list[str], metric: str) -> float:
    return sum(row[metric] for row in run(card(), [*SHORT, *overrides])["rows"])


def test_drawn_failures_interrupt_tasks_and_the_same_seed_draws_the_same() -> None:
    often = ["failures.mtbf_h=100", "failures.mttr_h=2"]
    assert total([], "interrupted_tasks") == 0
    first = total(often, "interrupted_tasks")
    assert first > 0
    assert total(often, "interrupted_tasks") == first
    assert total([*often, "failures.seed=1"], "interrupted_tasks") != first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("time,kind,machine\n", "must have the header time_s,kind,machine_id"),
        ("time_s,kind,machine_id\nnoon,fail,x\n", "time_s must be a number: got 'noon' in line 2"),
        ("time_s,kind,machine_id\n1,fails,x\n", "unknown kind 'fails' in line 2"),
        ("time_s,kind,machine_id\n1,fail,no-such-machine\n", "unknown machine 'no-such-machine' in line 2"),
    ],
)
def test_a_wrong_failures_file_is_named_by_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "failures.csv"
    path.write_text(content)
    with pytest.raises(TraceError, match=message):
        run(card(), [*SHORT, f"failures.file={path}"])


def test_half_a_setting_is_an_error() -> None:
    with pytest.raises(SpecError, match="either file, or both mtbf_h and mttr_h"):
        run(card(), [*SHORT, "failures.mtbf_h=3"])

"""The tables and the figure of a forecast's value, from a document by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.forecast_value import ERRORS, agreement, summarise
from rlsched.report.forecast_value import draw, markdown, terminal

NAMES = ("persistence", "ar", "lost", "perfect")


@pytest.fixture
def document() -> dict[str, Any]:
    costs = {
        ("band", "persistence"): np.array([[10.0], [14.0]]),
        ("band", "ar"): np.array([[9.0], [12.0]]),
        ("band", "lost"): np.array([[90.0], [80.0]]),
        ("band", "perfect"): np.array([[6.0], [8.0]]),
    }
    summary = summarise(costs, ["band"], NAMES, "persistence", Bootstrap(200, 0.95, 0))
    errors = {name: dict.fromkeys(ERRORS, error) for name, error in zip(NAMES, (0.2, 0.1, 0.9, 0.0), strict=True)}
    part = {
        "problem": "toy",
        "windows": ["a", "b"],
        "errors": [{"forecaster": name, **errors[name]} for name in NAMES],
        "summary": summary,
        "agreement": agreement(summary, errors, ["band"]),
        "bound": {"name": "clairvoyant", "cost_usd": 5.5, "doc": "Reached."},
    }
    card = {"naive": "persistence", "rules": ["band"]}
    return {"provenance": {"split": "validation", "command": "rlsched …", "card": card}, "problems": [part]}


def test_the_tables_hold_cost_share_and_error_side_by_side(document):
    page = markdown(document)
    assert "| ar | 0.1000 | 0.1000 | 0.1000 | 10.50 [30 %, 25 to 33] |" in page
    assert "| ar | 10.50 [9.00, 12.00] | -1.50 [-2.00, -1.00] |" in page
    assert "| wql | +1.00 |" in page
    assert "Bound: 5.50 USD a window. Reached." in page
    assert "ar           0.1000" in terminal(document)


def test_a_share_that_is_not_there_says_so(document):
    for row in document["problems"][0]["summary"]:
        row["share"] = row["share_low"] = row["share_high"] = None
    assert "10.50 [no gain possible]" in markdown(document)


def test_the_figure_is_written_whole(document, tmp_path: Path):
    draw(document, tmp_path / "figure.png")
    assert [one.name for one in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")

"""The terminal: the golden text of a tiny experiment, and tables no wider than the screen."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from rlsched.evaluate.placement import run
from rlsched.report.terminal import print_results


def shown(document: dict, width: int) -> str:
    buffer = StringIO()
    print_results(document, Console(file=buffer, width=width))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def test_the_text_of_a_tiny_experiment(card: Path, golden: Callable[[str, str], None]) -> None:
    golden("evaluate-tiny.txt", shown(run(card, ["policies=random,first_fit,best_fit,worst_fit,cosine"]), 100))


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_every_value_is_there_at_every_width(card: Path, width: int) -> None:
    document = run(card, ["policies=first_fit,best_fit"])
    text = shown(document, width)
    assert max(map(len, text.splitlines())) <= width
    for one in document["summary"]:
        if one["metric"] == "energy_kwh":
            assert f"{one['mean']:.3f}"[:5] in text or f"{one['mean']:.2f}" in text
    assert "[kWh]" in text
    assert text.count("not given") == 2
    assert "…" not in text

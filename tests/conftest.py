"""What all tests share: the option that rewrites golden files, a tiny experiment, and a count of what
was left out for want of real data.

Real traces and reference figures lie in ``../shared`` beside the checkout, for those who have
them. Tests skip without, and the last lines of a run say how many did and why. With
``RLSCHED_REQUIRE_DATA=1`` such a skip is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from evaluate_worlds import write_experiment

GOLDEN = Path(__file__).parent / "data" / "golden"
REQUIRE_DATA = "RLSCHED_REQUIRE_DATA"
#: Words in the reason of a skip that mean: what it needs lies outside the checkout, and is not there.
NOT_HERE = "not here: no "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files; read them in review")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if NOT_HERE in reason and os.environ.get(REQUIRE_DATA) == "1":
        report.outcome = "failed"
        report.longrepr = f"{reason.removeprefix('Skipped: ')}; {REQUIRE_DATA}=1 asks for it."
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many tests were left out because their data lie elsewhere, each reason once."""
    reasons = [one.longrepr[2] for one in terminalreporter.stats.get("skipped", []) if isinstance(one.longrepr, tuple)]
    missing = [one.removeprefix("Skipped: ") for one in reasons if NOT_HERE in one]
    if missing:
        terminalreporter.write_sep("=", f"{len(missing)} tests left out: their data are not here", yellow=True)
        for reason in dict.fromkeys(missing):
            terminalreporter.write_line(f"{missing.count(reason):5d}  {reason}")
        terminalreporter.write_line(f"{REQUIRE_DATA}=1 turns these into failures.")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with ``tests/data/golden/NAME``."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no golden file {path}: write it with --update-golden, and read it"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """``tiny/experiment.toml`` with its data beside it."""
    return write_experiment(tmp_path / "tiny")

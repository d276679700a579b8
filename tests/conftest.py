"""What all tests share: the option that rewrites golden files, and a tiny experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from evaluate_worlds import write_experiment

GOLDEN = Path(__file__).parent / "data" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files; read them in review")


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

"""What the tests of the readers share: samples made by hand, and the real data where they are."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[1] / "data"
REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def samples() -> Path:
    return DATA


@pytest.fixture
def real() -> Path:
    if not REAL.is_dir():
        pytest.skip(f"the real traces are not here: no {REAL}")
    return REAL


@pytest.fixture
def planetlab_day(tmp_path: Path) -> Path:
    """A day of two VMs: percent (7 i) mod 101, and a constant 3."""
    folder = tmp_path / "day" / "20110303"
    folder.mkdir(parents=True)
    (folder / "b_vm").write_text("".join(f"{7 * i % 101}\n" for i in range(288)))
    (folder / "a vm with blanks").write_text("3\n" * 288)
    return folder


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[Counter[str]], None]:
    """Count spoilt files by what became of them, for the last lines of the run."""

    def add(seen: Counter[str]) -> None:
        for outcome, count in seen.items():
            record_property(f"fuzz {outcome}", count)

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many spoilt files were tried, and what became of them."""
    seen: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for name, count in report.user_properties:
                if name.startswith("fuzz "):
                    seen[name.removeprefix("fuzz ")] += count
    if seen:
        each = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(seen.items()))
        terminalreporter.write_line(f"fuzz: {seen.total():,} cases: {each}")

"""What the tests of the readers share: samples made by hand, and the real data where they are."""

from pathlib import Path

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

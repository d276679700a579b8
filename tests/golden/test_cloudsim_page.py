"""The tables of docs/fidelity.md are what the code gives today."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.evaluate.cloudsim_fidelity import BASES, fill, sections

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fidelity.md"
EXPECTED = ROOT.parent / "shared" / "golden" / "cloudsim" / "expected.csv"


def test_a_block_is_replaced_and_nothing_else() -> None:
    page = "a <!-- cloudsim: x -->old<!-- end --> b <!-- end -->"
    assert fill(page, "x", ["new"]) == "a <!-- cloudsim: x -->\n\nnew\n\n<!-- end --> b <!-- end -->"
    with pytest.raises(ValueError, match="no block"):
        fill(page, "y", [])


def test_the_page_has_a_block_for_every_table() -> None:
    page = PAGE.read_text()
    for name in ("figures", *BASES):
        assert page.count(f"<!-- cloudsim: {name} -->") == 1


@pytest.mark.slow
@pytest.mark.skipif(not EXPECTED.is_file(), reason=f"the golden runs are not here: no {EXPECTED}")
def test_the_tables_of_the_page_are_what_the_code_gives() -> None:
    page = PAGE.read_text()
    for name, lines in sections(EXPECTED):
        assert fill(page, name, lines) == page, f"table {name!r} is stale: make it anew (see the page)"

"""Every table as data: the same numbers, in CSV and in Parquet."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from rlsched.errors import SpecError
from rlsched.evaluate.placement import run
from rlsched.report.export import tables_of, write_tables
from rlsched.report.markdown import render_markdown


@pytest.fixture
def document(card: Path) -> dict:
    return run(card, ["bounds=lp"])


def test_every_table_has_its_rows_in_both_formats(document: dict, tmp_path: Path) -> None:
    tables = tables_of(document)
    assert set(tables) == {
        "policies", "summary", "verdicts", "matrix", "windows", "bounds", "gaps", "timeline", "rows",
    }  # fmt: skip
    write_tables(document, tmp_path / "t", "csv")
    write_tables(document, tmp_path / "t", "parquet")
    for name, rows in tables.items():
        with (tmp_path / "t" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            read = list(csv.DictReader(file))
        table = parquet.read_table(tmp_path / "t" / f"{name}.parquet")
        assert len(read) == table.num_rows == len(rows)
        assert list(read[0]) == table.column_names
        for text, row in zip(read, rows, strict=True):
            for key, value in row.items():
                assert text[key] == ("" if value is None else str(value))
    means = [row["mean"] for row in document["summary"]]
    assert parquet.read_table(tmp_path / "t" / "summary.parquet").column("mean").to_pylist() == means


def test_windows_are_against_the_leader(document: dict) -> None:
    first = document["provenance"]["leader"]
    gaps = {row["minus_leader"] for row in tables_of(document)["windows"] if row["policy"] == first}
    assert gaps == {0.0}


def test_a_folder_that_cannot_be_written_is_said(document: dict) -> None:
    with pytest.raises(SpecError, match="cannot write tables to /proc/tables"):
        write_tables(document, Path("/proc/tables"), "csv")


def test_markdown_says_the_same_and_markup_stays_text(document: dict) -> None:
    document["provenance"]["title"] = "A | B <b> *c*\n# d"
    text = render_markdown(document)
    assert text.startswith("# A \\| B \\<b\\> \\*c\\* \\# d\n")
    for wanted in ("## Verdicts", "## All policies", "## Worst windows", "## How it was made", "lp\\_bound (bound)"):
        assert wanted in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.count("|") - line.count("\\|") for line in tables}
    assert min(widths) >= 3
    assert render_markdown(document) == text

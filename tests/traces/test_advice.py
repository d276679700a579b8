"""Messages name an option the way their reader has to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.cli.main import main
from rlsched.errors import TraceError
from rlsched.traces.advice import option
from rlsched.traces.read import read_trace


def test_python_is_told_of_arguments_and_the_command_line_of_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.csv"
    strange.write_text("one,two\n1,2\n")
    with pytest.raises(TraceError, match="Name one with `format`, or describe the columns in a card with `card`"):
        read_trace(strange)
    assert main(["traces", "describe", str(strange)]) == 2
    assert "Name one with --format, or describe the columns in a card with --card" in capsys.readouterr().err
    assert option("format") == "`format`", "the command line has been left"


def test_a_bad_row_is_skipped_in_the_words_of_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("task_id,arrive_s,depart_s,cpu_mcore,mem_mib\na,0,10,100,1\nb,5,12,many,1\n")
    with pytest.raises(TraceError, match=r'Fix the row, or read with on_bad_row="skip"\.$'):
        read_trace(rows)
    assert main(["traces", "describe", str(rows)]) == 2
    assert "read with --option on_bad_row=skip (evaluate: in --columns)." in capsys.readouterr().err

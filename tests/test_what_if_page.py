"""Every command of docs/what-if.md runs, in its order, on the files its Python block writes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "what-if.md").read_text()
# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


def test_the_commands_of_the_page_run_and_the_one_that_fails_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rlsched.cli.main import main

    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run([sys.executable, "-c", block], check=True, cwd=tmp_path)
    lines = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)).splitlines()
    assert len(lines) == 5
    said = []
    for line in lines:
        words = shlex.split(line.removeprefix("! "))
        assert words[0] == "rlsched"
        assert main(words[1:]) == (2 if line.startswith("! ") else 0), line
        shown = capsys.readouterr()
        said.append(" ".join((shown.out + shown.err).split()))
    suggested, judged, _, moment, forked = said
    # The map the first command suggests is the one the second uses.
    assert shlex.split(lines[1])[shlex.split(lines[1]).index("--columns") + 1] in suggested
    assert "you would have needed" in judged
    assert "USD a day" in judged
    assert "best_fit at 1d4h" in moment
    assert "later tasks go elsewhere" in forked

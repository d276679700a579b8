"""Every example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Script → what its last lines must say, so that it did what it is there for.
SLOW = {"train_your_own.py": "Results are in", "plug_in_your_own.py": "it takes candidate"}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(path: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_example_that_uses_a_policy_runs() -> None:
    assert "host-" in run(ROOT / "examples" / "use_a_policy.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SLOW))
def test_an_example_that_learns_runs(name: str, tmp_path: Path) -> None:
    assert SLOW[name] in run(ROOT / "examples" / name, str(tmp_path / "mine"))


def test_every_example_is_run_and_listed() -> None:
    names = {path.name for path in EXAMPLES}
    assert names == {"use_a_policy.py", *SLOW}
    page = (ROOT / "docs" / "examples.md").read_text()
    assert [name for name in sorted(names) if f"`examples/{name}`" not in page] == []

"""Every Python block of the README runs, and every command it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlsched.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readme_has_examples() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(block: str) -> None:
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_readme_exists() -> None:
    fenced = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))
    named = set(re.findall(r"\brlsched (\w+)", fenced)) | set(re.findall(r"`rlsched (\w+)", README))
    assert named
    assert named <= set(COMMANDS)


def test_every_page_the_readme_points_to_exists() -> None:
    pages = set(re.findall(r"`((?:docs|experiments)/[\w./-]+)`", README))
    assert pages
    assert [page for page in sorted(pages) if not (ROOT / page).exists() and "NAME" not in page] == []

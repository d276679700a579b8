"""The pages build, without a network and without a warning, and hold together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT

sys.path.insert(0, str(ROOT / "docs"))


@pytest.mark.slow
def test_the_pages_build_without_a_warning_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the pages need rlsched[docs]")
    words = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-E", "-b", "html"]
    done = subprocess.run([*words, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pages = sorted(tmp_path.rglob("*.html"))
    for name in ("first-ten-minutes", "concepts", "placement", "consolidation", "api", "generated/cli", "add-a-reader"):
        assert tmp_path / f"{name}.html" in pages
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]* src=\"(https?:)?//|<link[^>]* rel=\"stylesheet\"[^>]*href=\"https?:"
    )
    assert [page.name for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
    front = (tmp_path / "api.html").read_text(encoding="utf-8")
    assert "rlsched.policies.library.decide.Decision" in front


def test_every_command_and_every_option_is_on_the_page_of_commands() -> None:
    from generate import cli_page

    from rlsched.cli.main import COMMANDS

    page = cli_page()
    for name in COMMANDS:
        assert f"## rlsched {name}\n" in page
    for words in (
        "rlsched traces check",
        "rlsched policies describe",
        "rlsched evaluate [OPTIONS]",
        "`--machine-columns TEXT`",
    ):
        assert words in page


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z][\w/-]*)$", index, re.MULTILINE))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= listed
    assert {
        name for name in listed - {"generated/cli", "adr/index"} if not (ROOT / "docs" / f"{name}.md").is_file()
    } == set()


def test_the_page_on_placement_has_every_option_with_its_default() -> None:
    import dataclasses

    from rlsched.sim.options import PlacementOptions

    page = (ROOT / "docs" / "placement.md").read_text(encoding="utf-8")
    table = page.split("<!-- options:", 1)[1].split("<!-- /options -->", 1)[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines() if line.startswith("| `")]
    told = {name: default.strip("`") for names, default, *_ in rows for name in re.findall(r"`(\w+)`", names)}
    real = {field.name: field.default for field in dataclasses.fields(PlacementOptions)}
    assert told == {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in real.items()}


def test_front_door_is_documented() -> None:
    import rlsched

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = [name for name in rlsched.__all__ if not name.startswith("__")]
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []

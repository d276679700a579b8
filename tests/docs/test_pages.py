"""Every code block of the README and of ``docs/`` runs, or says why not; commands that are not run are read."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from blocks import CODE, PICTURES, ROOT, SPHINX, Block, Runner, blocks_of, find_command, read_command

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def pages_with(level: str) -> list[Path]:
    return [page for page in PAGES if any(one.level == level for one in blocks_of(page))]


def run_page(page: Path, level: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of a level, and those before them that are run everywhere."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    runner = Runner(folder)
    try:
        for block in blocks_of(page):
            if block.level in ("fast", level):
                runner.run(block)
    finally:
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "") or ""):
                del sys.modules[name]


@pytest.mark.parametrize("page", pages_with("fast"), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, "fast", tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("slow"), ids=lambda page: page.stem)
def test_the_long_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, "slow", tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("data"), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_that_need_data_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlsched.traces.datasets import data_root, list_datasets

    here = {one.name for one in list_datasets() if one.files_present == one.files_total}
    wanted = {one.marks["needs"] for one in blocks_of(page) if one.level == "data"}
    if not wanted <= here:
        pytest.skip(f"datasets are not here: no {', '.join(sorted(wanted - here))} in {data_root(None)}")
    run_page(page, "data", tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_has_a_language_and_a_mark_that_is_known(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in (*CODE, *PICTURES, *SPHINX), f"{block}: {block.language or 'no language'}"
        assert block.marks.get("run", "slow") == "slow", str(block)
        assert len(block.marks.keys() & {"run", "needs", "not run"}) <= 1, f"{block}: one of run, needs, not run"
        if block.language == "text":
            assert block.marks.keys() <= {"file"}, f"{block}: text is never run"
            assert not re.search(r"^(rlsched|import|from) ", block.text, re.MULTILINE), f"{block}: that is code"


def commands_that_are_not_run() -> list[tuple[str, str]]:
    blocks = [(block, line) for block in BLOCKS if not block.level for line in block.commands]
    return [(str(block), line) for block, line in blocks if line.startswith(("rlsched ", "! rlsched "))]


@pytest.mark.parametrize(("place", "command"), commands_that_are_not_run(), ids=lambda one: one[:60])
def test_a_command_that_is_not_run_is_one_the_command_line_takes(place: str, command: str) -> None:
    read = read_command(shlex.split(command.removeprefix("! "), comments=True)[1:])
    experiment = str(read.get("experiment") or "")
    if experiment and not re.search(r"[A-Z]", experiment):
        folder = ROOT / "experiments" / Path(experiment).name
        assert folder.is_dir(), f"{place}: no experiment {experiment}: {command}"


def commands_in_prose() -> list[tuple[str, str]]:
    out = []
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        inline = {" ".join(one.split()) for one in re.findall(r"`rlsched ([a-z][^`]*)`", prose)}
        out += [(str(page.relative_to(ROOT)), one) for one in sorted(inline)]
    return out


@pytest.mark.parametrize(("place", "words"), commands_in_prose(), ids=lambda one: one[:60])
def test_a_command_in_a_sentence_has_a_name_and_options_that_are_there(place: str, words: str) -> None:
    command, rest = find_command(words.split())
    known = {one for param in command.params for one in (*param.opts, *param.secondary_opts)}
    named = {one.strip("[],").split("=")[0] for one in rest if one.startswith(("--", "[--"))}
    assert named <= known, f"{place}: rlsched {words}"


def test_every_page_that_is_pointed_to_is_there() -> None:
    absent = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        pointed = re.findall(r"`((?:docs|experiments|examples|agents|envs|traces|tests|rlsched)/[\w./-]+)`", text)
        pointed += re.findall(r"\]\(((?!https?:|#)[^)#\s]+)", text)
        for one in pointed:
            near = [ROOT / one, page.parent / one, *(ROOT / "docs" / "adr").glob(f"{Path(one).name}-*.md")]
            made = "NAME" in one or one.startswith("generated/") or re.fullmatch(r"rlsched/\w+-v\d", one)
            if not made and not any(place.exists() for place in near):
                absent.append(f"{page.relative_to(ROOT)}: {one}")
    assert not absent, "\n".join(absent)


def test_marks_and_languages_are_read(tmp_path: Path) -> None:
    page = ROOT / "docs" / "nowhere.md"
    first_block = "a\n\n<!-- not run: minutes -->\n```console\n! rlsched show # no\n```\n"
    path = tmp_path / "page.md"
    path.write_text(first_block + "\n<!-- file: a.toml -->\n\nb\n```toml\na = 1\n```\n")
    first, second = blocks_of(path)
    assert (first.language, first.level, first.marks, first.line) == ("console", "", {"not run": "minutes"}, 4)
    assert first.commands == ["! rlsched show # no"]
    assert (second.level, second.marks) == ("fast", {})  # the mark belongs to what follows it, and a paragraph did
    wrong = Block(page, 1, "console", "rlsched show nothing-of-that-name", {})
    (tmp_path / "run").mkdir()
    with pytest.raises(AssertionError, match=r"exit code 2 instead of 0"):
        Runner(tmp_path / "run").run(wrong)

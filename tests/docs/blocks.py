"""Code blocks of a Markdown page, and how each is run.

A block is run by its language; a comment in the line before it says otherwise, or more:

========================  ==========================================================================
``python``                run in the page's own namespace, one block after the other
``console``               each line a command: ``rlsched ...`` within this process, ``$ ...`` in one of
                          its own; ``! `` before it: it must be refused (exit code 2)
``toml``, ``json``        read
``text``                  a picture, an output: not code
``<!-- file: NAME -->``   the next block is also written to that file
``<!-- run: slow -->``    run with the long checks only
``<!-- needs: NAME -->``  run with the long checks, where the dataset is on this machine
``<!-- not run: WHY -->`` not run; its commands are still read as the command line reads them
========================  ==========================================================================

All blocks of a page run in one folder that holds ``traces`` and ``examples`` of the checkout.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
_MARK = re.compile(r"<!-- (file|run|needs|not run): (.+?) -->")
CODE, PICTURES, SPHINX = ("python", "console", "toml", "json"), ("text",), ("{toctree}", "{eval-rst}")


@dataclass(frozen=True)
class Block:
    """One fenced block: where, what, and the marks before it (``run``, ``needs``, ``not run``, ``file``)."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def level(self) -> str:
        """``fast``, ``slow`` or ``data``; empty where it is not run."""
        if "not run" in self.marks or (self.language not in CODE and "file" not in self.marks):
            return ""
        return "data" if "needs" in self.marks else self.marks.get("run", "fast")

    @property
    def commands(self) -> list[str]:
        """Lines of a ``console`` block, comments left out."""
        lines = [line.strip() for line in self.text.splitlines()] if self.language == "console" else []
        return [line for line in lines if line and not line.startswith("#")]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    out: list[Block] = []
    marks: dict[str, str] = {}
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            marks |= dict(_MARK.findall(token.content))
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            out.append(Block(page, line, token.info.strip().split(" ")[0], token.content, marks))
            marks = {}
        elif token.level == 0 and token.nesting >= 0:
            marks = {}
    return out


class Runner:
    """Runs the blocks of one page in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "__page__"}
        for name in ("traces", "examples"):
            (folder / name).symlink_to(ROOT / name)

    def run(self, block: Block) -> None:
        """Run a block; raises where it fails."""
        if "file" in block.marks:
            (self.folder / block.marks["file"]).write_text(block.text, encoding="utf-8")
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            loads(block.text)
        elif block.language == "python":
            # Blank lines before it, so that a traceback has the line of the page.
            code = compile("\n" * block.line + block.text, str(block.page), "exec")
            exec(code, self.names)
        for command in block.commands:
            self._command(block, command)

    def _command(self, block: Block, command: str) -> None:
        from rlsched.cli.main import main

        wanted = 2 if command.startswith("! ") else 0
        words = shlex.split(command.removeprefix("! ").removeprefix("$ "), comments=True)
        if command.startswith("$ "):
            words[0] = sys.executable if words[0] == "python" else words[0]
            code = subprocess.run(words, cwd=self.folder, check=False).returncode
        else:
            assert words[0] == "rlsched", f"{block}: a command begins with rlsched or $: {command}"
            code = main(words[1:])
        assert code == wanted, f"{block}: exit code {code} instead of {wanted}: {command}"


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``rlsched WORDS`` names, and the words left for it."""
    import click
    import typer

    from rlsched.cli.main import app

    command: Any = typer.main.get_command(app)
    context = click.Context(command, info_name="rlsched")
    left = list(words)
    while hasattr(command, "get_command") and left:
        found = command.get_command(context, left[0])
        if found is None and command.name != "rlsched" and not left[0].islower():
            break  # a group in words, such as "rlsched forecast …"
        assert found is not None, f"no command {left[0]!r} in rlsched {' '.join(words)}"
        command = found
        left.pop(0)
    return command, left


def read_command(words: list[str]) -> dict[str, Any]:
    """What the command line makes of ``rlsched WORDS``, without running it.

    Raises
    ------
    click.ClickException, rlsched.errors.UserError
        Where it refuses them.
    """
    command, left = find_command(words)
    read: dict[str, Any] = command.make_context(command.name, left).params
    return read

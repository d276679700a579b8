"""The page made from the code: every command with its options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import typer

HEAD = "# Commands\n\nMade from the commands themselves: what `--help` prints, in one page.\n"


def write_pages(folder: Path) -> None:
    """Write ``cli.md`` into a folder that is not kept; a page that did not change is not touched."""
    folder.mkdir(exist_ok=True)
    path = folder / "cli.md"
    text = cli_page()
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def cli_page() -> str:
    """Every command of ``rlsched`` as Markdown, in the order of the table of commands."""
    from rlsched.cli.main import COMMANDS, app

    root = typer.main.get_command(app)
    context = click.Context(root, info_name="rlsched")
    parts = [HEAD]
    for name, (_, line) in COMMANDS.items():
        command = root.get_command(context, name)  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        parts.append(f"## rlsched {name}\n\n{line}\n")
        if below:
            parts += [_command(f"rlsched {name} {one}", below[one], "###") for one in below]
        else:
            parts.append(_command(f"rlsched {name}", command, ""))
    return "\n".join(parts)


def _command(path: str, command: Any, heading: str) -> str:
    context = click.Context(command, info_name=path)
    lines = [f"{heading} {path}\n"] if heading else []
    usage = " ".join(command.collect_usage_pieces(context))
    lines.append(f"```text\n{path} {usage}\n```\n")
    lines += [f"{_paragraph(one)}\n" for one in (command.help or "").strip().split("\n\n")]
    rows = [one for one in (_row(param, context) for param in command.params) if one]
    if rows:
        lines += ["| argument or option | what |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    """A paragraph of the help; examples become a block of code."""
    flat = " ".join(text.replace("\b", "").split())
    examples = re.fullmatch(r"(?:Examples?: )?(rlsched .*)", flat)
    if examples:
        lines = re.split(r" (?=rlsched (?:[a-z]|--))", examples[1])
        return "\n".join(["```text", *lines, "```"])
    return flat.replace("<", "&lt;").replace("*", "\\*")


def _row(param: Any, context: Any) -> str:
    record = param.get_help_record(context)
    if record is None or "--help" in param.opts:
        return ""
    name, what = record
    cells = (" ".join(one.split()).replace("|", "\\|") for one in (f"`{name}`", what))
    return f"| {' | '.join(cells)} |"

"""The entry point: finds the command, turns errors into exit codes.

Exit codes: 0 done · 1 our fault (with a traceback) · 2 yours (one clear message, no traceback)
· 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click
import typer
from typer.core import TyperGroup

from rlsched.errors import SpecError, UserError, did_you_mean
from rlsched.traces.advice import on_the_command_line

#: Command → (module, one line of help). The module is imported when the command is used.
COMMANDS = {
    "bench": ("rlsched.cli.bench", "Measure how fast this machine replays, reads and decides."),
    "traces": ("rlsched.cli.traces", "List, describe and convert workload traces."),
    "evaluate": ("rlsched.cli.evaluate", "Run an experiment: who won, who did not, by how much."),
    "replay": ("rlsched.cli.replay", "Watch one policy on one trace, look at a moment, go on under another."),
    "report": ("rlsched.cli.report", "Rebuild the table and the page of an earlier run."),
    "show": ("rlsched.cli.show", "Show a card's values, and where each came from."),
    "train": ("rlsched.cli.train", "Learn a policy from an experiment's train split and export it."),
    "forecast": ("rlsched.cli.forecast", "Train forecasters of load and hold them against each other."),
    "policies": ("rlsched.cli.policies", "List and describe heuristics and trained agents."),
    "tune": ("rlsched.cli.tune", "Find the tuned blend of an experiment, without its test split."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for, so ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and build one command; an error with the nearest name when it is not in the table."""
        if cmd_name not in COMMANDS:
            raise SpecError(f"no command {cmd_name!r}.{did_you_mean(cmd_name, COMMANDS)}")
        module, _ = COMMANDS[cmd_name]
        return typer.main.get_command(import_module(module).app)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _version(value: bool) -> None:
    if value:
        from rlsched import __version__

        typer.echo(f"rlsched {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Replay real cluster traces, learn placement and scaling, judge every policy on held-out data."""


def run(argv: list[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program name; those of the process by default.
    """
    sys.exit(main(argv))


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command: Any = typer.main.get_command(app)
    try:
        with on_the_command_line():
            code = command.main(args=argv, prog_name="rlsched", standalone_mode=False)
    except UserError as error:
        _say(f"rlsched: {error}")
        return 2
    except click.exceptions.Abort:
        _say("rlsched: interrupted; nothing half-written was kept.")
        return 130
    except click.ClickException as error:
        _say(f"rlsched: {error.format_message()}{_where_to_look(error)}")
        return 2
    except KeyboardInterrupt:
        _say("rlsched: interrupted; nothing half-written was kept.")
        return 130
    except BrokenPipeError:
        return 0
    if code == 130:  # typer turns an interrupt into this code without a word
        _say("rlsched: interrupted; nothing half-written was kept.")
    return code if isinstance(code, int) else 0


def _where_to_look(error: click.ClickException) -> str:
    """The command whose help says more."""
    context = getattr(error, "ctx", None)
    return f" See '{context.command_path} --help'." if context is not None else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr)

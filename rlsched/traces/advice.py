"""How a message names an option: as the command line writes it, or as an argument in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ON_THE_COMMAND_LINE = ContextVar("_ON_THE_COMMAND_LINE", default=False)


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """Until it is left, messages that are made name options of the command line."""
    token = _ON_THE_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _ON_THE_COMMAND_LINE.reset(token)


def is_on_the_command_line() -> bool:
    """Whether messages name options of the command line now; a process that is started has to be told."""
    return _ON_THE_COMMAND_LINE.get()


def option(name: str) -> str:
    """An option as the reader of the message has to write it.

    Parameters
    ----------
    name : str
        Of the argument in Python; the command line's has hyphens.

    Examples
    --------
    >>> option("min_count")
    '`min_count`'
    >>> with on_the_command_line():
    ...     option("min_count")
    '--min-count'
    """
    return f"--{name.replace('_', '-')}" if _ON_THE_COMMAND_LINE.get() else f"`{name}`"


def skip_hint() -> str:
    """What to do about a bad row."""
    if _ON_THE_COMMAND_LINE.get():
        return "Fix the row, or read with --option on_bad_row=skip (evaluate: in --columns)."
    return 'Fix the row, or read with on_bad_row="skip".'

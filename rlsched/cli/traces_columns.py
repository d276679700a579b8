"""``--columns`` of ``rlsched traces``: a file whose column names are not ours, read without a card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlsched.errors import SpecError, TraceError, UserError

if TYPE_CHECKING:
    from rlsched.traces.columns import Columns

_OPTION, _OF_MACHINES = "--columns", "--machine-columns"


def read_mapped(path: Path, text: str, option: str, options: dict[str, Any]) -> Columns:
    """Read a file of tasks or machines with a map of columns.

    Parameters
    ----------
    path : Path
    text : str
        ``ours=theirs,...`` with units among them, or a card; tasks where it names ``arrive_s``, machines
        where it names ``machine_id``.
    option : str
        What the command line calls it, for messages.
    options : dict
        Of the reader: ``on_bad_row``.

    Raises
    ------
    UserError
        A map that is not of that form or names columns that are not there; a file that breaks a rule.
    """
    from rlsched.evaluate.whatif_columns import check_names, read_map
    from rlsched.traces.read import read_any
    from rlsched.traces.readers import READERS

    if "=" not in text or text.endswith(".toml"):
        if not Path(text).is_file():
            raise SpecError(
                f"{option} must be a card, or text such as 'arrive_s=created,cpu_mcore=vcpus,cpu_unit=cores': there is "
                f"no file {text!r}. Check the path."
            )
        return read_any(path, card=text, **options)
    ours = {pair.partition("=")[0].strip() for pair in text.split(",")}
    if not ours & {"arrive_s", "machine_id"}:
        raise SpecError(
            f"{option} must say where arrive_s is (a file of tasks) or machine_id (of machines): got {text!r}. Add it, "
            f"e.g. {option} 'arrive_s=created,cpu_mcore=vcpus,cpu_unit=cores'."
        )
    kind = "trace" if "arrive_s" in ours else "machines"
    try:
        given = read_map(text, kind)
        assert not isinstance(given, Path)  # a card was dealt with above
        check_names(given, path, kind)
    except UserError as error:
        raise type(error)(_renamed(str(error), option)) from None
    read: Columns = READERS["generic"].read(path, card=given, **options)
    return dataclasses.replace(read, meta={"reader": "generic", **read.meta}).validate()


def suggest_map(path: Path, error: TraceError, option: str) -> TraceError:
    """The error of a file of no known format, with the map that would read it where its columns look like ours."""
    from rlsched.evaluate.whatif_columns import suggest
    from rlsched.traces.readers.source import read_head

    if not path.is_file() or b"\0" in read_head(path)[:1000]:
        return error
    try:
        found = min((suggest(path, kind) for kind in ("trace", "machines")), key=lambda one: len(one.missing))
    except UserError:
        return error
    if not found.columns:
        return TraceError(f"{error} Or map them with {option}, e.g. {option} 'arrive_s=created,cpu_mcore=vcpus'.")
    return TraceError(_renamed(found.message(), option))


def _renamed(message: str, option: str) -> str:
    """A message of the what-if, which has an option for each file, with the option of this command."""
    return message.replace(_OF_MACHINES, "\0").replace(_OPTION, "\0").replace("\0", option)

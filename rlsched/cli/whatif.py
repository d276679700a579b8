"""``rlsched evaluate --trace ... --machines ...``: no card, a user's own data."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlsched.cli.evaluate import page_of, print_document, say_where, showing_progress
from rlsched.errors import SpecError


def run_what_if(trace: Path, own: Mapping[str, Any], *, out: Path | None, as_json: bool) -> None:
    """Read the two files, evaluate, print and write, as for an experiment.

    Parameters
    ----------
    trace : Path
    own : mapping
        The other options by name, None where not given.
    out : Path, optional
        ``runs/what-if`` by default.
    as_json : bool
    """
    from rlsched.evaluate.keep import at_once
    from rlsched.evaluate.ledger import seen_test_splits, touches_of_files
    from rlsched.evaluate.results import LEDGER, check_out, write_run
    from rlsched.evaluate.whatif import NAME, POLICIES, what_if
    from rlsched.evaluate.whatif_inputs import read_files

    if own["machines"] is None:
        raise SpecError(f"--trace needs machines to run on: add --machines FILE (a row a machine) for {trace}.")
    place = out if out is not None else Path("runs") / NAME
    check_out(place)
    policies = POLICIES if own["policies"] is None else split_names(own["policies"])
    given = read_files(
        trace,
        own["machines"],
        columns=own["columns"],
        machine_columns=own["machine_columns"],
        price_per_h=own["price"],
        power_curve=own["power_curve"],
    )
    seen = seen_test_splits(given.sources)
    given = dataclasses.replace(given, notes=(*given.notes, *(one.words for one in seen)))
    touches = touches_of_files(seen, NAME, place / LEDGER)
    with showing_progress() as progress:
        document = what_if(
            given,
            policies,
            reference=own["reference"],
            windows=own["windows"],
            seeds=3 if own["seeds"] is None else own["seeds"],
            fewer=own["fewer"] is not False,
            command=command_of(trace, own, as_json=as_json),
            progress=progress,
            keep=touches.keeping(at_once),
        )
    touches.finish(document)
    write_run(document, place, page=page_of(document, place / LEDGER))
    print_document(document, as_json=as_json)
    say_where(place)


def split_names(text: str) -> list[str]:
    """Names with commas between; the parts of a blend, which have ``=``, stay together.

    Raises
    ------
    SpecError
        An empty name.
    """
    out: list[str] = []
    for part in (one.strip() for one in text.split(",")):
        if not part:
            raise SpecError(f"--policies must be names with one comma between: got {text!r}.")
        if out and out[-1].startswith("blend:") and "=" in part and not part.startswith("blend:"):
            out[-1] += f",{part}"
        else:
            out.append(part)
    return out


def command_of(trace: Path, own: Mapping[str, Any], *, as_json: bool) -> str:
    """The command as it can be typed again; files by name, without their folders."""
    words = ["rlsched", "evaluate", "--trace", trace.name]
    for name, value in own.items():
        if name == "fewer":
            words += [] if value is None else ["--fewer" if value else "--no-fewer"]
        elif value is not None:
            words += [f"--{name.replace('_', '-')}", value.name if isinstance(value, Path) else str(value)]
    return shlex.join([*words, *(["--json"] if as_json else [])])

"""Touches of test splits, noted before the first result of one is made: a run that is killed is noted, too.

A touch is a line of ``test-ledger.jsonl`` when it begins and another when it is finished, with the same ``touch``;
nothing in a ledger is ever rewritten. Read, the two are one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlsched.errors import SpecError
from rlsched.evaluate.keep import Keep
from rlsched.evaluate.results import Document, git_commit

Line = dict[str, Any]


class Touches:
    """The test splits that one run looks at.

    Parameters
    ----------
    ledger : Path
    lines : sequence of mapping
        What is known of each before the run: ``experiment, card_sha256`` and more. None: the run looks at no test
        split, and nothing is noted.
    """

    def __init__(self, ledger: Path, lines: Sequence[Mapping[str, Any]]) -> None:
        self.ledger = ledger
        self.lines = [{**line, "touch": secrets.token_hex(6)} for line in lines]
        self.begun = False

    def begin(self) -> None:
        """Note that the test split is looked at from now on; once, however often it is asked.

        Raises
        ------
        SpecError
            When the ledger cannot be written.
        """
        if not self.begun and self.lines:
            now, commit = datetime.now(UTC).isoformat(timespec="seconds"), git_commit()
            self._append([{"date": now, **line, "commit": commit} for line in self.lines])
        self.begun = True

    def keeping(self, keep: Keep) -> Keep:
        """The same, noting before the first unit that is made; one that was kept was noted when it was made."""

        def noted(key: str, make: Callable[[], Any]) -> Any:
            def begin_and_make() -> Any:
                self.begin()
                return make()

            return keep(key, begin_and_make)

        return noted

    def finish(self, document: Document) -> None:
        """Note what came of it: which policies, and the run's number.

        Raises
        ------
        SpecError
            When the ledger cannot be written.
        """
        keys = ("date", "command", "commit", "run_id")
        told = {key: document["provenance"][key] for key in keys if key in document["provenance"]}
        policies = list(dict.fromkeys(row["policy"] for row in document["rows"] if "policy" in row))
        named = {"policies": policies} if policies else {}  # forecasters are judged without one
        self._append([{**line, **told, **named} for line in self.lines])

    def _append(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        try:
            self.ledger.parent.mkdir(parents=True, exist_ok=True)
            with self.ledger.open("a", encoding="utf-8") as file:  # one write: lines of two processes do not mix
                file.write("".join(json.dumps(line) + "\n" for line in lines))
        except OSError as error:
            raise SpecError(f"cannot note the touch of the test split in {self.ledger}: {error.strerror}.") from None


def read_ledger(ledger: Path, experiment: str | None = None) -> list[Line]:
    """Touches in a ledger, oldest first, of one experiment or of all; none where there is no ledger.

    One that began and was never finished has no ``run_id`` and no ``policies``.

    Raises
    ------
    SpecError
        A line that is not JSON.
    """
    if not ledger.is_file():
        return []
    out: dict[str, Line] = {}
    for number, text in enumerate(ledger.read_text(encoding="utf-8").splitlines()):
        if text.strip():
            try:
                line = json.loads(text)
            except ValueError as error:
                raise SpecError(
                    f"{ledger}, line {number + 1}: not JSON ({error}). If a crash cut it off, mend the line: "
                    "a look at a test split stays one."
                ) from None
            key = line.pop("touch", f"line {number}")  # lines of before touches were noted as they began
            out[key] = {**out.get(key, {}), **line}
    return [line for line in out.values() if experiment is None or line.get("experiment") == experiment]

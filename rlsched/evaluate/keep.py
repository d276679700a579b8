"""Work that is kept: a unit that was finished before an interruption is read, not done again.

A unit is what an experiment does for one policy, or one window: its key says which, its value is plain
JSON. Floats survive the way through the file bit for bit, so a resumed run gives the same rows as
one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rlsched.errors import SpecError
from rlsched.evaluate.gaps import Bound
from rlsched.evaluate.results import plain

T = TypeVar("T")
#: Key and how to make the value, where it is not there → the value, plain JSON.
Keep = Callable[[str, Callable[[], Any]], Any]


def at_once(_key: str, make: Callable[[], T]) -> T:
    """Keep nothing."""
    return make()


def tied(keep: Keep, facts: Mapping[str, Any]) -> Keep:
    """The same, for units that hold for these facts only (hashes of the data that were read)."""
    mark = digest(facts)[:16]
    return lambda key, make: keep(f"{mark} {key}", make)


class Units:
    """Finished units in a folder, one JSON file each.

    Parameters
    ----------
    folder : Path
        Made when the first is kept.
    facts : mapping
        Plain values that every unit rests on, such as hashes of card and policies. A unit made on
        others is not found.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder, self.mark = folder, digest(facts)

    def __call__(self, key: str, make: Callable[[], Any]) -> Any:
        """The value kept under a key; made and kept where there is none.

        Raises
        ------
        SpecError
            When it cannot be written: a full disk, no permission.
        """
        path = self.folder / f"{digest([self.mark, key])[:32]}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["mark"] == self.mark and found["key"] == key:
                return found["value"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, or cut off by a power failure: it is made again
        value = json.loads(json.dumps(make()))  # as it will be read, whether this run is resumed or not
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"mark": self.mark, "key": key, "value": value}), encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise SpecError(
                f"cannot keep finished work in {self.folder}: {error.strerror}. Make room there, or name another "
                "folder with --out; what was finished before is kept."
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        return value

    def count(self) -> int:
        """Units that are kept."""
        return len(list(self.folder.glob("*.json")))

    def clear(self) -> None:
        """Take all away, and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def keep_bounds(keep: Keep, make: Callable[[], tuple[list[Bound], str]]) -> tuple[list[Bound], str]:
    """Bounds, and the word on why there are none, as one unit."""

    def told() -> list[Any]:
        bounds, objection = make()
        rows = [[one.name, one.metric, list(one.windows), plain(one.values.tolist()), one.doc] for one in bounds]
        return [rows, objection]

    rows, objection = keep("bounds", told)
    return [
        Bound(name, metric, tuple(windows), np.array(values, dtype=np.float64), doc)  # None becomes NaN
        for name, metric, windows, values, doc in rows
    ], objection


def digest(value: Any) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

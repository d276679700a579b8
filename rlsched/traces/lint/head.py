"""The head of a text file: what its columns are called, and what stands in its first rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rlsched.errors import TraceError
from rlsched.traces.readers.source import first_line, header_names, list_tree, read_head

_MARKS = (";", "\t", ",", "|")


@dataclass(frozen=True)
class Head:
    """Header and first rows of a CSV file, fields as text.

    Parameters
    ----------
    name : str
        The file.
    names : tuple of str
        Fields of the first line.
    rows : tuple of tuple of str
        Whole rows after it that have as many fields; at most a few thousand.
    """

    name: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def numbers(self, column: int) -> list[float]:
        """The numbers in a column, in order; what is no number is left out."""
        out = []
        for row in self.rows:
            try:
                out.append(float(row[column]))
            except ValueError:
                continue
        return out


def read_csv_head(path: Path) -> Head | None:
    """The head of a file, or of a directory's first; None where it is no text with columns."""
    try:
        path = list_tree(path)[0] if path.is_dir() else path
        head = read_head(path)
    except TraceError:
        return None
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character may be cut at the end of the head, nowhere else
            return None
        text = head[: error.start].decode("utf-8")
    names = tuple(header_names(head))
    mark = max(_MARKS, key=first_line(head).count)
    lines = text.splitlines()
    whole = lines[1:-1] if len(text) > 60_000 else lines[1:]  # the last line of a long head is cut
    rows = [tuple(field.strip() for field in line.split(mark)) for line in whole]
    kept = tuple(row for row in rows if len(row) == len(names))
    return Head(str(path), names, kept) if len(names) > 1 and kept else None

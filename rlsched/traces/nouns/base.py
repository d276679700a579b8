"""What the nouns share: dtypes, limits, the account of a reader, and the checks of columns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SCHEMA_VERSION = 1
UNKNOWN = -1  # depart_s, last_seen_s, tenant, group, gpu_model: not known / none
ANY_MODEL = -1  # gpu_model_mask: every bit set
MAX_GPU_MODELS = 62  # bits of a non-negative int64 mask
MAX_GPUS = 31  # devices of one machine: bits of an int32 set
ABSENT: Any = None  # an optional column that was not given; __post_init__ fills it
MAX_QUANTITY = 2**53  # larger whole numbers are not exact in float64, which scores are computed in


@dataclass(frozen=True)
class Drop:
    """One rule that made a reader drop or change rows.

    Parameters
    ----------
    rule : str
        What the rows broke, in words, e.g. ``"deletion before creation"``.
    action : str
        What was done. An action that begins with ``"dropped"`` or ``"merged"`` took rows away, one
        that begins with ``"split"`` made further rows; after any other the rows are still there.
    count : int
        Rows concerned.
    rows : tuple of int
        The first few row numbers of the file (1 = first data row).
    """

    rule: str
    action: str
    count: int
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class DropReport:
    """What a reader read, kept, dropped and changed. Nothing happens to a row outside this list."""

    rows_read: int = 0
    rows_kept: int = 0
    drops: tuple[Drop, ...] = ()

    def lines(self) -> list[str]:
        """Sentences for a person, the totals first."""
        out = [f"{self.rows_read:,} row{'s' if self.rows_read != 1 else ''} read, {self.rows_kept:,} kept"]
        for drop in self.drops:
            many = "s" if drop.count != 1 else ""
            first = "first rows: " if len(drop.rows) < drop.count else f"row{many} "
            where = f" ({first}{', '.join(map(str, drop.rows))})" if drop.rows else ""
            out.append(f"{drop.count:,} row{many} {drop.action}: {drop.rule}{where}")
        return out


def column(name: str, value: Any, dtype: type | None, length: int | None) -> npt.NDArray[Any]:
    """Make a read-only 1-D array of the dtype and length, or say why the values cannot be that."""
    array = np.asarray(value)
    if array.ndim != 1:
        raise TraceError(f"{name} must be one-dimensional: got shape {array.shape}. Pass one value a row.")
    if dtype is not None and array.dtype != dtype:
        if np.issubdtype(dtype, np.integer) and np.issubdtype(array.dtype, np.floating):
            bad = np.flatnonzero(~np.isfinite(array) | (array != np.rint(array)))
            if bad.size:
                raise TraceError(
                    f"{name} must hold whole numbers: got {array[bad[0]]!r} in row {bad[0]} (and {bad.size - 1} more). "
                    "Convert the unit or round before building the columns."
                )
        if array.dtype.kind not in "iufb":
            raise TraceError(f"{name} must be numeric: got dtype {array.dtype}. Convert the column first.")
        array = array.astype(dtype)
    if length is not None and array.shape[0] != length:
        raise TraceError(f"{name} must have {length} rows like the other columns: got {array.shape[0]}.")
    array = array.view()
    array.flags.writeable = False
    return array


class ColumnsBase:
    """Shared behaviour of the nouns: length, selection of rows, equality of content."""

    ROW_COLUMNS: ClassVar[tuple[str, ...]]

    def __len__(self) -> int:
        return int(getattr(self, self.ROW_COLUMNS[0]).shape[0])

    def _fail(self, column: str, rule: str, bad: npt.NDArray[np.intp], fix: str) -> None:
        if bad.size == 0:
            return
        row = int(bad[0])
        value = getattr(self, column)[row]
        label = getattr(self, self.ROW_COLUMNS[0])[row]
        source = getattr(self, "source", "") or "these columns"
        more = f" and {bad.size - 1} more rows" if bad.size > 1 else ""
        raise TraceError(
            f"{column} must be {rule}: got {value} in row {row} of {source} "
            f"({self.ROW_COLUMNS[0]} {str(label)!r}){more}. {fix}"
        )

    def same_as(self, other: object) -> bool:
        """True when every column and every name list is equal (provenance is not compared)."""
        if type(self) is not type(other):
            return False
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            if spec.name in ("source", "meta", "report"):
                continue
            a, b = getattr(self, spec.name), getattr(other, spec.name)
            if isinstance(a, dict):  # the extra columns of a Usage
                if a.keys() != b.keys() or not all(_equal(a[key], b[key]) for key in a):
                    return False
            elif not _equal(a, b):
                return False
        return True


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray):
        return bool(a == b)
    floats = a.dtype.kind == "f" or b.dtype.kind == "f"
    return bool(np.array_equal(a, b, equal_nan=True) if floats else np.array_equal(a, b))


def repeated(ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Mark the second and later rows with the same value."""
    if ids.dtype.kind in "iu" and bool((ids[1:] > ids[:-1]).all()):
        return np.zeros(ids.size, bool)  # ascending, as most numbers are: no need to look further
    if ids.dtype.kind == "O":
        # Eight bytes an id; a table of the texts themselves would take a hundred.
        hashes = np.fromiter(map(hash, ids), np.int64, ids.size)
        hashes.sort()
        if bool((hashes[1:] > hashes[:-1]).all()):
            return np.zeros(ids.size, bool)  # equal texts have equal hashes
    import pandas as pd

    again: npt.NDArray[np.bool_] = pd.Series(ids, dtype=ids.dtype).duplicated().to_numpy()
    return again


def check_unique(ids: npt.NDArray[Any], name: str, source: str) -> None:
    """Refuse ids of which one occurs twice."""
    again = np.flatnonzero(repeated(ids))
    twice: Any = ids[again[0]] if again.size else None
    if twice is not None:
        rows = np.flatnonzero(ids == twice)[:3]
        raise TraceError(
            f"{name} must be unique: got {str(twice)!r} in rows {', '.join(map(str, rows))} of "
            f"{source or 'these columns'}. Rename or drop the repeated rows."
        )

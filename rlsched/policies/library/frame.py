"""The columns of a frame of machines: which there are, and how each is read and checked.

What was not given and had to be assumed is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.traces.columns import MAX_QUANTITY, Machines

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """One column of a machines frame: name, dtype, unit, meaning, and what is assumed without it."""

    name: str
    dtype: str
    unit: str
    meaning: str
    without: str = ""

    @property
    def required(self) -> bool:
        """True when a frame must have it."""
        return not self.without


_NAN = "NaN only where it has no task"
#: What a frame of machines may hold. Each of these is checked, also where a policy does not look at it;
#: columns of other names are left alone.
COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("cpu_mcore", "int64", "millicores", "capacity"),
        Column("mem_mib", "int64", "MiB", "capacity"),
        Column("cpu_free_mcore", "int64", "millicores", "free now; of what is offered where CPU is oversubscribed"),
        Column("mem_free_mib", "int64", "MiB", "free now"),
        Column("machine_id", "any", "", "what a decision names", "the frame's index, or the row number"),
        Column("gpu_count", "int64", "devices", "0 to 31", "no machine has GPUs"),
        Column("gpu_free_mgpu", "lists of int64", "milli-GPU", "free of each device; needed where there are GPUs", "-"),
        Column("gpu_model", "text", "", "one model a machine; missing: not known", "models are not known"),
        Column("up", "bool", "", "False: takes no task now", "every machine is up"),
        Column("tasks", "int64", "tasks", "on the machine", "1 where something is allocated, 0 elsewhere"),
        Column(
            "busy_for_s", "float64", "s", f"until its last task is expected to end; {_NAN}", "its tasks end at once"
        ),
        Column("oldest_task_s", "float64", "s", f"its oldest task has run; {_NAN}", "its tasks began just now"),
        Column("in_use_s", "float64", "s", f"since it last was without tasks; {_NAN}", "its tasks began just now"),
        Column("gpu_kinds", "5 int64 a row", "tasks", "GPU tasks on it: shares, 1, 2, 4, 8 devices", "none of a kind"),
        Column("power_curve", "text", "", "name of its power curve", "power is not known"),
        Column("price_per_h", "float64", "US dollars per hour", "price; NaN: not known", "prices are not known"),
    )
}


def columns_of(machines: Any) -> tuple[dict[str, Any], int, Any]:
    """Columns by name, rows, and what stands for the machines' names where there is no column of them."""
    if isinstance(machines, Machines):
        return _of_machines(machines), len(machines), None
    if hasattr(machines, "columns") and hasattr(machines, "iloc"):  # a DataFrame, without importing pandas
        names = [str(name) for name in machines.columns]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise PolicyError(f"column {sorted(twice)[0]!r} of the machines is there twice. Keep one.")
        # Other columns are named, for a misspelt one to be found, and not read.
        read: dict[str, Any] = {name: machines[name].to_numpy() if name in COLUMNS else None for name in names}
        return read, len(machines), machines.index
    if isinstance(machines, Mapping):
        columns = dict(machines)
        first = columns.get("cpu_mcore", next(iter(columns.values()), ()))
        if not hasattr(first, "__len__"):
            raise PolicyError(f"cpu_mcore of the machines must hold one value a machine: got {first!r}.")
        return columns, len(first), None
    raise PolicyError(
        "machines must be a pandas DataFrame, a dict of arrays, or Machines: "
        f"got {type(machines).__name__}. Columns: {', '.join(COLUMNS)}."
    )


def _of_machines(machines: Machines) -> dict[str, Any]:
    machines.validate()
    wide = int(machines.gpu_count.max())
    slots = np.arange(wide)[None, :] < machines.gpu_count[:, None]
    columns: dict[str, Any] = {
        "machine_id": machines.machine_id,
        "cpu_mcore": machines.cpu_mcore,
        "mem_mib": machines.mem_mib,
        "cpu_free_mcore": machines.cpu_mcore,
        "mem_free_mib": machines.mem_mib,
        "gpu_count": machines.gpu_count,
        "gpu_free_mgpu": np.where(slots, 1000, -1),
        "tasks": np.zeros(len(machines), np.int64),
        "price_per_h": machines.price_per_h,
    }
    for name, names, codes in (
        ("gpu_model", machines.gpu_models, machines.gpu_model),
        ("power_curve", machines.power_curves, machines.power_curve),
    ):
        columns[name] = np.array([names[code] if code >= 0 else None for code in codes], dtype=object)
    return columns


class Table:
    """Reads columns one by one, checks them, and notes what was assumed."""

    def __init__(self, columns: dict[str, Any], n: int, index: Any) -> None:
        self.columns, self.n, self.index = columns, n, index
        self.assumed: list[str] = []
        absent = [name for name, column in COLUMNS.items() if column.required and name not in columns]
        if absent:
            what = ", ".join(f"{name} ({COLUMNS[name].unit}; {COLUMNS[name].meaning})" for name in absent)
            # A column that is ours already is not the one meant by another name.
            others = tuple(name for name in columns if name not in COLUMNS)
            alike = {name: near for name in absent if (near := _near(name, others, cutoff=0.6))}
            pairs = {"cpu_free_mcore": "cpu_mcore", "mem_free_mib": "mem_mib"}
            same = [f"{name} = {pairs[name]}" for name in absent if pairs.get(name) in columns]
            raise PolicyError(
                f"the machines lack column{'s' if len(absent) > 1 else ''} {what}."
                + (f" Of machines with nothing on them: {', '.join(same)}." if same else "")
                + "".join(f" Column {near!r} looks like it: rename it to {name!r}." for name, near in alike.items())
                + (f" Of other names: {', '.join(map(str, others[:8]))}." if others and not alike and not same else "")
            )
        for name in columns:
            guess = "" if name in COLUMNS else _near(name, tuple(known for known in COLUMNS if known not in columns))
            if guess:
                raise PolicyError(
                    f"unknown column {name!r} of the machines. Did you mean {guess!r}? Rename or drop it."
                )

    def get(self, name: str) -> npt.NDArray[Any] | None:
        """The column as an array of ``n`` rows; None where it was not given."""
        if name not in self.columns:
            return None
        array = as_column(self.columns[name])
        if array.ndim == 0 or array.shape[0] != self.n:
            raise PolicyError(f"column {name} of the machines must have {self.n} rows: got shape {array.shape}.")
        return array

    def assume(self, name: str) -> None:
        """Note that a column was not given."""
        self.assumed.append(f"no column {name}: {COLUMNS[name].without}")

    def fail(self, name: str, rule: str, row: int, value: Any, step: str = "Correct that row.") -> None:
        """Raise, naming column, rule, value, row and machine."""
        unit = COLUMNS[name].unit
        raise PolicyError(
            f"{name} must be {rule}: got {value!r}{f' {unit}' if unit else ''} in row {row} of the machines "
            f"(machine {str(self.ids()[row])!r}). {step}"
        )

    def ids(self, *, check: bool = False) -> npt.NDArray[Any]:
        """Names of the machines; with ``check``, none is missing and no two are the same."""
        given = self.get("machine_id")
        if given is None and self.index is None:
            return np.arange(self.n)
        ids = np.asarray(self.index) if given is None else given
        if check:
            self._check_ids(ids, "the index" if given is None else "column machine_id")
        return ids

    def _check_ids(self, ids: npt.NDArray[Any], where: str) -> None:
        if ids.ndim != 1:
            raise PolicyError(f"{where} of the machines must hold one name a row: got shape {ids.shape}.")
        listed = ids.tolist()
        try:
            seen = set(listed)
            if len(seen) == len(listed) and None not in seen and all(one == one for one in seen):
                return
        except TypeError:
            odd = next(row for row, one in enumerate(listed) if not isinstance(one, Hashable))
            raise PolicyError(
                f"{where} of the machines must hold texts or numbers: got {listed[odd]!r} in row {odd}. Name it by one."
            ) from None
        first: dict[Any, int] = {}
        for row, one in enumerate(listed):
            if one is None or one != one:  # NaN is not equal to itself
                raise PolicyError(
                    f"{where} of the machines must name every machine: got {one!r} in row {row}. Name it."
                )
            if one in first:
                raise PolicyError(
                    f"{where} of the machines must name each machine once: got {one!r} in rows {first[one]} and {row}. "
                    "Drop one of them, or give them names of their own."
                )
            first[one] = row

    def whole(self, name: str, *, most: Any = MAX_QUANTITY, of: str = "", other: Any = None, bind: bool = True) -> I64:
        """A column of whole numbers in ``0..most``."""
        array = self.get(name)
        if array is None:
            if bind and name == "gpu_count" and "gpu_free_mgpu" in self.columns:
                raise PolicyError("the machines have gpu_free_mgpu but no gpu_count: give the number of devices, too.")
            self.assume(name)
            return np.full(self.n, other, np.int64) if np.ndim(other) == 0 else np.asarray(other)
        array = self.one_value(name, array)
        if array.dtype.kind == "f":
            bad = np.flatnonzero(~np.isfinite(array) | (array != np.rint(array)))
            if bad.size:
                self.fail(name, f"a whole number of {COLUMNS[name].unit}", int(bad[0]), array[bad[0]].item())
        elif array.dtype.kind not in "iu":
            self.wrong_type(name, array, f"whole numbers of {COLUMNS[name].unit}")
        if array.min() < 0 or (array > most).any():
            row = int(np.flatnonzero((array < 0) | (array > most))[0])
            top = int(np.broadcast_to(most, (self.n,))[row])
            rule = f">= 0 and at most {top}, {of}" if of else f"in 0..{top}"
            self.fail(name, rule, row, array[row].item())
        return array.astype(np.int64)

    def real(
        self, name: str, other: float, *, low: float = -np.inf, needed: npt.NDArray[np.bool_] | None = None
    ) -> F64:
        """A column of numbers; ``other`` where it was not given.

        NaN stands for not known: kept in ``price_per_h``; elsewhere refused where it is ``needed``,
        and ``other`` where it is not.
        """
        array = self.get(name)
        if array is None:
            if name != "price_per_h":
                self.assume(name)
            return np.full(self.n, other)
        array = self.one_value(name, array)
        if array.dtype.kind not in "iuf":
            self.wrong_type(name, array, "numbers")
        values: F64 = array.astype(np.float64)
        bad = np.flatnonzero((values < low) | np.isinf(values))
        if bad.size:
            rule = f">= {low:g} and finite" if np.isfinite(low) else "finite"
            self.fail(name, rule, int(bad[0]), values[bad[0]].item())
        if needed is None:
            return values
        missing = np.isnan(values)
        bad = np.flatnonzero(missing & needed)
        if bad.size:
            rule = "a number where a machine holds tasks (NaN is for empty ones)"
            self.fail(name, rule, int(bad[0]), values[bad[0]].item(), "Fill it in, or leave the whole column out.")
        return np.where(missing, other, values)

    def flag(self, name: str) -> I64:
        """A column of True and False."""
        array = self.get(name)
        if array is None:
            return np.ones(self.n, np.int64)
        array = self.one_value(name, array)
        if array.dtype.kind not in "biu" or (array.dtype.kind != "b" and not ((array == 0) | (array == 1)).all()):
            self.wrong_type(name, array, "True or False")
        return array.astype(np.int64)

    def one_value(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Refuse tables; turn objects that are all plain numbers into numbers."""
        if array.ndim != 1:
            raise PolicyError(f"column {name} of the machines must hold one value a row: got shape {array.shape}.")
        if array.dtype == object and all(type(value) in (int, float, bool) for value in array):
            return np.array(array.tolist())
        return array

    def wrong_type(self, name: str, array: npt.NDArray[Any], wanted: str) -> None:
        """Raise for a column of another type, showing its first odd value."""
        values = array.tolist()
        fine = (int, float) if wanted == "numbers" else int
        odd = next((i for i, v in enumerate(values) if isinstance(v, bool) or not isinstance(v, fine)), 0)
        raise PolicyError(
            f"{name} must hold {wanted}: got dtype {array.dtype}, e.g. {values[odd]!r} in row {odd} of the machines. "
            "Convert the column first."
        )

    def devices(self, count: I64) -> I64:
        """Free milli-GPU of each device, (M, G), -1 beyond a machine's own."""
        wide = int(count.max())
        out = np.full((self.n, wide), -1, np.int64)
        array = self.get("gpu_free_mgpu")
        if wide == 0 and (array is None or array.dtype.kind in "iuf"):
            return out
        if array is None:
            raise PolicyError(
                "the machines have GPUs but no column gpu_free_mgpu: give the free milli-GPU of each device, a list "
                "of gpu_count whole numbers a row, 1000 for a device nobody uses."
            )
        if array.ndim == 2 and array.dtype.kind in "iu" and array.shape[1] >= wide:
            out[:] = np.where(np.arange(wide)[None, :] < count[:, None], array[:, :wide], -1)
        else:
            for row, (values, n) in enumerate(zip(array, count.tolist(), strict=True)):
                given = [] if values is None or np.ndim(values) == 0 else list(values)
                if isinstance(values, (str, bytes)) or len(given) < n or not all(_is_whole(v) for v in given[:n]):
                    many = f"a list of {n} whole numbers, one a device" if n else "an empty list without devices"
                    self.fail("gpu_free_mgpu", many, row, values)
                out[row, :n] = given[:n]
        mine = np.arange(wide)[None, :] < count[:, None]
        bad = np.argwhere(mine & ((out < 0) | (out > 1000)))
        if bad.size:
            self.fail("gpu_free_mgpu", "in 0..1000 for every device", int(bad[0][0]), out[bad[0][0]].tolist())
        return out

    def names(self, name: str, counts: npt.NDArray[np.bool_]) -> tuple[tuple[str, ...], I64]:
        """Texts → the different ones in order of appearance, and their numbers; -1 where missing."""
        array = self.get(name)
        if array is None:
            if name == "gpu_model" and counts.any():
                self.assume(name)
            return (), np.full(self.n, -1, np.int64)
        codes = np.full(self.n, -1, np.int64)
        array = self.one_value(name, array)
        values = array.tolist()
        if not counts.any():  # nobody looks at it, and still it holds texts
            odd = next(
                (row for row, one in enumerate(values) if not (one is None or one != one or type(one) is str)), -1
            )
            if odd >= 0:
                self.fail(name, "a text, or missing", odd, values[odd])
            return (), codes
        try:
            different = dict.fromkeys(values if counts.all() else itertools.compress(values, counts))
        except TypeError:  # a list, say: told below, with its row
            different = {0: None}
        if all((type(one) is str and one) or one is None or one != one for one in different):
            numbers = {one: code for code, one in enumerate(one for one in different if type(one) is str)}
            if numbers:
                codes[:] = [numbers.get(one, -1) for one in values]
            return tuple(numbers), np.where(counts, codes, -1)
        found: dict[str, int] = {}
        for row in np.flatnonzero(counts).tolist():
            value = values[row]
            if value is None or value != value:  # NaN is not equal to itself
                continue
            if not isinstance(value, str) or not value:
                self.fail(name, "a text, or missing", row, value)
            codes[row] = found.setdefault(value, len(found))
        return tuple(found), codes

    def kinds(self, some: bool) -> I64:
        """GPU tasks by kind, (5, M)."""
        array = self.get("gpu_kinds")
        if array is None:
            if some:
                self.assume("gpu_kinds")
            return np.zeros((5, self.n), np.int64)
        if array.dtype == object and all(np.shape(row) == (5,) for row in array):
            array = np.array([list(row) for row in array])  # lists in a frame
        rule = "5 whole numbers >= 0"
        if array.shape != (self.n, 5) or array.dtype.kind not in "iu":
            for row, values in enumerate(array.tolist() if array.ndim == 1 else ()):
                if np.shape(values) != (5,) or not all(_is_whole(value) for value in values):
                    self.fail("gpu_kinds", rule, row, values)
            raise PolicyError(f"gpu_kinds must be a table of {rule} a machine: got {array.dtype} {array.shape}.")
        bad = np.flatnonzero((array < 0).any(axis=1))
        if bad.size:
            self.fail("gpu_kinds", rule, int(bad[0]), array[bad[0]].tolist())
        return array.T.astype(np.int64)


def as_column(values: Any) -> npt.NDArray[Any]:
    """Values as an array; lists of unequal length, such as GPUs of each machine, as objects."""
    try:
        return np.asarray(values)
    except ValueError:  # numpy makes no table of them
        out = np.empty(len(values), object)
        out[:] = values
        return out


def _is_whole(value: Any) -> bool:
    """True for a whole number of whichever type; NaN, texts, lists and None are none."""
    if type(value) is int:
        return True
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (float, np.integer, np.floating)):
        return False
    return bool(np.isfinite(value) and int(value) == value)


@lru_cache(maxsize=256)
def _near(name: Any, known: tuple[Any, ...], cutoff: float = 0.8) -> str:
    import difflib

    found = difflib.get_close_matches(str(name), [str(one) for one in known], n=1, cutoff=cutoff)
    return found[0] if found else ""

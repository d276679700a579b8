"""``Cluster``: machines as they are now, from a pandas frame, a dict of arrays, or ``Machines``.

The table :data:`COLUMNS` says which columns there are; everything is checked, and what was not
given and had to be assumed is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, did_you_mean
from rlsched.policies.library.terms import Terms
from rlsched.sim.curves import curve_arrays
from rlsched.traces.columns import ANY_MODEL, MAX_GPU_MODELS, MAX_GPUS, MAX_QUANTITY, Machines

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


#: What a frame of machines may hold. Other columns are left alone.
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
        Column("busy_for_s", "float64", "s", "until its last task is expected to end", "its tasks end at once"),
        Column("oldest_task_s", "float64", "s", "for how long its oldest task has run", "its tasks began just now"),
        Column("in_use_s", "float64", "s", "since it last was without tasks", "its tasks began just now"),
        Column("gpu_kinds", "5 int64 a row", "tasks", "GPU tasks on it: shares, 1, 2, 4, 8 devices", "none of a kind"),
        Column("power_curve", "text", "", "name of its power curve", "power is not known"),
        Column("price_per_h", "float64", "US dollars per hour", "price; NaN: not known", "prices are not known"),
    )
}
#: Rows of ``Cluster.whole`` and ``Cluster.real``.
(CPU, MEM, GPU, TASKS, UP, CAP_CPU, CAP_MEM, CAP_GPU, GPUS, MODEL, CURVE, KIND) = range(12)
N_WHOLE = KIND + 5
INV_CPU, INV_MEM, INV_GPU, INV_PHYSICAL, PRICE, EXIT, FRAG, AGE = range(8)
N_REAL = AGE + 1
#: Rows of ``whole`` in which machines in equal state agree; devices, price and power besides.
_STATE = (CPU, MEM, UP, CAP_CPU, CAP_MEM, GPUS, MODEL, CURVE)


@dataclass
class Cluster:
    """Machines now, packed for the rules.

    Parameters
    ----------
    ids : (M,) array
    whole : (17, M) int64
        Free, tasks, up, capacities, devices, model, curve, kinds of GPU tasks.
    real : (8, M) float64
        Reciprocals of capacities (0 of 0), price, expected end of residents (now is 0), fragmentation, seconds in use.
    device : (M, G) int64, milli-GPU
        Free of each device; -1 where a machine has fewer.
    models : tuple of str
        Behind the numbers of ``whole[MODEL]``; one further number stands for those not known.
    curve_kind, curve_table
        As ``rlsched.sim.curves.curve_arrays`` gives them.
    assumed : tuple of str
        What was not given, and what was taken instead.
    """

    ids: npt.NDArray[Any]
    whole: I64
    real: F64
    device: I64
    models: tuple[str, ...]
    curve_kind: I64
    curve_table: F64
    assumed: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.whole.shape[1])

    def room_of(self, rows: I64) -> I64:
        """Columns in which machines in equal state agree, (R, C) int64, devices sorted."""
        price = self.real[PRICE, rows]
        price = np.where(np.isnan(price), -1.0, price).view(np.int64)
        packed: I64 = np.column_stack([*self.whole[:, rows][list(_STATE)], price, np.sort(self.device[rows], axis=1)])
        return np.ascontiguousarray(packed)

    def mask_of(self, names: tuple[str, ...], mask: I64) -> I64:
        """Bits over ``names`` → bits over this cluster's models; a model no machine has keeps no bit."""
        out = np.zeros_like(mask)
        for bit, name in enumerate(names):
            if name in self.models:
                out |= ((mask >> bit) & 1) << self.models.index(name)
        out[out == 0] = np.int64(1) << (len(self.models) + 1)  # beyond the number of those not known
        out[mask == ANY_MODEL] = ANY_MODEL
        return out

    def take(self, row: int, need: tuple[int, int], devices: tuple[int, ...], mgpu: int, kind: int, end: float) -> None:
        """Put a task on a machine: its room is less, its tasks one more."""
        self.whole[CPU, row] -= need[0]
        self.whole[MEM, row] -= need[1]
        self.whole[GPU, row] -= mgpu * len(devices)
        self.device[row, list(devices)] -= mgpu
        if devices:
            self.whole[KIND + kind, row] += 1
        before = self.whole[TASKS, row]
        self.whole[TASKS, row] += 1
        self.real[EXIT, row] = end if before == 0 else max(self.real[EXIT, row], end)
        self.real[AGE, row] = 0.0 if before == 0 else self.real[AGE, row]


def read_cluster(machines: Any, terms: Terms) -> Cluster:
    """Check machines and pack them.

    Parameters
    ----------
    machines : DataFrame, mapping of arrays, or Machines
        See :data:`COLUMNS`. ``Machines`` hold no tasks: everything is free.
    terms : Terms

    Raises
    ------
    PolicyError
        No machine, a missing column, a wrong type, a number outside its range; names column, row,
        machine and value.
    """
    if isinstance(machines, Cluster):
        return machines
    columns, n, ids = _columns(machines)
    if n == 0:
        raise PolicyError("there is no machine to place on: got 0 rows. Pass at least one.")
    table = _Table(columns, n, ids)
    whole, real = np.zeros((N_WHOLE, n), np.int64), np.zeros((N_REAL, n))
    physical = table.whole("cpu_mcore")
    whole[CAP_CPU] = np.floor(physical * terms.cpu_ratio).astype(np.int64)
    whole[CAP_MEM] = np.floor(table.whole("mem_mib") * terms.mem_ratio).astype(np.int64)
    whole[CPU] = table.whole("cpu_free_mcore", most=whole[CAP_CPU], of="what the machine offers (cpu_mcore)")
    whole[MEM] = table.whole("mem_free_mib", most=whole[CAP_MEM], of="what the machine offers (mem_mib)")
    whole[GPUS] = table.whole("gpu_count", most=MAX_GPUS, of="devices a machine can have", other=0)
    whole[CAP_GPU] = whole[GPUS] * 1000
    device = table.devices(whole[GPUS])
    whole[GPU] = np.where(device > 0, device, 0).sum(axis=1)
    models, whole[MODEL] = table.names("gpu_model", whole[GPUS] > 0)
    if len(models) >= MAX_GPU_MODELS:
        raise PolicyError(f"at most {MAX_GPU_MODELS - 1} GPU models can take part: got {len(models)}.")
    whole[MODEL] = np.where((whole[GPUS] > 0) & (whole[MODEL] < 0), len(models), whole[MODEL])
    whole[UP] = table.flag("up")
    free = (whole[CPU] == whole[CAP_CPU]) & (whole[MEM] == whole[CAP_MEM]) & (whole[GPU] == whole[CAP_GPU])
    whole[TASKS] = table.whole("tasks", other=(~free).astype(np.int64), bind=False)
    whole[KIND:] = table.kinds(bool((whole[GPU] < whole[CAP_GPU]).any()))
    curve_names, whole[CURVE] = table.names("power_curve", np.ones(n, bool))
    kind, curves = curve_arrays([terms.curve(name) for name in curve_names])
    for row, capacity in ((INV_CPU, whole[CAP_CPU]), (INV_MEM, whole[CAP_MEM]), (INV_GPU, whole[CAP_GPU])):
        np.divide(1.0, capacity, out=real[row], where=capacity > 0)
    np.divide(1.0, physical, out=real[INV_PHYSICAL], where=physical > 0)
    real[PRICE] = table.real("price_per_h", np.nan, low=0.0)
    ages = terms.lifetime == "unknown"
    exit_s = -table.real("oldest_task_s", 0.0, low=0.0) if ages else table.real("busy_for_s", 0.0)
    real[EXIT] = np.where(whole[TASKS] > 0, exit_s, np.inf if ages else -np.inf)
    real[AGE] = np.where(whole[TASKS] > 0, table.real("in_use_s", 0.0, low=0.0), 0.0)
    return Cluster(table.ids(), whole, real, device, models, kind, curves, tuple(table.assumed))


def _columns(machines: Any) -> tuple[dict[str, Any], int, Any]:
    """Columns by name, rows, and what stands for the machines' names where there is no column of them."""
    if isinstance(machines, Machines):
        return _of_machines(machines), len(machines), None
    if hasattr(machines, "columns") and hasattr(machines, "iloc"):  # a DataFrame, without importing pandas
        names = [str(name) for name in machines.columns]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise PolicyError(f"column {sorted(twice)[0]!r} of the machines is there twice. Keep one.")
        return {name: machines[name].to_numpy() for name in names}, len(machines), machines.index
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


class _Table:
    """Reads columns one by one, checks them, and notes what was assumed."""

    def __init__(self, columns: dict[str, Any], n: int, index: Any) -> None:
        self.columns, self.n, self.index = columns, n, index
        self.assumed: list[str] = []
        absent = [name for name, column in COLUMNS.items() if column.required and name not in columns]
        if absent:
            what = ", ".join(f"{name} ({COLUMNS[name].unit}; {COLUMNS[name].meaning})" for name in absent)
            # A column that is ours already is not the one meant by another name.
            near = did_you_mean(absent[0], [name for name in columns if name not in COLUMNS])
            pairs = {"cpu_free_mcore": "cpu_mcore", "mem_free_mib": "mem_mib"}
            same = [f"{name} = {pairs[name]}" for name in absent if pairs.get(name) in columns]
            raise PolicyError(
                f"the machines lack column{'s' if len(absent) > 1 else ''} {what}."
                + (f" Of machines with nothing on them: {', '.join(same)}." if same else "")
                + (near if "Did you mean" in near or not same else "")
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
        array = np.asarray(self.columns[name])
        if array.ndim == 0 or array.shape[0] != self.n:
            raise PolicyError(f"column {name} of the machines must have {self.n} rows: got shape {array.shape}.")
        return array

    def assume(self, name: str) -> None:
        """Note that a column was not given."""
        self.assumed.append(f"no column {name}: {COLUMNS[name].without}")

    def fail(self, name: str, rule: str, row: int, value: Any) -> None:
        """Raise, naming column, rule, value, row and machine."""
        unit = COLUMNS[name].unit
        raise PolicyError(
            f"{name} must be {rule}: got {value!r}{f' {unit}' if unit else ''} in row {row} of the machines "
            f"(machine {str(self.ids()[row])!r}). Correct that row."
        )

    def ids(self) -> npt.NDArray[Any]:
        """Names of the machines."""
        given = self.get("machine_id")
        if given is not None:
            return given
        return np.arange(self.n) if self.index is None else np.asarray(self.index)

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

    def real(self, name: str, other: float, *, low: float = -np.inf) -> F64:
        """A column of numbers; NaN stands for not known."""
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
        return values if name == "price_per_h" else np.where(np.isnan(values), other, values)

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
        odd = next((i for i, v in enumerate(array.tolist()) if isinstance(v, bool) or not isinstance(v, int)), 0)
        raise PolicyError(
            f"{name} must hold {wanted}: got dtype {array.dtype}, e.g. {array[odd]!r} in row {odd} of the machines. "
            "Convert the column first."
        )

    def devices(self, count: I64) -> I64:
        """Free milli-GPU of each device, (M, G), -1 beyond a machine's own."""
        wide = int(count.max())
        out = np.full((self.n, wide), -1, np.int64)
        if wide == 0:
            return out
        array = self.get("gpu_free_mgpu")
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
                if len(given) < n or any(isinstance(v, bool) or int(v) != v for v in given[:n]):
                    self.fail("gpu_free_mgpu", f"a list of {n} whole numbers, one a device", row, values)
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
        if not counts.any():
            return (), codes
        values = array.tolist()
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
        if array.shape != (self.n, 5) or array.dtype.kind not in "iu" or (array < 0).any():
            raise PolicyError(
                f"gpu_kinds must be a table of 5 whole numbers >= 0 a machine: got {array.dtype} {array.shape}."
            )
        return array.T.astype(np.int64)


@lru_cache(maxsize=256)
def _near(name: str, known: tuple[str, ...]) -> str:
    import difflib

    found = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return found[0] if found else ""

"""The nouns every other package speaks: ``Trace``, ``Machines``, ``Usage``, ``Demand``.

Each is one frozen dataclass of numpy arrays; a row number is an identity. Requests and
capacities are whole numbers (``int64`` millicores, MiB, milli-GPU), so conservation is ``==``.
Measured usage is ``float64`` and missing is NaN, never 0. ``validate()`` states every invariant.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
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
_ABSENT: Any = None  # an optional column that was not given; __post_init__ fills it
MAX_QUANTITY = 2**53  # larger whole numbers are not exact in float64, which scores are computed in


@dataclass(frozen=True)
class Drop:
    """One rule that made a reader drop or change rows.

    Parameters
    ----------
    rule : str
        What the rows broke, in words, e.g. ``"deletion before creation"``.
    action : str
        What was done. An action that begins with ``"dropped"`` or ``"merged"`` took rows away;
        after any other the rows are still there.
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


def _column(name: str, value: Any, dtype: type | None, length: int | None) -> npt.NDArray[Any]:
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


class _Columns:
    """Shared behaviour of the four nouns: length, selection of rows, equality of content."""

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


@dataclass(frozen=True, eq=False)
class Trace(_Columns):
    """What happened: virtual machines, pods, jobs — all are *tasks*, one row each.

    Parameters
    ----------
    task_id : (K,) object of str, or int64
        Foreign label, unique.
    arrive_s : (K,) int64 or float64, seconds
        From the start of the trace, ``>= 0``, ascending.
    depart_s : (K,) same dtype as ``arrive_s``, seconds
        ``>= arrive_s``, or -1 where the end is not known (right-censored or never recorded).
    cpu_mcore, mem_mib : (K,) int64
        Request, ``>= 0``.
    gpu_count : (K,) int64
        Devices asked for, 0..31.
    gpu_mgpu : (K,) int64, milli-GPU
        Share of *each* device, 1..1000 where ``gpu_count > 0``, otherwise 0.
    gpu_model_mask : (K,) int64
        Bit ``i`` allows ``gpu_models[i]``; -1 allows every model.
    priority : (K,) int64
        Larger is more urgent; 0 by default.
    tenant, group : (K,) int64
        Codes, -1 where there is none. A group is what a constraint speaks about
        (deployment, job, batch).
    group_limit : (K,) int64
        Tasks of the same group one machine may hold; 0 is no limit, 1 is anti-affinity.
    last_seen_s : (K,) same dtype as ``arrive_s``, seconds
        Where ``depart_s`` is -1: the last moment the task is known to have run (the censoring
        time), or -1. Equal to ``depart_s`` elsewhere.
    expected_s : (K,) float64, seconds
        A *predicted* life span made without looking ahead; NaN where there is none.
    gpu_models : tuple of str
        Names behind the bits of ``gpu_model_mask``.
    source : str
        File or profile the rows come from.
    meta : dict
        Provenance: sha256 of the files, reader, options, licence.
    report : DropReport
        What the reader dropped or changed.
    """

    task_id: npt.NDArray[Any]
    arrive_s: npt.NDArray[Any]
    depart_s: npt.NDArray[Any]
    cpu_mcore: I64
    mem_mib: I64
    gpu_count: I64 = _ABSENT
    gpu_mgpu: I64 = _ABSENT
    gpu_model_mask: I64 = _ABSENT
    priority: I64 = _ABSENT
    tenant: I64 = _ABSENT
    group: I64 = _ABSENT
    group_limit: I64 = _ABSENT
    last_seen_s: npt.NDArray[Any] = _ABSENT
    expected_s: F64 = _ABSENT
    gpu_models: tuple[str, ...] = ()
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = (
        "task_id",
        "arrive_s",
        "depart_s",
        "cpu_mcore",
        "mem_mib",
        "gpu_count",
        "gpu_mgpu",
        "gpu_model_mask",
        "priority",
        "tenant",
        "group",
        "group_limit",
        "last_seen_s",
        "expected_s",
    )
    #: Value of an optional column when it is not given.
    DEFAULTS: ClassVar[dict[str, int]] = {
        "gpu_count": 0,
        "gpu_mgpu": 0,
        "gpu_model_mask": ANY_MODEL,
        "priority": 0,
        "tenant": UNKNOWN,
        "group": UNKNOWN,
        "group_limit": 0,
    }

    def __post_init__(self) -> None:
        ids = np.asarray(self.task_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        k = ids.shape[0]
        put = object.__setattr__
        put(self, "task_id", _column("task_id", ids, None, k))
        time_dtype = np.result_type(np.asarray(self.arrive_s), np.asarray(self.depart_s))
        time_type: type = np.int64 if time_dtype.kind in "iu" else np.float64
        put(self, "arrive_s", _column("arrive_s", self.arrive_s, time_type, k))
        put(self, "depart_s", _column("depart_s", self.depart_s, time_type, k))
        for name in ("cpu_mcore", "mem_mib"):
            put(self, name, _column(name, getattr(self, name), np.int64, k))
        for name, default in self.DEFAULTS.items():
            value = getattr(self, name)
            value = np.full(k, default, np.int64) if value is None else value
            put(self, name, _column(name, value, np.int64, k))
        last_seen = self.depart_s if self.last_seen_s is None else self.last_seen_s
        put(self, "last_seen_s", _column("last_seen_s", last_seen, time_type, k))
        expected = np.full(k, np.nan) if self.expected_s is None else self.expected_s
        put(self, "expected_s", _column("expected_s", expected, np.float64, k))

    def validate(self) -> Trace:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            Names the column, the rule, the first offending value with its row and task id,
            and what to do.
        """
        fix = "Fix the row, or drop it before reading."
        if len(self) == 0:
            raise TraceError(f"a trace must have at least one task: {self.source or 'these columns'} has none.")
        for name in ("arrive_s", "depart_s", "last_seen_s"):
            self._fail(name, "finite", np.flatnonzero(~np.isfinite(getattr(self, name))), fix)
        self._fail("arrive_s", ">= 0", np.flatnonzero(self.arrive_s < 0), fix)
        drop = np.flatnonzero(np.diff(self.arrive_s) < 0) + 1
        self._fail("arrive_s", "ascending", drop, "Sort the rows by arrive_s (readers do, and say so).")
        known = self.depart_s != UNKNOWN
        self._fail("depart_s", ">= arrive_s, or -1", np.flatnonzero(known & (self.depart_s < self.arrive_s)), fix)
        seen = self.last_seen_s != UNKNOWN
        self._fail("last_seen_s", ">= arrive_s, or -1", np.flatnonzero(seen & (self.last_seen_s < self.arrive_s)), fix)
        self._fail(
            "last_seen_s",
            "equal to depart_s where that is known",
            np.flatnonzero(known & (self.last_seen_s != self.depart_s)),
            fix,
        )
        for name in ("cpu_mcore", "mem_mib"):
            value = getattr(self, name)
            self._fail(name, f"in 0..{MAX_QUANTITY}", np.flatnonzero((value < 0) | (value > MAX_QUANTITY)), fix)
        self._fail(
            "gpu_count", f"in 0..{MAX_GPUS}", np.flatnonzero((self.gpu_count < 0) | (self.gpu_count > MAX_GPUS)), fix
        )
        wants = self.gpu_count > 0
        self._fail(
            "gpu_mgpu",
            "in 1..1000 where gpu_count > 0",
            np.flatnonzero(wants & ((self.gpu_mgpu < 1) | (self.gpu_mgpu > 1000))),
            fix,
        )
        self._fail("gpu_mgpu", "0 where gpu_count is 0", np.flatnonzero(~wants & (self.gpu_mgpu != 0)), fix)
        nothing = (self.cpu_mcore == 0) & (self.mem_mib == 0) & ~wants
        self._fail("cpu_mcore", "> 0 in a row that asks for nothing else", np.flatnonzero(nothing), fix)
        self._fail("group_limit", ">= 0", np.flatnonzero(self.group_limit < 0), fix)
        self._fail(
            "group_limit", "0 in a row without a group", np.flatnonzero((self.group_limit > 0) & (self.group < 0)), fix
        )
        for name in ("tenant", "group"):
            self._fail(name, ">= 0, or -1 for none", np.flatnonzero(getattr(self, name) < UNKNOWN), fix)
        if len(self.gpu_models) > MAX_GPU_MODELS or len(set(self.gpu_models)) != len(self.gpu_models):
            raise TraceError(
                f"gpu_models must be at most {MAX_GPU_MODELS} different names: got {len(self.gpu_models)}."
            )
        self._fail(
            "gpu_model_mask",
            f"-1, or bits of the {len(self.gpu_models)} known models",
            np.flatnonzero(
                (self.gpu_model_mask != ANY_MODEL)
                & ((self.gpu_model_mask <= 0) | (self.gpu_model_mask >> len(self.gpu_models) != 0))
            ),
            fix,
        )
        expected = self.expected_s
        self._fail("expected_s", "> 0, or NaN for unknown", np.flatnonzero(~np.isnan(expected) & ~(expected > 0)), fix)
        _check_unique(self.task_id, "task_id", self.source)
        return self

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Trace:
        """The given rows, in the given order, with the same names and provenance."""
        picked = {name: getattr(self, name)[rows] for name in self.ROW_COLUMNS}
        return dataclasses.replace(self, **picked)


@dataclass(frozen=True, eq=False)
class Machines(_Columns):
    """What tasks run on: hosts, nodes — one row each.

    Parameters
    ----------
    machine_id : (M,) object of str, or int64
        Foreign label, unique.
    cpu_mcore, mem_mib : (M,) int64
        Capacity, ``>= 0``, not both 0.
    gpu_count : (M,) int64
        Devices, 0..31, each of 1000 milli-GPU.
    gpu_model : (M,) int64
        Index into ``gpu_models``; -1 where there is no GPU.
    power_curve : (M,) int64
        Index into ``power_curves`` (names known to ``rlsched.sim.power``); -1 where unknown.
    site : (M,) int64
        Index into ``sites``; -1 where unknown.
    price_per_h : (M,) float64, US dollars per hour
        NaN where unknown.
    """

    machine_id: npt.NDArray[Any]
    cpu_mcore: I64
    mem_mib: I64
    gpu_count: I64 = _ABSENT
    gpu_model: I64 = _ABSENT
    power_curve: I64 = _ABSENT
    site: I64 = _ABSENT
    price_per_h: F64 = _ABSENT
    gpu_models: tuple[str, ...] = ()
    power_curves: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = (
        "machine_id",
        "cpu_mcore",
        "mem_mib",
        "gpu_count",
        "gpu_model",
        "power_curve",
        "site",
        "price_per_h",
    )
    DEFAULTS: ClassVar[dict[str, int]] = {"gpu_count": 0, "gpu_model": -1, "power_curve": -1, "site": -1}

    def __post_init__(self) -> None:
        ids = np.asarray(self.machine_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        m = ids.shape[0]
        put = object.__setattr__
        put(self, "machine_id", _column("machine_id", ids, None, m))
        for name in ("cpu_mcore", "mem_mib"):
            put(self, name, _column(name, getattr(self, name), np.int64, m))
        for name, default in self.DEFAULTS.items():
            value = getattr(self, name)
            value = np.full(m, default, np.int64) if value is None else value
            put(self, name, _column(name, value, np.int64, m))
        price = np.full(m, np.nan) if self.price_per_h is None else self.price_per_h
        put(self, "price_per_h", _column("price_per_h", price, np.float64, m))

    def validate(self) -> Machines:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            As :meth:`Trace.validate`.
        """
        fix = "Fix the row, or drop it before reading."
        if len(self) == 0:
            raise TraceError(f"a machine list must have at least one row: {self.source or 'these columns'} has none.")
        for name in ("cpu_mcore", "mem_mib"):
            value = getattr(self, name)
            self._fail(name, f"in 0..{MAX_QUANTITY}", np.flatnonzero((value < 0) | (value > MAX_QUANTITY)), fix)
        self._fail(
            "cpu_mcore", "> 0 in a row without memory", np.flatnonzero((self.cpu_mcore == 0) & (self.mem_mib == 0)), fix
        )
        self._fail(
            "gpu_count", f"in 0..{MAX_GPUS}", np.flatnonzero((self.gpu_count < 0) | (self.gpu_count > MAX_GPUS)), fix
        )
        for name, names in (("gpu_model", self.gpu_models), ("power_curve", self.power_curves), ("site", self.sites)):
            value = getattr(self, name)
            self._fail(
                name,
                f"in -1..{len(names) - 1} (known: {', '.join(names) or 'none'})",
                np.flatnonzero((value < -1) | (value >= len(names))),
                fix,
            )
        price = self.price_per_h
        self._fail("price_per_h", ">= 0, or NaN for unknown", np.flatnonzero(~np.isnan(price) & ~(price >= 0)), fix)
        _check_unique(self.machine_id, "machine_id", self.source)
        return self

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Machines:
        """The given rows, in the given order, with the same names and provenance."""
        picked = {name: getattr(self, name)[rows] for name in self.ROW_COLUMNS}
        return dataclasses.replace(self, **picked)


@dataclass(frozen=True, eq=False)
class Usage(_Columns):
    """Measured load of tasks over time, ragged: series ``i`` owns ``offset[i]:offset[i+1]``.

    Parameters
    ----------
    series_id : (S,) object of str, or int64
        The task or machine measured, unique.
    offset : (S + 1,) int64
        Ascending from 0 to the number of samples.
    start_s : (S,) int64, seconds
        Time of the first sample of each series.
    step_s : int
        Seconds between samples, ``> 0``, the same for all.
    cpu_share, mem_share : (n,) float64
        Share of the request, 0..1 or more when bursting; NaN where missing, never 0 for missing.
        ``mem_share`` is all NaN where memory was not measured.
    extra : dict of str to (n,) float64
        Other measured columns by unit-suffixed name (``net_in_kib_s``, ``gpu_share``, ...).
    cpu_mcore, mem_mib : (S,) int64
        The request the shares refer to; -1 where the source does not say.
    """

    series_id: npt.NDArray[Any]
    offset: I64
    start_s: I64
    step_s: int
    cpu_share: F64
    mem_share: F64 = _ABSENT
    extra: dict[str, F64] = field(default_factory=dict)
    cpu_mcore: I64 = _ABSENT
    mem_mib: I64 = _ABSENT
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = ("series_id", "start_s", "cpu_mcore", "mem_mib")
    SAMPLE_COLUMNS: ClassVar[tuple[str, ...]] = ("cpu_share", "mem_share")

    def __post_init__(self) -> None:
        ids = np.asarray(self.series_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        s = ids.shape[0]
        put = object.__setattr__
        put(self, "series_id", _column("series_id", ids, None, s))
        put(self, "offset", _column("offset", self.offset, np.int64, s + 1))
        put(self, "start_s", _column("start_s", self.start_s, np.int64, s))
        n = int(self.offset[-1]) if self.offset.size else 0
        put(self, "cpu_share", _column("cpu_share", self.cpu_share, np.float64, n))
        mem = np.full(n, np.nan) if self.mem_share is None else self.mem_share
        put(self, "mem_share", _column("mem_share", mem, np.float64, n))
        put(self, "extra", {k: _column(k, v, np.float64, n) for k, v in self.extra.items()})
        for name in ("cpu_mcore", "mem_mib"):
            value = getattr(self, name)
            value = np.full(s, UNKNOWN, np.int64) if value is None else value
            put(self, name, _column(name, value, np.int64, s))

    def validate(self) -> Usage:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            As :meth:`Trace.validate`.
        """
        where = self.source or "these columns"
        if len(self) == 0:
            raise TraceError(f"usage must have at least one series: {where} has none.")
        if self.step_s <= 0:
            raise TraceError(f"step_s must be > 0: got {self.step_s} in {where}.")
        if self.offset[0] != 0 or bool((np.diff(self.offset) < 0).any()):
            raise TraceError(f"offset must ascend from 0 in {where}. Build it with np.cumsum of the lengths.")
        for name in (*self.SAMPLE_COLUMNS, *self.extra):
            value = self.extra[name] if name in self.extra else getattr(self, name)
            bad = np.flatnonzero(np.isinf(value) | (value < 0))
            if bad.size:
                series = int(np.searchsorted(self.offset, bad[0], side="right") - 1)
                raise TraceError(
                    f"{name} must be >= 0 and finite, or NaN for missing: got {value[bad[0]]} in sample "
                    f"{bad[0] - self.offset[series]} of series {str(self.series_id[series])!r} of {where} "
                    f"(and {bad.size - 1} more). Fix the sample or mark it missing."
                )
        _check_unique(self.series_id, "series_id", self.source)
        return self

    def series(self, row: int, column: str = "cpu_share") -> F64:
        """The samples of one series, ``(n,)`` float64."""
        value = self.extra[column] if column in self.extra else getattr(self, column)
        out: F64 = value[self.offset[row] : self.offset[row + 1]]
        return out


@dataclass(frozen=True, eq=False)
class Demand(_Columns):
    """Load offered to services over time, on one regular grid.

    Parameters
    ----------
    service_id : (S,) object of str, or int64
        Unique.
    start_s : int
        Time of the first step, seconds.
    step_s : int
        Seconds a step, ``> 0``.
    rate : (S, T) float64
        Load in ``unit``, mean over the step; NaN where missing.
    unit : str
        E.g. ``"requests/s"``, ``"cores"``, ``"gpus"``.
    """

    service_id: npt.NDArray[Any]
    start_s: int
    step_s: int
    rate: F64
    unit: str = "requests/s"
    source: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    report: DropReport = field(default_factory=DropReport)

    ROW_COLUMNS: ClassVar[tuple[str, ...]] = ("service_id",)

    def __post_init__(self) -> None:
        ids = np.asarray(self.service_id)
        if ids.dtype.kind in "US":
            ids = ids.astype(object)
        object.__setattr__(self, "service_id", _column("service_id", ids, None, None))
        rate = np.asarray(self.rate, dtype=np.float64)
        if rate.ndim != 2 or rate.shape[0] != ids.shape[0]:
            raise TraceError(f"rate must have shape (services, steps) = ({ids.shape[0]}, T): got {rate.shape}.")
        rate = rate.view()
        rate.flags.writeable = False
        object.__setattr__(self, "rate", rate)

    def validate(self) -> Demand:
        """Check every invariant of the class docstring; return self.

        Raises
        ------
        TraceError
            As :meth:`Trace.validate`.
        """
        where = self.source or "these columns"
        if len(self) == 0 or self.rate.shape[1] == 0:
            raise TraceError(f"demand must have at least one service and one step: {where} has none.")
        if self.step_s <= 0:
            raise TraceError(f"step_s must be > 0: got {self.step_s} in {where}.")
        bad = np.argwhere(np.isinf(self.rate) | (self.rate < 0))
        if bad.size:
            s, t = bad[0]
            raise TraceError(
                f"rate must be >= 0 and finite, or NaN for missing: got {self.rate[s, t]} at step {t} of service "
                f"{str(self.service_id[s])!r} of {where} (and {len(bad) - 1} more). Fix it or mark it missing."
            )
        _check_unique(self.service_id, "service_id", self.source)
        return self


Columns = Trace | Machines | Usage | Demand


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray):
        return bool(a == b)
    floats = a.dtype.kind == "f" or b.dtype.kind == "f"
    return bool(np.array_equal(a, b, equal_nan=True) if floats else np.array_equal(a, b))


def _check_unique(ids: npt.NDArray[Any], name: str, source: str) -> None:
    if ids.dtype.kind in "iu":
        values, counts = np.unique(ids, return_counts=True)
        twice: Any = values[counts > 1][0] if (counts > 1).any() else None
    else:
        seen: set[Any] = set()
        twice = next((x for x in ids if x in seen or seen.add(x)), None)  # type: ignore[func-returns-value]
    if twice is not None:
        rows = np.flatnonzero(ids == twice)[:3]
        raise TraceError(
            f"{name} must be unique: got {str(twice)!r} in rows {', '.join(map(str, rows))} of "
            f"{source or 'these columns'}. Rename or drop the repeated rows."
        )

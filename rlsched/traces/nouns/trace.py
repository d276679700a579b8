"""What happened: one task a row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.nouns.base import (
    ABSENT,
    ANY_MODEL,
    F64,
    I64,
    MAX_GPU_MODELS,
    MAX_GPUS,
    MAX_QUANTITY,
    UNKNOWN,
    ColumnsBase,
    DropReport,
    check_unique,
    column,
)


@dataclass(frozen=True, eq=False)
class Trace(ColumnsBase):
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
    gpu_count: I64 = ABSENT
    gpu_mgpu: I64 = ABSENT
    gpu_model_mask: I64 = ABSENT
    priority: I64 = ABSENT
    tenant: I64 = ABSENT
    group: I64 = ABSENT
    group_limit: I64 = ABSENT
    last_seen_s: npt.NDArray[Any] = ABSENT
    expected_s: F64 = ABSENT
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
        put(self, "task_id", column("task_id", ids, None, k))
        time_dtype = np.result_type(np.asarray(self.arrive_s), np.asarray(self.depart_s))
        time_type: type = np.int64 if time_dtype.kind in "iu" else np.float64
        put(self, "arrive_s", column("arrive_s", self.arrive_s, time_type, k))
        put(self, "depart_s", column("depart_s", self.depart_s, time_type, k))
        for name in ("cpu_mcore", "mem_mib"):
            put(self, name, column(name, getattr(self, name), np.int64, k))
        for name, default in self.DEFAULTS.items():
            value = getattr(self, name)
            value = np.full(k, default, np.int64) if value is None else value
            put(self, name, column(name, value, np.int64, k))
        last_seen = self.depart_s if self.last_seen_s is None else self.last_seen_s
        put(self, "last_seen_s", column("last_seen_s", last_seen, time_type, k))
        expected = np.full(k, np.nan) if self.expected_s is None else self.expected_s
        put(self, "expected_s", column("expected_s", expected, np.float64, k))

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
        check_unique(self.task_id, "task_id", self.source)
        return self

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Trace:
        """The given rows, in the given order, with the same names and provenance."""
        picked = {name: getattr(self, name)[rows] for name in self.ROW_COLUMNS}
        return dataclasses.replace(self, **picked)

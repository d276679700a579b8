"""What tasks run on: one machine a row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.nouns.base import (
    ABSENT,
    F64,
    I64,
    MAX_GPUS,
    MAX_QUANTITY,
    ColumnsBase,
    DropReport,
    check_unique,
    column,
)


@dataclass(frozen=True, eq=False)
class Machines(ColumnsBase):
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
    gpu_count: I64 = ABSENT
    gpu_model: I64 = ABSENT
    power_curve: I64 = ABSENT
    site: I64 = ABSENT
    price_per_h: F64 = ABSENT
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
        put(self, "machine_id", column("machine_id", ids, None, m))
        for name in ("cpu_mcore", "mem_mib"):
            put(self, name, column(name, getattr(self, name), np.int64, m))
        for name, default in self.DEFAULTS.items():
            value = getattr(self, name)
            value = np.full(m, default, np.int64) if value is None else value
            put(self, name, column(name, value, np.int64, m))
        price = np.full(m, np.nan) if self.price_per_h is None else self.price_per_h
        put(self, "price_per_h", column("price_per_h", price, np.float64, m))

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
        check_unique(self.machine_id, "machine_id", self.source)
        return self

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Machines:
        """The given rows, in the given order, with the same names and provenance."""
        picked = {name: getattr(self, name)[rows] for name in self.ROW_COLUMNS}
        return dataclasses.replace(self, **picked)

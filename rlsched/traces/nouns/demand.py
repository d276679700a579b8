"""Load offered to services over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.nouns.base import (
    F64,
    ColumnsBase,
    DropReport,
    check_unique,
    column,
)


@dataclass(frozen=True, eq=False)
class Demand(ColumnsBase):
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
        object.__setattr__(self, "service_id", column("service_id", ids, None, None))
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
        check_unique(self.service_id, "service_id", self.source)
        return self

"""Events: their kinds, their total order, and where machine failures come from.

The order is ``(time, kind, row)`` with
``depart < fail < repair < boot done < move done < tick < arrive``: at one moment what frees
capacity comes before what takes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.rng import stream

DEPART, FAIL, REPAIR, BOOT_DONE, MOVE_DONE, TICK, ARRIVE = range(7)
KINDS = ("depart", "fail", "repair", "boot done", "move done", "tick", "arrive")


@dataclass(frozen=True)
class MachineEvents:
    """Failures and repairs, in the total order.

    A machine that fails while down, or is repaired while up, stays as it is.

    Parameters
    ----------
    time_s : (E,) float64, seconds
    kind : (E,) int64
        ``FAIL`` or ``REPAIR``.
    machine : (E,) int64
        Row of the machine list.
    """

    time_s: npt.NDArray[np.float64]
    kind: npt.NDArray[np.int64]
    machine: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> MachineEvents:
        """No failures."""
        return cls(np.empty(0, np.float64), np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def of(cls, rows: list[tuple[float, int, int]], n_machines: int) -> MachineEvents:
        """From ``(time_s, kind, machine)`` rows, e.g. of a trace; sorts them into the total order.

        Raises
        ------
        SpecError
            When a kind or machine is not known, or a time is not finite.
        """
        for row, (time, kind, machine) in enumerate(rows):
            if kind not in (FAIL, REPAIR):
                raise SpecError(f"machine event {row}: kind must be {FAIL} (fail) or {REPAIR} (repair): got {kind}.")
            if not 0 <= machine < n_machines:
                raise SpecError(f"machine event {row}: machine must be in 0..{n_machines - 1}: got {machine}.")
            if not np.isfinite(time):
                raise SpecError(f"machine event {row}: time_s must be finite: got {time}.")
        rows = sorted(rows)
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        time_s, kinds, machines = (list(column) for column in columns)
        return cls(np.array(time_s, np.float64), np.array(kinds, np.int64), np.array(machines, np.int64))

    @classmethod
    def random(
        cls, n_machines: int, start_s: float, stop_s: float, *, mtbf_s: float, mttr_s: float, seed: int
    ) -> MachineEvents:
        """Independent alternating renewal processes: exponential up times and down times.

        Parameters
        ----------
        n_machines : int
        start_s, stop_s : float
            All machines are up at ``start_s``; events lie in ``(start_s, stop_s]``.
        mtbf_s, mttr_s : float
            Mean time between failures (up time) and to repair, seconds, ``> 0``.
        seed : int
            Root seed; every machine draws from its own stream, so adding machines leaves the
            failures of the others as they were.

        Raises
        ------
        SpecError
            When a mean is not positive or the span not finite.
        """
        if not (mtbf_s > 0 and mttr_s > 0):
            raise SpecError(f"mtbf_s and mttr_s must be > 0: got {mtbf_s} and {mttr_s}.")
        if not (np.isfinite(start_s) and np.isfinite(stop_s)):
            raise SpecError(f"failures need a finite span: got {start_s}..{stop_s}.")
        rows: list[tuple[float, int, int]] = []
        for machine in range(n_machines):
            draw = stream(seed, "failures", machine)
            time, up = start_s, True
            while True:
                time += float(draw.exponential(mtbf_s if up else mttr_s))
                if time > stop_s:
                    break
                rows.append((time, FAIL if up else REPAIR, machine))
                up = not up
        return cls.of(rows, n_machines)

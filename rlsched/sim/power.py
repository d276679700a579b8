"""Watts of a machine at a utilisation, compiled; the curves themselves are in ``curves.py``.

Power of a machine that is *switched off* is not on the curve: 0 % is a machine running idle.
"""

from __future__ import annotations

import math

from rlsched.sim.compile import njit
from rlsched.sim.curves import (
    CUBIC,
    CUBIC_ROOT,
    F64,
    KINDS,
    LINEAR,
    POINTS,
    POWER_CURVES,
    SQRT,
    SQUARE,
    TABLE,
    PowerCurve,
    curve_arrays,
    find_curve,
)

__all__ = ["KINDS", "POINTS", "POWER_CURVES", "TABLE", "PowerCurve", "curve_arrays", "find_curve", "watts"]


@njit
def watts(kind: int, table_row: F64, utilisation: float) -> float:
    """Power drawn at a utilisation, watts.

    Parameters
    ----------
    kind : int
        One of :data:`KINDS`.
    table_row : (11,) float64, watts
        As :func:`curve_arrays` makes it.
    utilisation : float
        Share of the CPU in use, 0..1.

    Returns
    -------
    float
        NaN for a utilisation outside 0..1 (NaN included), so that a wrong load cannot pass for a
        plausible energy.

    Notes
    -----
    Tables: the operations and their order are those of CloudSim 3.0.3 (``PowerModelSpecPower``),
    because energies are compared to the last digits. Its special case for multiples of 0.1
    never changes the result: there, floor and ceiling agree and the slope is 0.
    """
    if not (utilisation >= 0.0 and utilisation <= 1.0):
        return math.nan
    if kind == TABLE:
        low = math.floor(utilisation * 10.0)
        high = math.ceil(utilisation * 10.0)
        at_low: float = table_row[low]
        slope: float = (table_row[high] - at_low) / 10.0
        return at_low + slope * (utilisation - low / 10.0) * 100.0
    idle: float = table_row[0]
    span: float = table_row[1] - idle
    if kind == LINEAR:
        return idle + span * utilisation
    if kind == SQUARE:
        return idle + span * (utilisation * utilisation)
    if kind == CUBIC:
        return idle + span * (utilisation * utilisation * utilisation)
    if kind == SQRT:
        return idle + span * math.sqrt(utilisation)
    if kind == CUBIC_ROOT:
        return idle + span * math.pow(utilisation, 1.0 / 3.0)
    return math.nan

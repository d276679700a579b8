"""Calls a scaling rule by its number."""

from __future__ import annotations

from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling.rules.autopilot import autopilot
from rlsched.sim.scaling.rules.band import band
from rlsched.sim.scaling.rules.ewma import ewma
from rlsched.sim.scaling.rules.forecast_sigma import forecast_sigma
from rlsched.sim.scaling.rules.hpa import hpa
from rlsched.sim.scaling.rules.keda import keda
from rlsched.sim.scaling.rules.memory import F64
from rlsched.sim.scaling.rules.mpc import mpc
from rlsched.sim.scaling.rules.newsvendor import newsvendor
from rlsched.sim.scaling.rules.reactive_max import reactive_max
from rlsched.sim.scaling.rules.static import static
from rlsched.sim.scaling.rules.step_scaling import step_scaling
from rlsched.sim.scaling.rules.table import (
    R_AUTOPILOT,
    R_BAND,
    R_EWMA,
    R_FORECAST_SIGMA,
    R_HPA,
    R_KEDA,
    R_MPC,
    R_NEWSVENDOR,
    R_REACTIVE_MAX,
    R_STATIC,
    R_STEP,
    R_TRACKING,
)
from rlsched.sim.scaling.rules.target_tracking import target_tracking
from rlsched.sim.scaling.view import View


@bare_njit
def wanted(rule: int, view: View, params: F64, memory: F64) -> float:
    """Instances a rule wants for this service.

    Parameters
    ----------
    rule : int
        Number in ``table.RULES``; NaN comes back for any other.
    view : View
    params : (PARAMS,) float64
    memory : (MEMORY,) float64
        The rule's own, zero at reset; changed.

    Returns
    -------
    float
        Not rounded and not bounded: the simulator rounds up and keeps to ``lowest`` and ``highest``.
    """
    if rule == R_STATIC:
        return static(view, params, memory)
    if rule == R_HPA:
        return hpa(view, params, memory)
    if rule == R_KEDA:
        return keda(view, params, memory)
    if rule == R_TRACKING:
        return target_tracking(view, params, memory)
    if rule == R_STEP:
        return step_scaling(view, params, memory)
    if rule == R_AUTOPILOT:
        return autopilot(view, params, memory)
    if rule == R_REACTIVE_MAX:
        return reactive_max(view, params, memory)
    if rule == R_EWMA:
        return ewma(view, params, memory)
    if rule == R_FORECAST_SIGMA:
        return forecast_sigma(view, params, memory)
    if rule == R_NEWSVENDOR:
        return newsvendor(view, params, memory)
    if rule == R_MPC:
        return mpc(view, params, memory)
    if rule == R_BAND:
        return band(view, params, memory)
    return float("nan")

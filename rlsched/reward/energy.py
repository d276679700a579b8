"""Reward ``energy``: minus the energy used since the last decision."""

from __future__ import annotations

from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit

TERM = Term(
    name="energy",
    formula="−Δ(Σ_m ∫ P_m dt) / (Σ_m P_m at full load · 3600 s)",
    unit="hours of the whole cluster at full power",
    span="step",
    doc="Machines without a power curve count nothing; so does power before the warm-up ends. PUE is a factor of "
    "both sides and cancels.",
)


@bare_njit
def measure_energy(w: Any, c: Any, full: Any) -> Any:
    """Energy since metering began, in hours of the cluster at full power, which is ``full`` watts."""
    fleet = c.counter[st.C_FLEET]
    now = c.clock[st.F_NOW]
    joule = 0.0
    for i in range(w.fleet_n[fleet, wd.L_N]):
        if w.fleet_curve[fleet, i] >= 0:
            span = max(0.0, now - c.machine_f[st.M_SINCE, i])
            joule += c.machine_f[st.M_JOULE, i] + c.machine_f[st.M_WATT, i] * span
    return joule / (full * 3600.0) if full > 0.0 else 0.0

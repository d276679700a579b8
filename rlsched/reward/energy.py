"""Reward ``energy``: minus the energy used since the last decision."""

from __future__ import annotations

from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.power import watts

TERM = Term(
    name="energy",
    formula="−Δ(Σ_m ∫ P_m dt) / (Σ_m P_m at full load · 3600 s)",
    unit="hours of the whole cluster at full power",
    span="step",
    doc="Machines without a power curve count nothing; so does power before the warm-up ends. PUE is a factor of "
    "both sides and cancels.",
)


@bare_njit
def measure_energy(w: Any, c: Any) -> Any:
    """Energy since metering began, in hours of the cluster at full power."""
    fleet = c.counter[st.C_FLEET]
    now = c.clock[st.F_NOW]
    joule, full = 0.0, 0.0
    for i in range(w.fleet_n[fleet, wd.L_N]):
        curve = w.fleet_curve[fleet, i]
        if curve < 0:
            continue
        joule += c.machine_f[st.M_JOULE, i] + c.machine_f[st.M_WATT, i] * max(0.0, now - c.machine_f[st.M_SINCE, i])
        full += watts(w.curve_kind[curve], w.curve_table[curve], 1.0)
    return joule / (full * 3600.0) if full > 0.0 else 0.0

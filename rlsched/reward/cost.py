"""Reward ``cost``: minus the money for machines since the last decision."""

from __future__ import annotations

import math
from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit

TERM = Term(
    name="cost",
    formula="−Δ(Σ_m price_m · paid hours_m) / Σ_m price_m",
    unit="hours of the whole cluster paid",
    span="step",
    doc="A machine is paid while it holds a task, or always where empty_machines='on'. Machines without a price "
    "count nothing.",
)


@bare_njit
def measure_cost(w: Any, c: Any, whole: Any) -> Any:
    """Money since metering began, in hours of the whole cluster, which costs ``whole`` an hour."""
    fleet = c.counter[st.C_FLEET]
    now = c.clock[st.F_NOW]
    paid = 0.0
    always = w.option_i[wd.O_EMPTY_ON] == 1
    for i in range(w.fleet_n[fleet, wd.L_N]):
        price = w.fleet_f[fleet, wd.L_PRICE, i]
        if math.isnan(price):
            continue
        if always:
            paid += price * max(0.0, now - c.clock[st.F_START])
        else:
            busy = c.machine_f[st.M_BUSY_S, i]
            if c.machine_i[st.M_TASKS, i] > 0:
                busy += max(0.0, now - c.machine_f[st.M_SINCE, i])
            paid += price * busy
    return paid / (whole * 3600.0) if whole > 0.0 else 0.0

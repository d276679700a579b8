"""Reward ``balance``: minus what a placement adds to the squared loads of the machines."""

from __future__ import annotations

from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit

TERM = Term(
    name="balance",
    formula="−(Σ_m u_m² after − Σ_m u_m² before) / machines",
    unit="mean over the machines of a squared share",
    span="placement",
    doc="u_m is the largest of the machine's allocated shares of CPU, memory and GPUs. The same load costs least "
    "where it is spread evenly.",
)


@bare_njit
def measure_balance(w: Any, c: Any, machine: Any) -> Any:
    """Squared load of one machine over the number of machines: a placement changes no other."""
    fleet = c.counter[st.C_FLEET]
    cpu, mem = w.fleet_i[fleet, wd.L_CPU, machine], w.fleet_i[fleet, wd.L_MEM, machine]
    gpu = w.fleet_i[fleet, wd.L_GPUS, machine] * 1000
    load = (cpu - c.machine_i[st.M_CPU, machine]) * w.fleet_f[fleet, wd.L_INV_CPU, machine]
    load = max(load, (mem - c.machine_i[st.M_MEM, machine]) * w.fleet_f[fleet, wd.L_INV_MEM, machine])
    load = max(load, (gpu - c.machine_i[st.M_GPU, machine]) * w.fleet_f[fleet, wd.L_INV_GPU, machine])
    return load * load / w.fleet_n[fleet, wd.L_N]

"""Reward ``fragmentation``: minus the fragmentation that a placement adds."""

from __future__ import annotations

from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim.compile import bare_njit

TERM = Term(
    name="fragmentation",
    formula="−(Σ_m F_m after − Σ_m F_m before) / capacity",
    unit="share of the cluster's GPUs (fragmentation='gpu') or CPU ('cpu')",
    span="placement",
    doc="With discount 0 its best answer is fragmentation gradient descent. Departures are nobody's decision and "
    "do not count.",
    source="Weng et al., Beware of Fragmentation, USENIX ATC 2023 (the measure; the reward is ours)",
)


@bare_njit
def measure_fragmentation(c: Any, machine: Any, capacity: Any) -> Any:
    """Fragmentation of one machine over the cluster's capacity: a placement changes no other."""
    return c.machine_f[st.M_FRAG, machine] / capacity if capacity > 0.0 else 0.0

"""Rewards ``rejected_cpu`` and ``rejected_gpu``: minus what was asked for and not placed."""

from __future__ import annotations

from typing import Any

from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit

_DOC = (
    "A task that waits in the queue counts as not placed until it is. The task that waits for this very decision "
    "does not count yet. Only what arrives after the warm-up counts."
)
CPU = Term("rejected_cpu", "−Δ(CPU arrived − CPU placed) / capacity", "share of the cluster's CPU", "step", _DOC)
GPU = Term("rejected_gpu", "−Δ(GPUs arrived − GPUs placed) / capacity", "share of the cluster's GPUs", "step", _DOC)


@bare_njit
def measure_rejection(w: Any, c: Any, gpu: Any, capacity: Any) -> Any:
    """CPU (or GPUs) asked for and not placed since metering began, over the cluster's capacity."""
    count = c.counter
    pending = 0
    k = count[st.C_TASK]
    # What waits in the queue was counted when it began to wait; an arrival is not decided yet.
    if k >= 0 and count[st.C_SOURCE] == 0:
        row = count[st.C_LO] + k
        pending = w.task_i[row, wd.T_GPUS] * w.task_i[row, wd.T_MGPU] if gpu else w.task_i[row, wd.T_CPU]
    if gpu:
        missing = count[st.C_ARRIVED_GPU] - count[st.C_PLACED_GPU] - pending
    else:
        missing = count[st.C_ARRIVED_CPU] - count[st.C_PLACED_CPU] - pending
    return missing / capacity if capacity > 0.0 else 0.0

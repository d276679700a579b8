"""What a copy of the state says happened, in the words of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlsched.sim import state as st


def outcome_of(state: st.State, n: int = 0) -> dict[str, Any]:
    """Copy ``n`` of a state as :meth:`Reference.outcome` tells it."""
    c = state.arrays.copy_view(n)
    k = int(c.counter[st.C_HI] - c.counter[st.C_LO])
    whole = {
        "arrived": st.C_ARRIVED, "placed": st.C_PLACED, "rejected": st.C_REJECTED, "finished": st.C_FINISHED,
        "interrupted": st.C_INTERRUPTED, "restarted": st.C_RESTARTED, "lost": st.C_LOST,
        "arrived_cpu": st.C_ARRIVED_CPU, "arrived_mem": st.C_ARRIVED_MEM, "arrived_gpu": st.C_ARRIVED_GPU,
        "placed_cpu": st.C_PLACED_CPU, "placed_mem": st.C_PLACED_MEM, "placed_gpu": st.C_PLACED_GPU,
        "waiting": st.C_WAITING, "decisions": st.C_DECISIONS,
    }  # fmt: skip
    real = {
        "now": st.F_NOW, "cpu_s": st.F_CPU_S, "mem_s": st.F_MEM_S, "gpu_s": st.F_GPU_S, "active_s": st.F_ACTIVE_S,
        "running_s": st.F_RUNNING_S, "queue_s": st.F_QUEUE_S, "wait_s": st.F_WAIT_S,
        "lost_cpu_s": st.F_LOST_CPU_S, "frag": st.F_FRAG, "frag_s": st.F_FRAG_S,
    }  # fmt: skip
    return {
        **{name: int(c.counter[at]) for name, at in whole.items()},
        **{name: float(c.clock[at]) for name, at in real.items()},
        "reasons": c.counter[st.C_REASON :].tolist(),
        "free": c.machine_i[[st.M_CPU, st.M_MEM, st.M_GPU]].T.tolist(),
        "devices": [[free for free in row if free >= 0] for row in c.gpu.tolist()],
        "up": c.machine_i[st.M_UP].tolist(),
        "joule": c.machine_f[st.M_JOULE].tolist(),
        "busy_s": c.machine_f[st.M_BUSY_S].tolist(),
        "busy_from": c.machine_f[st.M_FROM].tolist(),
        "status": [st.STATUS[s] for s in c.task_i[:k, st.K_STATUS]],
        "placed_on": c.task_i[:k, st.K_MACHINE].tolist(),
        "gpus": c.task_i[:k, st.K_GPUS].tolist(),
        "times": np.asarray(c.task_f[:k]).tolist(),
        "restarts": c.task_i[:k, st.K_RESTARTS].tolist(),
    }

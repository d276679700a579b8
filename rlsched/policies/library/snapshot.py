"""A simulated moment as the library takes it: machines, request and situation of one copy of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlsched.errors import SpecError
from rlsched.sim import state as st

if TYPE_CHECKING:
    from rlsched.sim.state import State
    from rlsched.sim.world import World


def snapshot(world: World, state: State, n: int = 0) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The machines, the request that waits, and the situation of copy ``n``.

    Parameters
    ----------
    world : World
        Without oversubscription.
    state : State
        Stopped where a task waits for a machine.
    n : int

    Returns
    -------
    request, machines, situation
        As ``policy.place(request, machines, situation=situation)`` takes them.

    Raises
    ------
    SpecError
        When no task waits, or capacities are oversubscribed.
    """
    if world.options.cpu_ratio != 1.0 or world.options.mem_ratio != 1.0:
        raise SpecError("a snapshot needs a world without oversubscription: set cpu_ratio and mem_ratio to 1.")
    from rlsched.sim.world import O_ORIGIN_S, T_ARRIVE

    k = int(state.task[n])
    if k < 0:
        raise SpecError(f"no task of copy {n} waits for a machine: run advance_all first.")
    a = state.arrays
    count, now = a.counter[n], float(state.clock_s[n])
    fleet = world.fleets[int(count[st.C_FLEET])]
    size = len(fleet)
    whole, real = a.machine_i[n, :, :size], a.machine_f[n, :, :size]
    occupied = whole[st.M_TASKS] > 0
    ages = world.options.lifetime == "unknown"
    with np.errstate(invalid="ignore"):  # where ends are not kept, tasks end now; empty machines have none
        end = np.where(np.isfinite(real[st.M_EXIT]), real[st.M_EXIT] - now, 0.0)
    end = np.where(occupied, end, np.nan)
    machines: dict[str, Any] = {
        "machine_id": fleet.machine_id,
        "cpu_mcore": fleet.cpu_mcore,
        "mem_mib": fleet.mem_mib,
        "cpu_free_mcore": whole[st.M_CPU].copy(),
        "mem_free_mib": whole[st.M_MEM].copy(),
        "gpu_count": fleet.gpu_count,
        "up": whole[st.M_UP] == 1,
        "tasks": whole[st.M_TASKS].copy(),
        "price_per_h": fleet.price_per_h,
        "in_use_s": np.where(occupied, now - real[st.M_FROM], 0.0),
        "oldest_task_s" if ages else "busy_for_s": -end if ages else end,
    }
    if a.gpu.shape[2]:
        machines["gpu_free_mgpu"] = a.gpu[n, :size].copy()
        machines["gpu_kinds"] = a.kinds[n, :size].astype(np.int64)
    for name, names, codes in (
        ("gpu_model", fleet.gpu_models, fleet.gpu_model),
        ("power_curve", fleet.power_curves, fleet.power_curve),
    ):
        machines[name] = np.array([names[code] if code >= 0 else None for code in codes], dtype=object)
    situation: dict[str, Any] = {
        "waiting": int(count[st.C_WAITING]),
        "from_queue": int(count[st.C_SOURCE]),
        "arrived_cpu_mcore": int(count[st.C_ARRIVED_CPU]),
        "arrived_gpu_mgpu": int(count[st.C_ARRIVED_GPU]),
        "waited_s": now - float(world.arrays.task_f[k, T_ARRIVE]),
    }
    origin = float(world.arrays.option_f[O_ORIGIN_S])
    if not np.isnan(origin):
        situation["time_s"] = origin + now
    return _request(world, state, n, k), machines, situation


def _request(world: World, state: State, n: int, k: int) -> dict[str, Any]:
    trace = world.trace
    request: dict[str, Any] = {
        name: int(getattr(trace, name)[k]) for name in ("cpu_mcore", "mem_mib", "gpu_count", "gpu_mgpu")
    }
    mask = int(trace.gpu_model_mask[k])
    if mask != -1 and request["gpu_count"]:
        request["gpu_models"] = [name for bit, name in enumerate(trace.gpu_models) if mask >> bit & 1] or ["none"]
    life = float(world.arrays.task_f[k, 2])  # the life span that rules may see
    done = float(state.arrays.task_f[n, k - int(state.arrays.counter[n, st.C_LO]), st.K_DONE])
    if np.isfinite(life):
        request["expected_s"] = life - done
    elif not np.isnan(life):
        raise SpecError(f"the life span of task {k} is not finite; the library takes finite ones.")
    return request

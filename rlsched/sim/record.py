"""A run with a curve: what had arrived, what was placed, how fragmented the machines were, after every task.

The same kernel functions as :func:`rlsched.sim.select.run_rule`, with three numbers written
down after each task that asked. Only for runs in which every task asks once (no queue).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.allocation import place
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import advance, copy_of, refuse
from rlsched.sim.select import PolicyArrays, choose, choose_devices, machines_of, make_cache
from rlsched.sim.state import State
from rlsched.sim.world import World

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One copy's run, one entry a task in order of arrival.

    Parameters
    ----------
    arrived_mgpu, placed_mgpu : (K,) int64, milli-GPU
        Requested by all tasks so far, this one included, and by those of them that were placed.
    fragmentation : (K,) float64
        Of all machines, summed afresh in row order: milli-GPU, or millicores where the world
        measures that.
    """

    arrived_mgpu: I64
    placed_mgpu: I64
    fragmentation: F64


@bare_njit
def _run_recorded(
    w: Any, s: Any, n: Any, p: Any, cache: Any, log: Any, device: Any, arrived: Any, placed: Any, fragment: Any
) -> Any:
    c = copy_of(s, n)
    m = machines_of(w, c, p, device)
    size = w.fleet_n[c.counter[st.C_FLEET], wd.L_N]
    asked = 0
    while True:
        k = advance(w, c, log)
        if k < 0:
            break
        machine = choose(w, c, k, p, m, cache, log)
        if machine < 0:
            refuse(w, c)
        else:
            devices = 0
            if w.task_i[c.counter[st.C_LO] + k, wd.T_GPUS] > 0:
                devices = choose_devices(w, c, k, machine, p, m)
            place(w, c, machine, devices, log)
        arrived[asked] = c.counter[st.C_ARRIVED_GPU]
        placed[asked] = c.counter[st.C_PLACED_GPU]
        total = 0.0
        for i in range(size):
            total += c.machine_f[st.M_FRAG, i]
        fragment[asked] = total
        asked += 1
    return asked


def run_recorded(world: World, state: State, policy: PolicyArrays) -> Curve:
    """Run a state of one copy to the end of its window and record the curve; the state is changed.

    Parameters
    ----------
    world : World
        With ``admission="reject"``: a task that waits would ask more than once.
    state : State
        One copy, at the begin of a window without warm-up.
    policy : PolicyArrays

    Raises
    ------
    SpecError
        When tasks can ask more than once (they wait, or machines fail), or there are several copies.
    """
    if world.options.admission == "queue" or world.arrays.event_t.size or state.n_copies != 1:
        raise SpecError(
            "a curve needs admission='reject', no machine failures (a task would ask again) and one copy: got "
            f"{world.options.admission!r}, {world.arrays.event_t.size} machine events, {state.n_copies} copies."
        )
    count = state.arrays.counter[0]
    rows = slice(int(count[st.C_LO]), int(count[st.C_HI]))
    k = rows.stop - rows.start
    cache, log = make_cache(world.arrays, policy, rows)
    device = np.zeros(max(1, state.arrays.gpu.shape[2]), np.int64)
    arrived, placed, fragment = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.float64)
    asked = int(_run_recorded(world.arrays, state.arrays, 0, policy, cache, log, device, arrived, placed, fragment))
    return Curve(arrived[:asked], placed[:asked], fragment[:asked])

"""One step of ``rlsched/Placement-v0`` for many copies in one call.

Place, reward, run to the next decision, observe: copy by copy, so that what a copy needs is
fetched once. Copies share nothing they write to, and two threads may each step a part of them.
"""

from __future__ import annotations

from typing import Any

from rlsched.observe.placement import observe_copy
from rlsched.reward.compose import reward_after, reward_before, reward_placed
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.allocation import place
from rlsched.sim.changes import log_of
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import copy_of, next_decision
from rlsched.sim.select import choose_devices, machines_of

#: What :func:`check_actions` finds.
FINE, ENDED, MASKED = range(3)


@bare_njit(also=("observe", "reward"))
def check_actions(task: Any, mask: Any, actions: Any, where: Any) -> None:
    """Look at every action before anything changes; ``where`` gets what is wrong, and in which copy first."""
    where[0] = FINE
    for n in range(task.shape[0]):
        where[1] = n
        if task[n] < 0:
            where[0] = ENDED
            return
        if actions[n] < 0 or actions[n] >= mask.shape[1] or mask[n, actions[n]] == 0:
            where[0] = MASKED
            return


@bare_njit(nogil=True, also=("observe", "reward"))
def step_copies(
    w: Any,
    s: Any,
    p: Any,
    o: Any,
    g: Any,
    logs: Any,
    actions: Any,
    seen: Any,
    out: Any,
    task: Any,
    reward: Any,
    part: Any,
) -> None:
    """Step the copies ``part[0]..part[1]``; their actions are allowed.

    Parameters
    ----------
    w, s : WorldArrays, StateArrays
    p : PolicyArrays
        Chooses the devices inside the machine.
    o, g : ObserverArrays, RewardArrays
    logs : Logs
    actions : (N,) int64
        Candidate of each copy.
    seen, out : ObservationArrays
        What the actions refer to, and what is filled.
    task : (N,) int64
        Filled with the task that waits next, -1 where the window has ended.
    reward : (N,) float64
        Filled.
    part : (2,) int64
    """
    for n in range(part[0], part[1]):
        c, log = copy_of(s, n), log_of(logs, n)
        machine = seen.rows[n, actions[n]]
        reward_before(w, c, g, n, machine)
        k = c.counter[st.C_TASK]
        devices = 0
        if w.task_i[c.counter[st.C_LO] + k, wd.T_GPUS] > 0:
            devices = choose_devices(w, c, k, machine, p, machines_of(w, c, p, o.desk.device))
        place(w, c, machine, devices, log)
        reward_placed(w, c, g, n)
        k = next_decision(w, c, log)
        task[n] = c.counter[st.C_LO] + k if k >= 0 else -1
        reward[n] = reward_after(w, c, g, n)
        observe_copy(w, c, p, o, log, n, out)

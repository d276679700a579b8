"""What is derived from a machine's load: integrals, energy, fragmentation, expected ends.

Compiled; all functions work on one copy ``c`` and on the read-only world ``w``.
"""

from __future__ import annotations

import math
from typing import Any

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.changes import note_change
from rlsched.sim.compile import bare_njit
from rlsched.sim.fragmentation import fragment
from rlsched.sim.power import watts


@bare_njit(inline="always")
def no_exit(w: Any) -> Any:
    """Value of st.M_EXIT on an empty machine: neutral for max (ends) or min (starts)."""
    return math.inf if w.option_i[wd.O_LIFETIME] == 2 else -math.inf


@bare_njit
def fragment_of(w: Any, c: Any, fleet: Any, i: Any) -> Any:
    """Fragmentation of machine ``i`` now."""
    mi = c.machine_i
    return fragment(
        w.option_i[wd.O_FRAG],
        mi[st.M_CPU, i],
        mi[st.M_MEM, i],
        w.fleet_i[fleet, wd.L_MODEL, i],
        c.gpu[i],
        w.fleet_i[fleet, wd.L_GPUS, i],
        w.typical_i,
        w.typical_p,
    )


@bare_njit
def watts_of(w: Any, mi: Any, fleet: Any, i: Any) -> Any:
    """Power of a machine now: 0 when down, or when empty and such machines are off."""
    curve = w.fleet_curve[fleet, i]
    if curve < 0 or mi[st.M_UP, i] == 0 or (mi[st.M_TASKS, i] == 0 and w.option_i[wd.O_EMPTY_ON] == 0):
        return 0.0
    # Load = allocated share of the physical CPU. Oversubscribed requests can add up to more
    # than the machine; it then runs at full power, not beyond.
    used = (w.fleet_i[fleet, wd.L_CPU, i] - mi[st.M_CPU, i]) * w.fleet_f[fleet, wd.L_INV_PHYSICAL, i]
    return watts(w.curve_kind[curve], w.curve_table[curve], min(used, 1.0))


@bare_njit(inline="always")
def settle(mi: Any, mf: Any, i: Any, t: Any) -> None:
    """Account energy and busy time of a machine up to ``t``."""
    dt = t - mf[st.M_SINCE, i]
    if dt > 0.0:
        mf[st.M_JOULE, i] += mf[st.M_WATT, i] * dt
        if mi[st.M_TASKS, i] > 0:
            mf[st.M_BUSY_S, i] += dt
        mf[st.M_SINCE, i] = t


@bare_njit(inline="always")
def move_clock(count: Any, clock: Any, t: Any) -> None:
    """Advance the integrals to ``t``."""
    dt = t - clock[st.F_NOW]
    if dt > 0.0:
        clock[st.F_CPU_S] += count[st.C_RUN_CPU] * dt
        clock[st.F_MEM_S] += count[st.C_RUN_MEM] * dt
        clock[st.F_GPU_S] += count[st.C_RUN_GPU] * dt
        clock[st.F_ACTIVE_S] += count[st.C_ACTIVE] * dt
        clock[st.F_RUNNING_S] += count[st.C_RUNNING] * dt
        clock[st.F_QUEUE_S] += count[st.C_WAITING] * dt
        clock[st.F_FRAG_S] += clock[st.F_FRAG] * dt
        clock[st.F_NOW] = t


@bare_njit
def settle_all(count: Any, clock: Any, mi: Any, mf: Any, t: Any) -> None:
    """Advance the integrals, and account every machine, up to ``t``."""
    move_clock(count, clock, t)
    for i in range(mi.shape[1]):
        settle(mi, mf, i, t)


@bare_njit
def start_metering(count: Any, clock: Any, mi: Any, mf: Any) -> None:
    """The warm-up ends: account up to this moment, then zero every meter."""
    settle_all(count, clock, mi, mf, clock[st.F_START])
    for c in range(st.FIRST_METER, count.shape[0]):
        count[c] = 0
    frag = clock[st.F_FRAG]
    for c in range(st.FIRST_CLOCK_METER, clock.shape[0]):
        clock[c] = 0.0
    clock[st.F_FRAG] = frag
    mf[st.M_JOULE, :] = 0.0
    mf[st.M_BUSY_S, :] = 0.0
    count[st.C_METERED] = 1


@bare_njit(inline="always")
def expected_end(w: Any, row: Any, start: Any) -> Any:
    """When a task that starts at ``start`` is expected to end, as far as the rules may see."""
    life = w.task_f[row, wd.T_EXPECTED]
    if math.isnan(life):
        life = w.option_f[wd.O_UNKNOWN_S]
    return start + life


@bare_njit(inline="always")
def exit_value(w: Any, c: Any, k: Any, row: Any) -> Any:
    """What a running task contributes to ``M_EXIT``: its expected end, or its start where only ages are known."""
    start = c.task_f[k, st.K_START]
    return start if w.option_i[wd.O_LIFETIME] == 2 else expected_end(w, row, start - c.task_f[k, st.K_DONE])


@bare_njit
def walk_exit(w: Any, c: Any, i: Any) -> Any:
    """``M_EXIT`` of a machine from its residents: the latest end, or the earliest start."""
    lo = c.counter[st.C_LO]
    best = no_exit(w)
    k = c.machine_i[st.M_HEAD, i]
    while k >= 0:
        value = exit_value(w, c, k, lo + k)
        best = min(best, value) if w.option_i[wd.O_LIFETIME] == 2 else max(best, value)
        k = c.task_i[k, st.K_NEXT]
    return best


@bare_njit(inline="always")
def after_change(w: Any, c: Any, fleet: Any, i: Any, log: Any) -> None:
    """Bring what is derived from a machine's load up to date: power, fragmentation, the change log."""
    note_change(log, i)
    mf = c.machine_f
    if w.fleet_curve[fleet, i] >= 0:
        mf[st.M_WATT, i] = watts_of(w, c.machine_i, fleet, i)
    if w.option_i[wd.O_FRAG] != wd.FRAG_NONE:
        frag = fragment_of(w, c, fleet, i)
        c.clock[st.F_FRAG] += frag - mf[st.M_FRAG, i]
        mf[st.M_FRAG, i] = frag

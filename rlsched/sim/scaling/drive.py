"""Whole windows under rules of the table, in one compiled call."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.compiled import apart
from rlsched.sim.scaling.kernel import finish_step as finish_step_inline
from rlsched.sim.scaling.kernel import step_service as step_service_inline
from rlsched.sim.scaling.rules.run import wanted
from rlsched.sim.scaling.state import StateCode
from rlsched.sim.scaling.view import View
from rlsched.sim.scaling.world import WorldCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

# Calls here: inlined beside a dozen rules they would take minutes to compile.
step_service = apart(step_service_inline.py_func)
finish_step = apart(finish_step_inline.py_func)


@apart
def view_of(w: WorldCode, s: StateCode, n: int, service: int, kind: int, booting: I64) -> View:
    """What a rule sees; ``booting`` is work space that the view then holds. As the reference's ``view``."""
    t, row = s.clock[n, st.C_T], s.rows[n, service]
    alive, last = s.alive[n, service], s.last[n, service]
    oldest = alive.shape[1] - 1
    for i in range(booting.shape[0]):
        booting[i] = 0
    ready, n_booting = 0, 0
    for p in range(w.pool.shape[0]):
        boot = w.type_i[w.pool[p, 0], wd.T_BOOT]
        for age in range(boot, oldest + 1):
            ready += alive[p, age]
        for age in range(1, boot):
            booting[boot - age - 1] += alive[p, age]
            n_booting += alive[p, age]
    return View(
        w.demand[row, :t],
        w.forecast[row, t] if w.horizons.shape[0] > 0 else w.forecast[0, 0],
        w.horizons,
        w.quantiles,
        booting,
        t,
        t - s.clock[n, st.C_LO],
        w.option_i[wd.O_START_S] + t * int(w.option_f[wd.O_STEP_S]),
        w.option_f[wd.O_STEP_S],
        w.type_f[kind, wd.T_CAPACITY],
        w.type_i[kind, wd.T_BOOT],
        ready,
        n_booting,
        last[st.L_BACKLOG],
        last[st.L_SERVED],
        last[st.L_LOST],
        last[st.L_UTILISATION],
        last[st.L_WAIT],
        w.type_f[kind, wd.T_PRICE],
        w.spot_price[kind, t - 1 if t > 0 else 0],
        w.service_f[row, wd.S_UNMET],
        w.service_f[row, wd.S_LATE],
        w.type_f[kind, wd.T_START],
        w.service_i[row, wd.S_MIN],
        w.service_i[row, wd.S_MAX],
    )


@apart
def on_demand_of(w: WorldCode, s: StateCode, n: int, service: int, kind: int, total: int, spot: int) -> int:
    """Instances on demand beside ``spot`` ones where a closed market is left; as the reference's ``decision_of``."""
    boot, high = w.type_i[kind, wd.T_BOOT], w.service_i[s.rows[n, service], wd.S_MAX]
    alive = s.alive[n, service]
    kept, serving = 0, 0
    for p in range(w.pool.shape[0]):
        if w.pool[p, 0] == kind:
            for age in range(alive.shape[1]):
                if w.pool[p, 1] == wd.ON_DEMAND:
                    kept += alive[p, age]
                elif age >= boot:
                    serving += alive[p, age]
    return int(min(max(total - spot, min(kept, total - serving)), high - spot))


@bare_njit
def drive(
    w: WorldCode,
    s: StateCode,
    rule: I64,
    params: F64,
    kind: I64,
    spot_share: F64,
    fallback: I64,
    steps: int,
    booting: I64,
    log: F64,
) -> int:
    """Let a rule decide for every service of every copy, interval by interval.

    Parameters
    ----------
    w, s : WorldCode, StateCode
    rule : (N,) int64
        Number in the table of rules.
    params : (N, PARAMS) float64
    kind : (N,) int64
        Type that the rule buys.
    spot_share : (N,) float64
        Share of the instances on the spot market, rounded half up to whole instances.
    fallback : (N,) int64
        1: leave a market that was closed; see ``RuleChoice``.
    steps : int
        At most so many intervals; a window that ends stops earlier.
    booting : (B,) int64
        Work space.
    log : (N, L, S, 21) float64
        Gets ``StateCode.last`` of each interval while it has room.

    Returns
    -------
    int
        -1, or the copy whose rule answered something that is not finite; all stop there.
    """
    for n in range(s.clock.shape[0]):
        done = 0
        while done < steps and s.clock[n, st.C_T] < s.clock[n, st.C_HI]:
            for service in range(s.rows.shape[1]):
                view = view_of(w, s, n, service, kind[n], booting)
                answer = wanted(rule[n], view, params[n], s.memory[n, service])
                if not math.isfinite(answer):
                    return n
                low, high = w.service_i[s.rows[n, service], wd.S_MIN], w.service_i[s.rows[n, service], wd.S_MAX]
                up = math.ceil(min(max(answer, -1.0), high + 1.0))
                held = max(low, min(up, high))
                if held != up:
                    s.sums[n, service, st.M_HELD] += 1.0
                spot = math.floor(spot_share[n] * held + 0.5)
                on_demand = held - spot
                if fallback[n] > 0:
                    t = s.clock[n, st.C_T]
                    room = w.spot_available[kind[n], t - 1 if t > 0 else 0]
                    spot = min(spot, math.floor(min(room, float(held))))
                    on_demand = on_demand_of(w, s, n, service, kind[n], held, spot)
                step_service(w, s, n, service, kind[n], on_demand, spot)
            finish_step(w, s, n)
            if done < log.shape[1]:
                for service in range(s.rows.shape[1]):
                    for column in range(log.shape[3]):
                        log[n, done, service, column] = s.last[n, service, column]
            done += 1
    return -1

"""One compiled call for a step of all copies of ``rlsched/Scaling-v0``: check, decide, run, reward, observe."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rlsched.observe.scaling import ScalingObserverCode, observe
from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.kernel import finish_step, step_service
from rlsched.sim.scaling.state import StateCode
from rlsched.sim.scaling.world import WorldCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

N_COST = len(st.COST)
BAD_ACTION = -1


@bare_njit(also=("sim/scaling",))
def step(
    demand: F64,
    calendar: F32,
    type_f: F64,
    type_i: I64,
    pool: I64,
    spot_price: F64,
    spot_available: F64,
    service_f: F64,
    service_i: I64,
    credits: F64,
    option_f: F64,
    option_i: I64,
    forecast: F32,
    horizons: I64,
    quantiles: F64,
    clock: I64,
    rows: I64,
    kind: I64,
    alive: I64,
    backlog: F64,
    last: F64,
    sums: F64,
    memory: F64,
    lags: I64,
    level: F64,
    most: F64,
    actions: F64,
    spot_steps: int,
    decisions: I64,
    weights: F64,
    reward: F64,
    out: F32,
) -> int:
    """Run one interval of every copy and observe it.

    Parameters
    ----------
    demand, ..., most
        ``*w, *s, *o``: the arrays of world, state and observer, in order. Handed over one by one
        they cost a quarter of what they cost in tuples.
    actions : (N, S, A) float64
        Instances wanted, then the type where there are several, then the share on the spot market
        where a type has one.
    spot_steps : int
        0: actions are as they stand. Else they are whole numbers: instances above the fewest
        allowed, the type, and the share in ``1 / spot_steps``.
    decisions : (N, S, 3) int64
        Work space.
    weights : (5,) float64
    reward : (N,) float64
    out : (N, S * F) float32

    Returns
    -------
    int
        How many copies' windows have ended; ``BAD_ACTION`` when some action is not allowed or some
        window had ended before, and then nothing has changed.
    """
    w = WorldCode(
        demand, calendar, type_f, type_i, pool, spot_price, spot_available, service_f,
        service_i, credits, option_f, option_i, forecast, horizons, quantiles,
    )  # fmt: skip
    s = StateCode(clock, rows, kind, alive, backlog, last, sums, memory)
    o = ScalingObserverCode(lags, level, most)
    n_copies, n_services = s.rows.shape
    n_types = w.type_i.shape[0]
    has_spot = w.pool.shape[0] > n_types
    for n in range(n_copies):
        if s.clock[n, st.C_T] >= s.clock[n, st.C_HI]:
            return BAD_ACTION
        for service in range(n_services):
            row = s.rows[n, service]
            low, high = w.service_i[row, wd.S_MIN], w.service_i[row, wd.S_MAX]
            target = actions[n, service, 0]
            if spot_steps > 0:
                target += low
            if not (target >= low and target <= high):  # also where it is NaN
                return BAD_ACTION
            total, chosen, spot, at = math.ceil(target), 0, 0, 1
            if n_types > 1:
                number = actions[n, service, at]
                if not (number >= 0.0 and number <= n_types - 1):
                    return BAD_ACTION
                chosen = math.floor(number + 0.5)
                at += 1
            if has_spot:
                share = actions[n, service, at]
                if spot_steps > 0:
                    share /= spot_steps
                if not (share >= 0.0 and share <= 1.0):
                    return BAD_ACTION
                if w.spot_price[chosen, 0] == w.spot_price[chosen, 0]:
                    spot = math.floor(share * total + 0.5)
            decisions[n, service, 0] = chosen
            decisions[n, service, 1] = total - spot
            decisions[n, service, 2] = spot
    ended = 0
    for n in range(n_copies):
        for service in range(n_services):
            step_service(w, s, n, service, decisions[n, service, 0], decisions[n, service, 1], decisions[n, service, 2])
        finish_step(w, s, n)
        value = 0.0
        for service in range(n_services):
            for part in range(N_COST):
                value -= weights[part] * s.last[n, service, part]
        reward[n] = value
        observe(w, s, o, n, out[n])
        if s.clock[n, st.C_T] >= s.clock[n, st.C_HI]:
            ended += 1
    return ended


@bare_njit(also=("sim/scaling",))
def look(w: WorldCode, s: StateCode, o: ScalingObserverCode, copies: I64, out: F32) -> None:
    """Observe some copies: ``copies (k,)`` int64, ``out (N, S * F)`` float32."""
    for i in range(copies.shape[0]):
        observe(w, s, o, copies[i], out[copies[i]])

"""The compiled scaling simulator; equals :mod:`~rlsched.sim.scaling.reference` bit for bit.

Read the reference first: the functions have its names and its order of operations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.sim import queueing
from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.compiled import inner
from rlsched.sim.scaling.state import StateCode
from rlsched.sim.scaling.world import WorldCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

N_LAST = len(st.LAST)
N_PLAIN = st.L_WAIT  # columns of `last` before the waiting times, which are added up weighted
N_COST = len(st.COST)

_erlang_c = inner(queueing.erlang_c)
_reached_utilisation = inner(queueing.reached_utilisation)
_mean_wait_s = inner(queueing.mean_wait_s)
_wait_quantile_s = inner(queueing.wait_quantile_s)


@inner
def price_usd(w: WorldCode, t: int, kind: int, market: int) -> Any:
    """As the reference."""
    if market == wd.SPOT:
        return w.spot_price[kind, t]
    return w.type_f[kind, wd.T_PRICE]


@inner
def rest_usd(w: WorldCode, t: int, kind: int, market: int, age: int) -> Any:
    """As the reference."""
    billed = age
    if w.option_i[wd.O_BILL_READY] == 1:
        boot = w.type_i[kind, wd.T_BOOT]
        if age < boot:
            return 0.0
        billed = age - boot
    step_s = w.option_f[wd.O_STEP_S]
    rest_s = w.type_f[kind, wd.T_MIN_BILLING] - billed * step_s
    if rest_s > 0.0:
        return price_usd(w, t, kind, market) * (rest_s / step_s)
    return 0.0


@inner
def remove_at(
    w: WorldCode, alive: I64, last: F64, t: int, kind: int, market: int, age: int, boot: int, count: int
) -> Any:
    """Take up to ``count`` instances of one age away; returns how many."""
    gone = min(count, alive[age])
    alive[age] -= gone
    last[st.L_CANCELLED if age < boot else st.L_STOPPED] += gone
    last[st.L_INSTANCES] += gone * rest_usd(w, t, kind, market, age)
    return gone


@inner
def reduce(w: WorldCode, alive: I64, last: F64, t: int, kind: int, market: int, count: int) -> None:
    """As the reference."""
    boot, oldest = w.type_i[kind, wd.T_BOOT], alive.shape[0] - 1
    if w.option_i[wd.O_CANCEL_FIRST] == 1:
        for age in range(boot):
            count -= remove_at(w, alive, last, t, kind, market, age, boot, count)
    for age in range(oldest, boot - 1, -1):
        count -= remove_at(w, alive, last, t, kind, market, age, boot, count)
    if w.option_i[wd.O_CANCEL_FIRST] == 0:
        for age in range(boot):
            count -= remove_at(w, alive, last, t, kind, market, age, boot, count)


@inner
def order(w: WorldCode, alive: I64, have: int, last: F64, t: int, kind: int, market: int, count: int) -> None:
    """As the reference."""
    if market == wd.SPOT:
        room = max(0.0, w.spot_available[kind, t] - have)
        if count > room:
            last[st.L_REFUSED] += count - math.floor(room)
            count = math.floor(room)
    alive[0] += count
    last[st.L_STARTED] += count
    last[st.L_STARTS] += count * w.type_f[kind, wd.T_START]


@inner
def decide(w: WorldCode, alive: I64, last: F64, t: int, chosen: int, on_demand: int, spot: int) -> None:
    """As the reference."""
    oldest = alive.shape[1] - 1
    capacity = w.type_f[chosen, wd.T_CAPACITY]
    serving = 0.0
    for p in range(w.pool.shape[0]):
        kind, market = w.pool[p, 0], w.pool[p, 1]
        if kind != chosen:
            continue
        target = spot if market == wd.SPOT else on_demand
        have = 0
        for age in range(oldest + 1):
            have += alive[p, age]
        if have < target:
            order(w, alive[p], have, last, t, kind, market, target - have)
        elif have > target:
            reduce(w, alive[p], last, t, kind, market, have - target)
        ready = 0
        for age in range(w.type_i[kind, wd.T_BOOT], oldest + 1):
            ready += alive[p, age]
        serving += capacity * ready
    if w.type_i.shape[0] == 1:
        return
    missing = capacity * (on_demand + spot) - serving
    for p in range(w.pool.shape[0]):
        kind, market = w.pool[p, 0], w.pool[p, 1]
        if kind == chosen:
            continue
        boot = w.type_i[kind, wd.T_BOOT]
        for age in range(boot):
            remove_at(w, alive[p], last, t, kind, market, age, boot, alive[p, age])
        ready = 0
        for age in range(boot, oldest + 1):
            ready += alive[p, age]
        kept = 0
        if missing > 0.0:
            needed = math.ceil(missing / w.type_f[kind, wd.T_CAPACITY])
            kept = min(ready, needed)
        missing -= kept * w.type_f[kind, wd.T_CAPACITY]
        reduce(w, alive[p], last, t, kind, market, ready - kept)


@inner
def uniform(seed: int, t: int, service: int, p: int, draw: int) -> float:
    """As the reference."""
    x = np.uint64(seed)
    for i in range(4):
        part = t if i == 0 else service if i == 1 else p if i == 2 else draw
        x = (x + np.uint64(part + 1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.float64(x >> np.uint64(11)) * 2.0**-53


@inner
def interrupt(w: WorldCode, alive: I64, last: F64, t: int, kind: int, seed: int, service: int, p: int) -> None:
    """As the reference."""
    beyond = 0
    for age in range(alive.shape[0]):
        beyond += alive[age]
    beyond -= math.floor(min(w.spot_available[kind, t], 2.0**53))
    for age in range(alive.shape[0]):
        gone = min(max(beyond, 0), alive[age])
        alive[age] -= gone
        beyond -= gone
        last[st.L_INTERRUPTED] += gone
    hazard = w.option_f[wd.O_HAZARD]
    if hazard <= 0.0:
        return
    draw = 0
    for age in range(1 if alive.shape[0] > 1 else 0, alive.shape[0]):
        gone = 0
        for _ in range(alive[age]):
            if uniform(seed, t, service, p, draw) < hazard:
                gone += 1
            draw += 1
        alive[age] -= gone
        last[st.L_INTERRUPTED] += gone


@inner
def serve(w: WorldCode, queue: F64, last: F64, row: int, demand: float, capacity: float) -> None:
    """As the reference."""
    slots = w.service_i[row, wd.S_DEADLINE]
    waiting_before = 0.0
    for slot in range(slots):
        waiting_before += queue[slot]
    left, served = capacity, 0.0
    for slot in range(slots - 1, -1, -1):
        taken = min(left, queue[slot])
        queue[slot] -= taken
        left -= taken
        served += taken
    taken = min(left, demand)
    served += taken
    fresh = demand - taken
    lost = fresh
    backlog = 0.0
    if slots > 0:
        lost = queue[slots - 1]
        for slot in range(slots - 1, 0, -1):
            queue[slot] = queue[slot - 1]
        queue[0] = fresh
        for slot in range(slots):
            backlog += queue[slot]
    last[st.L_DEMAND] = demand
    last[st.L_CAPACITY] = capacity
    last[st.L_SERVED] = served
    last[st.L_LOST] = lost
    last[st.L_BACKLOG] = backlog
    last[st.L_UTILISATION] = served / capacity if capacity > 0.0 else 0.0
    last[st.L_UNMET] = lost * w.service_f[row, wd.S_UNMET]
    last[st.L_LATE] = backlog * w.service_f[row, wd.S_LATE]
    last[st.L_WAIT] = waiting_before


@inner
def wait(w: WorldCode, last: F64, row: int, capacity: float, servers: int) -> None:
    """As the reference."""
    before, after = last[st.L_WAIT], last[st.L_BACKLOG]
    longest = w.service_f[row, wd.S_LONGEST]
    if last[st.L_DEMAND] == 0.0 and before == 0.0:
        last[st.L_WAIT] = last[st.L_WAIT_QUANTILE] = 0.0
        return
    if capacity == 0.0:
        last[st.L_WAIT] = last[st.L_WAIT_QUANTILE] = longest
        return
    step_s = w.option_f[wd.O_STEP_S]
    service_s = w.service_f[row, wd.S_REQUEST] * servers / capacity
    utilisation = _reached_utilisation(last[st.L_UTILISATION], servers, service_s, step_s)
    chance = _erlang_c(servers, utilisation)
    mean = _mean_wait_s(chance, servers, utilisation, service_s)
    quantile = _wait_quantile_s(chance, servers, utilisation, service_s, w.service_f[row, wd.S_QUANTILE])
    if before + after > 0.0:
        mean += 0.5 * (before + after) / capacity * step_s
        quantile += max(before, after) / capacity * step_s
    last[st.L_WAIT] = min(mean, longest)
    last[st.L_WAIT_QUANTILE] = min(quantile, longest)


@inner
def step_service(w: WorldCode, s: StateCode, n: int, service: int, kind: int, on_demand: int, spot: int) -> None:
    """As the reference."""
    t, row = s.clock[n, st.C_T], s.rows[n, service]
    alive, last, sums = s.alive[n, service], s.last[n, service], s.sums[n, service]
    oldest = alive.shape[1] - 1
    for column in range(N_LAST):
        last[column] = 0.0
    decide(w, alive, last, t, kind, on_demand, spot)
    s.kind[n, service] = kind

    capacity, servers, ready = 0.0, 0, 0
    for p in range(w.pool.shape[0]):
        k = w.pool[p, 0]
        if w.pool[p, 1] == wd.SPOT:
            interrupt(w, alive[p], last, t, k, s.clock[n, st.C_SEED], service, p)
        count = 0
        for age in range(w.type_i[k, wd.T_BOOT], oldest + 1):
            count += alive[p, age]
        capacity += count * w.type_f[k, wd.T_CAPACITY]
        servers += count * w.type_i[k, wd.T_SERVERS]
        ready += count
    demand = w.demand[row, t]
    serve(w, s.backlog[n, service], last, row, demand, capacity)
    wait(w, last, row, capacity, servers)
    for p in range(w.pool.shape[0]):
        k = w.pool[p, 0]
        billed = 0
        for age in range(w.type_i[k, wd.T_BOOT] if w.option_i[wd.O_BILL_READY] == 1 else 0, oldest + 1):
            billed += alive[p, age]
        last[st.L_BILLED] += billed
        last[st.L_INSTANCES] += billed * price_usd(w, t, k, w.pool[p, 1])
        if oldest > 0:
            alive[p, oldest] += alive[p, oldest - 1]
            for age in range(oldest - 1, 0, -1):
                alive[p, age] = alive[p, age - 1]
            alive[p, 0] = 0

    last[st.L_READY] = ready
    late = last[st.L_WAIT_QUANTILE] > w.service_f[row, wd.S_LATENCY]
    short = last[st.L_LOST] > (1.0 - w.service_f[row, wd.S_AVAILABILITY]) * demand
    last[st.L_VIOLATED] = 1.0 if late or short else 0.0
    for column in range(N_PLAIN):
        sums[column] += last[column]
    sums[st.L_WAIT] += last[st.L_WAIT] * demand
    sums[st.L_WAIT_QUANTILE] += last[st.L_WAIT_QUANTILE] * demand
    if demand > 0.0:
        sums[st.M_ASKED] += 1.0
    sums[st.M_LONGEST] = max(sums[st.M_LONGEST], last[st.L_WAIT_QUANTILE])


@inner
def settle_credits(w: WorldCode, s: StateCode, n: int, service: int) -> None:
    """As the reference."""
    sums, row = s.sums[n, service], s.rows[n, service]
    if sums[st.M_ASKED] == 0.0:
        return
    good = 1.0 - sums[st.L_VIOLATED] / sums[st.M_ASKED]
    share = 0.0
    for i in range(w.service_i[row, wd.S_CREDITS]):
        if good < w.credits[row, i, 0]:
            share = w.credits[row, i, 1]
    usd = share * (sums[st.L_INSTANCES] + sums[st.L_STARTS])
    s.last[n, service, st.L_CREDITS] = usd
    sums[st.L_CREDITS] += usd


@inner
def finish_step(w: WorldCode, s: StateCode, n: int) -> float:
    """Move the clock, settle credits at the end of the window; the cost of the interval in USD."""
    s.clock[n, st.C_T] += 1
    if s.clock[n, st.C_T] == s.clock[n, st.C_HI]:
        for service in range(s.rows.shape[1]):
            settle_credits(w, s, n, service)
    cost = 0.0
    for service in range(s.rows.shape[1]):
        for part in range(N_COST):
            cost += s.last[n, service, part]
    return cost


@bare_njit
def step_all(w: WorldCode, s: StateCode, decisions: I64, cost: F64) -> None:
    """One interval of every copy whose window has not ended; decisions were checked before.

    Parameters
    ----------
    w, s : WorldCode, StateCode
    decisions : (N, S, 3) int64
        Type, instances on demand, instances on the spot market.
    cost : (N,) float64, USD
        Filled; 0 where the window had ended.
    """
    for n in range(s.clock.shape[0]):
        cost[n] = 0.0
        if s.clock[n, st.C_T] < s.clock[n, st.C_HI]:
            for service in range(s.rows.shape[1]):
                step_service(
                    w, s, n, service, decisions[n, service, 0], decisions[n, service, 1], decisions[n, service, 2]
                )
            cost[n] = finish_step(w, s, n)

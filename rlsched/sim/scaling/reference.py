"""The scaling simulator in plain Python: the specification. The kernel must equal it bit for bit.

Interval ``t`` of one service:

1. **Decide.** The decision knows everything up to the end of interval ``t - 1``. It names a type
   and how many instances of it there should be on demand and on the spot market, booting ones
   included. Missing ones are ordered and serve from interval ``t + boot_steps`` on; superfluous
   ones go at once (:func:`reduce`). Instances of other types are not wanted any more: booting ones
   are cancelled, those that serve stay until the chosen type serves as much as was asked for.
2. **Interrupt.** The provider takes spot instances back: those beyond what is available, the
   latest order first; then each one ordered before this interval with the probability of the hazard.
3. **Serve.** ``demand[t]`` arrives evenly over the interval. Capacity serves the oldest waiting
   work first and what has just arrived last. Work that has waited ``deadline_s`` is lost.
4. **Wait.** Erlang C at the interval's utilisation, plus the time the backlog takes to serve.
5. **Bill.** Every instance that is billed, for the whole interval; orders; work lost; work that waits.
   An instance that goes before its shortest billing time is over is billed for the rest of it at
   once, unless the provider took it.
6. **Age.** Every instance is one interval older.

After the last interval of the window the customer's credits are settled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.sim import queueing
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.state import State, StateCode
from rlsched.sim.scaling.view import View
from rlsched.sim.scaling.world import World, WorldCode

I64 = npt.NDArray[np.int64]
MASK = (1 << 64) - 1

#: ``(type, instances on demand, instances on the spot market)`` of one service.
Decision = tuple[int, int, int]


def first_instances(world: World, row: int, lo: int) -> int:
    """Instances that serve at the beginning of a window: given, or enough for the interval before."""
    service = world.services[row]
    if service.initial_instances is not None:
        return service.initial_instances
    needed = math.ceil(float(world.demand[row, lo - 1]) / world.types[0].capacity)
    return min(max(needed, service.min_instances), service.max_instances)


def step(world: World, state: State, n: int, decisions: Sequence[Decision]) -> float:
    """Take one decision for every service of copy ``n`` and run the interval.

    Parameters
    ----------
    world : World
    state : State
        Written to.
    n : int
    decisions : sequence of (int, int, int)
        One a service: type, instances on demand, instances on the spot market.

    Returns
    -------
    float
        Cost of the interval in USD, all services.

    Raises
    ------
    PolicyError
        When the window has ended, or a decision is not allowed; nothing has changed then.
    """
    check_decisions(world, state, n, decisions)
    s = state.code
    for service, decision in enumerate(decisions):
        step_service(world.code, s, n, service, decision)
    s.clock[n, st.C_T] += 1
    if s.clock[n, st.C_T] == s.clock[n, st.C_HI]:
        for service in range(state.n_services):
            settle_credits(world.code, s, n, service)
    cost = 0.0
    for service in range(state.n_services):
        for part in range(len(st.COST)):
            cost += float(s.last[n, service, part])
    return cost


def check_decisions(world: World, state: State, n: int, decisions: Sequence[Decision]) -> None:
    """Refuse decisions that the service's limits or the types do not allow."""
    s = state.code
    if s.clock[n, st.C_T] >= s.clock[n, st.C_HI]:
        raise PolicyError(f"the window of copy {n} has ended: open another one before the next step.")
    if len(decisions) != state.n_services:
        raise PolicyError(f"need one decision a service ({state.n_services}): got {len(decisions)}.")
    for i, (kind, on_demand, spot) in enumerate(decisions):
        service = world.services[int(s.rows[n, i])]
        where = f"service {i} of copy {n}"
        if not 0 <= kind < len(world.types):
            raise PolicyError(f"instance type must lie in 0..{len(world.types) - 1}: got {kind} for {where}.")
        if spot and (kind, wd.SPOT) not in world.pools:
            raise PolicyError(f"{world.types[kind].name!r} has no spot market: got {spot} spot instances for {where}.")
        total = on_demand + spot
        if min(on_demand, spot) < 0 or not service.min_instances <= total <= service.max_instances:
            raise PolicyError(
                f"instances must lie in {service.min_instances}..{service.max_instances}, none negative: got "
                f"{on_demand} on demand and {spot} spot for {where}."
            )


def step_service(w: WorldCode, s: StateCode, n: int, service: int, decision: Decision) -> None:
    """One interval of one service; the clock is not moved."""
    t, row = int(s.clock[n, st.C_T]), int(s.rows[n, service])
    seed = int(s.clock[n, st.C_SEED])
    oldest = int(w.option_i[wd.O_OLDEST])
    alive, last, sums = s.alive[n, service], s.last[n, service], s.sums[n, service]
    last[:] = 0.0

    decide(w, alive, last, t, decision)
    s.kind[n, service] = decision[0]
    for p, (kind, market) in enumerate(w.pool):
        if market == wd.SPOT:
            interrupt(w, alive[p], last, t, int(kind), seed, service, p)

    capacity, servers, ready = 0.0, 0, 0
    for p, (kind, _) in enumerate(w.pool):
        count = sum(int(alive[p, age]) for age in range(int(w.type_i[kind, wd.T_BOOT]), oldest + 1))
        capacity += count * float(w.type_f[kind, wd.T_CAPACITY])
        servers += count * int(w.type_i[kind, wd.T_SERVERS])
        ready += count
    serve(w, s, n, service, row, float(w.demand[row, t]), capacity)
    wait(w, last, row, capacity, servers)
    bill(w, alive, last, t, row)

    last[st.L_READY] = ready
    demand = float(last[st.L_DEMAND])
    lost_share_allowed = 1.0 - float(w.service_f[row, wd.S_AVAILABILITY])
    late = last[st.L_WAIT_QUANTILE] > w.service_f[row, wd.S_LATENCY]
    last[st.L_VIOLATED] = float(late or last[st.L_LOST] > lost_share_allowed * demand)
    for column in range(len(st.LAST)):
        weight = demand if column in (st.L_WAIT, st.L_WAIT_QUANTILE) else 1.0
        sums[column] += float(last[column]) * weight
    sums[st.M_ASKED] += float(demand > 0.0)
    sums[st.M_LONGEST] = max(float(sums[st.M_LONGEST]), float(last[st.L_WAIT_QUANTILE]))

    for p in range(len(w.pool)):
        for age in range(oldest, 0, -1):
            alive[p, age] = alive[p, age - 1] + (alive[p, age] if age == oldest else 0)
        if oldest > 0:
            alive[p, 0] = 0


def decide(w: WorldCode, alive: I64, last: npt.NDArray[np.float64], t: int, decision: Decision) -> None:
    """Order what is missing, take away what is not wanted."""
    chosen, *wanted = decision
    capacity = float(w.type_f[chosen, wd.T_CAPACITY])
    serving = 0.0
    for p, (kind, market) in enumerate(w.pool):
        if kind != chosen:
            continue
        have, target = int(alive[p].sum()), wanted[market]
        if have < target:
            order(w, alive[p], last, t, int(kind), int(market), target - have)
        elif have > target:
            reduce(w, alive[p], last, t, int(kind), int(market), have - target)
        serving += capacity * int(alive[p, int(w.type_i[kind, wd.T_BOOT]) :].sum())
    missing = capacity * (wanted[0] + wanted[1]) - serving
    for p, (kind, market) in enumerate(w.pool):
        if kind == chosen:
            continue
        boot = int(w.type_i[kind, wd.T_BOOT])
        remove(w, alive[p], last, t, int(kind), int(market), range(boot), int(alive[p, :boot].sum()))
        ready = int(alive[p].sum())
        kept = min(ready, math.ceil(missing / float(w.type_f[kind, wd.T_CAPACITY]))) if missing > 0.0 else 0
        missing -= kept * float(w.type_f[kind, wd.T_CAPACITY])
        reduce(w, alive[p], last, t, int(kind), int(market), ready - kept)


def order(w: WorldCode, alive: I64, last: npt.NDArray[np.float64], t: int, kind: int, market: int, count: int) -> None:
    """Order instances; of spot ones no more than are available, the rest is refused."""
    if market == wd.SPOT:
        room = max(0.0, float(w.spot_available[kind, t]) - int(alive.sum()))
        if count > room:
            last[st.L_REFUSED] += count - math.floor(room)
            count = math.floor(room)
    alive[0] += count
    last[st.L_STARTED] += count
    last[st.L_STARTS] += count * float(w.type_f[kind, wd.T_START])


def reduce(w: WorldCode, alive: I64, last: npt.NDArray[np.float64], t: int, kind: int, market: int, count: int) -> None:
    """Take ``count`` instances away: booting ones, the latest order first, and serving ones, the oldest first.

    ``cancel_booting`` says which of the two groups goes first.
    """
    boot, oldest = int(w.type_i[kind, wd.T_BOOT]), int(w.option_i[wd.O_OLDEST])
    booting, serving = range(boot), range(oldest, boot - 1, -1)
    for ages in (booting, serving) if w.option_i[wd.O_CANCEL_FIRST] else (serving, booting):
        count = remove(w, alive, last, t, kind, market, ages, count)


def remove(
    w: WorldCode,
    alive: I64,
    last: npt.NDArray[np.float64],
    t: int,
    kind: int,
    market: int,
    ages: Sequence[int],
    count: int,
) -> int:
    """Take up to ``count`` instances of the given ages away, in this order; bill what is due. Returns the rest."""
    boot = int(w.type_i[kind, wd.T_BOOT])
    for age in ages:
        gone = min(count, int(alive[age]))
        alive[age] -= gone
        count -= gone
        last[st.L_CANCELLED if age < boot else st.L_STOPPED] += gone
        last[st.L_INSTANCES] += gone * rest_usd(w, t, kind, market, age)
    return count


def rest_usd(w: WorldCode, t: int, kind: int, market: int, age: int) -> float:
    """What is still to pay for an instance that goes at an age before its shortest billing time is over."""
    billed = age
    if w.option_i[wd.O_BILL_READY]:
        boot = int(w.type_i[kind, wd.T_BOOT])
        if age < boot:
            return 0.0  # never billed
        billed = age - boot
    step_s = float(w.option_f[wd.O_STEP_S])
    rest_s = float(w.type_f[kind, wd.T_MIN_BILLING]) - billed * step_s
    return price_usd(w, t, kind, market) * (rest_s / step_s) if rest_s > 0.0 else 0.0


def price_usd(w: WorldCode, t: int, kind: int, market: int) -> float:
    """USD for one instance for one interval."""
    return float(w.spot_price[kind, t] if market == wd.SPOT else w.type_f[kind, wd.T_PRICE])


def interrupt(
    w: WorldCode, alive: I64, last: npt.NDArray[np.float64], t: int, kind: int, seed: int, service: int, p: int
) -> None:
    """Take spot instances back: beyond what is available, and by chance."""
    beyond = int(alive.sum()) - max(0.0, math.floor(min(float(w.spot_available[kind, t]), 2.0**53)))
    for age in range(len(alive)):
        gone = int(min(max(beyond, 0), int(alive[age])))
        alive[age] -= gone
        beyond -= gone
        last[st.L_INTERRUPTED] += gone
    hazard = float(w.option_f[wd.O_HAZARD])
    if hazard <= 0.0:
        return
    first = 1 if len(alive) > 1 else 0
    draw = 0
    for age in range(first, len(alive)):
        gone = 0
        for _ in range(int(alive[age])):
            gone += uniform(seed, t, service, p, draw) < hazard
            draw += 1
        alive[age] -= gone
        last[st.L_INTERRUPTED] += gone


def uniform(seed: int, t: int, service: int, p: int, draw: int) -> float:
    """A number in [0, 1) that depends on its arguments alone: rounds of splitmix64 (Steele et al., OOPSLA 2014)."""
    x = seed
    for part in (t, service, p, draw):
        x = (x + part + 1) * 0x9E3779B97F4A7C15 & MASK
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
        x ^= x >> 31
    return (x >> 11) * 2.0**-53


def serve(w: WorldCode, s: StateCode, n: int, service: int, row: int, demand: float, capacity: float) -> None:
    """Serve the oldest work first; what is too old is lost, what is left waits."""
    queue, last = s.backlog[n, service], s.last[n, service]
    slots = int(w.service_i[row, wd.S_DEADLINE])
    waiting_before = total(queue[:slots])
    left, served = capacity, 0.0
    for slot in range(slots - 1, -1, -1):
        taken = min(left, float(queue[slot]))
        queue[slot] -= taken
        left -= taken
        served += taken
    taken = min(left, demand)
    served += taken
    fresh = demand - taken
    lost = fresh
    if slots > 0:
        lost = float(queue[slots - 1])
        for slot in range(slots - 1, 0, -1):
            queue[slot] = queue[slot - 1]
        queue[0] = fresh
    last[st.L_DEMAND] = demand
    last[st.L_CAPACITY] = capacity
    last[st.L_SERVED] = served
    last[st.L_LOST] = lost
    last[st.L_BACKLOG] = total(queue[:slots])
    last[st.L_UTILISATION] = served / capacity if capacity > 0.0 else 0.0
    last[st.L_UNMET] = lost * float(w.service_f[row, wd.S_UNMET])
    last[st.L_LATE] = last[st.L_BACKLOG] * float(w.service_f[row, wd.S_LATE])
    last[st.L_WAIT] = waiting_before  # :func:`wait` puts the time in its place


def total(values: npt.NDArray[np.float64]) -> float:
    """Sum in order; ``sum`` and ``numpy.sum`` add floats in ways of their own."""
    out = 0.0
    for value in values:
        out += float(value)
    return out


def wait(w: WorldCode, last: npt.NDArray[np.float64], row: int, capacity: float, servers: int) -> None:
    """Waiting time before service: Erlang C, and the backlog in front. Nobody waits beyond the deadline."""
    before, after = float(last[st.L_WAIT]), float(last[st.L_BACKLOG])
    longest = float(w.service_f[row, wd.S_LONGEST])
    if last[st.L_DEMAND] == 0.0 and before == 0.0:
        last[st.L_WAIT] = last[st.L_WAIT_QUANTILE] = 0.0
        return
    if capacity == 0.0:
        last[st.L_WAIT] = last[st.L_WAIT_QUANTILE] = longest
        return
    step_s = float(w.option_f[wd.O_STEP_S])
    service_s = float(w.service_f[row, wd.S_REQUEST]) * servers / capacity
    utilisation = queueing.reached_utilisation(float(last[st.L_UTILISATION]), servers, service_s, step_s)
    chance = queueing.erlang_c(servers, utilisation)
    mean = queueing.mean_wait_s(chance, servers, utilisation, service_s)
    quantile = queueing.wait_quantile_s(chance, servers, utilisation, service_s, float(w.service_f[row, wd.S_QUANTILE]))
    if before + after > 0.0:
        mean += 0.5 * (before + after) / capacity * step_s
        quantile += max(before, after) / capacity * step_s
    last[st.L_WAIT] = min(mean, longest)
    last[st.L_WAIT_QUANTILE] = min(quantile, longest)


def bill(w: WorldCode, alive: I64, last: npt.NDArray[np.float64], t: int, row: int) -> None:
    """Bill every instance for the interval."""
    for p, (kind, market) in enumerate(w.pool):
        first = int(w.type_i[kind, wd.T_BOOT]) if w.option_i[wd.O_BILL_READY] else 0
        billed = int(alive[p, first:].sum())
        last[st.L_BILLED] += billed
        last[st.L_INSTANCES] += billed * price_usd(w, t, int(kind), int(market))


def settle_credits(w: WorldCode, s: StateCode, n: int, service: int) -> None:
    """Give back a share of the window's bill when too few of the intervals with demand were good."""
    sums, row = s.sums[n, service], int(s.rows[n, service])
    if sums[st.M_ASKED] == 0.0:
        return
    good = 1.0 - float(sums[st.L_VIOLATED]) / float(sums[st.M_ASKED])
    share = 0.0
    for i in range(int(w.service_i[row, wd.S_CREDITS])):
        if good < w.credits[row, i, 0]:
            share = float(w.credits[row, i, 1])
    usd = share * (float(sums[st.L_INSTANCES]) + float(sums[st.L_STARTS]))
    s.last[n, service, st.L_CREDITS] = usd
    sums[st.L_CREDITS] += usd


def view(world: World, state: State, n: int, service: int, kind: int = 0) -> View:
    """What a rule sees of a service that decides on instances of type ``kind``."""
    w, s = world.code, state.code
    t, row = int(s.clock[n, st.C_T]), int(s.rows[n, service])
    last = s.last[n, service]
    booting = np.zeros(int(w.option_i[wd.O_BOOTING]), np.int64)
    ready = 0
    for p, (k, _) in enumerate(w.pool):
        boot = int(w.type_i[k, wd.T_BOOT])
        ready += int(s.alive[n, service, p, boot:].sum())
        for age in range(1, boot):
            booting[boot - age - 1] += s.alive[n, service, p, age]
    return View(
        history=w.demand[row, :t],
        forecast=w.forecast[row, t] if len(w.horizons) else w.forecast[0, 0],
        horizons=w.horizons,
        quantiles=w.quantiles,
        booting=booting,
        t=t,
        step=t - int(s.clock[n, st.C_LO]),
        time_s=int(w.option_i[wd.O_START_S]) + t * int(w.option_f[wd.O_STEP_S]),
        step_s=float(w.option_f[wd.O_STEP_S]),
        capacity=float(w.type_f[kind, wd.T_CAPACITY]),
        boot_steps=int(w.type_i[kind, wd.T_BOOT]),
        ready=ready,
        n_booting=int(booting.sum()),
        backlog=float(last[st.L_BACKLOG]),
        served=float(last[st.L_SERVED]),
        lost=float(last[st.L_LOST]),
        utilisation=float(last[st.L_UTILISATION]),
        wait_s=float(last[st.L_WAIT]),
        price=float(w.type_f[kind, wd.T_PRICE]),
        spot_price=float(w.spot_price[kind, t - 1 if t > 0 else 0]),
        unmet_usd=float(w.service_f[row, wd.S_UNMET]),
        late_usd=float(w.service_f[row, wd.S_LATE]),
        start_usd=float(w.type_f[kind, wd.T_START]),
        min_instances=int(w.service_i[row, wd.S_MIN]),
        max_instances=int(w.service_i[row, wd.S_MAX]),
    )


def decision_of(
    w: WorldCode,
    s: StateCode,
    n: int,
    service: int,
    wanted: float,
    kind: int,
    spot_share: float,
    fallback: bool = False,
) -> Decision:
    """Make a decision of a rule's answer: round up, hold within the limits (counted), split the markets.

    With ``fallback`` no more spot instances are wanted than the market had in the interval before, the
    others on demand; and instances on demand stay until the spot ones that replace them serve, as far
    as ``max_instances`` allows.

    Raises
    ------
    PolicyError
        When the answer is not finite.
    """
    if not math.isfinite(wanted):
        raise PolicyError(f"a rule must answer a finite number of instances: got {wanted} for service {service}.")
    row = int(s.rows[n, service])
    low, high = int(w.service_i[row, wd.S_MIN]), int(w.service_i[row, wd.S_MAX])
    held = max(float(low), min(math.ceil(wanted), float(high)))
    s.sums[n, service, st.M_HELD] += float(held != math.ceil(wanted))
    total = int(held)
    spot = math.floor(spot_share * total + 0.5)
    if not fallback:
        return kind, total - spot, spot
    t = int(s.clock[n, st.C_T])
    spot = min(spot, math.floor(min(float(w.spot_available[kind, max(t - 1, 0)]), float(total))))
    boot = int(w.type_i[kind, wd.T_BOOT])
    kept = serving = 0  # on demand; on the spot market, where the type is sold there
    for p, (k, market) in enumerate(w.pool):
        if k == kind and market == wd.ON_DEMAND:
            kept = int(s.alive[n, service, p].sum())
        elif k == kind:
            serving = int(s.alive[n, service, p, boot:].sum())
    return kind, min(max(total - spot, min(kept, total - serving)), high - spot), spot

"""The clairvoyant bound of a scaling window: no policy can cost less.

:func:`clairvoyant` knows the whole demand. It is a dynamic programme over the number of instances that
serve, and where the card has what that state cannot hold (several types, a spot market, work that
waits), a linear programme.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, OurBug
from rlsched.sim.scaling.reference import first_instances
from rlsched.sim.scaling.world import SPOT, Window, World

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """What one service of a window costs at least.

    Parameters
    ----------
    cost_usd : float
        No run of the service in this window costs less.
    exact : bool
        True when some sequence of decisions costs exactly this.
    method : {"dp", "lp"}
    serving : (T,) float64
        Instances that serve in the plan behind it, an interval each; summed over types.
    """

    cost_usd: float
    exact: bool
    method: str
    serving: F64


def clairvoyant(world: World, window: Window) -> list[Bound]:
    """Bound every service of a window.

    Services share nothing, so the bound of the window is the sum.

    Raises
    ------
    MissingDataError
        When the linear programme is needed and ``scipy`` is not installed.
    """
    out = []
    for row in window.rows:
        simple = len(world.pools) == 1 and world.services[row].deadline_steps(float(world.step_s)) == 0
        out.append((dp_bound if simple else lp_bound)(world, row, window.lo, window.hi))
    return out


def dp_bound(world: World, row: int, lo: int, hi: int) -> Bound:
    """One type, on demand only, nothing waits: a dynamic programme over serving instances.

    **The programme.** Let ``n[t]`` instances serve in interval t. One that begins to serve in interval t
    was ordered ``b = boot_steps`` before, so it costs its start, and the price of b intervals where booting
    is billed; none can in the first b intervals. Going down costs nothing. An interval costs ``n[t]
    price + unmet(demand[t] - n[t] capacity)``. The cheapest path n is found by going back from the last
    interval; because going up costs the same for each instance, the best next count is a running minimum
    from either side: O(T N).

    **Nobody is below it.** Any run has some path n of serving instances. Each that begins to serve was
    ordered, so its start and boot time were paid; all that serve are billed; demand above capacity is
    lost, for nothing waits. What else a run may pay is left out: orders that never serve, the rest of a
    shortest billing time, credits. Of the limits only ``n <= max_instances`` is taken, and ``n >=
    min_instances`` where booting ones are cancelled first: serving ones then only go while none boots, when
    they are all there is. So every path a run can take is a path here, at no higher cost.

    **It is reached** where none of that can matter: no shortest billing time, no credits, booting is
    billed, and limits that the plan, with those that boot, keeps. Then the plan is a run: order what
    begins to serve b later, stop what goes. The simulator would cancel a booting one instead of a serving
    one where both are there, but the cheapest plan never lets one go while another boots: keeping it costs
    at most ``(b - 1) price``, less than the ``b price + start`` it saves.
    """
    kind, service = world.types[0], world.services[row]
    step = float(world.step_s)
    price, boot = kind.price_per_step(step), kind.boot_steps(step)
    from_order = world.options.billed_from == "order"
    up = kind.start_usd + (boot * price if from_order else 0.0)
    demand = world.demand[row, lo:hi]
    first = first_instances(world, row, lo)
    # More than the largest demand fills, or than there are at first, never pays.
    needed = int(np.ceil(float(demand.max()) / kind.capacity))
    most = max(first, min(service.max_instances, needed))
    counts = np.arange(most + 1, dtype=np.float64)
    per_unit = service.unmet_usd_per_unit_h * step / 3600.0
    to_go = np.zeros(most + 1)
    # Where booting ones are cancelled first, at least min_instances serve at any time.
    least = service.min_instances if world.options.cancel_booting == "first" else 0
    entered: list[tuple[F64, I64]] = []
    for t in range(len(demand) - 1, -1, -1):
        inside = counts * price + per_unit * np.maximum(demand[t] - counts * kind.capacity, 0.0) + to_go
        inside[: min(least, most)] = np.inf
        to_go, came = _enter(inside, up if t >= boot else np.inf)
        entered.append((to_go, came))
    entered.reverse()
    path = np.empty(len(demand), np.int64)
    now = first
    for t, (_, came) in enumerate(entered):
        now = int(came[now])
        path[t] = now
    ordered = np.maximum(np.diff(path, prepend=first), 0)
    with_booting = path + _booting(ordered, boot)
    exact = (
        kind.min_billing_s == 0
        and not service.credits
        and from_order
        and int(path.min()) >= service.min_instances
        and int(with_booting.max()) <= service.max_instances
    )
    return Bound(float(to_go[first]), exact, "dp", path.astype(np.float64))


def lp_bound(world: World, row: int, lo: int, hi: int) -> Bound:
    """Several types or markets, or work that waits: a linear programme.

    **The programme.** For every pool (type and market) the instances of each age while they boot and those
    that serve, as real numbers: at most those one interval younger in the interval before, orders at age 0.
    Work of interval t that is still unserved after interval ``t + j`` falls in j; what is served in an
    interval fits into the capacity of all that serve. A spot instance costs the price of its interval, and there are
    at most as many as the market has then: none while it is closed. The cost is the simulator's: price of
    what is billed, starts, penalty of work unserved after the deadline, and of work that waits.

    **Nobody is below it.** The counts and the work of any run satisfy all this: instances that stop, are
    cancelled or interrupted only make the inequalities strict. So the run is a point of the programme,
    and costs at least as much there: left out are fractions (instances are whole), shortest billing
    times, credits, and, with several types, the limit on instances, which old ones may pass while new
    ones boot.

    Raises
    ------
    MissingDataError
        Without ``scipy``.
    """
    try:
        from scipy.optimize import linprog
        from scipy.sparse import csr_array
    except ModuleNotFoundError:
        raise MissingDataError(
            "the bound of a card with several types, a spot market or work that waits needs scipy: install "
            "'rlsched[bounds]', or set bound = false."
        ) from None
    program = _Program(world, row, lo, hi)
    rows, columns, factors = (np.array(part) for part in zip(*program.entries, strict=True))
    shape = (len(program.right), len(program.cost))
    found = linprog(
        program.cost,
        A_ub=csr_array((factors.astype(float), (rows.astype(int), columns.astype(int))), shape=shape),
        b_ub=program.right,
        bounds=list(zip(np.zeros(len(program.cost)), program.most, strict=True)),
        method="highs",
    )
    if found.status != 0:
        raise OurBug(f"the bound's linear programme must have a solution: {found.message}")
    serving = np.array([sum(found.x[i] for i in at) for at in program.serving])
    # The solver's tolerance is 1e-7 a row; a bound may be too low, never too high.
    return Bound(max(0.0, float(found.fun) * (1 - 1e-9) - 1e-9), False, "lp", serving)


class _Program:
    """Columns and rows of the linear programme: ``cost @ x``, ``A x <= right``, ``0 <= x <= most``."""

    def __init__(self, world: World, row: int, lo: int, hi: int) -> None:
        self.cost: list[float] = []
        self.most: list[float] = []
        self.right: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.serving: list[list[int]] = [[] for _ in range(hi - lo)]
        self.capacity: list[list[tuple[int, float]]] = [[] for _ in range(hi - lo)]
        self.alive: list[list[int]] = [[] for _ in range(hi - lo)]
        service = world.services[row]
        first = first_instances(world, row, lo)
        for kind, market in world.pools:
            self._pool(world, kind, market, lo, hi, first if (kind, market) == world.pools[0] else 0)
        if len(world.types) == 1:
            for at in self.alive:
                self._at_most([(i, 1.0) for i in at], float(max(service.max_instances, first)))
        self._work(world, row, lo, hi)

    def _column(self, cost: float, most: float = np.inf) -> int:
        self.cost.append(cost)
        self.most.append(most)
        return len(self.cost) - 1

    def _at_most(self, parts: list[tuple[int, float]], right: float) -> None:
        self.entries += [(len(self.right), column, factor) for column, factor in parts]
        self.right.append(right)

    def _pool(self, world: World, kind: int, market: int, lo: int, hi: int, first: int) -> None:
        one, step = world.types[kind], float(world.step_s)
        boot = one.boot_steps(step)
        billed_early = world.options.billed_from == "order"
        before: list[int] = []
        for t in range(lo, hi):
            spot = market == SPOT
            hour = float(world.spot_price_per_h[kind, t]) if spot else one.price_per_h
            price = hour * step / 3600.0
            room = float(world.spot_available[kind, t]) if spot else np.inf
            # By age: 0 .. boot - 1 boot, the last serves. An order costs its start; without a boot time
            # it serves at once, so orders have a column of their own.
            order = self._column(one.start_usd)
            now = [self._column(price if billed_early else 0.0, room) for _ in range(boot)] + [
                self._column(price, room)
            ]
            left = [(before[-1], -1.0)] if before else []
            start = 0.0 if before else float(first)
            if boot == 0:
                self._at_most([(now[0], 1.0), (order, -1.0), *left], start)
            else:
                self._at_most([(now[0], 1.0), (order, -1.0)], 0.0)
                for age in range(1, boot):
                    self._at_most([(now[age], 1.0), *([(before[age - 1], -1.0)] if before else [])], 0.0)
                came = [(before[boot - 1], -1.0)] if before else []
                self._at_most([(now[boot], 1.0), *left, *came], start)
            self.serving[t - lo].append(now[-1])
            self.capacity[t - lo].append((now[-1], one.capacity))
            self.alive[t - lo] += now
            before = now

    def _work(self, world: World, row: int, lo: int, hi: int) -> None:
        service, step = world.services[row], float(world.step_s)
        waits = service.deadline_steps(step)
        unmet, late = (usd * step / 3600.0 for usd in (service.unmet_usd_per_unit_h, service.late_usd_per_unit_h))
        demand = world.demand[row]
        # left[t][j]: work of interval t still unserved after interval t + j; after the window nothing is counted.
        left: dict[tuple[int, int], int] = {}
        for t in range(lo, hi):
            for j in range(min(waits, hi - 1 - t) + 1):
                left[t, j] = self._column(unmet if j == waits else late, float(demand[t]))
                if j:
                    self._at_most([(left[t, j], 1.0), (left[t, j - 1], -1.0)], 0.0)
        for t in range(lo, hi):
            # Served in t: what was unserved before and is no more.
            parts = [(left[t, 0], -1.0)]
            for j in range(1, min(waits, t - lo) + 1):
                parts += [(left[t - j, j - 1], 1.0), (left[t - j, j], -1.0)]
            parts += [(column, -capacity) for column, capacity in self.capacity[t - lo]]
            self._at_most(parts, -float(demand[t]))


def _enter(inside: F64, up: float) -> tuple[F64, I64]:
    """Cheapest count to go to from each count, ``inside[m] + up * max(0, m - n)``; the cost, and which m."""
    n = len(inside)
    cost, came = np.empty(n), np.empty(n, np.int64)
    best = 0
    for m in range(n):  # down to m <= n is free
        if inside[m] < inside[best]:
            best = m
        cost[m], came[m] = inside[best], best
    if np.isfinite(up):
        best = n - 1
        for m in range(n - 2, -1, -1):
            above = inside[best] + up * (best - m)
            if inside[m] <= above:
                best = m
            elif above < cost[m]:
                cost[m], came[m] = above, best
    return cost, came


def _booting(ordered: I64, boot: int) -> I64:
    """Instances that boot in each interval: those that begin to serve in the next ``boot`` ones."""
    total = np.concatenate([[0], np.cumsum(ordered)])
    ends = np.minimum(np.arange(len(ordered)) + 1 + boot, len(ordered))
    out: I64 = total[ends] - total[1:]
    return out

"""What no consolidation policy can beat: a bound on the weighted cost, tick by tick.

Proof idea. Take any interval between two measurements; it begins with the CPU given ``g`` and the
set ``S`` of machines that are on, and ``S`` stays on until it ends. It is billed by the trapezoid
of power at both ends.

1. At its beginning the machines of ``S`` give ``g`` together, each at most its capacity. At its
   end each still draws at least its idle power, whatever the load has become. So its energy is at
   least half its length times the least ``Σ_S (power_m(u_m) + power_m(0))`` over all sets and
   loads with ``Σ_S cpu_m u_m >= g``. Replacing every machine's curve (and *off*) by its convex
   envelope, and letting machines be on in part, only makes that smaller; what is left is a
   fractional packing, solved by taking the pieces of all envelopes in order of slope. Call it
   ``B(g)``: convex, from ``B(0) = 0``, not descending.
2. Every VM lives on some machine of ``S``. Where memory counts, the memory of ``S`` holds all VMs,
   so power is at least that of the fractional packing of memory by idle power per MiB.
3. What is asked for and not given costs its weight, billed by the beginning of the interval too.
   Giving less than could be used saves at most the slope of ``B`` and costs the weight over the
   CPU asked for; capping each slope of ``B`` at that price covers whatever a policy gives.
   A VM never gets more than one core, so what is asked beyond the largest core is short under
   every policy, and counts.
4. Loads are linear between samples, so within a tick ``B`` is at least its lower end. Moves, and
   waking machines, cost nothing in the bound.

The bound looks at each tick alone and lets VMs change machines for free, so it may be far from
what can be attained; it also loses the rise of power above idle at the end of each interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.evaluate.consolidation_metrics import full_energy_ws
from rlsched.sim.consolidation.world import World
from rlsched.sim.power import TABLE, curve_arrays, watts
from rlsched.sim.semantics import Semantics

F64 = npt.NDArray[np.float64]
NAME = "packing_bound"
DOC = (
    "Each tick alone: the least power of machines, on in part, that could give the CPU asked for (and hold all VMs "
    "in memory where that counts), with moves and waking for free."
)
_PIECES = 100  # of a curve that is not a table; a chord of a convex piece lies above it, so those are shifted down


def cost_bound(world: World, semantics: Semantics, weights: Mapping[str, float], pue: float = 1.0) -> float:
    """Weighted cost (``weighted_cost_pct``) that no policy goes below.

    Parameters
    ----------
    world : World
    semantics : Semantics
    weights : mapping of str to float
        ``energy``, ``unmet``, ``moves``; none negative.
    pue : float

    Raises
    ------
    SpecError
        A negative weight, or semantics under which VMs vanish or the last interval is not billed as
        the proof needs it.
    """
    why = why_not(semantics, weights)
    if why:
        raise SpecError(f"there is no packing bound: {why}.")
    step_s, largest_core = world.step_s, float(world.host_core.max())
    request = world.load * world.vm_cpu  # (T, V)
    want = np.minimum(request, largest_core)
    asked, wanted = request.sum(axis=1), want.sum(axis=1)  # (T,)
    low = np.minimum(wanted, _next(wanted))  # least within each interval
    total = float(np.maximum(asked, _next(asked)).sum())  # the share not given is of this at most
    scale = full_energy_ws(world)
    energy_price = weights["energy"] * pue / scale  # per watt-second
    unmet_price = weights["unmet"] / (total * step_s) if total > 0 else 0.0  # per CPU-second
    slopes, widths = pieces(world)
    if energy_price > 0:
        slopes = np.minimum(slopes, 2.0 * unmet_price / energy_price)  # half the trapezoid carries the slope
    power = 0.5 * _fill(slopes, widths, low)  # (T,) W
    if semantics.memory_counts:
        power = np.maximum(power, memory_power_w(world))
    beyond = request - want
    unavoidable = float(np.minimum(beyond, _next(beyond)).sum())
    return float(100.0 * (energy_price * power.sum() * step_s + unmet_price * unavoidable * step_s))


def why_not(semantics: Semantics, weights: Mapping[str, float]) -> str:
    """Why the proof does not hold; empty where it does."""
    if any(weight < 0 for weight in weights.values()):
        return f"a weight of {dict(weights)} is negative"
    needed = {
        "zero_demand_removes_vm": False,
        "first_interval_free": False,
        "last_interval_simulated": True,
        "idle_host_is_off": False,
        "tick_offset_s": 0.0,
    }
    for name, value in needed.items():
        if getattr(semantics, name) != value:
            return f"it needs {name} = {str(value).lower()}"
    return ""


def pieces(world: World) -> tuple[F64, F64]:
    """The envelopes of all machines, cut into straight pieces.

    Returns
    -------
    slopes, widths : (P,) float64
        Watts per unit of CPU of (power + idle power), ascending, and units of CPU.
    """
    slopes, widths = [], []
    for cpu, row in zip(world.host_cpu.tolist(), world.host_curve.tolist(), strict=True):
        load, power = _points(world, row)
        slope, width = _envelope(cpu * load, power + power[0])
        slopes.append(slope)
        widths.append(width)
    joined, wide = np.concatenate(slopes), np.concatenate(widths)
    order = np.argsort(joined, kind="stable")
    return joined[order], wide[order]


def memory_power_w(world: World) -> float:
    """Least idle power of machines, on in part, whose memory holds all VMs, watts."""
    idle = np.array([_points(world, row)[1][0] for row in world.host_curve.tolist()])
    memory = world.host_mem.astype(np.float64)
    order = np.argsort(idle / memory, kind="stable")
    held = np.concatenate([[0.0], np.cumsum(memory[order])])
    drawn = np.concatenate([[0.0], np.cumsum(idle[order])])
    return float(np.interp(float(world.vm_mem.sum()), held, drawn))


def _points(world: World, curve: int) -> tuple[F64, F64]:
    """Load and power along a curve; never above the curve between the points."""
    kinds, tables = curve_arrays(world.curves)
    n = 10 if kinds[curve] == TABLE else _PIECES
    load = np.arange(n + 1) / n
    power = np.array([watts(int(kinds[curve]), tables[curve], float(u)) for u in load])
    if kinds[curve] != TABLE:
        # A chord lies above a convex curve by at most f'' h^2 / 8, and no curve here has f'' above 6 times its rise.
        power[1:-1] -= 6.0 / 8.0 / n**2 * (power[-1] - power[0])
    return load, power


def _envelope(x: F64, y: F64) -> tuple[F64, F64]:
    """Slopes and widths of the lower convex envelope of the origin and some points, up to the last point."""
    corner_x, corner_y = [0.0], [0.0]
    for px, py in zip(x[1:].tolist(), y[1:].tolist(), strict=True):
        while len(corner_x) > 1:
            before = (corner_y[-1] - corner_y[-2]) * (px - corner_x[-1])
            after = (py - corner_y[-1]) * (corner_x[-1] - corner_x[-2])
            if before < after:
                break
            corner_x.pop()
            corner_y.pop()
        corner_x.append(px)
        corner_y.append(py)
    width = np.diff(corner_x)
    return np.diff(corner_y) / width, width


def _fill(slopes: F64, widths: F64, amount: F64) -> F64:
    """Cost of so much CPU, cheapest pieces first; what is beyond all pieces is free."""
    x = np.concatenate([[0.0], np.cumsum(widths)])
    y = np.concatenate([[0.0], np.cumsum(slopes * widths)])
    out: F64 = np.interp(amount, x, y)
    return out


def _next(values: F64) -> F64:
    """Each row's next; the last stays."""
    return np.concatenate([values[1:], values[-1:]])

"""``ConsolidationObserver``: state of the copies → the fields of ``consolidation_features``, in one compiled call."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlsched.observe.consolidation_features import GLOBAL_FEATURES, HISTOGRAM_BINS, LOOK_BACK
from rlsched.sim.compile import bare_njit
from rlsched.sim.consolidation.state import (
    ACTIVE,
    ENERGY,
    MIGRATIONS,
    NONE,
    REQUESTED,
    SHORT,
    SHUTDOWNS,
    VIOLATION,
    WAKES,
    StateCode,
)
from rlsched.sim.consolidation.world import World
from rlsched.sim.consolidation.worlds import WorldsCode
from rlsched.units import SECONDS_PER_DAY

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

#: What is noted at each decision, columns of ``ConsolidationObserver.past``.
(P_ENERGY, P_REQUESTED, P_SHORT, P_ACTIVE, P_VIOLATION, P_MOVES, P_SWITCHED, P_ASKED) = range(8)
_ROWS = LOOK_BACK + 1


def full_power_w(world: World) -> float:
    """Power of all machines at full load, watts."""
    top = [curve.points[-1] for curve in world.curves]
    return math.fsum(top[row] for row in world.host_curve.tolist())


class ConsolidationObserver:
    """Observes ``N`` copies at their decisions.

    Parameters
    ----------
    worlds : sequence of World
    stacked : WorldsCode
        The same, as the simulator has them.
    n_copies : int
    forecasts : (D, K, F) float64
        CPU asked for in all that is forecast at the ``K`` decisions of each world; NaN where not known.
    tolerance : float
        As ``Semantics.sla_tolerance_mips``.

    Attributes
    ----------
    past : (N, 7, 8) float64
        Meters at the latest decisions, row ``noted mod 7``.
    noted : (N,) int64
        Decisions seen since the episode began.
    """

    def __init__(
        self, worlds: Sequence[World], stacked: WorldsCode, n_copies: int, forecasts: F64, tolerance: float
    ) -> None:
        self._w = stacked
        self._forecasts = forecasts
        self._tolerance = tolerance
        #: Watt-seconds of a tick at full power, and CPU, of each world.
        self.full_ws = np.array([full_power_w(one) * one.step_s for one in worlds])
        self._cpu = np.array([math.fsum(one.host_cpu.tolist()) for one in worlds])
        self.past = np.zeros((n_copies, _ROWS, 8))
        self.noted = np.zeros(n_copies, np.int64)

    @property
    def n_features(self) -> int:
        """Columns of the observation."""
        return len(GLOBAL_FEATURES) + int(self._forecasts.shape[2])

    def note(self, s: StateCode, which: Bool, fresh: bool) -> None:
        """Note the meters of some copies; ``fresh``: their episodes have just begun."""
        if fresh:
            self.noted[which] = 0
        _note(s, which, self.past, self.noted)

    def observe(self, s: StateCode, which: Bool, out: F32) -> None:
        """Fill the rows of some copies, (N, at least G) float32."""
        _observe(
            self._w, s, which, self.past, self.noted, self.full_ws, self._cpu, self._forecasts, self._tolerance, out
        )


@bare_njit(also=("sim/consolidation",))
def _note(s: StateCode, which: Bool, past: F64, noted: I64) -> None:
    for n in range(which.shape[0]):
        if not which[n]:
            continue
        row = past[n, noted[n] % past.shape[1]]
        row[P_ENERGY] = s.sums[n, ENERGY]
        row[P_REQUESTED] = s.sums[n, REQUESTED]
        row[P_SHORT] = s.sums[n, SHORT]
        row[P_ACTIVE] = s.sums[n, ACTIVE]
        row[P_VIOLATION] = s.sums[n, VIOLATION]
        row[P_MOVES] = s.counts[n, MIGRATIONS]
        row[P_SWITCHED] = s.counts[n, SHUTDOWNS] + s.counts[n, WAKES]
        asked = 0.0
        for vm in range(s.vm_host.shape[1]):
            if s.vm_host[n, vm] != NONE:
                asked += s.vm_request[n, vm]
        row[P_ASKED] = asked
        noted[n] += 1


@bare_njit(also=("sim/consolidation",))
def _squash(x: float) -> float:
    return x / (1.0 + x)


@bare_njit(also=("sim/consolidation",))
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


@bare_njit(also=("sim/consolidation",))
def _change(a: float, b: float) -> float:
    whole = abs(a) + b
    return (a - b) / whole if whole > 0.0 else 0.0


@bare_njit(also=("sim/consolidation",))
def _observe(
    w: WorldsCode,
    s: StateCode,
    which: Bool,
    past: F64,
    noted: I64,
    full_ws: F64,
    cpu: F64,
    forecasts: F64,
    tolerance: float,
    out: F32,
) -> None:
    for n in range(which.shape[0]):
        if not which[n]:
            continue
        d, row = s.world[n], out[n]
        n_hosts, n_vms, tick = w.n_hosts[d], w.n_vms[d], s.remembered[n] - 1
        angle = 2.0 * math.pi * ((s.now_s[n] % SECONDS_PER_DAY) / SECONDS_PER_DAY)
        row[0], row[1] = math.sin(angle), math.cos(angle)
        for column in range(2, 4 + HISTOGRAM_BINS + 1):
            row[column] = 0.0
        on, short, cpu_on, mem_on = 0, 0, 0.0, 0.0
        for host in range(n_hosts):
            if s.host_on[n, host]:
                on += 1
                cpu_on += w.host_cpu[d, host]
                mem_on += w.host_mem[d, host]
                if s.host_used[n, host] + tolerance < s.host_asked[n, host]:
                    short += 1
                at = min(int(HISTOGRAM_BINS * (s.host_asked[n, host] / w.host_cpu[d, host])), HISTOGRAM_BINS)
                row[3 + at] += 1.0
        for column in range(3, 4 + HISTOGRAM_BINS):
            row[column] = _share(row[column], on)
        mem, line = 0.0, 0.0
        for vm in range(n_vms):
            if s.vm_host[n, vm] != NONE:
                mem += w.vm_mem[d, vm]
                line += w.trend[d, tick, vm]
        known = min(noted[n], past.shape[1])
        now = past[n, (noted[n] - 1) % past.shape[1]]
        last = past[n, (noted[n] - min(known, 2)) % past.shape[1]]
        first = past[n, (noted[n] - known) % past.shape[1]]
        asked = now[P_ASKED]
        column = 4 + HISTOGRAM_BINS
        row[2] = on / n_hosts
        row[column] = _share(short, on)
        row[column + 1] = _squash(asked / cpu[d])
        row[column + 2] = _squash(_share(asked, cpu_on))
        row[column + 3] = _squash(_share(mem, mem_on))
        row[column + 4] = _change(asked, last[P_ASKED])
        row[column + 5] = _change(asked, first[P_ASKED])
        row[column + 6] = _change(line, asked)
        row[column + 7] = _squash((now[P_MOVES] - last[P_MOVES]) / n_vms)
        row[column + 8] = _squash((now[P_MOVES] - first[P_MOVES]) / n_vms / max(known - 1, 1))
        row[column + 9] = _share(now[P_SHORT] - last[P_SHORT], now[P_REQUESTED] - last[P_REQUESTED])
        row[column + 10] = _share(now[P_SHORT] - first[P_SHORT], now[P_REQUESTED] - first[P_REQUESTED])
        row[column + 11] = _share(now[P_VIOLATION] - last[P_VIOLATION], now[P_ACTIVE] - last[P_ACTIVE])
        row[column + 12] = _share(now[P_VIOLATION] - first[P_VIOLATION], now[P_ACTIVE] - first[P_ACTIVE])
        row[column + 13] = _squash((now[P_SWITCHED] - last[P_SWITCHED]) / n_hosts)
        row[column + 14] = _squash((now[P_ENERGY] - last[P_ENERGY]) / full_ws[d])
        for f in range(forecasts.shape[2]):
            ahead = forecasts[d, tick, f]
            row[column + 15 + f] = 0.0 if math.isnan(ahead) else _change(ahead, asked)

"""Fills the observation of ``rlsched/Scaling-v0``; the fields are those of `scaling_fields`, in order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.observe.scaling_fields import ScalingField, ScalingObservation, scaling_fields
from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.state import StateCode
from rlsched.sim.scaling.world import World, WorldCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

inner = bare_njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, inline="always", also=("sim/scaling",))


class ScalingObserverCode(NamedTuple):
    """What the observation needs besides world and state."""

    lags: I64  # (L,) intervals
    level: F64  # (R, T + 1) mean demand of the last intervals before each, units
    most: F64  # (R,) capacity of the most instances allowed, units


def observer_code(world: World, settings: ScalingObservation) -> ScalingObserverCode:
    """Prepare the observation of a world.

    Raises
    ------
    SpecError
        When the series are shorter than ``settings.reach``.
    """
    rows, steps = world.demand.shape
    n = settings.level
    if steps < settings.reach:
        raise SpecError(
            f"the observation looks back {settings.reach} intervals: the series have {steps}. Shorten lags and level."
        )
    level = np.zeros((rows, steps + 1))
    level[:, n:] = np.lib.stride_tricks.sliding_window_view(world.demand, n, axis=1).mean(axis=2)
    largest = max(kind.capacity for kind in world.types)
    most = np.array([service.max_instances * largest for service in world.services])
    return ScalingObserverCode(np.array(settings.lags, np.int64), level, most)


def fields_of(world: World, settings: ScalingObservation) -> tuple[ScalingField, ...]:
    """The table of a world's observation, one row a number, for one service."""
    return scaling_fields(
        settings,
        max(kind.boot_steps(world.step_s) for kind in world.types),
        tuple(int(h) for h in world.horizons),
        tuple(float(q) for q in world.quantiles),
        tuple(kind.name for kind in world.types),
        any(market == wd.SPOT for _, market in world.pools),
    )


@inner
def _amount(x: float, m: float) -> float:
    return x / (x + m) if x > 0.0 else 0.0


@inner
def observe(w: WorldCode, s: StateCode, o: ScalingObserverCode, n: int, out: F32) -> None:
    """Fill the observation of copy ``n``, all services one after the other.

    Parameters
    ----------
    w, s, o
    n : int
    out : (S * F,) float32
        At the end of the series the forecast is the one made before the last interval.
    """
    t = s.clock[n, st.C_T]
    i = 0
    for service in range(s.rows.shape[1]):
        row, kind = s.rows[n, service], s.kind[n, service]
        m = o.level[row, t]
        for lag in range(o.lags.shape[0]):
            out[i] = _amount(w.demand[row, t - o.lags[lag]], m)
            i += 1
        out[i] = _amount(m, o.most[row])
        i += 1
        ready, oldest = 0.0, s.alive.shape[3] - 1
        for p in range(w.pool.shape[0]):
            count = 0
            for age in range(w.type_i[w.pool[p, 0], wd.T_BOOT], oldest + 1):
                count += s.alive[n, service, p, age]
            ready += count * w.type_f[w.pool[p, 0], wd.T_CAPACITY]
        out[i] = _amount(ready, m)
        i += 1
        for left in range(1, w.option_i[wd.O_BOOTING]):
            joins = 0.0
            for p in range(w.pool.shape[0]):
                age = w.type_i[w.pool[p, 0], wd.T_BOOT] - left
                if age > 0:
                    joins += s.alive[n, service, p, age] * w.type_f[w.pool[p, 0], wd.T_CAPACITY]
            out[i] = _amount(joins, m)
            i += 1
        out[i] = _amount(s.last[n, service, st.L_BACKLOG], m)
        out[i + 1] = _amount(s.last[n, service, st.L_LOST], m)
        out[i + 2] = s.last[n, service, st.L_UTILISATION]
        out[i + 3] = _amount(s.last[n, service, st.L_WAIT_QUANTILE], w.option_f[wd.O_STEP_S])
        i += 4
        if w.horizons.shape[0] > 0:
            made = min(t, w.forecast.shape[1] - 1)
            for h in range(w.horizons.shape[0]):
                for q in range(w.quantiles.shape[0]):
                    out[i] = _amount(w.forecast[row, made, h, q], m)
                    i += 1
        for c in range(4):
            out[i + c] = w.calendar[t, c]
        i += 4
        if w.pool.shape[0] > w.type_i.shape[0]:
            spot, every = 0, 0
            for p in range(w.pool.shape[0]):
                for age in range(oldest + 1):
                    every += s.alive[n, service, p, age]
                    if w.pool[p, 1] == wd.SPOT:
                        spot += s.alive[n, service, p, age]
            out[i] = spot / every if every > 0 else 0.0
            price = w.spot_price[kind, t - 1]
            out[i + 1] = _amount(price, w.type_f[kind, wd.T_PRICE]) if price == price else 0.0
            i += 2
        if w.type_i.shape[0] > 1:
            for k in range(w.type_i.shape[0]):
                out[i] = 1.0 if k == kind else 0.0
                i += 1

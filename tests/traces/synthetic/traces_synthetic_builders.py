"""Small traces and profiles with known parameters, for the tests of this folder."""

import numpy as np

from rlsched.rng import stream
from rlsched.traces.columns import Trace, Usage
from rlsched.traces.synthetic.arrivals import Arrivals
from rlsched.traces.synthetic.gaussian import Component
from rlsched.traces.synthetic.lifetimes import Curve, Lifetimes
from rlsched.traces.synthetic.profile import Disclosure, Origin, Profile, Stream
from rlsched.traces.synthetic.sizes import Atom, Sizes


def arrivals(
    per_step: float = 4.0,
    *,
    day_swing: float = 0.0,
    bursts: tuple[Component, ...] = (),
    echo: float = 0.0,
    schedule: tuple[float, ...] = (1.0,),
):
    day = 1 + day_swing * np.sin(2 * np.pi * np.arange(48) / 48)
    return Arrivals(
        batches_per_step=per_step,
        day_factors=tuple(day.tolist()),
        week_factors=(1.0,) * 7,
        schedule_factors=schedule,
        bursts=bursts,
        echo=echo,
        batch_size_edges=(1, 2, 5),
        batch_size_share=(0.75, 0.25),
    )


def lifetimes(alpha: float | None = 1.5, correlation: float = 0.0) -> Lifetimes:
    curve = Curve(atoms=(0, 1), edge_s=(0.0, 600.0, 3600.0), survival=(1.0, 0.5, 0.1), tail_alpha=alpha)
    return Lifetimes(curves=(curve,), batch_correlation=correlation, max_s=86_400.0)


def profile(per_step: float = 4.0, lives: Lifetimes | None = None, **more) -> Profile:
    sizes = Sizes(atom_share=(0.75, 0.25), repeat=0.5)
    return Profile(
        origin=Origin(name="toy", tasks=1000, observed_s=86_400.0),
        disclosure=Disclosure(min_count=20, digits=3),
        atoms=(Atom(cpu_mcore=1000, mem_mib=2048), Atom(cpu_mcore=4000, mem_mib=4096)),
        streams=(Stream(arrivals=arrivals(per_step, **more), sizes=sizes, lifetimes=lives or lifetimes()),),
    )


def trace(cpu, mem=None, *, arrive=None, depart=None, **columns) -> Trace:
    k = len(cpu)
    arrive = np.arange(k) * 300 if arrive is None else np.asarray(arrive)
    return Trace(
        task_id=np.arange(k),
        arrive_s=arrive,
        depart_s=arrive + 600 if depart is None else np.asarray(depart),
        cpu_mcore=np.asarray(cpu),
        mem_mib=np.full(k, 1024) if mem is None else np.asarray(mem),
        **columns,
    ).validate()


def ar1_usage(series: int = 40, n: int = 600, keep: float = 0.8, cross: float = 0.0, seed: int = 0) -> Usage:
    """Series ``0.3 + 0.05 z(t)`` with AR(1) ``z``; memory's noise correlates with CPU's by ``cross``."""
    rng = stream(seed, "ar1")
    noise = rng.standard_normal((2, series, n))
    noise[1] = cross * noise[0] + np.sqrt(1 - cross**2) * noise[1]
    z = noise.copy()
    for t in range(1, n):
        z[:, :, t] = keep * z[:, :, t - 1] + np.sqrt(1 - keep**2) * noise[:, :, t]
    return Usage(
        series_id=np.arange(series),
        offset=np.arange(series + 1) * n,
        start_s=np.zeros(series, np.int64),
        step_s=300,
        cpu_share=(0.3 + 0.05 * z[0]).ravel(),
        mem_share=(0.5 + 0.05 * z[1]).ravel(),
    ).validate()

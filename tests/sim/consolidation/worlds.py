"""Small worlds to test with: drawn at random, or made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from rlsched.sim.consolidation.policy import POLICIES, ConsolidationPolicy
from rlsched.sim.consolidation.world import World
from rlsched.sim.power import POWER_CURVES, PowerCurve
from rlsched.sim.semantics import Semantics

CURVES = (
    POWER_CURVES["hp_ml110_g4"],
    POWER_CURVES["hp_ml110_g5"],
    PowerCurve("linear", (50.0, 150.0)),
    PowerCurve("cubic_root", (20.0, 90.0)),
)


def world(hosts: list[tuple[float, float, int, int]], vms: list[tuple[float, int]], load: Any, **options: Any) -> World:
    """Machines ``(cpu, core, mem, curve)``, VMs ``(cpu, mem)``, load ``(T, V)`` in percent."""
    return World(
        host_cpu=np.array([h[0] for h in hosts]),
        host_core=np.array([h[1] for h in hosts]),
        host_mem=np.array([h[2] for h in hosts]),
        host_curve=np.array([h[3] for h in hosts]),
        curves=CURVES,
        vm_cpu=np.array([v[0] for v in vms]),
        vm_mem=np.array([v[1] for v in vms]),
        load=np.array(load, dtype=np.float64) / 100.0,
        **options,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to 15 machines and 12 VMs over up to 40 ticks; sizes from few values, so that ties happen."""
    host = st.sampled_from(
        [(3720.0, 1860.0, 4096, 0), (5320.0, 2660.0, 4096, 1), (4000.0, 4000.0, 6000, 2), (2600.0, 2600.0, 9000, 3)]
    )
    vm = st.sampled_from([(2500.0, 870), (2000.0, 1740), (1000.0, 1740), (500.0, 613), (1800.0, 613)])
    vms = draw(st.lists(vm, min_size=1, max_size=12))
    # Enough machines for all at their nominal sizes, most of the time.
    hosts = draw(st.lists(host, min_size=2 + len(vms) // 2, max_size=3 + len(vms)))
    n_ticks = draw(st.integers(2, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    busy = draw(st.sampled_from([0.2, 0.6, 0.95]))
    random = np.random.Generator(np.random.PCG64(seed))
    load = np.where(random.random((n_ticks, len(vms))) < busy, random.integers(0, 101, (n_ticks, len(vms))), 0)
    return world(hosts, vms, load, migration_mib_per_s=draw(st.sampled_from([62.5, 31.0])))


@st.composite
def semantics(draw: st.DrawFn) -> Semantics:
    """Any choice of the options, the two named ones often."""
    named = draw(st.sampled_from([Semantics(), Semantics.cloudsim_303()]))
    change = {
        name: draw(st.booleans())
        for name, value in vars(named).items()
        if isinstance(value, bool) and draw(st.integers(0, 2)) == 0
    }
    change["sla_tolerance_mips"] = draw(st.sampled_from([0.0, 1e-6]))
    change["initial_placement"] = draw(st.sampled_from(["pack", "spread"]))
    change["tick_offset_s"] = draw(st.sampled_from([0.0, 0.1, 7.0]))
    change["migration_overhead_share"] = draw(st.sampled_from([0.0, 0.1, 0.25]))
    change["wake_s"] = draw(st.sampled_from([0.0, 60.0, 100.0]))
    change["wake_energy_wh"] = draw(st.sampled_from([0.0, 0.7]))
    change["off_w"] = draw(st.sampled_from([0.0, 5.0]))
    return named.replace(change)


@st.composite
def policies(draw: st.DrawFn) -> ConsolidationPolicy:
    """Any policy with any parameter."""
    name = draw(st.sampled_from(POLICIES))
    parameter = None
    if name not in ("dvfs", "npa") and draw(st.booleans()):
        parameter = draw(st.sampled_from([0.3, 0.8] if name.startswith("thr") else [0.7, 1.2, 2.5]))
    cap, below = draw(st.sampled_from([1.0, 0.75])), draw(st.sampled_from([1.0, 0.3, 0.0]))
    return ConsolidationPolicy(name, parameter, placement_cap=cap, evacuate_below=below)

"""Two machines, a few VMs, arithmetic in the comments: each semantic option does what it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlsched.errors import SpecError, TraceError
from rlsched.sim.consolidation.meters import METRICS, Meters
from rlsched.sim.consolidation.policy import POLICIES, ConsolidationPolicy, policy_code, trend_weights
from rlsched.sim.consolidation.simulate import Run, Simulator, simulate
from rlsched.sim.consolidation.world import World, java_hash
from rlsched.sim.semantics import Semantics

from .worlds import world

#: Linear curve 50..150 W (curve 2), one core for all.
BOX = (1000.0, 1000.0, 4000, 2)


def run(w: World, policy: str = "thr_mmt", **options: Any) -> Run:
    return simulate(w, [ConsolidationPolicy(policy)], Semantics().replace(options))[0]


def steady(load: list[float], hosts: int = 2, n: int = 3, mem: int = 625) -> World:
    """VMs of 400 CPU at constant load, in percent."""
    return world([BOX] * hosts, [(400.0, mem)] * len(load), [load] * n)


def test_energy_of_a_constant_load_is_power_times_time() -> None:
    # 2 VMs of 400 at 50 % on one machine: 400 / 1000 = 40 % -> 90 W for 900 s; the other is off.
    meters = run(steady([50, 50])).meters
    assert meters.energy_ws == pytest.approx(90.0 * 900, rel=1e-12)
    assert meters.migrations == 0
    assert meters.active_s == 900


def test_energy_of_a_changing_load_is_the_trapezoid_on_power() -> None:
    # One VM: 0 %, 100 %, 100 % of 400: power 50 -> 90 W within 300 s, then 90 W for 600 s.
    meters = run(world([BOX], [(400.0, 100)], [[0], [100], [100]]), "dvfs").meters
    assert meters.energy_ws == pytest.approx(70.0 * 300 + 90.0 * 600, rel=1e-12)


def test_npa_draws_full_power_on_every_machine() -> None:
    assert run(steady([50, 50]), "npa").meters.energy_ws == 2 * 150.0 * 900


def test_off_w_is_drawn_by_machines_that_are_off() -> None:
    extra = run(steady([50, 50]), off_w=5.0).meters.energy_ws - run(steady([50, 50])).meters.energy_ws
    assert extra == pytest.approx(5.0 * 900, rel=1e-9)


def test_a_vm_without_load_stays_and_keeps_its_machine_on_unless_told_otherwise() -> None:
    idle = steady([0])
    assert run(idle).meters.energy_ws == 50.0 * 900
    assert run(idle).meters.removed_vms == 0
    assert run(idle, idle_host_is_off=True).meters.energy_ws == 0.0
    removed = run(idle, zero_demand_removes_vm=True).meters
    assert (removed.removed_vms, removed.energy_ws) == (1, 0.0)


def first_free(**options: Any) -> Meters:
    return run(steady([50, 50]), **options).meters


def test_first_and_last_interval() -> None:
    # Three samples: 900 s. Without the first 300 s, without the last, without both.
    assert first_free(first_interval_free=True).energy_ws == pytest.approx(90.0 * 600)
    assert first_free(last_interval_simulated=False).energy_ws == pytest.approx(90.0 * 600)
    assert first_free(first_interval_free=True, last_interval_simulated=False).energy_ws == pytest.approx(90.0 * 300)


def spread_out(mem: int = 625, **options: Any) -> Run:
    """Two VMs that start on one machine each, and fit on one: 2 * 1000 nominal, 2 * 300 asked."""
    w = world([BOX, BOX], [(1000.0, mem)] * 2, [[30, 30]] * 4)
    return run(w, **options)


def test_a_machine_is_evacuated_and_switched_off() -> None:
    # At the first tick machine 0 (lowest of equal load) is emptied into machine 1: one move of
    # 625 MiB at 62.5 MiB/s = 10 s. Both on at 30 % (80 W) for 310 s; while the VM moves, the
    # target serves 300 + 0.1 * 300 = 330 (83 W, reached linearly on the power from 300 s on).
    run = spread_out()
    meters = run.meters
    assert (meters.migrations, meters.shutdowns) == (1, 1)
    assert meters.migration_s == 10.0
    assert run.ticks[:, 4].tolist() == [1, 0, 0]
    assert meters.before_shutdown_mean == 310.0
    # 2 * 80 W * 300 s, then 80 + 83 W for 10 s, then one machine at 60 % = 110 W for 890 s.
    assert meters.energy_ws == pytest.approx(160.0 * 300 + 163.0 * 10 + 110.0 * 890, rel=1e-12)


def test_a_move_degrades_the_vm_at_its_source() -> None:
    meters = spread_out().meters
    # 10 % of 300 for 10 s is not given, of 600 * 1200 asked.
    assert meters.short == pytest.approx(300.0, rel=1e-9)
    assert meters.degraded == meters.short
    assert meters.requested == pytest.approx(600.0 * 1200, rel=1e-12)
    assert meters.metrics()["pdm_share"] == pytest.approx(300 / 720_000, rel=1e-9)
    assert spread_out(migration_overhead_share=0.0).meters.short == 0.0


def test_an_arriving_vm_is_no_violation_of_its_target_unless_told_otherwise() -> None:
    assert spread_out().meters.violation_s == 0.0
    assert spread_out(arriving_vm_counts_full_request=True).meters.violation_s == pytest.approx(10.0)


def test_memory_counts_unless_told_otherwise() -> None:
    assert spread_out(mem=2001).meters.migrations == 0
    assert spread_out(mem=2001, memory_counts=False).meters.migrations == 1


def overload(**options: Any) -> Run:
    """Two VMs of 500 on machine 0 at 20 %, then 105 %: 1050 asked of 1000; machine 1 is off."""
    w = world([BOX, BOX], [(500.0, 625)] * 2, [[20, 20], [105, 105], [105, 105], [105, 105]])
    return run(w, **options)


def test_an_overloaded_machine_wakes_another_and_pays_for_it() -> None:
    cold = overload(wake_s=0.0, wake_energy_wh=0.0).meters
    warm = overload(wake_s=60.0, wake_energy_wh=0.0).meters
    paid = overload(wake_s=60.0, wake_energy_wh=0.7).meters
    assert [one.wakes for one in (cold, warm, paid)] == [1, 1, 1]
    assert [one.migration_s for one in (cold, warm, paid)] == [10.0, 10.0, 10.0]
    # Machine 0 stays overloaded until the VM has gone: 10 s of copying, or 60 s of waking and 10 s.
    assert cold.violation_s == 10.0
    assert warm.violation_s == 70.0
    # Both are on from the tick at 300 s.
    assert warm.active_s == cold.active_s == 1200 + 900
    assert paid.energy_ws - warm.energy_ws == pytest.approx(0.7 * 3600, rel=1e-9)


def test_the_placement_cap_keeps_receivers_below_it() -> None:
    w = world([BOX, BOX], [(1000.0, 625)] * 2, [[30, 30]] * 4)
    for cap, moves in ((1.0, 1), (0.61, 1), (0.59, 0)):
        policy = ConsolidationPolicy("thr_mmt", placement_cap=cap)
        assert simulate(w, [policy])[0].meters.migrations == moves


def test_only_machines_loaded_below_the_limit_are_evacuated() -> None:
    w = world([BOX, BOX], [(1000.0, 625)] * 2, [[30, 30]] * 4)
    for below, moves in ((1.0, 1), (0.31, 1), (0.3, 0), (0.0, 0)):
        policy = ConsolidationPolicy("thr_mmt", evacuate_below=below)
        assert simulate(w, [policy])[0].meters.migrations == moves


def test_an_oversubscribed_machine_shares_in_proportion() -> None:
    # 3 VMs of 400 at 100 % on 1000: each gets 333.33; rounded down where told.
    w = world([(1200.0, 1200.0, 4000, 2)], [(400.0, 100)] * 3, [[100, 100, 100]] * 3)
    assert run(w, "dvfs").meters.short == 0.0
    tight = world([(1201.0, 1000.0, 4000, 2)], [(400.0, 100)] * 3, [[110, 100, 100]] * 3)
    exact = run(tight, "dvfs").meters
    # asked 1240, given 1201: 39 short over 900 s
    assert exact.short == pytest.approx(39.0 * 900, rel=1e-9)
    whole = run(tight, "dvfs", whole_mips=True).meters
    # 440 and 400 of 1240, times 1201: 426.16 -> 426 and 387.42 -> 387 twice, together 1200
    assert whole.short == pytest.approx(40.0 * 900, rel=1e-9)
    assert exact.violation_s == 900.0


def test_a_vm_gets_at_most_one_core() -> None:
    w = world([(2000.0, 500.0, 4000, 2)], [(500.0, 100)], [[150]] * 3)  # asks 750, a core has 500
    assert run(w, "dvfs").meters.short == pytest.approx(250.0 * 900)


def test_the_forecast_of_a_straight_line_is_its_next_point() -> None:
    for weighted in (False, True):
        weights = trend_weights(weighted)
        oldest_first = np.array([3.0 + 2.0 * i for i in range(1, 11)])
        assert float(weights @ oldest_first[::-1]) == pytest.approx(3.0 + 2.0 * 11, rel=1e-12)
        assert float(weights.sum()) == pytest.approx(1.0, rel=1e-12)
    # The ordinary line: slope weights (x - 5.5) / 82.5, mean 1 / 10.
    assert trend_weights(False)[0] == pytest.approx(0.1 + 5.5 * 4.5 / 82.5)


def test_the_hash_is_that_of_java() -> None:
    # "2-0".hashCode() is 50 * 961 + 45 * 31 + 48 = 49493, below 2**16, so spreading leaves it
    assert java_hash("2-0") == 49493
    # 50 * 31**3 + 45 * 31**2 + 49 * 31 + 48 = 1534362 = 0x17699A; 0x9A ^ 0x17 = 0x8D
    assert java_hash("2-10") == 0x17698D


def test_metrics_are_named_and_nan_only_where_nothing_happened() -> None:
    metrics = Meters().metrics()
    assert set(metrics) == set(METRICS)
    assert {name for name, value in metrics.items() if math.isnan(value)} == {
        "mean_time_before_host_shutdown_s",
        "stdev_time_before_host_shutdown_s",
        "mean_migration_s",
    }


def test_policies_have_names_parameters_and_ranges() -> None:
    assert len(POLICIES) == 22
    assert ConsolidationPolicy("lr_mmt").parameter == 1.2
    assert policy_code([ConsolidationPolicy("dvfs")]).detection.tolist() == [-1]
    for wrong, says in (
        ({"name": "lr_mtm"}, "Did you mean 'lr_mmt'"),
        ({"name": "dvfs", "parameter": 0.8}, "dvfs has no parameter"),
        ({"name": "thr_mmt", "parameter": 1.5}, r"must be a number in 0\.\.1: got 1.5"),
        ({"name": "mad_mu", "parameter": -1}, "must be a number in 0"),
        ({"name": "mad_mu", "parameter": math.nan}, "got nan"),
        ({"name": "lr_mmt", "placement_cap": 1.2}, "placement_cap of lr_mmt"),
        ({"name": "lr_mmt", "evacuate_below": "x"}, "evacuate_below of lr_mmt"),
        ({"name": "lr_mmt", "cap": 1}, "unknown key 'cap'"),
        ({"parameter": 1}, "needs a name"),
    ):
        with pytest.raises(SpecError, match=says):
            ConsolidationPolicy.from_card(wrong)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host_cpu": np.array([0.0, 1.0])}, "host_cpu of row 0"),
        ({"host_core": np.array([1.0, 5000.0])}, "host_core of row 1"),
        ({"host_mem": np.array([0, 1])}, "host_mem of row 0"),
        ({"host_curve": np.array([0, 9])}, "host_curve of row 1"),
        ({"vm_cpu": np.array([-1.0, 5.0])}, "vm_cpu of row 0"),
        ({"vm_mem": np.array([0, 5])}, "vm_mem of row 0"),
        ({"load": np.array([[0.1, np.nan], [0.1, 0.2]])}, "got nan in sample 0 of VM '1'"),
        ({"load": np.array([[0.1, 0.1]])}, "at least 2 samples"),
        ({"step_s": 0.0}, "step_s must be > 0"),
        ({"migration_mib_per_s": 0.0}, "migration_mib_per_s must be > 0"),
    ],
)
def test_a_wrong_world_is_one_clear_error(change: dict[str, Any], says: str) -> None:
    import dataclasses

    with pytest.raises(TraceError, match=says):
        Simulator(dataclasses.replace(steady([50, 50]), **change), Semantics())


def test_a_move_that_outlasts_a_tick_is_refused() -> None:
    with pytest.raises(SpecError, match="a move must end before the next tick"):
        Simulator(steady([50], mem=30_000), Semantics())


def test_a_vm_that_fits_nowhere_is_named() -> None:
    with pytest.raises(TraceError, match=r"VM 1 \(400 CPU, 4000 MiB\) fits on no machine"):
        simulate(steady([50, 50], hosts=1, mem=4000), [ConsolidationPolicy("lr_mmt")])

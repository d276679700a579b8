"""Every metric by hand; the arithmetic is in the comments."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import CURVES, by_hand

from rlsched.evaluate.consolidation_metrics import METRICS as CONSOLIDATION
from rlsched.evaluate.metrics import METRICS, Measured, read_metrics
from rlsched.evaluate.scaling_metrics import METRICS as SCALING
from rlsched.policies import find_heuristic
from rlsched.sim.options import PlacementOptions
from rlsched.sim.simulate import run_policy
from rlsched.sim.state import REASONS
from rlsched.sim.world import Typical, Window, World
from rlsched.traces.columns import Machines, Trace

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def measure(
    trace: Trace,
    machines: Machines,
    options: PlacementOptions | None = None,
    *,
    typical: Typical | None = None,
    window: Window | None = None,
    clock: bool = True,
    policy: str = "first_fit",
) -> dict[str, float]:
    world = World.build(trace, machines, options, typical=typical, curves=CURVES)
    state = world.start([window or world.whole])
    run_policy(world, state, find_heuristic(policy).arrays())
    return read_metrics(Measured.of(world, state, 0, clock=clock))


def test_requests_allocation_energy_and_money_by_hand() -> None:
    found = measure(*by_hand(), PlacementOptions(pue=1.2))
    # Task 3 asks for 4 cores at 3600 s: A has 2 free (task 1 stays), B none (task 2 stays).
    assert found["arrived_tasks"] == 4
    assert found["placed_tasks"] == 3
    assert found["rejected_tasks"] == 1
    assert found["rejected_for_cpu_tasks"] == 1
    assert found["acceptance_share"] == 0.75
    assert found["rejected_cpu_share"] == 4000 / 10_000
    assert found["rejected_cpu_from_empty_share"] == 4000 / 10_000
    assert found["rejected_mem_share"] == 1024 / 6144
    assert sum(found[f"rejected_for_{reason}_tasks"] for reason in REASONS) == found["rejected_tasks"]
    # 2 cores for 1 h, 2 h and 1 h = 8 core-hours of 6 cores for 2 h.
    assert found["window_h"] == 2.0
    assert found["cpu_alloc_share"] == pytest.approx(8 / 12)
    # 2 GiB for 1 h, 2 GiB for 2 h, 1 GiB for 1 h = 7 of 12 GiB for 2 h.
    assert found["mem_alloc_share"] == pytest.approx(7 / 24)
    # A works for 2 h, B for 1 h.
    assert found["active_machines"] == pytest.approx(1.5)
    assert found["empty_machines"] == pytest.approx(0.5)
    assert found["empty_machines_end"] == 2
    # A: full for 1 h (200 W), half for 1 h (150 W); B: full for 1 h (100 W) = 450 Wh, PUE 1.2.
    assert found["energy_kwh"] == pytest.approx(0.54)
    assert found["energy_wh_per_core_h"] == pytest.approx(540 / 8)
    # A 2 h at 2 USD, B 1 h at 1 USD.
    assert found["cost_usd"] == pytest.approx(5.0)
    assert found["cost_usd_per_core_h"] == pytest.approx(5.0 / 8)
    assert found["mean_wait_s"] == 0.0


def test_machines_that_stay_on_are_paid_and_draw_idle_power() -> None:
    found = measure(*by_hand(), PlacementOptions(empty_machines="on"))
    # As above without PUE, and B idles for 1 h at 50 W; both are paid for 2 h.
    assert found["energy_kwh"] == pytest.approx(0.45 + 0.05)
    assert found["cost_usd"] == pytest.approx(6.0)


def test_warm_up_is_not_metered() -> None:
    found = measure(*by_hand(), window=Window(0, 4, 3600.0, 7200.0))
    # Only task 3 arrives after 3600 s, and it is rejected; 2 cores stay 1 h on A, 2 cores 0.5 h on B.
    assert found["arrived_tasks"] == 1
    assert found["rejected_cpu_share"] == 1.0
    assert found["rejected_cpu_from_empty_share"] == 4000 / 10_000  # the warm-up counts here
    assert found["cpu_alloc_share"] == pytest.approx(3 / 6)
    assert found["cost_usd"] == pytest.approx(2.0 + 0.5)


def test_a_task_rejected_during_warm_up_counts_nowhere() -> None:
    trace, machines = by_hand()
    found = measure(trace, machines, window=Window(0, 4, 3601.0, 7200.0))
    assert found["arrived_tasks"] == 0
    assert found["rejected_tasks"] == 0
    assert math.isnan(found["rejected_cpu_share"])
    assert math.isnan(found["acceptance_share"])


def test_what_is_not_known_is_nan_and_never_zero() -> None:
    trace, machines = by_hand()
    no_curve = dataclasses.replace(machines, power_curve=np.array([0, -1]))
    found = measure(trace, no_curve)
    assert math.isnan(found["energy_kwh"])
    assert math.isnan(found["energy_wh_per_core_h"])
    for empty in ("off", "on"):
        no_price = dataclasses.replace(machines, price_per_h=np.array([2.0, np.nan]))
        found = measure(trace, no_price, PlacementOptions(empty_machines=empty))  # type: ignore[arg-type]
        assert math.isnan(found["cost_usd"])
    assert math.isnan(found["rejected_gpu_share"])
    assert math.isnan(found["gpu_alloc_pct"])
    assert math.isnan(found["frag_pct_of_idle"])


def test_without_a_clock_nothing_about_time_is_known() -> None:
    found = measure(*by_hand(), PlacementOptions(empty_machines="on"), clock=False)
    timed = (
        "cpu_alloc_share",
        "active_machines",
        "empty_machines",
        "energy_kwh",
        "cost_usd",
        "window_h",
        "mean_wait_s",
    )
    assert all(math.isnan(found[name]) for name in timed)
    assert found["rejected_cpu_share"] == 0.4


def test_gpu_allocation_and_fragmentation_by_hand() -> None:
    trace = Trace(
        task_id=np.arange(2),
        arrive_s=np.array([0, 1]),
        depart_s=np.array([-1, -1]),
        cpu_mcore=np.array([1000, 1000]),
        mem_mib=np.array([1024, 1024]),
        gpu_count=np.array([1, 3]),
        gpu_mgpu=np.array([500, 1000]),
    )
    machines = Machines(
        machine_id=np.array([0]),
        cpu_mcore=np.array([8000]),
        mem_mib=np.array([8192]),
        gpu_count=np.array([2]),
        gpu_model=np.array([0]),
        gpu_models=("T4",),
    )
    typical = Typical(np.array([[1000, 0, 1, 1000, -1]]), np.array([1.0]))
    found = measure(trace, machines, PlacementOptions(fragmentation="gpu"), typical=typical, clock=False)
    # Half of one of two GPUs is taken. A typical task wants a whole one: the other half is a fragment.
    assert found["gpu_alloc_pct"] == 25.0
    assert found["frag_pct_of_idle"] == pytest.approx(100 * 500 / 1500)
    assert found["frag_pct_of_capacity"] == pytest.approx(25.0)
    # The other task asks for 3 GPUs of a machine with 2.
    assert found["rejected_for_too_large_tasks"] == 1
    assert found["rejected_gpu_share"] == 3000 / 3500


def test_cpu_fragmentation_by_hand() -> None:
    trace, machines = by_hand()
    typical = Typical(np.array([[3000, 1024, 0, 0, -1], [1000, 1024, 0, 0, -1]]), np.array([0.25, 0.75]))
    found = measure(
        trace, machines, PlacementOptions(fragmentation="cpu"), typical=typical, window=Window(0, 4, 0.0, 7000.0)
    )
    # At 7000 s: A has 2 cores free, B 2. A quarter of the typical tasks (3 cores) can use neither.
    assert found["frag_pct_of_idle"] == pytest.approx(25.0)
    assert found["frag_pct_of_capacity"] == pytest.approx(100 * 1000 / 6000)
    # Tasks 0 and 1 fill A; B's 2 free cores lose a quarter, 500, until 1800. Nothing is free until 3600; then
    # A's 2 cores lose 500 until 7000, and B's 500 from 5400.
    lost = 500 * 1800 + 500 * (7000 - 3600) + 500 * (7000 - 5400)
    assert found["frag_mean_pct_of_capacity"] == pytest.approx(100 * lost / (6000 * 7000))


def test_waiting_is_metered() -> None:
    trace, machines = by_hand()
    found = measure(trace, machines, PlacementOptions(admission="queue"))
    # Task 3 waits from 3600 s until task 1 leaves A at 7200 s; four tasks are placed.
    assert found["mean_wait_s"] == 3600 / 4
    assert found["rejected_tasks"] == 0


def test_the_page_has_a_line_for_each_metric_and_no_other() -> None:
    page = PAGE.read_text()
    sections = {text.partition("\n")[0]: text for text in page.split("\n## ")}
    row = re.compile(r"^\| `([a-z_0-9]+)` \| (.*) \|$", re.MULTILINE)
    for title, table in (("Placement", METRICS), ("Consolidation", CONSOLIDATION), ("Scaling", SCALING)):
        lines = dict(row.findall(sections[title]))
        assert list(lines) == list(table)
        for name, metric in table.items():
            unit, formula, better, source = (cell.strip() for cell in lines[name].split(" | "))
            assert unit == (metric.unit or "–")
            assert formula == metric.formula
            assert better == {"down": "lower", "up": "higher", "none": "–"}[metric.better]
            assert source == (metric.source or "–")


def test_a_name_kinds_share_is_better_in_the_same_direction() -> None:
    seen: dict[str, tuple[str, str]] = {}
    shared = []
    for table in (METRICS, CONSOLIDATION, SCALING):
        for name, metric in table.items():
            if name in seen:
                shared.append(name)
                assert seen[name] == (metric.unit, metric.better), name
            seen[name] = (metric.unit, metric.better)
    assert {"energy_kwh", "cost_usd"} <= set(shared)

from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import SpecError
from rlsched.sim.power import POWER_CURVES
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.store import load
from rlsched.traces.synthetic.cluster import Hosts, build_cluster
from rlsched.traces.synthetic.sample import draw_sample

FOLDER = Path(__file__).parents[3] / "traces" / "sample"


def test_the_shipped_sample_is_what_its_card_draws():
    trace, machines = draw_sample(FOLDER / "sample.toml")
    assert load(FOLDER / "vms.parquet").same_as(trace)
    assert load(FOLDER / "machines.parquet").same_as(machines)


def test_the_shipped_sample_is_small_and_of_the_size_promised():
    trace, machines = load(FOLDER / "vms.parquet"), load(FOLDER / "machines.parquet")
    assert isinstance(trace, Trace)
    assert isinstance(machines, Machines)
    assert (FOLDER / "vms.parquet").stat().st_size < 1_000_000
    assert 20_000 <= len(trace) <= 30_000
    assert 4.9 * 86_400 < trace.arrive_s[-1] < 5 * 86_400
    assert 40 <= len(machines) <= 80
    assert len(set(zip(machines.cpu_mcore.tolist(), machines.mem_mib.tolist(), strict=True))) == 3
    assert set(machines.power_curves) <= set(POWER_CURVES)
    assert np.isfinite(machines.price_per_h).all()


def test_every_vm_of_the_sample_fits_some_machine():
    trace, machines = load(FOLDER / "vms.parquet"), load(FOLDER / "machines.parquet")
    assert isinstance(trace, Trace)
    assert isinstance(machines, Machines)
    asked = np.unique(np.stack([trace.cpu_mcore, trace.mem_mib], axis=1), axis=0)
    capacity = np.stack([machines.cpu_mcore, machines.mem_mib], axis=1)
    assert (asked[:, None, :] <= capacity[None]).all(axis=2).any(axis=1).all()


def best_fit_reject_share(trace: Trace, machines: Machines, after_s: int) -> float:
    """Share of the CPU asked for after a moment that finds no machine; the tightest machine first."""
    import heapq

    capacity = np.stack([machines.cpu_mcore, machines.mem_mib], axis=1)
    asked = np.stack([trace.cpu_mcore, trace.mem_mib], axis=1)
    free = capacity.copy()
    running: list[tuple[int, int, int]] = []
    wanted = rejected = 0
    for task in range(len(trace)):
        while running and running[0][0] <= trace.arrive_s[task]:
            _, machine, ended = heapq.heappop(running)
            free[machine] += asked[ended]
        left = free - asked[task]
        fits = (left >= 0).all(axis=1)
        counted = int(trace.cpu_mcore[task]) if trace.arrive_s[task] >= after_s else 0
        wanted += counted
        if not fits.any():
            rejected += counted
            continue
        machine = int(np.where(fits, (left / capacity).min(axis=1), np.inf).argmin())
        free[machine] -= asked[task]
        heapq.heappush(running, (int(trace.depart_s[task]), machine, task))
    return rejected / wanted


def test_best_fit_rejects_a_few_percent_of_the_sample():
    trace, machines = load(FOLDER / "vms.parquet"), load(FOLDER / "machines.parquet")
    assert isinstance(trace, Trace)
    assert isinstance(machines, Machines)
    assert 0.02 <= best_fit_reject_share(trace, machines, 86_400) <= 0.06


def test_a_cluster_is_its_types_in_order():
    machines = build_cluster(
        [
            Hosts(name="a", count=2, cpu_mcore=1000, mem_mib=10, power_curve="hp_ml110_g4", price_per_h=1.0),
            Hosts(name="b", count=1, cpu_mcore=2000, mem_mib=20),
        ]
    )
    assert machines.machine_id.tolist() == ["a-00", "a-01", "b-00"]
    assert machines.cpu_mcore.tolist() == [1000, 1000, 2000]
    assert machines.power_curve.tolist() == [0, 0, -1]
    assert np.isnan(machines.price_per_h[2])


def test_a_card_reports_every_problem(tmp_path: Path):
    card = tmp_path / "s.toml"
    card.write_text('profile = "azure-v1"\n[draw]\ndays = 0\nsede = 1\n')
    with pytest.raises(
        SpecError, match=r"3 problems(?s:.*)draw\.days(?s:.*)Did you mean 'seed'(?s:.*)hosts is required"
    ):
        draw_sample(card)

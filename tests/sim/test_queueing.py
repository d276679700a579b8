"""Erlang's formulas against closed forms and against a simulated queue."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest

from rlsched.rng import stream
from rlsched.sim.queueing import erlang_c, highest_utilisation, mean_wait_s, wait_quantile_s


def closed_form(servers: int, utilisation: float) -> float:
    load = servers * utilisation
    top = load**servers / math.factorial(servers) / (1 - utilisation)
    return top / (sum(load**k / math.factorial(k) for k in range(servers)) + top)


@pytest.mark.parametrize("servers", [1, 2, 5, 20, 60])
@pytest.mark.parametrize("utilisation", [0.05, 0.3, 0.7, 0.95, 0.999])
def test_the_sum_equals_the_closed_form(servers: int, utilisation: float) -> None:
    wanted = closed_form(servers, utilisation)
    assert erlang_c(servers, utilisation) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_an_idle_queue_makes_nobody_wait_and_a_full_one_everybody() -> None:
    assert erlang_c(4, 0.0) == 0.0
    assert erlang_c(4, 1 - 1e-12) == pytest.approx(1.0)
    assert erlang_c(10_000, 0.5) == 0.0
    assert wait_quantile_s(0.04, 2, 0.2, 1.0, 0.95) == 0.0


def simulated_waits(servers: int, utilisation: float, service_s: float, requests: int, seed: int) -> np.ndarray:
    """Waiting times of an M/M/c queue, one request after the other; the first tenth warms it up."""
    draw = stream(seed, "m/m/c")
    arrive = np.cumsum(draw.exponential(service_s / (servers * utilisation), requests))
    busy = draw.exponential(service_s, requests)
    free = [0.0] * servers
    waits = np.zeros(requests)
    for i in range(requests):
        begin = max(arrive[i], heapq.heappop(free))
        waits[i] = begin - arrive[i]
        heapq.heappush(free, begin + busy[i])
    return waits[requests // 10 :]


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.5), (3, 0.7), (8, 0.85), (20, 0.9)])
def test_the_formulas_agree_with_a_simulated_queue(servers: int, utilisation: float) -> None:
    service_s = 2.0
    runs = [simulated_waits(servers, utilisation, service_s, 40_000, seed) for seed in range(8)]
    chance = erlang_c(servers, utilisation)

    def near(values: list[float], told: float) -> None:
        # Waits of one run depend on each other; the runs do not.
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(np.mean(values) - told) < 4 * error + 1e-3 * told

    near([float((run > 0).mean()) for run in runs], chance)
    near([float(run.mean()) for run in runs], mean_wait_s(chance, servers, utilisation, service_s))
    near(
        [float(np.quantile(run, 0.95)) for run in runs],
        wait_quantile_s(chance, servers, utilisation, service_s, 0.95),
    )


def test_a_queue_has_no_time_to_build_up_in_a_short_interval() -> None:
    # 1 / (1 - sqrt(u))^2 service times of one server fit exactly.
    u = highest_utilisation(1, 1.0, 100.0)
    assert 1.0 / (1.0 - math.sqrt(u)) ** 2 == pytest.approx(100.0)
    assert highest_utilisation(4, 1.0, 100.0) > u
    assert highest_utilisation(1, 300.0, 300.0) == 0.0

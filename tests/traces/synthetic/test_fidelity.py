import numpy as np
import pytest
from traces_synthetic_builders import ar1_usage, lifetimes, profile, trace

from rlsched.errors import TraceError
from rlsched.rng import stream
from rlsched.traces.columns import UNKNOWN
from rlsched.traces.synthetic.draw import draw_tasks
from rlsched.traces.synthetic.fidelity import (
    acf,
    burstiness,
    compare_tasks,
    compare_usage,
    dispersion,
    interval,
    ks_distance,
    life_distance,
    survival,
)


def test_ks_distance_by_hand():
    assert ks_distance([1, 2, 3, 4], [1, 2, 3, 4]) == 0.0
    assert ks_distance([1, 1, 1], [2, 2]) == 1.0
    assert ks_distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5  # at 2: a half against nothing


def test_ks_distance_needs_two_samples():
    with pytest.raises(TraceError, match="one is empty"):
        ks_distance([], [1.0])


def test_kaplan_meier_by_hand():
    # Ends at 1 and 3, censored at 2: S(1) = 2/3, S(3) = 2/3 * (1 - 1/1) = 0.
    life, ended = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    assert survival(life, ended, np.array([0.0, 1.0, 2.5, 3.0])) == pytest.approx([1.0, 2 / 3, 2 / 3, 0.0])


def test_life_distance_ignores_where_the_watch_ended():
    full = trace([1] * 400, depart=np.arange(400) * 300 + np.arange(1, 401) * 10)
    age = full.depart_s - full.arrive_s
    cut = trace(
        [1] * 400,
        depart=np.where(age <= 3000, full.depart_s, UNKNOWN),
        last_seen_s=np.where(age <= 3000, full.depart_s, full.arrive_s + 3000),
    )
    assert life_distance(cut, full) < 1e-9


def test_poisson_arrivals_have_dispersion_one_and_no_burstiness():
    rng = stream(1, "poisson")
    count = rng.poisson(5.0, 20_000).astype(float)
    assert dispersion(count, 1) == pytest.approx(1, abs=0.05)
    assert burstiness(np.cumsum(rng.exponential(1.0, 20_000))) == pytest.approx(0, abs=0.02)
    assert burstiness(np.arange(100)) == -1.0


def test_acf_leaves_missing_pairs_out():
    x = np.array([1.0, -1.0, np.nan, 1.0, -1.0])
    assert acf(x, (1,))[0] == pytest.approx(-1.0)
    assert np.isnan(acf(x, (7,))[0])
    assert np.isnan(acf(np.ones(5), (1,))[0])


def test_a_trace_is_no_distance_from_itself():
    t = draw_tasks(profile(), 2, seed=1)
    assert set(compare_tasks(t, t, 2 * 86_400).values()) == {0.0}
    u = ar1_usage(cross=0.5)
    assert all(abs(v) < 1e-12 for v in compare_usage(u, u).values())


def test_shorter_lives_and_larger_requests_show():
    a = draw_tasks(profile(), 3, seed=1)
    b = draw_tasks(profile(lives=lifetimes(alpha=None)), 3, seed=2)
    measures = compare_tasks(a, b, 3 * 86_400)
    assert measures["ks_life"] > 0.05
    assert measures["ks_cpu"] < 0.05


def test_interval_is_students():
    mean, low, high = interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.303
    assert mean == 2.0
    assert high - mean == pytest.approx(4.303 / np.sqrt(3))
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(interval([1.0])[1])

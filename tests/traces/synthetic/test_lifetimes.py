import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces_synthetic_builders import lifetimes, trace

from rlsched.rng import stream
from rlsched.traces.columns import UNKNOWN
from rlsched.traces.synthetic.lifetimes import (
    Curve,
    batch_correlation,
    draw_lives,
    fit_curve,
    fit_lifetimes,
    life_at,
    observed_lives,
    survival_at,
)


def test_lives_are_ages_where_the_end_is_not_known():
    t = trace([1] * 3, arrive=[0, 10, 20], depart=[100, UNKNOWN, UNKNOWN], last_seen_s=np.array([100, 60, UNKNOWN]))
    life, ended, known = observed_lives(t)
    assert life[:2].tolist() == [100.0, 50.0]
    assert np.isnan(life[2])
    assert ended.tolist() == [True, False, False]
    assert known.tolist() == [True, True, False]


def test_life_table_by_hand():
    # 40 lives of 100 s, 40 of 1000 s, and 20 censored at 50 s, inside the first bin:
    # at risk there 100 - 20/2 = 90, so 50/90 pass it; the second bin kills the rest.
    life = np.r_[np.full(40, 100.0), np.full(40, 1000.0), np.full(20, 50.0)]
    ended = np.r_[np.ones(80, bool), np.zeros(20, bool)]
    curve = fit_curve(life, ended, [0], 1e6, 20, 3)
    assert curve.edge_s == (0.0, 100.0, 1000.0)
    assert curve.survival[:2] == (1.0, round(50 / 90, 4))
    assert curve.survival[-1] < 0.2


def test_censoring_does_not_shorten_lives():
    rng = stream(1, "life")
    true = rng.exponential(1000.0, 20_000)
    stop = rng.uniform(0, 3000, true.size)
    curve = fit_curve(np.minimum(true, stop), true <= stop, [0], 1e5, 20, 3)
    at = np.array([200.0, 700.0, 1500.0])
    assert np.abs(survival_at(curve, at) - np.exp(-at / 1000)).max() < 0.015


def test_lives_known_only_in_intervals_give_the_same_curve_at_the_edges():
    rng = stream(2, "life")
    true = rng.exponential(5000.0, 20_000)
    spread = np.floor(true / 300) * 300 + rng.uniform(0, 300, true.size)  # a reader's "uniform in the bin"
    curve = fit_curve(spread, np.ones(true.size, bool), [0], 1e6, 20, 3)
    at = np.array([600.0, 3000.0, 9000.0])
    assert np.abs(survival_at(curve, at) - np.exp(-at / 5000)).max() < 0.015


def test_pareto_exponent_is_recovered_under_censoring():
    rng = stream(3, "life")
    true = 100 * rng.random(200_000) ** (-1 / 1.2)
    stop = rng.uniform(0, 20_000, true.size)
    found = [fit_curve(np.minimum(true, stop), true <= stop, [0], 1e6, 20, 3).tail_alpha]
    assert found[0] == pytest.approx(1.2, abs=0.4)  # 50 ends: a standard error of 0.17


@given(st.floats(1e-5, 1.0))
def test_drawing_inverts_the_curve_and_stays_below_the_longest_life(share):
    lives = lifetimes(alpha=1.1)
    life = life_at(lives.curves[0], np.array([share]), lives.max_s)
    assert 0 <= life[0] <= lives.max_s * (1 + 1e-9)
    if share >= 0.1:  # the body; the tail is re-scaled to end at max_s
        assert survival_at(lives.curves[0], life)[0] == pytest.approx(share)


def test_longer_share_is_shorter_life():
    lives = lifetimes()
    life = life_at(lives.curves[0], np.linspace(1, 0.0001, 500), lives.max_s)
    assert (np.diff(life) >= 0).all()


def test_drawn_lives_follow_the_curve():
    lives = lifetimes(correlation=0.6)
    drawn = draw_lives(lives, np.zeros(60_000, np.int64), np.full(20_000, 3), stream(1, "d"))
    assert abs((drawn > 600).mean() - 0.5) < 0.015
    assert abs((drawn > 3600).mean() - 0.1) < 0.01


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_batch_correlation_is_recovered(rho):
    rng = stream(4, "rho")
    size = rng.integers(1, 6, 20_000)
    batch = np.repeat(np.arange(size.size), size)
    z = np.sqrt(rho) * rng.standard_normal(size.size)[batch] + np.sqrt(1 - rho) * rng.standard_normal(batch.size)
    assert abs(batch_correlation(z, batch) - rho) < 0.02


def test_each_large_atom_has_its_own_curve_and_rare_ones_share():
    rng = stream(5, "groups")
    code = np.r_[np.zeros(2000), np.ones(2000), np.full(60, 2), np.full(60, 3)].astype(np.int64)
    life = rng.exponential(np.where(code == 1, 10_000.0, 100.0))
    fit = fit_lifetimes(life, np.ones(code.size, bool), code, np.arange(code.size), 4, 1e6, 20, 3)
    assert fit is not None
    assert sorted(c.atoms for c in fit.curves) == [(0,), (1,), (2, 3)]


def test_too_few_ends_give_no_lives():
    none = fit_lifetimes(
        np.ones(100), np.zeros(100, bool), np.zeros(100, np.int64), np.arange(100), 1, 1e6, min_count=20, digits=3
    )
    assert none is None


def test_no_bin_rests_on_fewer_ends_than_min_count():
    life = stream(6, "bins").lognormal(6, 2, 5000)
    curve = fit_curve(life, np.ones(life.size, bool), [0], 1e9, 20, 3)
    counts, _ = np.histogram(life, np.asarray(curve.edge_s))
    assert counts.min() >= 20
    assert (life > curve.edge_s[-1]).sum() >= 20


def test_a_curve_that_ends_is_not_extrapolated():
    curve = Curve(atoms=(0,), edge_s=(0.0, 100.0), survival=(1.0, 0.0))
    assert life_at(curve, np.array([0.0, 0.5, 1.0]), 1e6).tolist() == [100.0, 50.0, 0.0]

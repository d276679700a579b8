from statistics import NormalDist

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlsched.traces.synthetic.normal import normal_cdf, normal_quantile
from rlsched.traces.synthetic.tables import autocovariance, nonnegative_fit, shape_factors, significant


def test_significant_digits_keep_the_leading_ones_and_zero():
    assert significant([0.0, 12345.0, -0.0123456, 9.996], 3).tolist() == [0.0, 12300.0, -0.0123, 10.0]


def test_strong_rhythm_survives_shrinking_and_poisson_noise_does_not():
    exposure = np.full(12, 100.0)
    strong = shape_factors(np.array([200.0] * 6 + [20_000.0] * 6), exposure, 1.0)
    assert strong[:6].max() < 0.05
    assert strong[6:].min() > 1.9
    flat = shape_factors(np.array([100.0, 110.0, 90.0, 95.0, 105.0, 100.0] * 2), exposure, 1.0)
    assert np.array_equal(flat, np.ones(12))  # the spread, 42, is below Poisson's 100


def test_shape_factors_have_mean_one_whatever_the_exposure():
    factors = shape_factors(np.array([1000.0, 4000.0, 9000.0]), np.array([10.0, 20.0, 30.0]), 2.0)
    assert np.isclose(factors.mean(), 1.0)
    assert (np.diff(factors) > 0).all()


def test_nothing_counted_gives_flat_factors():
    assert shape_factors(np.zeros(4), np.ones(4), 1.0).tolist() == [1.0] * 4


@given(st.lists(st.floats(0, 5), min_size=3, max_size=3))
def test_nonnegative_fit_finds_weights_that_made_the_target(weights):
    t = np.arange(30.0)
    columns = np.stack([t == 0, np.exp(-t / 3), np.exp(-t / 20)], axis=1).astype(float)
    found = nonnegative_fit(columns, columns @ np.asarray(weights))
    assert (found >= 0).all()
    assert np.abs(columns @ (found - weights)).max() < 0.05


def test_nonnegative_fit_stops_at_zero():
    assert nonnegative_fit(np.eye(2), np.array([1.0, -1.0])).tolist() == [1.0, 0.0]


def test_autocovariance_by_hand():
    x = np.array([1.0, -1.0, 2.0])  # lag 1: (-1 - 2) / (2*2 + 2*2), lag 2: 2 / 4
    assert autocovariance(x, np.full(3, 2.0), np.array([1, 2])).tolist() == [-3 / 8, 0.5]


def test_normal_law_and_its_inverse_agree_with_the_standard_library():
    z = np.linspace(-5, 5, 997)
    law = NormalDist()
    assert np.abs(normal_cdf(z) - [law.cdf(v) for v in z]).max() < 1e-7
    assert np.abs(normal_quantile(normal_cdf(z)) - z).max() < 1e-6

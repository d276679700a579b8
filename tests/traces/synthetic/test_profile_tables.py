from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlsched.rng import stream
from rlsched.traces.synthetic.normal import normal_cdf, normal_quantile
from rlsched.traces.synthetic.tables import autocovariance, nonnegative_fit, shape_factors, significant


def test_significant_digits_keep_the_leading_ones_and_zero():
    assert significant([0.0, 12345.0, -0.0123456, 9.996], 3).tolist() == [0.0, 12300.0, -0.0123, 10.0]


def test_shape_factors_by_hand():
    # Two repetitions; slot means 1 and 3, mean 2, so relative 0.5 and 1.5: seen 0.25.
    # Each slot varies by 0.02 between repetitions: noise 0.02 / 2 / 2^2 = 0.0025, keep 0.99.
    table = np.array([[0.9, 2.9], [1.1, 3.1]])
    assert shape_factors(table) == pytest.approx([1 - 0.99 * 0.5, 1 + 0.99 * 0.5])


def test_strong_rhythm_survives_shrinking_and_noise_does_not():
    rng = stream(1, "rhythm")
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(24) / 24)
    strong = shape_factors(rng.poisson(100 * wave, (20, 24)) / 100)
    assert np.abs(strong - wave).max() < 0.1
    flat = shape_factors(rng.poisson(1.0, (20, 24)).astype(float))
    assert np.ptp(flat) < 0.35 * np.ptp(rng.poisson(1.0, (20, 24)).mean(axis=0))


def test_incomplete_repetitions_count_where_they_are_known():
    table = np.array([[1.0, 3.0], [1.0, 3.0], [1.0, np.nan]])
    assert shape_factors(table) == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("table", [np.zeros((3, 4)), np.ones((1, 4)), np.ones((3, 4))])
def test_nothing_counted_or_one_repetition_gives_flat_factors(table):
    assert shape_factors(table).tolist() == [1.0] * 4


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

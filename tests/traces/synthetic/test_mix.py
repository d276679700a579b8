import numpy as np
import pytest

from rlsched.rng import stream
from rlsched.traces.synthetic.gaussian import Component, draw_log_rates, fit_components
from rlsched.traces.synthetic.mix import Drift, draw_mixed, fit_drift

STEPS = 4000
SHARE = np.array([0.5, 0.3, 0.2])


def batches(drift=(), seed=1, per_step=10):
    step = np.repeat(np.arange(STEPS), per_step)
    return draw_mixed(SHARE, drift, step, STEPS, stream(seed, "mix")), step


def test_without_drift_atoms_follow_their_shares_and_none_is_found():
    code, step = batches()
    assert np.abs(np.bincount(code) / code.size - SHARE).max() < 0.01
    found = fit_drift(code, step, STEPS, 3, 3)
    assert sum(c.variance for d in found for c in d.components) < 0.03


def test_drift_of_one_atom_is_recovered_with_its_memory():
    true = (Drift(atoms=(2,), components=(Component(tau_s=7200.0, variance=0.5),)),)
    variance, slow = [], []
    for seed in range(4):
        code, step = batches(true, seed)
        (found,) = [d for d in fit_drift(code, step, STEPS, 3, 3) if d.atoms == (2,)]
        variance.append(sum(c.variance for c in found.components))
        slow.append(sum(c.variance for c in found.components if c.tau_s >= 1800))
    # Shares that are made to sum to 1 move less than the weights: 0.8^2 of 0.5 to first order.
    assert 0.2 < np.mean(variance) < 0.5
    assert np.mean(slow) > 0.8 * np.mean(variance)


def test_an_atom_asked_for_now_is_asked_for_again_soon():
    drift = (Drift(atoms=(0, 1, 2), components=(Component(tau_s=21_600.0, variance=1.0),)),)
    code, _ = batches(drift)
    share = (code.reshape(STEPS, -1) == 2).mean(axis=1)
    assert np.corrcoef(share[:-6], share[6:])[0, 1] > 0.4
    assert (np.bincount(code, minlength=3) > 0).all()


def test_rare_atoms_share_one_drift():
    code, step = batches()
    code = np.where((code == 2) & (step % 100 > 0), 1, code)  # atom 2 keeps about 80 batches
    code = np.where((code == 0) & (step % 50 == 7), 3, code)
    groups = [d.atoms for d in fit_drift(code, step, STEPS, 4, 3)]
    assert all(len(atoms) == 1 or set(atoms) <= {2, 3} for atoms in groups)


@pytest.mark.parametrize("steps", [1, 11])
def test_short_observations_show_no_drift(steps):
    assert fit_drift(np.zeros(50, np.int64), np.zeros(50, np.int64), steps, 2, 3) == ()


def test_log_rates_have_mean_one_and_the_variance_and_memory_asked_for():
    components = (Component(tau_s=0.0, variance=0.1), Component(tau_s=3000.0, variance=0.2))
    rates = draw_log_rates(components, 20_000, 20, 300, stream(3, "rates"))
    assert np.exp(rates).mean() == pytest.approx(1, abs=0.02)
    assert rates.var() == pytest.approx(0.3, abs=0.02)
    x = rates - rates.mean()
    assert (x[10:] * x[:-10]).mean() == pytest.approx(0.2 * np.exp(-1), abs=0.015)


def test_components_are_recovered_from_exact_covariances():
    lags = np.array([0, 1, 2, 5, 10, 20, 50, 100])
    log = 0.1 * (lags == 0) + 0.3 * np.exp(-lags * 300 / 1800)
    found = fit_components(np.expm1(log), lags, 300, (600.0, 1800.0, 7200.0), 3)
    assert {c.tau_s: c.variance for c in found} == pytest.approx({0.0: 0.1, 1800.0: 0.3}, abs=0.01)


def test_drift_moves_the_mean_mix_only_a_little():
    drift = tuple(
        Drift(atoms=(atom,), components=(Component(tau_s=600.0, variance=v),)) for atom, v in ((1, 0.3), (2, 0.7))
    )
    code, _ = batches(drift)
    assert np.abs(np.bincount(code, minlength=3) / code.size - SHARE).max() < 0.05

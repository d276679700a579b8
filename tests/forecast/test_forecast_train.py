import numpy as np
import pytest
import torch
from forecast_small import small_spec, small_windows

from rlsched.errors import SpecError
from rlsched.forecast import train as training
from rlsched.forecast.card import NetworkSpec
from rlsched.forecast.networks import BODIES, build
from rlsched.forecast.train import NetworkForecaster, network


def quiet(_line):
    pass


def fitted(spec, name="cnn_lstm", seed=0, folder=None):
    forecaster = network(spec, name)
    forecaster.fit(small_windows(spec, "train"), small_windows(spec, "validation"), seed, folder, quiet)
    return forecaster


@pytest.mark.parametrize("body", BODIES)
def test_quantiles_never_cross_and_no_load_is_negative(body):
    spec = small_spec()
    forecaster = NetworkForecaster(spec, body, spec.network, body)
    windows = small_windows(spec, "test")
    found = forecaster.predict(windows)
    assert found.shape == (len(windows), 2, 3, 9)
    assert (np.diff(found, axis=3) >= 0).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("body", BODIES)
def test_scaling_is_undone_twice_the_load_gives_twice_the_forecast(body):
    spec = small_spec()
    module = build(body, spec, NetworkSpec(covariates=False, dilations=(1, 2), pool=4, hidden=6), 0).eval()
    past = torch.rand(4, 40, 2) + 5  # far above the floor of the scale
    context = torch.rand(4, 4)
    with torch.inference_mode():
        one, two = module(past, context), module(2 * past, context)
    # The log of level and deviation are features, so only near equality is asked for.
    torch.testing.assert_close(two, 2 * one, rtol=0.05, atol=0.05)


def test_training_lowers_the_validation_loss():
    spec = small_spec(training={"epochs": 6, "steps": 10, "batch": 32})
    forecaster = network(spec, "cnn_lstm")
    found = forecaster.fit(small_windows(spec, "train"), small_windows(spec, "validation"), 0, None, quiet)
    assert min(found["validation"]) < 0.8 * found["validation"][0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    spec = small_spec()
    a, b, c = (fitted(spec, seed=seed).module.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    spec = small_spec()
    whole = fitted(spec).module.state_dict()

    class Killed(Exception):
        pass

    keep = training._Run.keep

    def die_after_two(self):
        keep(self)
        if self.done == 2:
            raise Killed

    monkeypatch.setattr(training._Run, "keep", die_after_two)
    with pytest.raises(Killed):
        fitted(spec, folder=tmp_path)
    monkeypatch.setattr(training._Run, "keep", keep)
    resumed = fitted(spec, folder=tmp_path).module.state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    fitted(small_spec(), folder=tmp_path)
    with pytest.raises(SpecError, match="card differs"):
        fitted(small_spec(training={"epochs": 3, "steps": 5, "batch": 32}), folder=tmp_path)


def test_saved_and_restored_answers_the_same(tmp_path):
    spec = small_spec()
    forecaster = fitted(spec)
    forecaster.save(tmp_path)
    again = network(spec, "cnn_lstm")
    again.restore(tmp_path)
    windows = small_windows(spec, "test")
    np.testing.assert_array_equal(again.predict(windows), forecaster.predict(windows))
    with pytest.raises(SpecError, match="another network"):
        network(spec, "mlp").restore(tmp_path)


def test_a_point_network_gets_its_spread_from_training_errors(tmp_path):
    spec = small_spec()
    forecaster = NetworkForecaster(spec, "cnn_lstm", spec.network.model_copy(update={"point": True}), "point")
    forecaster.fit(small_windows(spec, "train"), small_windows(spec, "validation"), 0, None, quiet)
    windows = small_windows(spec, "test")
    found = forecaster.predict(windows)
    assert (np.diff(found, axis=3) >= 0).all()
    assert found[..., -1].mean() > found[..., 0].mean()
    forecaster.save(tmp_path)
    forecaster.restore(tmp_path)
    np.testing.assert_array_equal(forecaster.predict(windows), found)


def test_a_missing_sample_is_not_a_zero():
    spec = small_spec()
    module = build("cnn_lstm", spec, spec.network, 0).eval()
    past = torch.full((1, 40, 2), 0.5)
    gap, zero = past.clone(), past.clone()
    gap[0, -5] = torch.nan
    zero[0, -5] = 0.0
    context = torch.zeros(1, 4)
    with torch.inference_mode():
        whole, with_gap, with_zero = (module(x, context) for x in (past, gap, zero))
    assert (with_gap - whole).abs().max() < (with_zero - whole).abs().max()
    assert torch.isfinite(with_gap).all()

"""Scaling policies by name and text, and the forecast fitted on all series together."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rlsched.errors import PolicyError, SpecError
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.policies.scaling import POLICIES, ScalingPolicy, family, find_scaling
from rlsched.policies.scaling.forecasts import pooled_ar
from rlsched.policies.scaling.policy import member
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.world import World
from rlsched.traces.columns import Demand


def test_every_rule_is_a_policy_with_the_numbers_of_its_source():
    assert list(POLICIES) == list(RULES)
    assert find_scaling("hpa").values["tolerance"] == 0.1
    assert find_scaling("hpa").label == "hpa"


def test_a_policy_reads_back_from_its_text():
    policy = ScalingPolicy("band", {"k_low": 0.25, "alpha": 0.5}, spot_share=0.5, kind=1)
    assert policy.text == "band:k_low=0.25,spot_share=0.5,kind=1"  # alpha is the default
    again = find_scaling(policy.text)
    assert again.choice() == policy.choice()
    assert again.choice().rule == list(RULES).index("band")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hpaa", "unknown scaling rule 'hpaa'. Did you mean 'hpa'"),
        ("hpa:tarjet=0.7", "unknown parameter 'tarjet'. Did you mean 'target'"),
        ("hpa:target", "each part must be PARAMETER=NUMBER: got 'target'"),
        ("hpa:target=x", "target must be a number: got 'x'"),
        ("hpa:target=1,target=2", "target is given twice"),
        ("hpa:target=nan", "target must be finite"),
        ("hpa:spot_share=2", r"spot_share must lie in \[0, 1\]: got 2"),
        ("hpa:kind=0.5", "kind must be a whole number"),
        ("hpa:fallback=0.5", "fallback must be 0 or 1: got 0.5"),
        ("hpa:kind=-1", "kind must be the number of an instance type"),
    ],
)
def test_a_wrong_text_says_what_is_wrong(text, message):
    with pytest.raises(PolicyError, match=message):
        find_scaling(text)


def test_a_family_has_the_parameters_of_its_rule_and_fixed_ones_are_not_tuned():
    names = [one.name for one in family("hpa").free]
    assert names == ["target", "tolerance", "down_window_s"]


def test_what_is_bought_is_tuned_where_there_is_a_choice():
    demand = Demand(np.array(["a"], object), 0, 300, np.ones((1, 4)), "cores")
    one, two = InstanceType(name="one"), InstanceType(name="two")
    world = World.build(demand, [one, two.model_copy(update={"spot_price_per_h": 0.1})], Service())
    names = [[parameter.name for parameter in family("keda", world, kind).free][2:] for kind in (0, 1)]
    assert names == [[], ["spot_share", "fallback"]], "the first is not sold on a spot market"
    assert family("keda", world, 1).defaults["kind"] == 1
    bought = member("keda", {"target": 0.5, "kind": 1.0, "spot_share": 0.25, "fallback": 1.0}, "mine")
    assert bought.text == "keda:target=0.5,spot_share=0.25,kind=1,fallback=1"
    assert find_scaling(bought.text).choice() == bought.choice()
    assert bought.choice().fallback
    assert bought.numbers["kind"] == 1.0
    with pytest.raises(PolicyError, match=r"leaves a closed market \(fallback=1\) is not supported"):
        Residual(bought, {"target": 0.1}, ScalingObservation())


def test_naming_a_policy_loads_no_compiler():
    code = "import sys, rlsched.policies.scaling; print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def ar_series(rng: np.random.Generator, level: float, steps: int) -> np.ndarray:
    out = np.empty(steps)
    deviation = 0.0
    for t in range(steps):
        deviation = 0.8 * deviation + rng.normal(0, 0.05)
        out[t] = level * (1 + deviation)
    return out


def test_the_pooled_autoregression_beats_the_last_value_and_its_quantiles_cover():
    rng = np.random.default_rng(1)
    demand = np.stack([ar_series(rng, level, 900) for level in (5.0, 50.0, 500.0)])
    fit = [(row, 0, 600) for row in range(3)]
    table = pooled_ar(demand, fit, step_s=300, horizons=(0, 3), quantiles=(0.1, 0.5, 0.9))
    at = np.arange(600, 890)
    for k, ahead in enumerate((0, 3)):
        truth, last = demand[:, at + ahead], demand[:, at - 1]
        told = table.values[:, at, k]
        scale = demand.mean(axis=1, keepdims=True)
        assert np.mean(np.abs(told[..., 1] - truth) / scale) < np.mean(np.abs(last - truth) / scale)
        inside = (truth >= told[..., 0]) & (truth <= told[..., 2])
        assert 0.7 < inside.mean() < 0.9


def test_a_forecast_sees_neither_its_future_nor_the_windows_it_is_not_fitted_on():
    rng = np.random.default_rng(2)
    demand = 10 + rng.random((2, 500))
    fit = [(0, 0, 400), (1, 0, 400)]
    before = pooled_ar(demand, fit, step_s=300).values
    planted = demand.copy()
    planted[0, 450] = 1e6
    after = pooled_ar(planted, fit, step_s=300).values
    assert np.array_equal(before[:, :451], after[:, :451], equal_nan=True)
    assert not np.array_equal(before[0, 451], after[0, 451])
    assert np.isnan(before[:, 0]).all()
    assert np.isfinite(before[:, 1:]).all()


def test_too_little_to_fit_on_is_refused():
    with pytest.raises(SpecError, match="the train windows hold 100"):
        pooled_ar(np.ones((1, 500)), [(0, 0, 101)], step_s=300, horizons=(0,))
    with pytest.raises(SpecError, match="lags must be >= 1: got 0"):
        pooled_ar(np.ones((1, 500)), [(0, 0, 400)], step_s=300, lags=0)

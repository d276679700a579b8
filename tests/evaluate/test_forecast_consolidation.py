"""What a forecast of VM load is worth to consolidation: no look at the future, and the rule does read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rlsched import assets
from rlsched.cli.main import main
from rlsched.errors import SpecError
from rlsched.evaluate import forecast_consolidation as fc
from rlsched.evaluate import forecast_value as value
from rlsched.forecast.card import QUANTILES, TrainingSpec
from rlsched.forecast.rivals import build

REAL = assets.package_dir().parent.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")
MIDDLE = QUANTILES.index(0.5)


def cluster(seed: int = 0, vms: int = 6, ticks: int = 60) -> fc.Cluster:
    draw = np.random.default_rng(seed)
    load = np.clip(0.3 + 0.1 * np.sin(np.arange(ticks)[:, None] / 5) + draw.normal(0, 0.05, (ticks, vms)), 0, 1)
    return fc.Cluster(f"c{seed}", tuple(f"v{i}" for i in range(vms)), load, 300 * np.arange(ticks), 300)


def fitted(name: str) -> tuple[Any, Any]:
    spec = fc.harness_spec(TrainingSpec(seeds=1))
    train = fc.moments_of([cluster(1), cluster(2)], spec, 500, 0, "train")
    choose = fc.moments_of([cluster(3)], spec, 200, 0, "validation")
    forecaster = build(spec, name)
    forecaster.fit(train, choose, 0, None, lambda _line: None)
    return forecaster, spec


@pytest.mark.parametrize("name", ["persistence", "ewma", "linear_ar"])
def test_a_spike_to_come_changes_no_earlier_forecast(name):
    forecaster, spec = fitted(name)
    calm = cluster(4)
    load = calm.load.copy()
    load[30] += 3.0
    told = [fc.ask(forecaster, one, spec) for one in (calm, replace(calm, load=load))]
    np.testing.assert_array_equal(told[0][:30], told[1][:30])
    assert not np.array_equal(told[0][30:], told[1][30:])  # it does look at the past


def test_the_newest_sample_is_what_persistence_expects():
    forecaster, spec = fitted("persistence")
    calm = cluster(4)
    told = fc.ask(forecaster, calm, spec)
    assert told.shape == (60, 6, len(QUANTILES))
    assert np.corrcoef(told[:, :, MIDDLE].ravel(), calm.load.ravel())[0, 1] > 0.99


def test_moments_are_about_the_tick_after_the_newest_sample():
    spec = fc.harness_spec(TrainingSpec(seeds=1))
    one = cluster(5)
    moments = fc.moments_of([one], spec, 10_000, 0, "train")
    assert len(moments) == 6 * 59
    row = int(np.flatnonzero((moments.series == 2) & (moments.tick == 7))[0])
    assert moments.past[row, -1, 0] == np.float32(one.load[7, 2])
    assert moments.future[row, 0, 0] == np.float32(one.load[8, 2])
    assert np.isnan(moments.past[row, -9, 0])  # before the day began


def test_a_perfect_forecast_has_no_error_and_a_constant_one_has_the_error_by_hand():
    one = cluster(6)
    assert fc.errors_of([fc.perfect(one)], [one])["wql"] == pytest.approx(0.0, abs=1e-7)
    zero = np.zeros((*one.load.shape, len(QUANTILES)), np.float32)
    found = fc.errors_of([zero], [one])
    assert found["wql"] == pytest.approx(2 * np.mean(QUANTILES))
    assert found["mae"] == pytest.approx(one.load[10:].mean())


def test_quantiles_lie_straight_between_those_of_the_table():
    table = np.broadcast_to(np.array(QUANTILES, np.float32), (2, 3, len(QUANTILES)))
    for quantile in (0.05, 0.3, 0.5, 0.83, 0.99):
        np.testing.assert_allclose(fc.at_quantile(table, quantile), quantile, rtol=1e-6)


def test_rules_and_forecasters_of_another_kind_are_refused():
    fields = {"problems": ["p"], "forecasters": ["persistence"], "rules": ["lr_mmt"]}
    spec = value.ValueSpec.model_validate(fields)
    value.check_kind("p", "consolidation", spec)
    with pytest.raises(SpecError, match="'lr_mmt' is no rule of scaling"):
        value.check_kind("p", "scaling", spec)
    with pytest.raises(SpecError, match="must be of kind scaling or consolidation"):
        value.check_kind("p", "placement", spec)
    for foreign, kind, rule in (("pooled_ar", "consolidation", "lr_mmt"), ("line", "scaling", "band")):
        wrong = value.ValueSpec.model_validate({**fields, "forecasters": ["persistence", foreign], "rules": [rule]})
        with pytest.raises(SpecError, match=f"'{foreign}' says nothing about {kind}"):
            value.check_kind("p", kind, wrong)


@needs_data
@pytest.mark.slow
def test_consolidation_is_valued_as_a_user_would(tmp_path, capsys):
    sets = ["split=validation", "forecasters=line,persistence", "budget=2", "keep=1"]
    arguments = [word for one in sets for word in ("--set", one)]
    assert main(["forecast", "value", "forecast-value-consolidation", *arguments, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "lr_mmt, % [share]" in told
    assert "Bound" in told
    page = (tmp_path / "results.md").read_text()
    assert "mean absolute error" in page
    assert not (tmp_path / "test-ledger.jsonl").exists()

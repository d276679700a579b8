"""Scaling experiments: the card, the inputs, tuning, and the document, on SURF's jobs where they are."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsched import assets, spec
from rlsched.errors import SpecError
from rlsched.evaluate import scaling
from rlsched.evaluate.answer import answer
from rlsched.evaluate.kinds import kind_of, run_experiment
from rlsched.evaluate.scaling_card import ScalingExperiment
from rlsched.evaluate.scaling_inputs import read_inputs
from rlsched.evaluate.scaling_metrics import METRICS, PARTS
from rlsched.evaluate.tune import run_tune, write_tuned
from rlsched.policies.scaling import find_scaling

REAL = assets.package_dir().parent.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")

CARD = """
kind = "scaling"
title = "A small one"
policies = ["hpa", "ewma", "band:k_low=0.3,k_width=1.5", "tuned_reactive_max"]
metrics = ["unmet_share", "instance_usd"]
hindsight = ["static"]

[references]
textbook = "hpa"
tuned = "tuned_reactive_max"

[data]
trace = "surf-lisa-month"
series = "jobs"
groups = 8

[windows]
length = "12h"
history = "2h"

[[types]]
capacity = 16
price_per_h = 0.768
boot_s = 600
start_usd = 0.192

[service]
min_instances = 1
max_instances = 60
unmet_usd_per_unit_h = 0.48

[forecast]

[bootstrap]
resamples = 200

[tune]
families = ["reactive_max", "static"]
budget = 12
keep = 2
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    path = folder / "experiment.toml"
    path.write_text(CARD)
    return path


def load(text: str, tmp_path: Path, *sets: str) -> ScalingExperiment:
    path = tmp_path / "card.toml"
    path.write_text(text)
    return spec.load(ScalingExperiment, path, sets).spec


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["policies=hpaa"], "unknown scaling rule 'hpaa'. Did you mean 'hpa'"),
        (["policies=tuned_hpaa"], "unknown tuned rule 'hpaa'"),
        (["policies=hpa,hpa"], "two policies are called 'hpa'"),
        (["policies=[{name='mine'}]"], r"give policy, or runs \(the same recipe trained from several seeds\)"),
        (["policies=[{runs=['a/b', 'a/c']}]"], "runs need a name"),
        (["policies=[{name='mine', runs=['a/b', 'a/b']}]"], "runs must differ"),
        (["policies=[{name='mine', runs=['hpa', 'ewma']}]"], "runs are trained agents, by name, folder or file: 'hpa'"),
        (["tune.families=bandd"], "unknown rule 'bandd'"),
        (["hindsight=bandd"], "unknown rule 'bandd'"),
        (["main_metric=cost"], "unknown metric 'cost'"),
        (["main_metric=utilisation_share"], "has no better direction"),
        (["data.series=vms"], "data.series"),
        (["windows.lenght=1h"], "unknown key 'windows.lenght'. Did you mean 'length'"),
        (["service.min_instances=99"], "min_instances must be <= max_instances"),
    ],
)
def test_a_wrong_card_says_what_is_wrong(tmp_path, sets, message):
    with pytest.raises(SpecError, match=message):
        load(CARD, tmp_path, *sets)


def test_policies_that_read_forecasts_need_a_forecast_table(tmp_path):
    bare = CARD.replace("[forecast]\n", "")
    with pytest.raises(SpecError, match="mpc reads forecasts: add a \\[forecast\\] table"):
        load(bare, tmp_path, "policies=hpa,mpc")
    assert load(bare, tmp_path, "policies=hpa,band").forecast is None


def test_commas_inside_a_policys_numbers_do_not_end_it(tmp_path):
    found = load(CARD, tmp_path, "policies=hpa,band:k_low=0.3,k_width=2,ewma")
    assert [one.policy for one in found.policies] == ["hpa", "band:k_low=0.3,k_width=2", "ewma"]


def test_the_problem_is_the_same_whoever_takes_part(tmp_path):
    plain, other = load(CARD, tmp_path), load(CARD, tmp_path, "policies=hpa", "split=validation")
    assert plain.problem_sha256 == other.problem_sha256
    assert load(CARD, tmp_path, "service.max_instances=61").problem_sha256 != plain.problem_sha256


def test_shipped_cards_are_valid_and_of_this_kind():
    for name in ("scaling-planetlab", "scaling-bitbrains", "scaling-surf", "scaling-spot"):
        path = assets.find_asset("experiments", name) / "experiment.toml"
        assert kind_of(path) == "scaling"
        loaded = spec.load(ScalingExperiment, path).spec
        kind, step = loaded.types[0], loaded.data.step_s
        price = kind.price_per_step(step)
        # The weights of the question: 1 an instance and interval, 10 a lost instance's worth, 3 a start, boot 2.
        assert loaded.service.unmet_usd_per_unit_h * kind.capacity * step / 3600 == pytest.approx(10 * price)
        assert kind.start_usd == pytest.approx(3 * price)
        assert kind.boot_steps(step) == 2
        ranked = {one.tuned_rule for one in loaded.policies} - {""}
        assert loaded.tune is not None
        assert ranked == set(loaded.tune.families)


@needs_data
def test_training_seeds_stand_in_one_row_of_their_own(card):
    runs = ", ".join(f'"scaling/seeds/{seed}.onnx"' for seed in (0, 1, 2))
    ours = f'policies=["hpa", {{name = "mine", runs = [{runs}]}}, {{name = "one", policy = "scaling/seeds/1.onnx"}}]'
    sets = [ours, "split=validation", "hindsight=[]", "bound=false", 'references.tuned=""', "windows.history=6h"]
    document = run_experiment(card, [*sets, "forecast.lags=12"])
    rows = [row for row in document["rows"] if row["policy"] == "mine"]
    assert len(rows) == 3 * 12
    alone = {row["window"]: row["cost_usd"] for row in document["rows"] if row["policy"] == "one"}
    assert {row["window"]: row["cost_usd"] for row in rows if row["run"] == 1} == alone
    mean = next(one for one in document["summary"] if (one["policy"], one["metric"]) == ("mine", "cost_usd"))
    assert mean["n"] == 36
    assert len(next(one for one in document["provenance"]["policies"] if one["name"] == "mine")["runs"]) == 3
    assert {row["run"] for row in document["rows"] if row["policy"] == "hpa"} == {None}


@needs_data
def test_windows_of_the_splits_do_not_overlap_and_lie_in_their_stretches(tmp_path):
    inputs = read_inputs(load(CARD, tmp_path))
    ends = 0
    for name, (lo_s, hi_s) in {"train": (0, 1_555_200), "validation": (1_555_200, 2_073_600)}.items():
        for window in inputs.windows[name]:
            assert window.lo >= ends
            assert lo_s <= window.lo * 300
            assert window.hi * 300 <= hi_s
            assert window.hi - window.lo == 144
            ends = window.hi
    assert len(inputs.windows["validation"]) == len(inputs.windows["test"]) == 12
    assert inputs.windows["test"][0].lo >= ends


@needs_data
def test_forecasts_are_fitted_on_train_alone(tmp_path):
    inputs = read_inputs(load(CARD, tmp_path))
    spoilt = inputs.demand.rate.copy()
    first = inputs.windows["validation"][0].lo
    spoilt[:, first + 10 :] *= 7.0
    other = dataclasses.replace(inputs, demand=dataclasses.replace(inputs.demand, rate=spoilt))
    same = slice(0, first + 11)
    assert np.array_equal(inputs.world.forecast[:, same], other.world.forecast[:, same], equal_nan=True)


@pytest.mark.slow
@needs_data
def test_tuning_then_evaluating_gives_a_document_with_bound_control_and_verdicts(card, tmp_path):
    with pytest.raises(
        SpecError, match=r"no tuned\.toml beside the experiment's card\. Make it with 'rlsched tune small'"
    ):
        run_experiment(card, ["split=validation"])
    found = run_tune(card)
    assert set(found["families"]) == {"reactive_max", "static"}
    assert found == run_tune(card)
    path = write_tuned(found, card.parent)
    told, tuned = scaling.load_tuned(path, "reactive_max")
    assert told.text == found["families"]["reactive_max"]["policy"]
    assert tuned["data_sha256"] == found["data_sha256"]
    with pytest.raises(SpecError, match=r"has no \[families.hpa\]"):
        scaling.load_tuned(path, "hpa")

    document = run_experiment(card, ["split=validation"])
    provenance = document["provenance"]
    assert provenance["tuned_elsewhere"] == []
    rows = {(row["policy"], row["window"]): row for row in document["rows"]}
    assert len(document["rows"]) == 5 * 12
    for row in document["rows"]:
        assert set(METRICS) <= set(row)
        assert row["cost_usd"] == pytest.approx(math.fsum(row[part] for part in PARTS))
        assert row["seed"] is None
    # The tuned policy's mean is the score that tuning wrote down: the same windows, the same simulator.
    mine = [row["cost_usd"] for (name, _), row in rows.items() if name == "tuned_reactive_max"]
    assert np.mean(mine) == pytest.approx(found["families"]["reactive_max"]["validation_score"])
    # Nobody is below the bound, and the control in hindsight is not above the tuned constant.
    for bound in document["bounds"]:
        assert bound["bound"] == "clairvoyant"
        for name in {policy for policy, _ in rows}:
            assert rows[name, bound["window"]]["cost_usd"] >= bound["value"] - 1e-6
    assert list(provenance["controls"]) == ["hindsight_static"]
    control = [row["cost_usd"] for (name, _), row in rows.items() if name == "hindsight_static"]
    assert np.mean(control) <= found["families"]["static"]["validation_score"] + 1e-9
    assert provenance["comparisons"]["leader"] != "hindsight_static"
    gaps = {gap["policy"]: gap["share"] for gap in document["gaps"]}
    assert 0 < gaps["tuned_reactive_max"] < 1
    timeline = document["timeline"]
    assert {one["policy"] for one in timeline["panels"][0]["series"]} >= {"", "hpa", "tuned_reactive_max"}
    for panel in timeline["panels"]:
        for one in panel["series"]:
            assert len(one["values"]) == len(timeline["x"]) == 144
    ends = {one["policy"]: one["values"][-1] for one in timeline["panels"][3]["series"]}
    assert ends["hpa"] == pytest.approx(rows["hpa", timeline["window"]]["cost_usd"], abs=1e-3)
    words = " ".join(answer(document))
    assert "clairvoyant" in words
    assert "hindsight_static" in words


@needs_data
def test_a_policy_tuned_for_another_problem_is_told_of(card):
    write_tuned(run_tune(card, ["tune.budget=2"]), card.parent)
    document = run_experiment(card, ["split=validation", "service.max_instances=50", "hindsight=[]", "bound=false"])
    assert document["provenance"]["tuned_elsewhere"] == ["tuned_reactive_max"]
    assert document["bounds"] == []


@needs_data
@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["policies=mpc", "forecast.horizons=[0, 1]"], "'mpc' needs a forecast 2 intervals ahead or more"),
        (["policies=newsvendor", "forecast.horizons=[3]"], "'newsvendor' needs a forecast 2 intervals ahead or less"),
        (["policies=hpa:kind=3"], r"kind must be a type of the card, 0\.\.0: got 3"),
        (["policies=hpa:spot_share=0.5"], "has no spot market: spot_share must be 0, got 0.5"),
    ],
)
def test_a_policy_that_cannot_run_as_it_is_documented_is_refused(card, sets, message):
    with pytest.raises(SpecError, match=message):
        run_experiment(card, ["split=validation", "hindsight=[]", "bound=false", *sets])


@needs_data
@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["data.trace=surf-lisa-monht"], "unknown dataset 'surf-lisa-monht'. Did you mean 'surf-lisa-month'"),
        (["data.series=usage"], "data.series = \"usage\" needs usage: 'surf-lisa-month' holds trace"),
        (["windows.length=30d"], "the train split .* must hold a window of 30d"),
        (["data.trace=planetlab-2011", "data.series=usage"], "a window is what remains of a day"),
    ],
)
def test_data_that_does_not_fit_is_refused(tmp_path, sets, message):
    with pytest.raises(SpecError, match=message):
        read_inputs(load(CARD, tmp_path, *sets))


@pytest.mark.slow
@needs_data
def test_days_give_a_window_for_each_service_and_day(tmp_path):
    text = CARD.replace('length = "12h"\n', "together = false\n").replace('series = "jobs"', 'series = "usage"')
    text = text.replace("surf-lisa-month", "planetlab-2011").replace('history = "2h"', 'history = "1h"')
    inputs = read_inputs(load(text, tmp_path))
    assert {name: len(cut) for name, cut in inputs.windows.items()} == {"train": 48, "validation": 16, "test": 16}
    rows: list[Any] = [one.rows for cut in inputs.windows.values() for one in cut]
    assert len(set(rows)) == 80
    assert all((one.lo, one.hi) == (12, 288) for one in inputs.windows["test"])


@needs_data
@pytest.mark.parametrize(
    ("trace", "part", "step_s"),
    [
        ("nasa-1995", None, 300),
        ("azure-llm-2023", None, 10),
        ("worldcup-98", None, 300),
        ("google-2011-vms", None, 3600),
    ],
)
def test_other_real_series_become_demand(tmp_path, trace, part, step_s):
    series = "usage" if trace == "google-2011-vms" else "requests"
    length = "5m" if trace == "azure-llm-2023" else "12h"
    found = load(
        CARD, tmp_path, f"data.trace={trace}", f"data.series={series}", f"data.step_s={step_s}",
        f"data.groups={8 if series == 'usage' else 1}", f'windows.length="{length}"', 'windows.history="1m"',
    )  # fmt: skip
    inputs = read_inputs(found)
    assert inputs.demand.step_s == step_s
    assert np.isfinite(inputs.demand.rate).all()
    assert inputs.demand.rate.mean() > 0
    played = scaling.play(inputs.world, inputs.windows["train"][:1], find_scaling("static"), (None,))
    assert played[0]["cost_usd"] > 0

"""What a forecast is worth: by hand on tiny worlds, without a look at the future, and as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsched import assets
from rlsched.cli.main import main
from rlsched.errors import SpecError
from rlsched.evaluate import forecast_feeds as feeds
from rlsched.evaluate import forecast_value as value
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.scaling import simulate
from rlsched.forecast.card import QUANTILES, TrainingSpec
from rlsched.forecast.rivals import build
from rlsched.policies.scaling import ScalingPolicy
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

REAL = assets.package_dir().parent.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")
HORIZONS = (0, 1, 2)
RESAMPLE = Bootstrap(200, 0.95, 0)


def world(demand: Any, step_s: int = 3600, **changes: Any) -> World:
    rate = np.atleast_2d(np.array(demand, np.float64))
    ids = np.array([f"s{i}" for i in range(len(rate))], dtype=object)
    kind = InstanceType(capacity=1.0, price_per_h=1.0, boot_s=step_s, start_usd=0.0)
    fields = {"max_instances": 40, "initial_instances": 1, "unmet_usd_per_unit_h": 10.0, **changes}
    return World.build(Demand(ids, 0, step_s, rate, "units"), [kind], Service(**fields))


def waves(n: int = 240) -> np.ndarray:
    rng = np.random.default_rng(3)
    base = 8 + 6 * np.sin(np.arange(n) / 7.0) + rng.normal(0, 0.8, (2, n))
    return np.maximum(base, 0.0)


def split(n: int = 240) -> dict[str, tuple[Window, ...]]:
    third = n // 3
    return {
        name: tuple(Window((0, 1), lo, lo + third // 2, f"{name}-{i}") for i, lo in enumerate((a + 1, a + third // 2)))
        for name, a in (("train", 0), ("validation", third), ("test", 2 * third))
    }


def harness(length: int = 48) -> Any:
    return feeds.harness_spec(HORIZONS, TrainingSpec(seeds=1), length=length)


def fitted(one: World, name: str, spec: Any) -> Any:
    parts, unit = split(), feeds.unit_of(one, split()["train"])
    train = feeds.windows_of(one, parts["train"], spec, unit, 1000, 0, "train")
    choose = feeds.windows_of(one, parts["validation"], spec, unit, 1000, 0, "validation")
    forecaster = build(spec, name)
    forecaster.fit(train, choose, 0, None, lambda _line: None)
    return forecaster, unit


@pytest.mark.parametrize("name", ["persistence", "ewma", "linear_ar"])
def test_a_spike_to_come_changes_no_earlier_forecast_and_no_earlier_decision(name):
    spec, demand = harness(), waves()
    before, spiked = world(demand), demand.copy()
    at = split()["test"][1].lo + 5
    spiked[:, at] += 500.0
    after = world(spiked)
    forecaster, unit = fitted(before, name, spec)
    told = [feeds.forecast_world(one, forecaster, split()["test"], spec, unit, HORIZONS) for one in (before, after)]
    np.testing.assert_array_equal(told[0][:, : at + 1], told[1][:, : at + 1])
    assert not np.array_equal(told[0][:, at + 1 :], told[1][:, at + 1 :], equal_nan=True)  # it does look at the past
    short = [Window((0, 1), split()["test"][1].lo, at)]  # ends before the spike: the same cost to the last bit
    policy = ScalingPolicy("newsvendor", {"shift": 0.0})
    costs = []
    for one, table in zip((before, after), told, strict=True):
        costs.append(simulate(feeds.fed(one, table, HORIZONS), short, policy, 0)[0].sums.tolist())
    assert costs[0] == costs[1]


def test_the_perfect_forecast_does_know_the_spike():
    # Were it not so, the test above could not fail.
    demand, at = waves(), split()["test"][1].lo + 5
    spiked = demand.copy()
    spiked[:, at] += 500.0
    before, after = (feeds.perfect_world(world(one), HORIZONS).forecast for one in (demand, spiked))
    assert not np.array_equal(before[:, at - 1], after[:, at - 1])


def test_what_is_learned_from_does_not_change_with_the_test_windows():
    demand, spec = waves(), harness()
    other = demand.copy()
    other[:, split()["test"][0].lo :] *= 7.0
    parts = split()
    kept = []
    for one in (world(demand), world(other)):
        unit = feeds.unit_of(one, parts["train"])
        kept.append(
            [feeds.windows_of(one, parts[name], spec, unit, 1000, 0, name).sha256 for name in ("train", "validation")]
        )
    assert kept[0] == kept[1]


def test_forecasters_are_asked_without_a_future():
    seen = []

    class Spy:
        def predict(self, windows: Any) -> Any:
            seen.append(windows.future)
            shape = (len(windows), 1, len(windows.horizons), len(QUANTILES))
            return np.ones(shape, np.float32)

    told = feeds.forecast_world(world(waves()), Spy(), [Window((0, 1), 0, 10)], harness(), 2.0, HORIZONS)
    assert all(np.isnan(one).all() for one in seen)
    assert np.isnan(told[:, 0]).all()  # nothing is known before the first interval
    assert (told[:, 1:10] == 2.0).all()
    assert np.isnan(told[:, 10:]).all()  # nobody asked


def test_errors_are_those_of_the_arithmetic():
    # One service, demand 2, 4, 6 in the window; all quantiles say 4 about the coming interval, 5 about the next.
    one = world([1.0, 2.0, 4.0, 6.0])
    values = np.full((1, 4, 2, len(QUANTILES)), 4.0, np.float32)
    values[:, :, 1] = 5.0
    found = feeds.errors_of(feeds.fed(one, values, (0, 1)), [Window((0,), 1, 4)])
    # Errors y - f: horizon 0: -2, 0, 2; horizon 1, targets 4 and 6: -1, 1. Twice the pinball loss of e and -e
    # together is 2 |e| whatever the quantile, so WQL = (2*2 + 2*1) / (12 + 10).
    assert found["wql"] == pytest.approx(6 / 22)
    assert found["wql_ready"] == pytest.approx(2 / 10)  # an order takes one interval
    # 1 - 1/10 = 0.9: 2 * (0.1 * 1 + 0.9 * 1) / 10
    assert found["critical"] == pytest.approx(0.2)


def test_the_share_of_the_gain_is_that_of_the_arithmetic():
    costs = {
        ("band", "persistence"): np.array([[10.0], [14.0]]),
        ("band", "ar"): np.array([[9.0], [12.0]]),
        ("band", "perfect"): np.array([[6.0], [8.0]]),
    }
    rows = value.summarise(costs, ["band"], ["persistence", "ar", "perfect"], "persistence", RESAMPLE)
    by = {row["forecaster"]: row for row in rows}
    assert by["ar"]["cost_usd"] == pytest.approx(10.5)
    assert by["ar"]["difference_usd"] == pytest.approx(-1.5)
    assert by["ar"]["share"] == pytest.approx(1.5 / 5.0)
    # Each window alone gives 1/4 and 2/6; a resample lies between.
    assert (by["ar"]["share_low"], by["ar"]["share_high"]) == pytest.approx((0.25, 1 / 3))
    assert (by["persistence"]["share"], by["perfect"]["share"]) == (0.0, 1.0)


def test_where_the_perfect_forecast_saves_nothing_there_is_no_share():
    costs = {("mpc", name): np.array([[5.0], [7.0]]) for name in ("persistence", "ar", "perfect")}
    rows = value.summarise(costs, ["mpc"], ["persistence", "ar", "perfect"], "persistence", RESAMPLE)
    assert {row["share"] for row in rows} == {None}
    errors = {name: dict.fromkeys(value.ERRORS, 0.1) for name in ("persistence", "ar")}
    assert {row["spearman"] for row in value.agreement(rows, errors, ["mpc"])} == {None}


def test_lower_error_and_lower_cost_in_the_same_order_agree_fully():
    rows = [
        {"rule": "mpc", "forecaster": name, "cost_usd": cost} for name, cost in (("a", 3.0), ("b", 1.0), ("c", 2.0))
    ]
    errors = {"a": 0.3, "b": 0.1, "c": 0.2}
    full = {name: dict.fromkeys(value.ERRORS, one) for name, one in errors.items()}
    assert [row["spearman"] for row in value.agreement(rows, full, ["mpc"])] == pytest.approx([1.0] * 3)
    against = {name: dict.fromkeys(value.ERRORS, -one) for name, one in errors.items()}
    assert [row["spearman"] for row in value.agreement(rows, against, ["mpc"])] == pytest.approx([-1.0] * 3)


@pytest.mark.parametrize("rule", ["newsvendor", "band", "mpc"])
def test_on_a_toy_the_perfect_forecast_is_never_dearer_than_the_naive_one(rule):
    # Starts cost nothing and demand is whole: to follow it is the cheapest that can be done.
    demand = np.round(waves())
    one, parts, spec = world(demand), split(), value.ValueSpec(problems=("x",), forecasters=("persistence",), budget=6)
    forecaster, unit = fitted(one, "persistence", harness())
    asked = [w for name in parts for w in parts[name]]
    naive = feeds.fed(one, feeds.forecast_world(one, forecaster, asked, harness(), unit, HORIZONS), HORIZONS)
    cost = {}
    for name, fed in (("naive", naive), ("perfect", feeds.perfect_world(one, HORIZONS))):
        policy, _ = value.tuned_policy(rule, fed, parts, spec)
        played = simulate(fed, parts["test"], policy, 0)
        cost[name] = np.array([float(value.read_metrics(sums)["cost_usd"]) for sums in played])
    assert (cost["perfect"] <= cost["naive"]).all()
    assert cost["perfect"].sum() < cost["naive"].sum()


def test_the_band_is_tuned_around_the_table_only():
    names = {one.name for one in value.table_family("band").free}
    assert "use_table" not in names
    assert value.table_family("band").defaults["use_table"] == 1.0
    assert {"k_low", "k_width"} <= names


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('forecasters = ["persistance"]', "Did you mean 'persistence'"),
        ('forecasters = ["persistence", "perfect"]', "leave it out"),
        ('forecasters = ["ewma"]', "naive must be one of forecasters"),
        ('forecasters = ["persistence"]\nrules = ["hpa"]', "no rule that reads a forecast"),
        ('forecasters = ["persistence", "persistence"]', "each forecaster once"),
    ],
)
def test_a_card_that_does_not_hold_is_refused(line, words, tmp_path):
    (tmp_path / "value.toml").write_text(f'problems = ["scaling-surf"]\n{line}\n')
    with pytest.raises(SpecError, match=words):
        value.open_card(str(tmp_path))


def test_a_name_that_is_not_there_gets_the_nearest(capsys):
    assert main(["forecast", "value", "forecast-valeu"]) == 2
    assert "Did you mean 'forecast-value'" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_value_as_a_user_would_run_it(tmp_path: Path, capsys):
    card = tmp_path / "small"
    card.mkdir()
    (card / "value.toml").write_text(
        'problems = ["scaling-bitbrains"]\nsplit = "validation"\nforecasters = ["persistence", "ewma", "pooled_ar"]\n'
        'rules = ["newsvendor"]\nbudget = 3\nkeep = 1\n[bootstrap]\nresamples = 100\n'
    )
    out = tmp_path / "out"
    assert main(["forecast", "value", str(card), "--out", str(out), "--data", str(REAL), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    part = document["problems"][0]
    assert [one["forecaster"] for one in part["errors"]] == ["persistence", "ewma", "pooled_ar", "perfect"]
    cost = {row["forecaster"]: row["cost_usd"] for row in part["summary"]}
    assert part["bound"]["cost_usd"] <= cost["perfect"] < cost["persistence"]
    assert {"results.json", "results.md", "error-against-cost.png"} == {one.name for one in out.iterdir()}
    assert "newsvendor" in (out / "results.md").read_text()

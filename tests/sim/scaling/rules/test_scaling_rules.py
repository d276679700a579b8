"""The scaling rules, by hand: each number below is worked out in the comment beside it."""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rlsched.sim.scaling.rules.run import wanted
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.state import MEMORY
from rlsched.sim.scaling.view import View

NUMBER = {name: number for number, name in enumerate(RULES)}
NO_FORECAST = {"forecast": np.zeros((0, 0), np.float32), "horizons": np.zeros(0, np.int64), "quantiles": np.zeros(0)}


def view(history: list[float], *, step: int | None = None, **changes: Any) -> View:
    """A service of one-unit instances, boots of two intervals, a start at three prices."""
    t = len(history)
    fields: dict[str, Any] = {
        "history": np.array(history, np.float64),
        **NO_FORECAST,
        "booting": np.zeros(2, np.int64),
        "t": t,
        "step": t if step is None else step,
        "time_s": 300 * t,
        "step_s": 300.0,
        "capacity": 1.0,
        "boot_steps": 2,
        "ready": 10,
        "n_booting": 0,
        "backlog": 0.0,
        "served": 0.0,
        "lost": 0.0,
        "utilisation": 0.0,
        "wait_s": 0.0,
        "price": 1.0,
        "spot_price": math.nan,
        "unmet_usd": 10.0,
        "late_usd": 0.0,
        "start_usd": 3.0,
        "min_instances": 1,
        "max_instances": 100,
    }
    return View(**{**fields, **changes})


def ask(rule: str, seen: View, memory: np.ndarray | None = None, **params: float) -> float:
    values = {one.name: one.default for one in RULES[rule].parameters} | params
    kept = np.zeros(MEMORY) if memory is None else memory
    return float(wanted(NUMBER[rule], seen, np.array(list(values.values())), kept))


def at(load: float, *, ready: int = 10, **changes: Any) -> View:
    """A view after intervals in which ``ready`` instances served ``load`` units together."""
    served = min(load, ready)
    fields = {"ready": ready, "served": served, "utilisation": served / ready, "lost": load - served}
    return view([load] * 5, **{**fields, **changes})


def test_every_rule_has_a_file_that_says_where_it_is_from_and_takes_its_parameters_in_order():
    for name, rule in RULES.items():
        module = import_module(f"rlsched.sim.scaling.rules.{name}")
        assert name in (module.__doc__ or "").split("\n")[0]
        # The first line of the function lists the numbers it reads, in the order of the table.
        said = (inspect.getdoc(getattr(module, name).py_func) or "").rstrip(".").split(", ")
        named = [one.name for one in rule.parameters]
        if name == "static":
            continue
        free = [one for one in named if one in said]
        assert free == said or said[0].startswith("params"), name


def test_the_page_lists_every_rule_with_its_numbers_and_ranges():
    page = (Path(__file__).parents[4] / "docs" / "scaling-policies.md").read_text(encoding="utf-8")
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert list(lines) == list(RULES)
    for name, rule in RULES.items():
        _, what, numbers, source = (cell.strip() for cell in lines[name].strip("|").split(" | "))
        assert (what, source) == (rule.doc, rule.source if rule.source != "-" else "–")
        told = [
            f"`{one.name}` {one.default:g}" + (f" ({one.low:g} to {one.high:g})" if one.low < one.high else "")
            for one in rule.parameters
        ]
        assert numbers == "; ".join(told)


def test_an_unknown_number_is_no_rule():
    assert math.isnan(wanted(99, view([1.0]), np.zeros(8), np.zeros(MEMORY)))


def test_static_wants_its_number():
    assert ask("static", view([3.0]), instances=7) == 7


# --- hpa ---------------------------------------------------------------------------------------


def test_hpa_scales_by_the_ratio_to_the_target():
    # 10 serve 9 units: 90 % over a target of 60 % is 1.5, so 15.
    assert ask("hpa", at(9.0), target=0.6) == 15


def test_hpa_does_nothing_within_its_tolerance():
    # 65 % / 60 % = 1.083, within 10 %.
    assert ask("hpa", at(6.5), target=0.6) == 10
    assert ask("hpa", at(6.7), target=0.6) == 12  # 1.117: ceil(11.17)


def test_hpa_counts_booting_instances_as_idle_before_it_orders_more():
    # 10 at 90 %, 5 booting: 9 units over 15 is 60 %, exactly the target.
    busy = at(9.0, n_booting=5, booting=np.array([0, 5]))
    assert ask("hpa", busy, target=0.6) == 15
    # 10 at 100 %, 2 booting: 10 / 12 / 0.6 = 1.389, of 12: ceil(16.67).
    assert ask("hpa", at(10.0, n_booting=2), target=0.6) == 17


def test_hpa_counts_instances_without_a_measurement_as_idle_going_up_and_at_the_target_going_down():
    # 15 serve now, but 10 did in the last interval, at 90 %: as before 60 % of all, so stay.
    assert ask("hpa", view([9.0] * 5, ready=15, served=9.0, utilisation=0.9), target=0.6) == 15
    # 10 of 15 measured at 30 %: those need 5, the 5 silent ones stay.
    quiet = view([3.0] * 5, ready=15, served=3.0, utilisation=0.3)
    assert ask("hpa", quiet, target=0.6, down_window_s=0) == 10


def test_hpa_goes_down_only_to_the_largest_recommendation_of_its_window():
    memory = np.zeros(MEMORY)
    asked = [ask("hpa", at(load), memory, target=0.6, down_window_s=600) for load in (6.0, 6.0, 3.0, 3.0, 3.0)]
    # Recommendations 10, 10, 5, 5, 5; two intervals of memory keep 10 until both are gone.
    assert asked == [10, 10, 10, 10, 5]


def test_hpa_goes_up_only_to_the_smallest_recommendation_of_its_window():
    memory = np.zeros(MEMORY)
    asked = [ask("hpa", at(load), memory, target=0.6, up_window_s=300) for load in (6.0, 9.0, 9.0)]
    assert asked == [10, 10, 15]


def test_hpa_keeps_to_its_policies():
    # 10 at 100 % and a target of 20 %: 50 wanted, 100 % more allowed.
    assert ask("hpa", at(10.0), target=0.2) == 20
    # One instance at 100 %: four pods are more than 100 %.
    assert ask("hpa", at(1.0, ready=1), target=0.1) == 5
    # 10 at 6 %: 1 wanted, half allowed.
    assert ask("hpa", at(0.6), target=0.6, down_window_s=0, down_percent=50) == 5


def test_hpa_counts_what_it_added_within_the_period_that_still_runs():
    memory = np.zeros(MEMORY)
    assert ask("hpa", at(10.0), memory, target=0.2, period_s=600) == 20
    # 20 committed one interval later, but the period of two began with 10: no more than 20.
    again = at(20.0, ready=20)
    assert ask("hpa", again, memory, target=0.2, period_s=600) == 20


def test_hpa_without_a_measurement_does_nothing_and_never_goes_to_zero():
    assert ask("hpa", view([5.0], step=0)) == 10
    assert ask("hpa", view([0.0] * 3, ready=0)) == 1
    assert ask("hpa", at(0.0), down_window_s=0) == 1


# --- the other clouds' rules -------------------------------------------------------------------


def test_keda_asks_in_proportion_to_demand_that_is_not_capped_and_to_what_waits():
    # 20 units on 10 instances, target 0.8: 25.
    assert ask("keda", at(20.0)) == 25
    # and 4 unit-intervals waiting, to be drained in one: 24 / 0.8 = 30.
    assert ask("keda", at(20.0, backlog=4.0)) == 30


def test_keda_holds_within_the_tolerance_and_goes_down_late():
    memory = np.zeros(MEMORY)
    asked = [ask("keda", at(load), memory, down_window_s=600) for load in (8.0, 8.4, 4.0, 4.0, 4.0)]
    assert asked == [10, 10, 10, 10, 5]  # 8.4 / 0.8 = 10.5 is within 10 %


def test_target_tracking_goes_up_at_once_and_down_after_three_low_intervals_and_a_cooldown():
    memory = np.zeros(MEMORY)
    assert ask("target_tracking", at(9.0), memory) == 15
    loads = [at(3.0, time_s=300 * i) for i in range(6, 10)]
    assert [ask("target_tracking", one, memory) for one in loads] == [10, 10, 5, 10]


def test_target_tracking_waits_out_its_cooldown():
    memory = np.zeros(MEMORY)
    up = at(9.0)  # at second 1500
    assert ask("target_tracking", up, memory, cooldown_s=1800) == 15
    asked = [ask("target_tracking", at(3.0, time_s=1500 + 300 * i), memory, cooldown_s=1800) for i in range(1, 8)]
    assert asked == [10, 10, 10, 10, 10, 5, 10]


def test_step_scaling_takes_small_and_large_steps():
    assert ask("step_scaling", at(6.5)) == 11  # 10 % of 10
    assert ask("step_scaling", at(9.0)) == 13  # 30 %
    assert ask("step_scaling", at(5.0)) == 10  # between low and high
    assert ask("step_scaling", at(3.5)) == 9
    assert ask("step_scaling", at(1.0)) == 7
    # What boots counts towards the step: 10 ready, 3 booting, 30 % of 10 are already there.
    assert ask("step_scaling", at(9.0, n_booting=3)) == 13


def test_autopilot_takes_a_percentile_with_a_margin_and_goes_down_slowly():
    # Demand 10: the bucket's upper end is 0.25 * 1.08 ** 48 = 10.05; times 1.1 and up: 12.
    assert ask("autopilot", view([10.0] * 50, ready=10)) == 12
    # The same with 40 committed: a tenth at a time.
    assert ask("autopilot", view([10.0] * 50, ready=40)) == 36


def test_autopilot_forgets():
    spike = [50.0] * 10 + [10.0] * 60
    slow = ask("autopilot", view(spike, ready=10), half_life_s=172_800, percentile=0.95)
    fast = ask("autopilot", view(spike, ready=10), half_life_s=1_200, percentile=0.95)
    assert slow > 50
    assert fast == 12


# --- rules on demand ---------------------------------------------------------------------------


def test_reactive_max_takes_the_largest_of_its_window_with_headroom():
    # Three intervals: max(4, 6, 5) * 1.1 and 2 that wait.
    assert ask("reactive_max", view([20.0, 4.0, 6.0, 5.0], backlog=2.0)) == pytest.approx(8.6)


def test_ewma_adds_standard_deviations_of_the_error_it_made_at_the_lead():
    history = [10.0, 10.0, 10.0, 14.0]
    # alpha 0.5: levels 10, 10, 10, 12. Boots take 2, so the level after sample i speaks of i + 3: one error, 4.
    # Fewer than three errors: a quarter of the level stands in for sigma: 12 + 2 * 3.
    assert ask("ewma", view(history), alpha=0.5, k=2) == pytest.approx(18.0)
    # Two more samples of 10: levels 11, 10.5; errors 4, 0, 0; variance 16, 8, 16/3.
    assert ask("ewma", view([*history, 10.0, 10.0]), alpha=0.5, beta=0.01, k=1) == pytest.approx(
        10.5 + math.sqrt(16 / 3)
    )


def test_ewma_taken_one_sample_at_a_time_is_the_same_as_all_at_once():
    rng = np.random.default_rng(3)
    history = (10 + rng.normal(size=40)).tolist()
    memory = np.zeros(MEMORY)
    for t in range(1, 41):
        stepwise = ask("ewma", view(history[:t]), memory)
    assert stepwise == pytest.approx(ask("ewma", view(history)), rel=1e-12)


def test_ewma_agrees_with_a_plain_numpy_twin():
    rng = np.random.default_rng(4)
    history = 10 + rng.normal(size=60)
    alpha, beta, lead = 0.4, 0.1, 2
    level, levels = history[0], []
    for sample in history:
        level = level + alpha * (sample - level)
        levels.append(level)
    variance = 0.0
    errors = history[lead + 1 :] - np.array(levels)[: -lead - 1]
    for i, error in enumerate(errors, 1):
        variance += max(beta, 1 / i) * (error**2 - variance)
    expected = levels[-1] + 1.5 * math.sqrt(variance)
    assert ask("ewma", view(history.tolist()), alpha=alpha, beta=beta, k=1.5) == pytest.approx(expected, rel=1e-12)


def table(rows: list[list[float]], horizons: list[int], quantiles: list[float]) -> dict[str, Any]:
    return {
        "forecast": np.array(rows, np.float32),
        "horizons": np.array(horizons),
        "quantiles": np.array(quantiles),
    }


def test_newsvendor_takes_the_quantile_where_one_more_just_pays():
    told = table([[5, 10, 20], [6, 12, 24]], [0, 2], [0.1, 0.5, 0.9])
    # Penalty 10, price 1: the 90 % quantile, the largest until an order is ready.
    assert ask("newsvendor", view([10.0], **told)) == pytest.approx(24)
    # Penalty 2: the median.
    assert ask("newsvendor", view([10.0], unmet_usd=2.0, **told)) == pytest.approx(12)
    # Penalty 10/3: 70 %, half way between the median and 90 %.
    assert ask("newsvendor", view([10.0], unmet_usd=10 / 3, **told)) == pytest.approx(18)


def test_newsvendor_looks_no_further_than_an_order_takes():
    told = table([[10.0], [99.0]], [0, 3], [0.5])
    assert ask("newsvendor", view([10.0], **told)) == pytest.approx(10)


def test_rules_that_read_forecasts_fall_back_where_there_is_none():
    assert ask("newsvendor", view([4.0, 7.0])) == 7
    assert ask("mpc", view([4.0, 7.0])) == 7
    nothing = table([[math.nan] * 3], [2], [0.1, 0.5, 0.9])
    assert ask("mpc", view([4.0, 7.0], **nothing)) == 7
    assert ask("newsvendor", view([4.0, 7.0], **nothing)) == 7
    assert ask("forecast_sigma", view([10.0] * 9)) == pytest.approx(ask("ewma", view([10.0] * 9)))


def test_mpc_weighs_starts_against_the_penalty():
    certain = table([[14.0]], [2], [0.5])
    # Four more cost 4 * (3 + 2 boot) + 4 prices = 24 and save 4 * 10: order them.
    assert ask("mpc", view([10.0], **certain)) == 14
    # With a start of 8 they would cost 44: stay.
    assert ask("mpc", view([10.0], start_usd=8.0, **certain)) == 10
    # Twelve intervals ahead of the same demand pay for a start of 8 at once.
    lasting = table(
        [[14.0], [14.0]],
        [2, 13],
        [
            0.5,
        ],
    )
    assert ask("mpc", view([10.0], start_usd=8.0, **lasting)) == 14


def test_mpc_equals_an_exhaustive_plan():
    rng = np.random.default_rng(11)
    for _ in range(20):
        rows = np.sort(rng.integers(3, 9, (3, 2)), axis=1).astype(float)
        told = table(rows.tolist(), [2, 3, 4], [0.25, 0.75])
        seen = view([5.0], ready=int(rng.integers(1, 9)), start_usd=float(rng.uniform(0, 6)), **told)
        start = seen.start_usd + 2 * seen.price

        def stay(h: int, n: int, rows: np.ndarray = rows) -> float:
            return n + 10.0 * float(np.mean(np.maximum(rows[h] - n, 0.0)))

        def plan(a: int, b: int, c: int, now: int = seen.ready, start: float = start) -> float:
            ups = max(0, a - now) + max(0, b - a) + max(0, c - b)
            return stay(0, a) + stay(1, b) + stay(2, c) + start * ups

        costs = {a: min(plan(a, b, c) for b in range(10) for c in range(10)) for a in range(10)}
        assert costs[int(ask("mpc", seen))] == pytest.approx(min(costs.values()))


def test_band_orders_up_to_its_lower_edge_down_to_its_upper_edge_and_holds_between():
    # Level 10, few errors: sigma 2.5. L = 10 + 0.4 * 2.5 = 11, U = 11 + 2 * 2.5 = 16.
    knobs = {"k_low": 0.4, "k_width": 2.0}
    assert ask("band", view([10.0], ready=5), **knobs) == 11
    assert ask("band", view([10.0], ready=13), **knobs) == 13
    assert ask("band", view([10.0], ready=30), **knobs) == 16
    # What boots counts.
    assert ask("band", view([10.0], ready=5, n_booting=7), **knobs) == 12


def test_band_reads_the_table_when_told_to():
    told = table([[20.0]], [2], [0.5])
    assert ask("band", view([10.0], ready=0, **told), k_low=0, k_width=0, use_table=0) == 10
    assert ask("band", view([10.0], ready=0, **told), k_low=0, k_width=0, use_table=1) == 20


@settings(max_examples=40, deadline=None)
@given(
    rule=some.sampled_from(sorted(RULES)),
    load=some.lists(some.floats(0, 80), min_size=1, max_size=60),
    ready=some.integers(0, 100),
    n_booting=some.integers(0, 50),
    seed=some.integers(0, 1000),
)
def test_every_rule_answers_a_finite_number_within_its_tuning_ranges(rule, load, ready, n_booting, seed):
    rng = np.random.default_rng(seed)
    params = {one.name: float(rng.uniform(one.low, one.high)) for one in RULES[rule].parameters}
    served = min(load[-1], float(ready))
    rows = np.sort(rng.uniform(0, 80, (4, 3)), axis=1)
    seen = view(
        load,
        ready=ready,
        n_booting=n_booting,
        served=served,
        utilisation=served / ready if ready else 0.0,
        **table(rows.tolist(), [0, 1, 2, 5], [0.1, 0.5, 0.9]),
    )
    answer = ask(rule, seen, **params)
    assert math.isfinite(answer)
    # Asked again it answers the same: nothing is kept but the memory, which was new.
    assert ask(rule, seen, **params) == answer

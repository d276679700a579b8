"""Power curves: by hand, by law, and what a wrong card says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlsched.errors import SpecError
from rlsched.sim.power import KINDS, POWER_CURVES, PowerCurve, curve_arrays, find_curve, watts


def test_a_table_gives_its_own_points_and_straight_lines_between() -> None:
    curve = POWER_CURVES["hp_ml110_g4"]
    assert [curve.watts(i / 10) for i in range(11)] == pytest.approx(list(curve.points), abs=1e-12)
    # half way between 89.4 W (10 %) and 92.6 W (20 %)
    assert curve.watts(0.15) == pytest.approx(91.0, abs=1e-12)


def test_the_mean_of_the_two_planetlab_machines_at_full_load_is_126_w() -> None:
    # rules of the golden runs: an always-full data centre costs 126 W a machine
    assert (POWER_CURVES["hp_ml110_g4"].watts(1.0) + POWER_CURVES["hp_ml110_g5"].watts(1.0)) / 2 == 126.0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", 120.0),
        ("square", 105.0),
        ("cubic", 101.25),
        ("sqrt", 140.0),
        ("cubic_root", 100 + 80 * 0.25 ** (1 / 3)),
    ],
)
def test_an_analytic_curve_by_hand(kind: str, expected: float) -> None:
    # idle 100 W, full 180 W, load 1/4: 1/4, 1/16, 1/64, 1/2 and 0.63 of the 80 W between
    assert PowerCurve(kind, (100.0, 180.0)).watts(0.25) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", sorted(POWER_CURVES))
def test_every_named_curve_rises_and_names_its_source(name: str) -> None:
    curve = POWER_CURVES[name]
    assert all(np.diff(curve.points) > 0)
    assert "spec.org" in curve.source


@given(
    kind=st.sampled_from([k for k in KINDS if k != "table"]),
    idle=st.floats(0, 500),
    span=st.floats(0, 500),
    u=st.floats(0, 1),
    more=st.floats(0, 1),
)
def test_an_analytic_curve_stays_between_idle_and_full_and_never_falls(
    kind: str, idle: float, span: float, u: float, more: float
) -> None:
    curve = PowerCurve(kind, (idle, idle + span))
    low, high = sorted((u, more))
    assert curve.watts(0.0) == curve.idle_w
    assert curve.watts(low) <= curve.watts(high) + 1e-9
    assert curve.idle_w <= curve.watts(u) <= curve.max_w + 1e-9


@given(st.floats(allow_nan=True).filter(lambda u: not 0 <= u <= 1))
def test_a_load_outside_0_to_1_has_no_power(u: float) -> None:
    kind, table = curve_arrays(list(POWER_CURVES.values()))
    assert math.isnan(watts(kind[0], table[0], u))
    with pytest.raises(ValueError, match=r"must be in 0\.\.1"):
        POWER_CURVES["hp_ml110_g4"].watts(u)


@given(st.floats(0, 1), st.sampled_from(sorted(POWER_CURVES)))
def test_compiled_and_interpreted_power_are_equal(u: float, name: str) -> None:
    kind, table = curve_arrays([POWER_CURVES[name]])
    assert watts(kind[0], table[0], u) == watts.py_func(int(kind[0]), table[0], u)


def test_a_card_makes_a_curve_of_either_form() -> None:
    table = PowerCurve.from_card("mine", {"watts": list(range(10, 21)), "source": "our meter"})
    assert (table.kind, table.idle_w, table.max_w, table.source) == ("table", 10, 20, "our meter")
    assert PowerCurve.from_card("mine", {"kind": "linear", "idle_w": 70, "max_w": 150}).watts(0.5) == 110


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ({"watts": [1, 2]}, "needs 11 numbers"),
        ({"watts": [1] * 10 + ["x"]}, "watts must be numbers"),
        ({"kind": "linear", "idle_w": 70}, "max_w missing"),
        ({"kind": "liner", "idle_w": 70, "max_w": 80}, "Did you mean 'linear'"),
        ({"kind": "linear", "idle_w": 90, "max_w": 80}, "full power must be >= idle power"),
        ({"kind": "linear", "idle_w": -1, "max_w": 80}, "must be >= 0 watts"),
        ({"kind": "linear", "idle_w": math.nan, "max_w": 80}, "finite"),
        ({"kind": "linear", "idle_W": 1, "max_w": 80}, "Did you mean 'idle_w'"),
        ({"watts": list(range(11)), "idle_w": 3}, "leave out"),
        ({"kind": "linear", "idle_w": None, "max_w": 80}, "must be numbers"),
    ],
)
def test_a_wrong_card_is_one_clear_error_that_names_the_curve(card: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        PowerCurve.from_card("mine", card)
    assert "'mine'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'hp_ml110_g4'"):
        find_curve("hp_ml110_4")
    assert find_curve("mine", {"mine": PowerCurve("linear", (1, 2))}).max_w == 2

"""The share of the gap to a bound, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.gaps import Bound, bound_rows, gap_rows

B = Bootstrap(500)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def bound(*values: float) -> Bound:
    return Bound("lp", "m", tuple(f"w{i}" for i in range(len(values))), np.array(values), "relaxes")


def shares(values: dict[str, np.ndarray], end: Bound, origin: str = "ref") -> dict[str, float]:
    return {one["policy"]: one["share"] for one in gap_rows({k: {"m": v} for k, v in values.items()}, [end], origin, B)}


def test_half_way_from_the_reference_to_the_bound_is_half_the_gap() -> None:
    values = {"ref": column(10, 20), "half": column(5, 15), "bad": column(20, 30), "there": column(0, 10)}
    assert shares(values, bound(0, 10)) == {"half": 0.5, "bad": -1.0, "there": 1.0}
    assert shares(values, bound(20, 30)) == {"half": -0.5, "bad": 1.0, "there": -1.0}  # where more is better


def test_windows_without_a_bound_are_left_out_and_counted() -> None:
    rows = gap_rows({"ref": {"m": column(10, 20, 5)}, "p": {"m": column(5, 15, 5)}}, [bound(0, 10, math.nan)], "ref", B)
    assert (rows[0]["share"], rows[0]["n_windows"]) == (0.5, 2)
    assert rows[0]["ci_low"] == pytest.approx(0.5) == pytest.approx(rows[0]["ci_high"])


def test_there_is_no_gap_where_the_reference_is_at_the_bound_or_did_not_run() -> None:
    assert shares({"ref": column(1, 2), "p": column(3, 4)}, bound(1, 2)) == {}
    assert shares({"p": column(3, 4)}, bound(1, 2)) == {}
    assert bound_rows([bound(1, math.nan)])[1] == {
        "bound": "lp", "metric": "m", "window": "w1", "value": None, "doc": "relaxes",
    }  # fmt: skip

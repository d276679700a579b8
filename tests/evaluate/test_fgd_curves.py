"""Binning by hand: a cluster of 10 GPUs, so that 100 milli-GPU are 1 %."""

import numpy as np
import pytest

from rlsched.evaluate.fgd_curves import METRICS, bin_curve
from rlsched.sim.record import Curve


def curve(arrived: list[int], placed: list[int], fragmentation: list[float]) -> Curve:
    return Curve(np.array(arrived), np.array(placed), np.array(fragmentation))


def test_a_bin_is_the_mean_of_the_events_that_round_to_it() -> None:
    # Arrived 0.4, 0.6 and 1.4 %: bins 0, 1, 1.
    out = bin_curve(curve([40, 60, 140], [40, 60, 60], [100.0, 200.0, 300.0]), 10_000, 1)
    assert list(out) == list(METRICS)
    assert out["gpu_alloc_pct"].tolist() == [0.4, 0.6]
    assert out["frag_pct_of_capacity"].tolist() == [1.0, 2.5]
    # 100/9960 = 1.0040 %, rounded to 1.00; 200/9940 = 2.0121 -> 2.01 and 300/9940 = 3.0181 -> 3.02.
    assert out["frag_pct_of_idle"].tolist() == [1.0, 2.515]


def test_halves_go_to_the_even_bin() -> None:
    out = bin_curve(curve([50, 150, 250], [50, 150, 250], [0.0, 0.0, 0.0]), 10_000, 2)
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2; bin 1 is empty and takes [0, 2]: 0.5 and 1.5.
    assert out["gpu_alloc_pct"].tolist() == [0.5, 1.0, 2.0]


def test_an_empty_bin_takes_its_neighbourhood_ends_included() -> None:
    out = bin_curve(curve([100, 300], [100, 300], [0.0, 0.0]), 10_000, 3)
    # Bin 0 has [-1, 1]: the event at 1 %. Bin 2 has [1, 3]: both.
    assert out["gpu_alloc_pct"].tolist() == [1.0, 1.0, 2.0, 3.0]


def test_a_bin_with_nothing_near_is_unknown() -> None:
    out = bin_curve(curve([100], [100], [0.0]), 10_000, 4)
    assert np.isnan(out["gpu_alloc_pct"]).tolist() == [False, False, False, True, True]


def test_allocation_is_rounded_before_the_mean_and_after() -> None:
    # 0.125 and 0.135 % of 100,000: to 2 decimals 0.12 and 0.14 (halves to even), mean 0.13.
    out = bin_curve(curve([125, 135], [125, 135], [0.0, 0.0]), 100_000, 0)
    assert out["gpu_alloc_pct"].tolist() == pytest.approx([0.13])


def test_a_full_cluster_has_no_fragmentation_of_idle() -> None:
    out = bin_curve(curve([10_000], [10_000], [0.0]), 10_000, 100)
    assert np.isnan(out["frag_pct_of_idle"][100])
    assert out["gpu_alloc_pct"][100] == 100.0

import numpy as np
import pytest

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import Drop, DropReport
from rlsched.traces.readers.slots import Slots, gridded, merge_reports, outside_missing


def some(add_in_blocks: bool) -> Slots:
    """Series b: 1 and 3 in the slot of 10, 5 in that of 30. Series a: 7 at 25."""
    slots = Slots(10, ("x",))
    series = np.array(["b", "b", "b", "a"], object)
    time, value = np.array([10, 19, 30, 25]), np.array([1.0, 3.0, 5.0, 7.0])
    pieces = [slice(i, i + 1) for i in range(4)] if add_in_blocks else [slice(0, 4)]
    for piece in pieces:
        slots.add(series[piece], time[piece], {"x": value[piece]})
    return slots


@pytest.mark.parametrize("add_in_blocks", [False, True])
def test_each_series_gets_its_own_stretch_with_gaps_missing(add_in_blocks: bool) -> None:
    got = some(add_in_blocks).ragged("here")
    assert got.ids.tolist() == ["a", "b"]
    assert got.offset.tolist() == [0, 1, 4]
    assert got.start_s.tolist() == [20, 10]
    np.testing.assert_array_equal(got.values["x"], [7.0, 2.0, np.nan, 5.0])
    assert (got.merged, got.gaps) == (1, 1)


@pytest.mark.parametrize("add_in_blocks", [False, True])
def test_sums_on_one_grid_with_zero_where_nothing_came(add_in_blocks: bool) -> None:
    got = some(add_in_blocks).dense("here", add_up=True, empty=0.0)
    assert got.start_s == 10
    np.testing.assert_array_equal(got.values["x"], [[0, 7, 0], [4, 0, 5]])
    rate, report = outside_missing(got, got.values["x"], DropReport(4, 4))
    np.testing.assert_array_equal(rate, [[np.nan, 7, np.nan], [4, 0, 5]])
    assert report.drops == (Drop("step before the first or after the last row of a series", "marked missing", 2),)


def test_missing_values_do_not_count_in_the_average() -> None:
    slots = Slots(10, ("x", "y"))
    slots.add(np.array([1, 1]), np.array([0, 5]), {"x": np.array([np.nan, 4.0]), "y": np.array([np.nan, np.nan])})
    got = slots.ragged("here")
    assert got.ids.tolist() == [1]
    assert got.values["x"].tolist() == [4.0]
    assert np.isnan(got.values["y"]).all()


def test_times_before_zero_are_floored_too() -> None:
    slots = Slots(10, ("x",))
    slots.add(np.array([1, 1]), np.array([-1, 0]), {"x": np.array([1.0, 2.0])})
    assert slots.ragged("here").start_s.tolist() == [-10]


def test_a_clock_that_cannot_be_right_is_refused() -> None:
    slots = Slots(1, ("x",))
    slots.add(np.array([1, 1]), np.array([0, 10_000_000]), {"x": np.array([1.0, 2.0])})
    with pytest.raises(TraceError, match=r"here spans 10,000,001 slots of 1 s with 2 samples. Check the unit"):
        slots.ragged("here")
    slots.add(np.array([1]), np.array([1e18]), {"x": np.array([1.0])})
    with pytest.raises(TraceError, match=r"a time must be seconds: got 1e\+18 in here, which is no time"):
        slots.dense("here")


def test_no_row_and_no_step_are_refused() -> None:
    with pytest.raises(TraceError, match="here has none"):
        Slots(1, ("x",)).dense("here")
    with pytest.raises(SpecError, match=r"step_s must be a whole number of seconds > 0: got 0"):
        Slots(0, ("x",))


def test_accounts_are_added_and_the_grid_adds_its_own() -> None:
    one = DropReport(3, 2, (Drop("r", "dropped", 1, (3,)),))
    more = DropReport(9, 4, (Drop("r", "dropped", 5, (4, 5, 6, 7, 8)),))
    assert merge_reports([one, more], several=False).drops == (Drop("r", "dropped", 6, (3, 4, 5, 6, 7)),)  # the first 5
    both = merge_reports([one, one], several=True)
    assert both == DropReport(6, 4, (Drop("r", "dropped", 2),))
    assert gridded(both, 30, 1, 2) == DropReport(
        6,
        3,
        (
            Drop("r", "dropped", 2),
            Drop("in the 30 s slot of another row", "merged: averaged into it", 1),
            Drop("30 s slot without a row", "added as missing", 2),
        ),
    )

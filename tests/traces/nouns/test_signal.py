from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import TraceError
from rlsched.traces import store
from rlsched.traces.columns import Signal
from rlsched.traces.describe import describe


def two_zones() -> Signal:
    """Zone a: 5 from second 0, missing from 10, -2 from 20 to 30. Zone b: 7 from 15 to 16."""
    return Signal(["a", "b"], [0, 3, 4], [0, 10, 20, 15], [5.0, np.nan, -2.0, 7.0], [30, 16], "USD/MWh").validate()


def test_a_value_holds_from_its_time_until_the_next() -> None:
    times = np.array([-1, 0, 9, 10, 19, 20, 29, 30])
    np.testing.assert_array_equal(two_zones().at(0, times), [np.nan, 5.0, 5.0, np.nan, np.nan, -2.0, -2.0, np.nan])
    np.testing.assert_array_equal(two_zones().at(1, np.array([14.9, 15.0, 16.0])), [np.nan, 7.0, np.nan])


def test_the_series_of_a_signal_are_its_own() -> None:
    times, values = two_zones().series(1)
    assert times.tolist() == [15]
    assert values.tolist() == [7.0]


@pytest.mark.parametrize("shift", [0, 0.5])
def test_a_signal_comes_back_from_parquet_with_the_dtype_of_its_times(tmp_path: Path, shift: float) -> None:
    signal = two_zones()
    if shift:
        signal = Signal(signal.signal_id, signal.offset, signal.time_s + shift, signal.value, signal.end_s + shift, "x")
    store.save(signal, tmp_path / "x.parquet")
    back = store.load(tmp_path / "x.parquet")
    assert isinstance(back, Signal)
    assert back.same_as(signal)
    assert back.time_s.dtype == signal.time_s.dtype


def test_a_description_counts_values_and_how_long_they_hold() -> None:
    facts = describe(two_zones())
    assert facts["kind"] == "signal"
    assert facts["unit"] == "USD/MWh"
    assert facts["span"] == {"first_s": 0.0, "last_s": 30.0}
    assert facts["hold_s"]["max"] == 10  # 10, 10, 10 and 1 seconds
    assert facts["hold_s"]["min"] == 1
    assert facts["value"]["min"] == -2
    assert facts["value"]["missing"] == 1


@pytest.mark.parametrize(
    ("ids", "offset", "times", "values", "end", "message"),
    [
        ([], [0], [], [], [], "at least one signal"),
        (["a"], [0, 0], [], [], [1], r"offset must ascend from 0 by at least 1"),
        (["a"], [0, 2], [3, 3], [1, 2], [9], r"strictly ascending within a signal: got 3 in value 1 of signal 'a'"),
        (["a"], [0, 1], [np.nan], [1], [9], r"time_s must be finite: got nan in value 0 of signal 'a'"),
        (["a"], [0, 1], [3], [np.inf], [9], r"value must be finite, or NaN for missing: got inf in value 0"),
        (["a"], [0, 1], [3], [1], [3], r"end_s must be later than the last time_s: got 3 in row 0"),
        (["a", "a"], [0, 1, 2], [3, 3], [1, 2], [9, 9], r"signal_id must be unique: got 'a' in rows 0, 1"),
    ],
)
def test_what_is_not_a_signal_is_refused(
    ids: list[str], offset: list[int], times: list[float], values: list[float], end: list[float], message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        Signal(ids, offset, times, values, end, "x").validate()

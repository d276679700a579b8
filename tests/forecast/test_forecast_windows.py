import numpy as np
import pytest
from forecast_small import small_panel, small_spec, small_windows

from rlsched.errors import SpecError, TraceError
from rlsched.forecast.panel import coarser, dense, roles_of
from rlsched.forecast.windows import draw_windows, make_context, past_of
from rlsched.traces.columns import Usage


def test_splits_share_neither_machines_nor_target_times():
    spec = small_spec()
    found = {split: small_windows(spec, split) for split in ("train", "validation", "test")}
    for split, (low, high) in small_panel().ranges.items():
        windows = found[split]
        assert windows.tick.min() >= low
        assert windows.tick.max() + 3 <= high
    panel = small_panel()
    for split, windows in found.items():
        allowed = panel.values[panel.role == split]
        for row in range(5):  # the newest sample of every window is one of its split's machines
            assert (np.isclose(allowed[:, windows.tick[row] - 1], windows.past[row, -1], equal_nan=True)).all(1).any()


def test_a_past_ends_strictly_before_its_moment_and_is_padded_in_front():
    values = np.arange(10, dtype=np.float32)[:, None]
    past = past_of(values, np.array([3, 10]), 4)
    np.testing.assert_array_equal(past[0, :, 0], [np.nan, 0, 1, 2])
    np.testing.assert_array_equal(past[1, :, 0], [6, 7, 8, 9])


def test_the_future_begins_at_the_moment():
    windows = small_windows(small_spec(), "test")
    panel = small_panel()
    row = 0
    hits = [
        np.array_equal(panel.values[s, windows.tick[row] : windows.tick[row] + 3], windows.future[row], equal_nan=True)
        for s in range(12)
    ]
    assert sum(hits) == 1


def test_the_same_card_draws_the_same_windows():
    spec = small_spec()
    assert small_windows(spec, "train").sha256 == small_windows(spec, "train").sha256


def test_a_split_without_windows_is_explained():
    spec = small_spec(window={"length": 40, "min_measured": 41})
    with pytest.raises(TraceError, match="offers none"):
        draw_windows([small_panel()], spec, "test", 10)


def test_roles_do_not_depend_on_the_order_of_machines():
    spec = small_spec()
    ids = [f"m{i}" for i in range(40)]
    forward = dict(zip(ids, roles_of(ids, spec), strict=True))
    backward = dict(zip(ids[::-1], roles_of(ids[::-1], spec), strict=True))
    assert forward == backward
    assert list(forward.values()).count("test") == 10
    assert list(forward.values()).count("validation") == 6


def test_coarser_means_leave_out_what_is_missing():
    values = np.array([[[1.0], [3.0], [np.nan], [5.0], [np.nan], [np.nan]]], np.float32)
    out, first = coarser(values, np.array([2]), 600, 300, "x")
    np.testing.assert_array_equal(out[0, :, 0], [2, 5, np.nan])
    assert first.tolist() == [1]


def test_ragged_usage_becomes_a_grid_with_nan_around():
    usage = Usage(np.array(["a", "b"]), np.array([0, 2, 3]), np.array([300, 900]), 300, np.array([0.1, 0.2, 0.3]))
    values, first, start = dense(usage, ("cpu_share",), "x")
    np.testing.assert_allclose(values[:, :, 0], [[0.1, 0.2, np.nan], [np.nan, np.nan, 0.3]])
    assert (first.tolist(), start) == ([0, 2], 300)
    with pytest.raises(SpecError, match=r"has no .cpu.\. Known: cpu_share"):
        dense(usage, ("cpu",), "x")


def test_context_knows_the_hour_and_says_when_cores_are_not_known():
    context = make_context(np.array([86_400 + 6 * 3600]), float("nan"), np.array([0.0]))
    np.testing.assert_allclose(context[0, [0, 1, 3]], [0.25, 1.25 / 7, 0.0], rtol=1e-6)
    assert np.isnan(context[0, 2])

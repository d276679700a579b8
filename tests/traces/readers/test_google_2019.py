from pathlib import Path

import numpy as np
import pytest

from rlsched import read_usage
from rlsched.errors import TraceError


def test_shares_are_of_the_limit_and_windows_of_a_slot_are_averaged(samples: Path) -> None:
    usage = read_usage(samples / "google_2019/22-300000000-900000000.csv")
    assert usage.series_id.tolist() == ["38-22"]
    assert usage.start_s.tolist() == [300]
    np.testing.assert_array_equal(usage.cpu_share, [1.0, np.nan, np.nan])  # 0.5 and 1.5; gap; no limit
    np.testing.assert_array_equal(usage.mem_share, [0.5, np.nan, 0.5])
    np.testing.assert_array_equal(usage.extra["cpu_ncu"], [0.5, np.nan, 0.25])
    np.testing.assert_array_equal(usage.extra["cpu_max_share"], [1.75, np.nan, np.nan])
    lines = usage.report.lines()
    assert "1 row kept with a cpu_share above 1: more CPU than the limit (row 2)" in lines
    assert "1 row given a missing share: no cpu_limit (row 3)" in lines


def test_the_mean_of_a_cell_has_no_times_and_skips_nothing(samples: Path, tmp_path: Path) -> None:
    usage = read_usage(samples / "google_2019/mean.csv")
    assert usage.series_id.tolist() == ["cell"]
    np.testing.assert_array_equal(usage.cpu_share, [0.44, 0.43])
    np.testing.assert_array_equal(usage.extra["assigned_mem_share"], [0.62, 0.61])
    text = (samples / "google_2019/mean.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace("0.44", "-0.44"))
    with pytest.raises(TraceError, match=r"avg_cpu must be >= 0: got -0.44 in row 1"):
        read_usage(tmp_path / "x.csv")


def test_the_tasks_have_the_published_rows(real: Path) -> None:
    usage = read_usage(real / "google_2019/instance_usage_tasks")
    assert len(usage) == 12
    assert usage.report.rows_read == 32_722
    mean = read_usage(real / "google_2019/dc_mean/instance_usage_grouped_300_seconds_first24days.csv.gz")
    assert int(mean.offset[-1]) == 6912
    cpu = mean.cpu_share
    assert np.corrcoef(cpu[:-1], cpu[1:])[0, 1] == pytest.approx(0.92, abs=0.005)

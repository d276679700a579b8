from pathlib import Path

import numpy as np
import pytest

from rlsched import read_usage
from rlsched.errors import TraceError


def test_a_column_is_a_series_and_the_maxima_beside_it_are_extra(samples: Path) -> None:
    usage = read_usage(samples / "azure_v1_cpu/two_avg.csv")
    assert usage.series_id.tolist() == [30, 7]
    np.testing.assert_allclose(usage.cpu_share, [0.105, 0.11, 0.2, 0.3])
    np.testing.assert_allclose(usage.extra["cpu_max_share"], [0.5, 1.0, 0.6, 0.7])
    assert (usage.step_s, usage.offset.tolist(), usage.report.rows_read) == (300, [0, 2, 4], 4)
    alone = read_usage(samples / "azure_v1_cpu/two_avg.csv", maxima="none")
    assert alone.extra == {}
    assert read_usage(samples / "azure_v1_cpu/two_max.csv").extra == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2,11.0", "3,11.0", r"row must be 1, 2, 3, ... in order: got 3 in row 2"),
        ("10.5", "100.5", r"30 must be in 0..100: got 100.5 in row 1"),
        ("10.5", "", r"30 must not be empty"),
    ],
)
def test_a_bad_row_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "azure_v1_cpu/two_avg.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_usage(tmp_path / "x.csv")


def test_maxima_of_other_vms_are_refused(samples: Path, tmp_path: Path) -> None:
    text = (samples / "azure_v1_cpu/two_max.csv").read_text()
    (tmp_path / "other.csv").write_text(text.replace("30,7", "30,8"))
    with pytest.raises(TraceError, match="maxima must be of the same VMs and rows"):
        read_usage(samples / "azure_v1_cpu/two_avg.csv", maxima=str(tmp_path / "other.csv"))


def test_a_hundred_vms_have_the_published_length_and_order(real: Path) -> None:
    usage = read_usage(real / "azure_v1_vm_cpu/microsoft_avg_100.csv.gz")
    assert (len(usage), int(usage.offset[-1])) == (100, 100 * 6852)
    assert not np.isnan(usage.cpu_share).any()
    assert (usage.cpu_share <= usage.extra["cpu_max_share"]).all()

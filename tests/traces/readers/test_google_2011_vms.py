from pathlib import Path

import numpy as np
import pytest
from reader_samples import google_2011_vms, google_day

from rlsched import read_usage
from rlsched.errors import SpecError, TraceError


def test_days_of_a_job_are_joined_and_a_day_between_is_missing(tmp_path: Path) -> None:
    archive, days, _ = google_2011_vms(tmp_path)[0]
    usage = read_usage(days)
    assert usage.series_id.tolist() == ["7"]
    assert usage.offset.tolist() == [0, 3 * 288]
    assert usage.cpu_share[0] == pytest.approx(0.05)
    assert usage.cpu_share[2 * 288 + 1] == pytest.approx(0.0601)
    assert np.isnan(usage.cpu_share[288 : 2 * 288]).all()
    assert usage.mem_share[51] == pytest.approx(1.01)
    lines = usage.report.lines()
    assert "1 row added as missing (288 samples each): a day between two days of a job has no file" in lines
    assert "474 rows kept with a mem_share above 1: more memory than the VM has" in lines  # 51..287 of two days
    both = read_usage(archive)
    assert both.series_id.tolist() == ["7", "12"]
    assert both.start_s.tolist() == [0, 86_400]
    assert not np.isnan(both.cpu_share).any()


def test_days_can_stay_apart(tmp_path: Path) -> None:
    usage = read_usage(google_2011_vms(tmp_path)[0][0], days="apart")
    assert usage.series_id.tolist() == ["12_2", "7_1", "7_2"]
    assert usage.start_s.tolist() == [0, 0, 0]
    with pytest.raises(SpecError, match="days must be 'join' or 'apart'"):
        read_usage(google_2011_vms(tmp_path / "new")[0][0] if (tmp_path / "new").mkdir() else tmp_path, days="x")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"5.01 51\n", b"5.01\n", r"two numbers >= 0, CPU and memory in percent: got '5.01' in line 2 of .*vm_7_1"),
        (b"5.01 51\n", b"-5.01 51\n", r"got '-5.01 51' in line 2"),
        (b"5.01 51\n", b"", r"exactly 288 lines \(one per 5 minutes\): got 287"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    (tmp_path / "vm_7_1").write_bytes(google_day(5).replace(old, new))
    with pytest.raises(TraceError, match=message):
        read_usage(tmp_path / "vm_7_1", format="google_2011_vms")


def test_the_archive_has_the_published_jobs(real: Path) -> None:
    usage = read_usage(real / "google_2011/gcd_vms/GCD_VMs_shared.tar.gz")
    assert len(usage) == 192
    assert usage.report.rows_read == 1198 * 288
    whole = [i for i in range(192) if usage.series(i).size == 2880 and not np.isnan(usage.series(i)).any()]
    assert len(whole) == 73
    assert 0.05 <= float(np.nanmin(usage.cpu_share)) <= float(np.nanmax(usage.cpu_share)) <= 0.9
    assert float(np.nanmax(usage.mem_share)) == pytest.approx(2.15, abs=0.005)

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_usage
from rlsched.errors import TraceError
from rlsched.traces.columns import Drop


def test_samples_are_put_on_a_grid_averaged_and_gaps_left_missing(samples: Path) -> None:
    usage = read_usage(samples / "bitbrains" / "12.csv")
    # Slot 0 has 1000, 3000 and 2000 of 4000 MHz; slot 1 nothing; slot 2 is off; slot 3 bursts.
    np.testing.assert_array_equal(usage.cpu_share, [0.5, np.nan, np.nan, 1.1])
    np.testing.assert_array_equal(usage.mem_share, [0.5, np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(usage.extra["disk_read_kib_s"], [2.0, np.nan, 0.0, 0.0])
    assert usage.step_s == 300
    assert usage.cpu_mcore.tolist() == [2000]
    assert usage.mem_mib.tolist() == [2049]  # 2,097,153 KiB are 2,048.001 MiB, rounded up
    assert usage.meta["time_origin_s"] == 1_000_000_200


def test_the_report_counts_every_change(samples: Path) -> None:
    report = read_usage(samples / "bitbrains" / "12.csv").report
    assert (report.rows_read, report.rows_kept) == (5, 3)
    assert set(report.drops) == {
        Drop("the time stamp of another row", "merged: averaged into its 5-minute slot", 1, (2,)),
        Drop("in the 5-minute slot of another row", "merged: averaged into it", 1, (3,)),
        Drop("0 MHz provisioned (VM off)", "given a missing cpu_share", 1, (4,)),
        Drop("no memory provisioned", "given a missing mem_share", 1, (4,)),
        Drop("more used than provisioned", "kept with a cpu_share above 1", 1, (5,)),
        Drop("5-minute slot without a sample", "added as missing", 1),
        Drop("the largest provisioned memory of a VM is not whole MiB", "with mem_mib rounded up", 1),
    }


def test_a_directory_gives_a_series_a_file_in_order_of_number(samples: Path) -> None:
    usage = read_usage(samples / "bitbrains")
    assert usage.series_id.tolist() == ["7", "12"]
    assert usage.start_s.tolist() == [300, 0]
    np.testing.assert_array_equal(usage.series(0), [0.5, 0.25])  # the rows were in the wrong order
    assert any(drop.action == "sorted into place" for drop in usage.report.drops)
    assert usage.report.rows_read == 7


def test_a_vm_that_is_off_all_the_time_has_an_unknown_size(samples: Path, tmp_path: Path) -> None:
    lines = (samples / "bitbrains" / "12.csv").read_text().splitlines(keepends=True)
    (tmp_path / "1.csv").write_text(lines[0] + lines[4])
    usage = read_usage(tmp_path / "1.csv")
    assert usage.cpu_mcore.tolist() == usage.mem_mib.tolist() == [-1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1000.0;\t25.0", "x;\t25.0", r"CPU usage \[MHZ\] must be a finite number: got 'x' in row 1 \(line 2\)"),
        ("1000.0;\t25.0", "-1.0;\t25.0", r"CPU usage \[MHZ\] must be >= 0: got -1.0 in row 1"),
        ("1000.0;\t25.0", "inf;\t25.0", r"CPU usage \[MHZ\] must be a finite number: got 'inf' in row 1"),
        ("1000001100", "1000001100000", r"seconds since 1970 of one measurement: .* spans .* slots"),
        ("CPU cores", "CPU", r"column 'CPU cores' is missing"),
    ],
)
def test_a_bad_sample_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "bitbrains" / "12.csv").read_text()
    assert old in text
    (tmp_path / "12.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_usage(tmp_path / "12.csv", format="bitbrains")


def test_two_files_of_one_vm_are_refused(samples: Path, tmp_path: Path) -> None:
    content = (samples / "bitbrains" / "12.csv").read_bytes()
    (tmp_path / "12.csv").write_bytes(content)
    import gzip

    (tmp_path / "12.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(TraceError, match=r"a VM must have one file: .* several for '12'"):
        read_usage(tmp_path)


def test_the_month_has_the_published_counts(real: Path) -> None:
    usage = read_usage(real / "bitbrains_faststorage/2013-8")
    assert len(usage) == 172
    count = {(drop.rule, drop.action): drop.count for drop in usage.report.drops}
    assert usage.report.rows_read == 1_571_453
    assert count["the time stamp of another row", "merged: averaged into its 5-minute slot"] == 68_448
    gaps = count["5-minute slot without a sample", "added as missing"]
    assert gaps / usage.offset[-1] == pytest.approx(0.002, abs=0.0005)
    assert float(np.nanmax(usage.cpu_share)) == pytest.approx(1.068, abs=0.001)

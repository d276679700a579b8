import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rlsched import read_usage
from rlsched.errors import SpecError, TraceError


def archive(tmp_path: Path, members: dict[str, str]) -> Path:
    path = tmp_path / "planetlab.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


DAY = "5\n" * 288


def test_a_day_folder_comes_out_in_byte_order_with_its_whole_percents(planetlab_day: Path) -> None:
    usage = read_usage(planetlab_day)
    assert usage.series_id.tolist() == ["a vm with blanks", "b_vm"]
    assert usage.step_s == 300
    assert np.diff(usage.offset).tolist() == [288, 288]
    percent = np.array([7 * i % 101 for i in range(288)])
    np.testing.assert_array_equal(usage.series(1, "cpu_pct"), percent)
    np.testing.assert_array_equal(np.rint(usage.series(1) * 100), percent)
    assert np.isnan(usage.mem_share).all()


def test_a_single_file_is_one_series(planetlab_day: Path) -> None:
    usage = read_usage(planetlab_day / "b_vm")
    assert usage.series_id.tolist() == ["b_vm"]


def test_capital_letters_come_before_small_ones(tmp_path: Path) -> None:
    for name in ("a", "B", "b", "_"):
        (tmp_path / name).write_text(DAY)
    assert read_usage(tmp_path).series_id.tolist() == ["B", "_", "a", "b"]


def test_an_archive_of_several_days_needs_a_day(tmp_path: Path) -> None:
    path = archive(tmp_path, {"20110303/x": DAY, "20110306/y": DAY, "20110306/a b": DAY})
    with pytest.raises(SpecError, match=r"holds 2 days. Choose one with day= \(--day\): 20110303, 20110306"):
        read_usage(path)
    assert read_usage(path, day="20110306").series_id.tolist() == ["a b", "y"]
    assert read_usage(path, day=20110303).series_id.tolist() == ["x"]
    with pytest.raises(SpecError, match=r"no day '20110307' .*Did you mean '20110306'"):
        read_usage(path, day="20110307")


def test_an_archive_of_one_day_needs_none(tmp_path: Path) -> None:
    usage = read_usage(archive(tmp_path, {"20110303/x": DAY}))
    assert usage.meta["day"] == "20110303"


def test_a_day_for_a_folder_is_refused(planetlab_day: Path) -> None:
    with pytest.raises(SpecError, match="day chooses a folder of an archive"):
        read_usage(planetlab_day, day="20110303")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5\n" * 287, r"exactly 288 samples \(one per 5 minutes\): got 287 in .*b_vm"),
        ("5\n" * 289, r"exactly 288 samples \(one per 5 minutes\): got 289 in .*b_vm"),
        ("5\n" * 100 + "101\n" + "5\n" * 187, r"whole number of percent in 0\.\.100: got '101' in line 101 of .*b_vm"),
        ("5\n" * 9 + "five\n" + "5\n" * 278, r"got 'five' in line 10 of .*b_vm"),
        ("5\n" * 9 + "-5\n" + "5\n" * 278, r"got '-5' in line 10"),
        ("5\n" * 9 + "5.5\n" + "5\n" * 278, r"got '5.5' in line 10"),
        ("5\n" * 9 + "\n" + "5\n" * 278, r"got '' in line 10"),
    ],
)
def test_a_bad_file_is_named_with_its_count_or_line(planetlab_day: Path, text: str, message: str) -> None:
    (planetlab_day / "b_vm").write_text(text)
    with pytest.raises(TraceError, match=message):
        read_usage(planetlab_day)


def test_a_bad_member_of_an_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path, {"20110303/x": "5\n" * 287})
    with pytest.raises(TraceError, match=r"got 287 in .*planetlab\.tar\.gz:20110303/x"):
        read_usage(path)


def test_a_stray_file_in_the_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"20110303/x": DAY, "README": "hello"})
    with pytest.raises(TraceError, match=r"an archive must hold YYYYMMDD/<VM> only: got 'README'"):
        read_usage(path)


def test_the_ten_days_have_the_published_counts_and_mean(real: Path) -> None:
    published = {
        "20110303": 1052, "20110306": 898, "20110309": 1061, "20110322": 1516, "20110325": 1078,
        "20110403": 1463, "20110409": 1358, "20110411": 1233, "20110412": 1054, "20110420": 1033,
    }  # fmt: skip
    total = samples = zeros = 0.0
    for day, count in published.items():
        usage = read_usage(real / "planetlab/planetlab.tar.gz", day=day)
        assert len(usage) == count
        total += usage.extra["cpu_pct"].sum()
        samples += usage.extra["cpu_pct"].size
        zeros += (usage.extra["cpu_pct"] == 0).sum()
    assert samples == 3_382_848
    assert total / samples == pytest.approx(11.1, abs=0.05)
    assert zeros / samples == pytest.approx(0.16, abs=0.005)

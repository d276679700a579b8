"""Request rates: World Cup, NASA and Twitter, Azure LLM."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand
from rlsched.errors import SpecError, TraceError


def test_world_cup_minutes_become_rates_and_absent_ones_are_missing(samples: Path) -> None:
    demand = read_demand(samples / "worldcup98.csv")
    np.testing.assert_array_equal(demand.rate, [[1.0, 2.0, np.nan, 0.5]])
    assert (demand.step_s, demand.start_s, demand.unit) == (60, 0, "requests/s")
    assert demand.meta["time_origin_s"] == 893_980_800  # 1998-05-01 GMT
    assert "1 row added as missing: 60 s slot without a row" in demand.report.lines()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("00:01:00", "00:01:30", r"period must be a whole minute .*got 893980890.0 in row 2"),
        ("00:01:00", "00:00:00", r"period must be unique"),
        ("00,120", "00,-1", r"count must be >= 0: got -1 in row 2"),
    ],
)
def test_a_bad_minute_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "worldcup98.csv").read_text()
    assert old in text
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_demand(tmp_path / "x.csv")


def test_counts_are_a_rate_by_the_second(samples: Path) -> None:
    demand = read_demand(samples / "counts_per_second.txt")
    np.testing.assert_array_equal(demand.rate, [[1, 0, 0, 0, 5, 2, 0, 3, 4, 0, 0, 7]])
    assert "time_origin_s" not in demand.meta
    shifted = read_demand(samples / "counts_per_second.txt", start="1995-07-01T00:00:01-04:00")
    assert shifted.meta["time_origin_s"] == 804_571_201


def test_long_zeros_and_cut_seconds_are_missing_and_do_not_count_in_a_step(samples: Path) -> None:
    demand = read_demand(samples / "counts_per_second.txt", zero_run_missing_s=3, cut_at=8, cut_s=2, step_s=4)
    # 1 - - - | 5 2 0 3 | - - 4 0 | 0 7: the three zeros and the two cut seconds are not known.
    np.testing.assert_array_equal(demand.rate, [[1.0, 2.5, 2.0, 3.5]])
    lines = demand.report.lines()
    what = "in a run of at least 3 zeros (off, not idle)"
    assert f"3 rows marked missing: {what} (rows 2, 3, 4)" in lines
    assert "2 rows added as missing: second cut out of the file before number 8" in lines


def test_a_count_that_is_none_is_named(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1 0 0 0 5 2 0 3 4 0 zero 0 7\n")
    with pytest.raises(TraceError, match=r"a whole number of at most nine digits: got 'zero' near number 11"):
        read_demand(tmp_path / "x.txt", format="counts_per_second")
    with pytest.raises(SpecError, match=r"cut_at must be in 1..11"):
        read_demand(samples / "counts_per_second.txt", cut_at=12, cut_s=5)
    with pytest.raises(SpecError, match=r"start must be an ISO 8601 date"):
        read_demand(samples / "counts_per_second.txt", start="July")
    with pytest.raises(SpecError, match=r"must not be negative, and step_s at least 1"):
        read_demand(samples / "counts_per_second.txt", step_s=0)


def test_llm_requests_are_binned_and_a_step_without_one_is_zero(samples: Path) -> None:
    path = samples / "azure_llm.csv"
    np.testing.assert_array_equal(read_demand(path).rate, [[2, 0, 0, 1]])
    tokens = read_demand(path, measure="context_tokens", step_s=2)
    np.testing.assert_array_equal(tokens.rate, [[75, 0, 15]])  # slots of even seconds: 0-2, 2-4, 4-6
    assert tokens.unit == "tokens/s"
    assert read_demand(path, measure="generated_tokens").rate.sum() == 35


def test_llm_files_of_a_folder_share_a_clock_and_outside_its_own_span_a_service_is_missing(
    samples: Path, tmp_path: Path
) -> None:
    text = (samples / "azure_llm.csv").read_text()
    (tmp_path / "code.csv").write_text(text)
    (tmp_path / "conv.csv").write_text(text.replace("18:00:01", "18:00:03"))
    demand = read_demand(tmp_path)
    assert demand.service_id.tolist() == ["code", "conv"]
    np.testing.assert_array_equal(demand.rate, [[2, 0, 0, 1], [np.nan, np.nan, 2, 1]])
    assert "2 rows marked missing: step before the first or after the last row of a series" in demand.report.lines()


def test_the_world_cup_has_the_published_requests(real: Path) -> None:
    demand = read_demand(real / "web_requests/worldcup98/invocation_count.csv.gz")
    assert demand.report.rows_read == 98_060
    assert int(np.isnan(demand.rate).sum()) == 10
    assert round(float(np.nansum(demand.rate)) * 60) == 1_201_758_766
    assert round(float(np.nanmax(demand.rate)) * 60) == 229_426


def test_nasa_has_its_cut_and_its_hurricane(real: Path) -> None:
    from rlsched.traces.datasets import read_dataset

    demand = read_dataset("nasa-1995", data=real, step_s=1)
    assert demand.rate.shape == (1, 4_195_950 + 296_856)
    # The last second is 1995-08-22 00:00:06 at UTC-4, which is 809,064,006.
    assert demand.meta["time_origin_s"] + demand.rate.shape[1] - 1 == 809_064_006
    known = demand.rate[0][~np.isnan(demand.rate[0])]
    assert known.size == 4_195_950 - 135_851


def test_twitter_has_the_published_length_and_missing_ends_of_days(real: Path) -> None:
    from rlsched.traces.datasets import read_dataset

    demand = read_dataset("twitter-2021", data=real)
    assert demand.rate.shape == (1, 1_468_800 // 60)
    assert int(np.isnan(demand.rate).sum()) == 15 * 28 + 2 * 29  # 15 runs of 1,739 s and 2 of 1,740


def test_the_llm_hour_has_the_published_rates(real: Path) -> None:
    demand = read_demand(real / "azure_llm_2023")
    assert demand.report.rows_read == 8_819 + 19_366
    np.testing.assert_allclose(np.nanmean(demand.rate, axis=1), [2.6, 5.5], atol=0.05)
    code = read_demand(real / "azure_llm_2023/AzureLLMInferenceTrace_code.csv.gz", step_s=10).rate * 10
    assert float(code.var() / code.mean()) == pytest.approx(83, abs=1)

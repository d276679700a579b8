from pathlib import Path

import numpy as np
import pytest

from rlsched import read_demand
from rlsched.errors import TraceError


def test_months_of_a_pool_are_one_series_on_a_grid_of_30_s(samples: Path) -> None:
    demand = read_demand(samples / "cluster_pools")
    assert demand.service_id.tolist() == ["pool"]
    np.testing.assert_array_equal(demand.rate, [[10.5, 12.0, np.nan, np.nan, 12.0]])  # 11 and 13 share a slot
    assert (demand.unit, demand.step_s) == ("cores", 30)
    assert demand.report.lines() == [
        "4 rows read, 3 kept",
        "1 row merged: averaged into it: in the 30 s slot of another row",
        "2 rows added as missing: 30 s slot without a row",
        "1 row left aside, unread: a file of days",
    ]


def test_memory_and_days_can_be_chosen(samples: Path) -> None:
    memory = read_demand(samples / "cluster_pools", measure="memory")
    np.testing.assert_array_equal(memory.rate, [[20.25, 21.0, np.nan, np.nan, 21.0]])
    assert memory.unit == "GiB"
    days = read_demand(samples / "cluster_pools", files="days")
    assert days.service_id.tolist() == ["cluster_pools"]
    np.testing.assert_array_equal(days.rate, [[4.8, np.nan, 5.0]])
    with pytest.raises(TraceError, match=r"a day file has CPU only: .* has no memory"):
        read_demand(samples / "cluster_pools", files="days", measure="memory")


def test_a_folder_without_the_chosen_files_says_so(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text((samples / "cluster_pools/pool-202408_0.csv").read_text())
    with pytest.raises(TraceError, match=r"there must be files of days: .* holds none"):
        read_demand(tmp_path, files="days")


def test_the_nine_pools_have_the_published_size_and_gap(real: Path) -> None:
    one = read_demand(real / "cloud_cluster_capacity/cluster1")
    assert float(np.isnan(one.rate).mean()) == pytest.approx(0.108, abs=0.002)
    demand = read_demand(real / "cloud_cluster_capacity")
    assert len(demand) == 9
    mean = np.nanmean(demand.rate, axis=1)
    assert (round(mean.min()), round(mean.max(), -1)) == (10, 1880)
    assert round(float(np.nanmax(demand.rate))) == 14_141

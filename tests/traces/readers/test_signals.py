"""Carbon, price and spot series."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from reader_samples import carbon_parquet

from rlsched import read_signal
from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import Drop


def test_years_of_a_zone_are_joined_and_a_gap_is_missing_after_its_hour(samples: Path) -> None:
    signal = read_signal(samples / "electricity_maps")
    assert signal.signal_id.tolist() == ["A-B"]
    assert signal.time_s.tolist() == [0, 3600, 7200, 10_800]
    np.testing.assert_array_equal(signal.value, [100.5, 90.0, np.nan, 80.0])
    assert signal.end_s.tolist() == [14_400]
    assert signal.unit == "g/kWh"
    assert signal.meta["zone_ids"] == {"A-B": "XA"}
    assert signal.meta["time_origin_s"] == 1_609_459_200  # 2021-01-01 UTC
    assert signal.report.drops == (
        Drop("estimated by the source, not measured", "kept", 1),
        Drop("more than 3600 s without a value", "added as missing after that", 1),
    )


def test_life_cycle_emissions_can_be_chosen(samples: Path) -> None:
    path = samples / "electricity_maps" / "A-B_2021_hourly.csv"
    assert read_signal(path, account="life_cycle").value.tolist() == [120.5, 110.0]
    with pytest.raises(SpecError, match=r"account must have a known value: got 'lca'"):
        read_signal(path, account="lca")


def test_a_file_of_two_zones_is_refused(samples: Path, tmp_path: Path) -> None:
    text = (samples / "electricity_maps" / "A-B_2021_hourly.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace("XA", "XB", 1))
    with pytest.raises(TraceError, match=r"a file must be of one zone: .* has XA, XB"):
        read_signal(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text(text)
    assert read_signal(tmp_path / "x.csv").signal_id.tolist() == ["XA"]


def test_negative_prices_are_kept_and_counted(samples: Path) -> None:
    signal = read_signal(samples / "electricity_price")
    assert signal.signal_id.tolist() == ["A-B"]
    assert signal.value.tolist() == [12.5, -3.25]
    assert signal.unit == "USD/MWh"
    assert "1 row kept: a negative price (row 2)" in signal.report.lines()


def test_two_values_of_one_moment_are_refused(samples: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        file = samples / "electricity_price" / "A-B_electricity_prices_2021.csv"
        shutil.copy(file, tmp_path / f"Z_electricity_prices_{name}.csv")
    with pytest.raises(TraceError, match=r"a moment must have one value: .* for 'Z' at second 1609459200"):
        read_signal(tmp_path)


def test_the_stamps_count_where_the_step_changes(samples: Path, tmp_path: Path) -> None:
    signal = read_signal(samples / "fr_ci.csv")
    assert signal.signal_id.tolist() == ["fr"]
    assert signal.time_s.tolist() == [0, 1800, 2700, 3600]
    assert signal.end_s.tolist() == [4500]  # the median step is 900 s
    lines = (samples / "fr_ci.csv").read_text().splitlines()
    (tmp_path / "fr_ci.csv").write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    mixed = read_signal(tmp_path / "fr_ci.csv")
    assert mixed.same_as(signal)
    assert mixed.report.drops == (Drop("time before that of an earlier row", "sorted into place", 1),)


def test_parquet_stamps_with_a_zone_are_moments(tmp_path: Path) -> None:
    spain, folder = carbon_parquet(tmp_path)[0]
    alone = read_signal(spain)
    assert alone.signal_id.tolist() == ["ES"]
    assert alone.time_s.tolist() == [0, 3600, 7200, 14_400]
    np.testing.assert_array_equal(alone.value, [1.0, 2.0, np.nan, 5.0])
    both = read_signal(folder)
    assert both.signal_id.tolist() == ["ES", "FR"]
    assert both.series(1)[0].tolist() == [900, 1800]


def test_a_spot_price_holds_until_the_next_and_the_last_for_a_day(samples: Path) -> None:
    signal = read_signal(samples / "spot")
    assert signal.signal_id.tolist() == ["us-east-1a-Linux-c3.xlarge", "us-east-1b-Linux-c3.xlarge"]
    assert signal.time_s.tolist() == [0, 600, 300]
    assert signal.end_s.tolist() == [600 + 86_400, 300 + 86_400]
    np.testing.assert_array_equal(signal.at(0, np.array([599, 600, 87_000])), [0.05, 0.65, np.nan])


def test_probes_give_instances_or_prices(samples: Path) -> None:
    signal = read_signal(samples / "spot_availability.json")
    assert signal.value.tolist() == [1, 0, 2]
    assert (signal.time_s.tolist(), signal.end_s.tolist()) == ([0, 30, 60], [90])
    assert "time_origin_s" not in signal.meta
    prices = read_signal(samples / "spot_availability.json", measure="prices")
    assert (prices.value.tolist(), prices.unit) == ([0.5, 0.5, 0.75], "USD/h")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1,", '["x",', r"data must be numbers >= 0: got 'x' at probe 0"),
        ("30", "0", r"gap_seconds must be a number > 0: got 0"),
        ("[1, 0.0, 2]", "[]", r"data must be a list with entries"),
        ('"metadata"', '"meta"', r"probes must have 'metadata'"),
        ("]}", "]", r"probes must be JSON with metadata and data"),
    ],
)
def test_bad_probes_are_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "spot_availability.json").read_text()
    assert old in text
    (tmp_path / "x.json").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_signal(tmp_path / "x.json", format="spot_availability")


def test_campaigns_must_be_read_apart(samples: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(samples / "spot_availability.json", tmp_path / name / "zone.json")
    with pytest.raises(TraceError, match=r"a zone must occur once: .* has 'zone' in several campaigns"):
        read_signal(tmp_path)


def test_sixteen_zones_have_the_published_carbon(real: Path) -> None:
    carbon = read_signal(real / "sustain_cluster/carbon_intensity")
    price = read_signal(real / "sustain_cluster/electricity_prices/standardized")
    assert (len(carbon), len(price)) == (16, 22)
    assert np.diff(carbon.offset).tolist() == [3 * 8760] * 16
    assert not np.isnan(carbon.value).any()
    mean = {str(zone): float(np.nanmean(carbon.series(i)[1])) for i, zone in enumerate(carbon.signal_id)}
    assert (min(mean, key=mean.__getitem__), max(mean, key=mean.__getitem__)) == ("CA-ON", "IN-WE")
    assert (round(mean["CA-ON"]), round(mean["IN-WE"])) == (37, 689)
    assert len(set(carbon.signal_id.tolist()) & set(price.signal_id.tolist())) == 15
    assert carbon.meta["time_origin_s"] == price.meta["time_origin_s"]
    means = [float(np.nanmean(price.series(i)[1])) for i in range(22)]
    assert (round(min(means)), round(max(means))) == (23, 184)
    assert (round(float(np.nanmin(price.value))), round(float(np.nanmax(price.value)))) == (-539, 8994)


def test_the_carbon_of_2020_has_the_published_rows_and_means(real: Path) -> None:
    signal = read_signal(real / "carbon_2020_lets_wait_awhile")
    assert dict(zip(signal.signal_id.tolist(), np.diff(signal.offset).tolist(), strict=True)) == {
        "fr": 18_574,
        "gb": 21_980,
        "ger": 37_147,
    }
    assert [round(float(signal.series(i)[1].mean())) for i in range(3)] == [57, 218, 315]
    times = signal.series(1)[0]
    change = int(times[:-1][np.diff(times) == 900][0]) + signal.meta["time_origin_s"]
    assert change == 1_604_102_400  # 2020-10-31 00:00


def test_the_parquet_series_have_the_published_levels(real: Path) -> None:
    signal = read_signal(real / "carbon_entsoe_2023")
    means = {str(zone): round(float(np.nanmean(signal.series(i)[1])), 1) for i, zone in enumerate(signal.signal_id)}
    assert means == {"DE": 226.5, "ES": 47.3, "FR": 3.9, "NL": 117.0}
    assert int(np.isnan(signal.value).sum()) == 3  # France has three gaps of more than an hour
    assert np.diff(read_signal(real / "carbon_opendc_2022").offset).tolist() == [8736, 34_944, 8736, 34_944]


def test_twelve_spot_markets_have_the_published_prices(real: Path) -> None:
    signal = read_signal(real / "aws_spot_2015")
    lengths = np.diff(signal.offset)
    assert (len(signal), int(lengths.min()), int(lengths.max())) == (12, 1191, 48_994)
    row = signal.signal_id.tolist().index("us-east-1a-Linux-g2.2xlarge")
    values = signal.series(row)[1]
    assert (round(float(values.min()), 3), float(values.max())) == (0.064, 6.5)


def test_every_campaign_of_probes_can_be_read(real: Path) -> None:
    campaigns = sorted(path for path in (real / "spot_availability").glob("*/*/*") if path.is_dir())
    signals = [read_signal(path) for path in campaigns]
    assert sum(len(signal) for signal in signals) == 30
    january = read_signal(real / "spot_availability/availability/1-node/aws-02-15-2023")
    assert int(january.end_s.max()) // 86_400 == 45

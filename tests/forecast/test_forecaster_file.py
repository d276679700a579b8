import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from forecast_small import small_spec, small_windows

from rlsched.errors import OurBug, PolicyError, SpecError, TraceError
from rlsched.forecast.export import PARITY, export, parity
from rlsched.forecast.networks import BODIES
from rlsched.forecast.predictor import load_forecaster
from rlsched.forecast.trace import forecast_trace
from rlsched.forecast.train import NetworkForecaster
from rlsched.rng import stream
from rlsched.traces.columns import Demand, Usage


def made(path, body="cnn_lstm"):
    spec = small_spec()
    forecaster = NetworkForecaster(spec, body, spec.network, body)
    windows = small_windows(spec, "train")
    forecaster.fit(windows, small_windows(spec, "validation"), 0, None, lambda line: None)
    return forecaster, export(path / "forecaster.onnx", forecaster, 300, {"name": "tiny"})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("body", BODIES)
def test_the_file_answers_like_the_network(body, tmp_path):
    forecaster, model = made(tmp_path, body)
    assert parity(forecaster.module, model, seed=1) <= PARITY
    windows = small_windows(forecaster.spec, "test")
    np.testing.assert_allclose(
        model.quantiles_of(windows.past, windows.context), forecaster.predict(windows), atol=1e-5
    )


def test_a_point_network_is_not_exported(tmp_path):
    spec = small_spec()
    point = NetworkForecaster(spec, "cnn_lstm", spec.network.model_copy(update={"point": True}), "point")
    with pytest.raises(OurBug, match="outside its graph"):
        export(tmp_path / "x.onnx", point, 300, {})


def test_loading_and_predicting_needs_no_torch(tiny, tmp_path):
    forecaster, _ = tiny
    export(tmp_path / "forecaster.onnx", forecaster, 300, {"name": "tiny"})
    code = (
        "import sys; sys.modules['torch'] = None; import rlsched, pandas as pd;"
        f"model = rlsched.load_forecaster({str(tmp_path)!r});"
        "frame = pd.DataFrame({'time': range(0, 12000, 300), 'cpu_share': 0.5});"
        "print(len(model.predict(frame)), [n for n in ('numba', 'gymnasium', 'lightgbm') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["3", "[]"], done.stderr


def frame_of(**columns):
    time = pd.date_range("2026-01-05 10:00", periods=40, freq="5min")
    return pd.DataFrame({"time": time, "cpu_share": np.linspace(0.1, 0.5, 40), **columns})


def test_a_frame_gives_a_frame_with_times_and_ascending_quantiles(tiny):
    _, model = tiny
    found = model.predict(pd.concat([frame_of(vm="a", mem_share=0.3), frame_of(vm="b")]))
    assert found["vm"].tolist() == ["a"] * 6 + ["b"] * 3  # b's memory was never measured
    assert found["time"].iloc[0] == pd.Timestamp("2026-01-05 13:20")
    assert found["steps_ahead"].iloc[:3].tolist() == [0, 1, 2]
    quantiles = found[[f"q{q:g}" for q in model.quantiles]].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert found["note"].eq("").all()


def test_a_frame_answers_like_the_same_window(tiny):
    _, model = tiny
    frame = frame_of()
    seconds = (frame["time"] - pd.Timestamp(0)) // pd.Timedelta("1s")
    one, two = model.predict(frame), model.predict(frame.assign(time=seconds).sample(frac=1, random_state=0))
    np.testing.assert_array_equal(one["q0.5"], two["q0.5"])
    zoned = model.predict(frame.assign(time=frame["time"].dt.tz_localize("UTC").dt.tz_convert("Europe/Amsterdam")))
    np.testing.assert_array_equal(one["q0.5"], zoned["q0.5"])
    assert str(zoned["time"].dt.tz) == "Europe/Amsterdam"


def test_an_unusual_history_is_named_in_the_note(tiny):
    _, model = tiny
    assert "short history: 10 of 40" in model.predict(frame_of().tail(10))["note"].iloc[0]
    assert "constant load" in model.predict(frame_of(cpu_share=0.2))["note"].iloc[0]
    gaps = frame_of()
    gaps.loc[5:7, "cpu_share"] = np.nan
    assert "3 samples missing" in model.predict(gaps)["note"].iloc[0]
    assert "3 samples missing" in model.predict(frame_of().drop(index=[5, 6, 7]))["note"].iloc[0]
    old = frame_of()
    old.loc[20:, "cpu_share"] = np.nan
    assert "20 steps old" in model.predict(old)["note"].iloc[0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda f: f.assign(cpu_share=-0.1), TraceError, "cpu_share must be >= 0 .* VM 'vm'"),
        (lambda f: f.assign(cpu_share=np.inf), TraceError, "got inf"),
        (lambda f: f.assign(cpu_share=np.nan), TraceError, "has 0"),
        (lambda f: f.tail(3), TraceError, "at least 5 measured samples"),
        (
            lambda f: f.assign(time=f["time"] + pd.to_timedelta(np.arange(40), unit="s")),
            TraceError,
            "regular grid of 300 s",
        ),
        (lambda f: pd.concat([f, f.tail(1)]), TraceError, "comes twice"),
        (lambda f: f.assign(time="noon"), TraceError, "timestamps or seconds"),
        (lambda f: f.assign(time=pd.NaT), TraceError, "row 0 has none"),
        (lambda f: f.head(0), TraceError, "no rows"),
        (lambda f: f.rename(columns={"cpu_share": "cpu_shar"}), SpecError, "Did you mean 'cpu_share'"),
        (lambda f: f.drop(columns="cpu_share"), SpecError, "at least one resource"),
        (lambda f: f.drop(columns="time"), SpecError, "lacks 'time'"),
    ],
)
def test_a_bad_frame_is_explained(tiny, change, error, words):
    with pytest.raises(error, match=words):
        tiny[1].predict(change(frame_of()))


def test_percent_is_refused_unless_it_is_named(tiny):
    _, model = tiny
    percent = frame_of(cpu_share=np.linspace(10, 50, 40))
    with pytest.raises(
        TraceError, match=r"cpu_share must be a share .* got 10 .* of VM 'vm' \(and 39 more .* units='percent'"
    ):
        model.predict(percent)
    quantiles = [f"q{q:g}" for q in model.quantiles]
    named = model.predict(percent, units="percent")
    np.testing.assert_allclose(named[quantiles], 100 * model.predict(frame_of())[quantiles], rtol=1e-4)
    with pytest.raises(SpecError, match="Did you mean 'percent'"):
        model.predict(percent, units="percnt")


def test_a_burst_passes_when_it_is_said_to_be_a_share(tiny):
    _, model = tiny
    burst = frame_of(cpu_share=np.append(np.linspace(0.1, 0.5, 39), 2.5))
    with pytest.raises(TraceError, match="looks like percent"):
        model.predict(burst)
    assert np.isfinite(model.predict(burst, units="share")["q0.5"]).all()
    assert np.isfinite(model.predict(frame_of(cpu_share=np.linspace(0.5, 2.0, 40)))["q0.5"]).all()  # up to 2 is taken


def test_a_file_of_another_kind_or_schema_is_refused(tiny, tmp_path):
    import onnx

    forecaster, _ = tiny
    path = tmp_path / "forecaster.onnx"
    export(path, forecaster, 300, {"name": "tiny"})
    graph = onnx.load(str(path))
    for key, value, words in (("schema_version", "99", "another schema"), ("kind", '"policy"', "not a forecaster")):
        for prop in graph.metadata_props:
            if prop.key == key:
                prop.value = value
        onnx.save(graph, str(path))
        with pytest.raises(PolicyError, match=words):
            load_forecaster(path)
    path.write_bytes(b"no model")
    with pytest.raises(PolicyError, match="not an ONNX file"):
        load_forecaster(path)
    with pytest.raises(SpecError, match="no forecaster 'nope'"):
        load_forecaster("nope")


def usage_of(values):
    s, n = values.shape
    offset = np.arange(s + 1) * n
    return Usage(np.array([f"v{i}" for i in range(s)]), offset, np.zeros(s, np.int64), 300, values.ravel())


def test_a_spike_in_the_future_changes_no_earlier_forecast(tiny):
    _, model = tiny
    calm = np.abs(stream(1, "calm").normal(0.3, 0.05, (2, 90)))
    spiky = calm.copy()
    spiky[:, 60] += 5
    one, two = (forecast_trace(model, usage_of(values)).values for values in (calm, spiky))
    np.testing.assert_array_equal(one[:, :61], two[:, :61])
    assert (one[:, 61] != two[:, 61]).any()
    assert np.isnan(one[:, 0]).all()
    assert np.isfinite(one[:, 1:]).all()


def test_a_table_says_what_predict_says(tiny):
    _, model = tiny
    values = np.abs(stream(2, "calm").normal(0.3, 0.05, (1, 60)))
    table = forecast_trace(model, usage_of(values))
    frame = pd.DataFrame({"time": np.arange(50) * 300, "cpu_share": values[0, :50]})
    said = model.predict(frame)[[f"q{q:g}" for q in model.quantiles]].to_numpy()
    # predict sees the newest 40 samples and so takes them for all there are: only the age differs.
    np.testing.assert_allclose(table.values[0, 50], said, atol=0.02)


def test_a_table_is_kept_on_disk_and_made_anew_for_other_samples(tiny, tmp_path):
    _, model = tiny
    values = np.full((1, 50), 0.4)
    one = forecast_trace(model, usage_of(values), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert forecast_trace(model, usage_of(values), cache=tmp_path).sha256 == one.sha256
    forecast_trace(model, usage_of(values + 0.1), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_demand_needs_a_unit_and_scales_with_it(tiny):
    _, model = tiny
    rate = np.abs(stream(3, "rate").normal(50, 5, (1, 60)))
    demand = Demand(np.array(["web"]), 0, 300, rate)
    with pytest.raises(SpecError, match="needs 'unit'"):
        forecast_trace(model, demand)
    with pytest.raises(TraceError, match="unit must be"):
        forecast_trace(model, demand, unit=np.array([0.0]))
    one = forecast_trace(model, demand, unit=np.array([100.0])).values
    ten = forecast_trace(model, Demand(np.array(["web"]), 0, 300, 10 * rate), unit=np.array([1000.0])).values
    np.testing.assert_allclose(10 * one, ten, rtol=1e-4)
    with pytest.raises(SpecError, match="step must be the 300 s"):
        forecast_trace(model, Demand(np.array(["web"]), 0, 60, rate), unit=np.array([100.0]))


@pytest.mark.parametrize("bad", [-0.5, np.inf])
def test_a_trace_with_a_negative_or_infinite_sample_is_refused(tiny, bad):
    values = np.full((2, 60), 0.3)
    values[1, 7] = bad
    with pytest.raises(TraceError, match=f"cpu_share must be >= 0 and finite.* got {bad} at tick 7 of series"):
        forecast_trace(tiny[1], usage_of(values))


def test_a_series_without_a_sample_has_no_forecast_and_a_constant_one_is_forecast(tiny):
    values = np.full((2, 60), 0.3)
    values[1] = np.nan
    table = forecast_trace(tiny[1], usage_of(values)).values
    assert np.isfinite(table[0, 1:]).all()
    assert np.isnan(table[1]).all()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traces_synthetic_builders import ar1_usage, profile, trace

from rlsched.errors import SpecError, TraceError
from rlsched.rng import stream
from rlsched.traces.columns import UNKNOWN, Usage
from rlsched.traces.synthetic.draw import draw_tasks, draw_usage, draw_usage_of
from rlsched.traces.synthetic.fidelity import acf
from rlsched.traces.synthetic.fit import fit_series
from rlsched.traces.synthetic.usage import hermite_weights, latent_correlation


def series_of(usage, column="cpu_share"):
    return [usage.series(i, column) for i in range(len(usage))]


def mean_acf(usage, lag):
    return float(np.mean([acf(x, (lag,))[0] for x in series_of(usage)]))


@pytest.mark.parametrize("keep", [0.0, 0.6, 0.95])
def test_autocorrelation_of_a_draw_is_that_of_the_source(keep):
    real = ar1_usage(60, 1200, keep)
    drawn = draw_usage(fit_series(real, "ar1"), 1200 / 288, seed=1)
    for lag in (1, 3, 12):
        assert mean_acf(drawn, lag) == pytest.approx(mean_acf(real, lag), abs=0.1)


def test_level_and_spread_of_a_draw_are_those_of_the_source():
    real = ar1_usage(60, 1200, 0.6)
    drawn = draw_usage(fit_series(real, "ar1"), 4, scale=5, seed=1)
    assert drawn.cpu_share.mean() == pytest.approx(0.3, abs=0.01)
    assert drawn.cpu_share.std() == pytest.approx(0.05, abs=0.01)
    assert drawn.mem_share.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("cross", [-0.7, 0.0, 0.7])
def test_memory_follows_cpu_as_in_the_source(cross):
    drawn = draw_usage(fit_series(ar1_usage(60, 1200, 0.6, cross), "ar1"), 4, seed=1)
    seen = [np.corrcoef(x, y)[0, 1] for x, y in zip(series_of(drawn), series_of(drawn, "mem_share"), strict=True)]
    assert np.mean(seen) == pytest.approx(cross, abs=0.12)


def daily(days=6, series=40):
    t = np.arange(days * 288)
    wave = 0.4 + 0.2 * np.sin(2 * np.pi * t / 288)
    noise = ar1_usage(series, t.size, 0.5).cpu_share.reshape(series, -1) - 0.3
    return Usage(
        series_id=np.arange(series),
        offset=np.arange(series + 1) * t.size,
        start_s=np.zeros(series, np.int64),
        step_s=300,
        cpu_share=(wave + noise).ravel(),
    )


def test_a_common_daily_rhythm_keeps_its_hours():
    drawn = draw_usage(fit_series(daily(), "daily"), 4, seed=1)
    by_hour = drawn.cpu_share.reshape(len(drawn), 4, 24, 12).mean(axis=(0, 1, 3))
    assert abs(int(by_hour.argmax()) - 6) <= 2
    assert by_hour.max() - by_hour.min() > 0.25


def test_memory_that_was_not_measured_is_not_drawn():
    drawn = draw_usage(fit_series(daily(), "daily"), 1, seed=1)
    assert np.isnan(drawn.mem_share).all()


def test_missing_samples_are_left_out_and_said():
    real = ar1_usage(40, 600)
    cpu = real.cpu_share.copy()
    cpu[::10] = np.nan
    holed = Usage(real.series_id, real.offset, real.start_s, 300, cpu)
    found = fit_series(holed, "holed")
    assert found.usage is not None
    assert found.usage.missing_share == 0.1
    assert "10.00% of the samples are missing; a draw has none missing" in found.origin.notes
    assert np.isfinite(draw_usage(found, 1, seed=1).cpu_share).all()


def test_too_few_series_are_refused():
    with pytest.raises(TraceError, match=r"20 series of 12 samples.*has 19"):
        fit_series(ar1_usage(19, 50), "few")


def test_constant_series_are_drawn_constant():
    flat = Usage(
        np.arange(30), np.arange(31) * 50, np.zeros(30, np.int64), 300, np.repeat(np.linspace(0.1, 0.4, 30), 50)
    )
    drawn = draw_usage(fit_series(flat, "flat"), 0.2, scale=3, seed=1)
    assert max(np.ptp(x) for x in series_of(drawn)) == 0
    assert drawn.cpu_share.mean() == pytest.approx(0.25, abs=0.02)


def test_whole_percents_are_drawn_as_whole_percents():
    real = ar1_usage(30, 100)
    coarse = Usage(real.series_id, real.offset, real.start_s, 300, np.round(real.cpu_share, 2))
    drawn = draw_usage(fit_series(coarse, "percent"), 0.5, seed=1)
    assert np.array_equal(drawn.cpu_share, np.round(drawn.cpu_share, 2))


def test_no_draw_passes_the_ceiling():
    found = fit_series(ar1_usage(40, 600), "capped")
    assert found.usage is not None
    ceiling = max(c.cpu.ceiling for c in found.usage.classes)
    assert ceiling < 0.5
    assert draw_usage(found, 5, scale=5, seed=2).cpu_share.max() <= ceiling + 1e-4


def test_tasks_get_a_sample_for_each_step_they_touch():
    part = fit_series(ar1_usage(), "ar1")
    t = trace([1000] * 4, arrive=[0, 299, 600, 700], depart=[1, 301, 600, UNKNOWN])
    usage = draw_usage_of(t, part, until_s=1500, seed=1).validate()
    assert usage.start_s.tolist() == [0, 0, 600, 600]
    assert np.diff(usage.offset).tolist() == [1, 2, 1, 3]
    assert np.array_equal(usage.series_id, t.task_id)


def test_usage_of_tasks_is_the_same_for_the_same_seed():
    part = fit_series(ar1_usage(), "ar1")
    t = draw_tasks(profile(), 1, seed=1)
    a, b, c = (draw_usage_of(t, part, 86_400, seed) for seed in (1, 1, 2))
    assert a.same_as(b)
    assert not a.same_as(c)


def test_a_task_profile_has_no_usage_to_draw():
    with pytest.raises(SpecError, match="has no usage part"):
        draw_usage(profile(), 1)


def test_identity_shape_leaves_correlations_alone_and_a_skewed_one_raises_them():
    z = np.linspace(-3, 3, 25)
    line, skewed = hermite_weights(z), hermite_weights(np.exp(z))
    wanted = np.array([-0.3, 0.0, 0.5, 0.9])
    assert np.abs(latent_correlation(line, line, wanted) - wanted).max() < 1e-3
    # Log-normal with s = 1: (e^rho - 1) / (e - 1) = wanted, for a table cut at three deviations nearly so.
    assert latent_correlation(skewed, skewed, np.array([0.5]))[0] == pytest.approx(
        np.log(1 + 0.5 * (np.e - 1)), abs=0.03
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    step=st.sampled_from([30, 60, 300, 3600, 7200, 86_400]),
    longest=st.sampled_from([40, 100, 700]),
    missing=st.sampled_from([0.0, 0.3]),
    idle=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_whatever_usage_can_be_fitted_can_be_drawn(seed, step, longest, missing, idle):
    rng = stream(seed, "fuzz")
    length = rng.integers(longest // 2 + 10, longest + 1, 45)
    n = int(length.sum())
    cpu, mem = rng.gamma(0.5, 0.3, n), rng.random(n)
    cpu[rng.random(n) < idle] = 0.0
    cpu[rng.random(n) < missing] = np.nan
    mem[rng.random(n) < missing] = np.nan
    real = Usage(np.arange(45), np.r_[0, np.cumsum(length)], rng.integers(0, 10**6, 45), step, cpu, mem).validate()
    found = fit_series(real, "fuzz")
    draw_usage(found, 30 * step / 86_400, seed=1).validate()

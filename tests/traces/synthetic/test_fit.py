from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traces_synthetic_builders import ar1_usage, lifetimes, profile, trace

from rlsched.errors import TraceError
from rlsched.rng import stream
from rlsched.traces.columns import UNKNOWN, Trace
from rlsched.traces.synthetic.batches import batches
from rlsched.traces.synthetic.draw import draw_tasks, draw_usage_of
from rlsched.traces.synthetic.fit import fit_series, fit_tasks, with_usage
from rlsched.traces.synthetic.profile import load_profile

PROFILES = sorted((Path(__file__).parents[3] / "traces" / "profiles").glob("*.json"))


def test_batches_are_neighbours_of_equal_moment_and_group():
    t = trace([1] * 5, arrive=[0, 0, 0, 7, 7], group=np.array([1, 1, 2, 2, 2]))
    assert batches(t).tolist() == [0, 0, 1, 2, 2]


def test_fitting_a_draw_gives_the_profile_back():
    true = profile(10.0, lifetimes(correlation=0.5), day_swing=0.5, echo=0.3)
    found = fit_tasks(draw_tasks(true, 14, seed=1), "again")
    level = sum(s.arrivals.batches_per_step for s in found.streams)
    assert level == pytest.approx(10.0, rel=0.03)
    assert found.atoms == true.atoms
    drawn, again = draw_tasks(true, 14, seed=2), draw_tasks(found, 14, seed=3)
    for q in (0.25, 0.5, 0.75, 0.9):
        a, b = (np.quantile(t.depart_s - t.arrive_s, q) for t in (drawn, again))
        assert b == pytest.approx(a, rel=0.06)
    share = [(t.cpu_mcore == 4000).mean() for t in (drawn, again)]
    assert share[1] == pytest.approx(share[0], abs=0.02)


def test_too_short_a_trace_is_refused():
    with pytest.raises(TraceError, match=r"at least 200 tasks.*got 150"):
        fit_tasks(trace([1000] * 150), "short")


def test_tasks_of_unknown_age_are_left_out_of_lives_and_counted():
    t = trace([1000] * 400, depart=np.where(np.arange(400) % 4 == 0, UNKNOWN, np.arange(400) * 300 + 500))
    found = fit_tasks(t, "holes")
    assert "100 tasks without a known age were left out of the lives" in found.origin.notes


def test_a_trace_without_any_end_has_no_lives_and_draws_open_ends():
    found = fit_tasks(trace([1000] * 400, depart=np.full(400, UNKNOWN)), "open")
    assert all(s.lifetimes is None for s in found.streams)
    assert (draw_tasks(found, 1).depart_s == UNKNOWN).all()


def test_a_long_idle_lead_is_not_part_of_the_rhythm():
    arrive = np.r_[0, 50 * 86_400 + np.arange(3000) * 100]  # one early task, then 3.5 days of them
    found = fit_tasks(trace([1000] * 3001, arrive=arrive), "late")
    assert found.streams[0].arrivals.batches_per_step == pytest.approx(3.0, rel=0.02)
    assert any("busiest 3.5 days" in note for note in found.origin.notes)


def test_no_stream_tells_an_atom_that_began_fewer_than_min_count_of_its_batches():
    size = np.r_[np.ones(3000), np.full(300, 3)].astype(int)
    rare = np.r_[np.zeros(3000), np.ones(5), np.zeros(295)].astype(int)  # 5 batches of 3: 15 tasks, and 10 singles
    rare[:10] = 1
    batch = np.repeat(np.arange(size.size), size)
    t = trace(np.where(rare[batch] == 1, 8000, 1000), arrive=batch * 300, group=batch)
    found = fit_tasks(t, "rare")
    assert [a.cpu_mcore for a in found.atoms] == [1000, 8000]
    assert all(s.sizes.atom_share == (1.0, 0.0) for s in found.streams)


def test_every_number_has_at_most_the_digits_asked_for():
    found = fit_tasks(draw_tasks(profile(), 3), "digits", digits=2)
    for part in found.streams:
        for value in (*part.arrivals.day_factors, *part.arrivals.batch_size_share, *part.sizes.atom_share):
            assert value == float(f"{value:.1e}")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    span=st.sampled_from([0, 299, 5000, 86_400, 40 * 86_400]),
    life=st.sampled_from(["zero", "equal", "heavy", "none"]),
    watch=st.sampled_from([0.0, 0.5, 1.0]),
    shapes=st.integers(1, 12),
    groups=st.sampled_from([1, 30, 10_000]),
    floats=st.booleans(),
)
def test_whatever_can_be_fitted_can_be_drawn(seed, span, life, watch, shapes, groups, floats):
    rng = stream(seed, "fuzz")
    k = 400
    arrive = np.sort(rng.integers(0, span + 1, k))
    length = {
        "zero": np.zeros(k),
        "equal": np.full(k, 500),
        "heavy": rng.pareto(0.5, k) * 10 % 1e8,
        "none": np.zeros(k),
    }
    depart = arrive + length[life].astype(np.int64)
    hidden = np.ones(k, bool) if life == "none" else rng.random(k) < watch / 2
    seen = np.where(hidden, np.where(rng.random(k) < 0.5, UNKNOWN, arrive + 100), depart)
    kind = float if floats else int
    t = Trace(
        task_id=np.arange(k),
        arrive_s=arrive.astype(kind),
        depart_s=np.where(hidden, UNKNOWN, depart).astype(kind),
        last_seen_s=seen.astype(kind),
        cpu_mcore=rng.integers(1, shapes + 1, k) * 500,
        mem_mib=np.full(k, 1024),
        group=rng.integers(0, groups, k),
    ).validate()
    found = fit_tasks(t, "fuzz")
    draw_tasks(found, 2 * found.origin.observed_s / 86_400, scale=2, seed=1).validate()


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_shipped_profiles_load_and_draw(path: Path):
    from rlsched.traces.synthetic.draw import draw_usage

    found = load_profile(path)
    assert found.origin.name == path.stem
    assert found.origin.licence
    assert found.origin.cite
    assert found.disclosure.min_count >= 20
    if found.streams:
        draw_tasks(found, 1.0, seed=1).validate()
    if found.usage is not None:
        draw_usage(found, 0.1, scale=0.1, seed=1).validate()


def test_profiles_are_shipped():
    assert len(PROFILES) >= 8


def test_tasks_and_usage_of_a_dataset_make_one_profile():
    tasks, load = fit_tasks(trace([1000] * 400), "both"), fit_series(ar1_usage(), "both")
    both = with_usage(tasks, load)
    assert both.streams == tasks.streams
    assert both.usage == load.usage
    assert both.origin.series == 40
    drawn = draw_tasks(both, 0.2, seed=1)
    assert len(draw_usage_of(drawn, both, 0.2 * 86_400, seed=1)) == len(drawn)

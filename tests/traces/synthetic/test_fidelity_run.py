import json
from pathlib import Path

import numpy as np
import pytest
from traces_synthetic_builders import ar1_usage, profile

from rlsched.errors import SpecError
from rlsched.traces.columns import UNKNOWN
from rlsched.traces.synthetic import fidelity_run
from rlsched.traces.synthetic.busy import busy_trace, shifted
from rlsched.traces.synthetic.draw import draw_tasks
from rlsched.traces.synthetic.fidelity import compare_tasks, compare_usage
from rlsched.traces.synthetic.fidelity_run import as_document, as_markdown, run_card
from rlsched.traces.synthetic.fit import fit_series, fit_tasks
from rlsched.traces.synthetic.profile import save_profile

REAL = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy dataset that is itself a draw, behind a card with one case."""
    real = draw_tasks(profile(), 4, seed=99)
    save_profile(profile(), tmp_path / "toy.json")
    monkeypatch.setattr(fidelity_run, "read_dataset", lambda name, part, data: real)
    path = tmp_path / "fidelity.toml"
    path.write_text(f'seeds = 3\n[[case]]\nprofile = "{tmp_path / "toy.json"}"\ndataset = "toy"\n')
    return path


def test_draws_from_the_true_profile_are_as_near_as_halves(card: Path):
    rows = {row.measure: row for row in run_card(card)}
    assert rows["ks_life"].mean < 0.05
    assert rows["ks_cpu"].mean < 0.03
    assert rows["ks_cpu"].ci_low <= rows["ks_cpu"].mean <= rows["ks_cpu"].ci_high
    assert len(rows["ks_cpu"].values) == 3


def test_rows_become_a_table_and_a_document(card: Path):
    rows = run_card(card)
    assert as_markdown(rows).count("\n|") == len(rows) + 2
    assert json.loads(json.dumps(as_document(rows, card)))["rows"][0]["measure"] == rows[0].measure


def test_tasks_against_usage_is_refused(card: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fidelity_run, "read_dataset", lambda name, part, data: ar1_usage())
    with pytest.raises(SpecError, match="one has tasks, the other usage"):
        run_card(card)


def test_shifting_keeps_lives_and_unknown_ends():
    trace = draw_tasks(profile(), 2, seed=1)
    moved = shifted(trace, -500)
    assert np.array_equal(moved.depart_s - moved.arrive_s, trace.depart_s - trace.arrive_s)
    unknown = draw_tasks(
        profile().model_copy(
            update={"streams": tuple(s.model_copy(update={"lifetimes": None}) for s in profile().streams)}
        ),
        1,
    )
    assert (shifted(unknown, 100).depart_s == UNKNOWN).all()


def test_a_trace_that_is_busy_throughout_is_left_alone():
    trace = draw_tasks(profile(), 3, seed=1)
    busy, length_s = busy_trace(trace)
    assert len(busy) == len(trace)
    assert length_s == pytest.approx(3 * 86_400, abs=600)


@needs_data
@pytest.mark.parametrize(
    ("dataset", "part"), [("azure-v1-2017", "dev"), ("alibaba-gpu-2023", "pods")], ids=["azure-v1", "openb"]
)
def test_draws_from_a_fit_of_real_tasks_are_near(dataset: str, part: str):
    from rlsched.traces.datasets import read_dataset

    real = read_dataset(dataset, part, data=REAL)
    busy, length_s = busy_trace(real)  # type: ignore[arg-type]
    drawn = draw_tasks(fit_tasks(real, "fit"), length_s / 86_400, seed=7)  # type: ignore[arg-type]
    measures = compare_tasks(busy, drawn, length_s)
    for name in ("ks_cpu", "ks_mem", "ks_batch_size", "ks_life"):
        assert measures[name] < 0.05, name
    assert measures["ks_tasks_per_5min"] < 0.1
    assert abs(measures["log_tasks"]) < 0.3


@needs_data
def test_draws_from_a_fit_of_real_usage_are_near():
    from rlsched.traces.datasets import read_dataset

    real = read_dataset("planetlab-2011", "20110303", data=REAL)
    measures = compare_usage(real, draw_usage_of_fit(real))
    assert measures["ks_cpu_samples"] < 0.05
    assert measures["ks_cpu_mean"] < 0.08
    assert measures["acf_cpu"] < 0.03


def draw_usage_of_fit(real):
    from rlsched.traces.synthetic.draw import draw_usage

    return draw_usage(fit_series(real, "fit"), 1, seed=7)

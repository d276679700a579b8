import math
from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import SpecError
from rlsched.evaluate import synthetic_replay
from rlsched.evaluate.synthetic_replay import as_markdown, pairs_alike, rank_correlation, replay, run_card
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.synthetic.draw import draw_tasks
from rlsched.traces.synthetic.profile import find_profile, load_profile

CARD = """
profile = "azure-v1"
dataset = "toy"
seeds = 2
warmup_days = 0.25
policies = ["first_fit", "worst_fit"]
[[fleet]]
name = "toy"
[[fleet.hosts]]
name = "host"
count = 4
cpu_mcore = 32_000
mem_mib = 131_072
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    real = draw_tasks(load_profile(find_profile("azure-v1")), 1, scale=1.0, seed=9, max_batch=16)
    monkeypatch.setattr(synthetic_replay, "read_dataset", lambda name, part, data: real)
    monkeypatch.setattr(
        synthetic_replay, "draw_tasks", lambda profile, days, seed: draw_tasks(profile, days, 1.0, seed, max_batch=16)
    )
    path = tmp_path / "replay.toml"
    path.write_text(CARD)
    return path


def test_rejected_share_by_hand():
    # One machine of 2 cores; after the warm-up come 1, 1 and 2 cores, all for long: the last is turned away.
    k = np.arange(4)
    trace = Trace(k, np.array([0, 100, 200, 300]), np.array([50, 900, 900, 900]), np.array([2, 1, 1, 2]) * 1000, k + 1)
    machines = Machines(np.array([0]), np.array([2000]), np.array([1000]))
    assert replay(trace, machines, ("first_fit", "best_fit"), 60.0, 1000.0) == [0.5, 0.5]


def test_real_and_drawn_are_compared_policy_by_policy(card: Path):
    document = run_card(card)
    assert [row["policy"] for row in document["policies"]] == ["first_fit", "worst_fit"]
    for row in document["policies"]:
        assert 0 < row["real"] < 1
        assert row["ci_low"] <= row["mean"] <= row["ci_high"]
        assert len(row["values"]) == 2
    assert as_markdown(document).count("\n|") == 2 + 2


def test_warm_up_longer_than_the_trace_is_refused(card: Path):
    card.write_text(CARD.replace("0.25", "9"))
    with pytest.raises(SpecError, match="warmup_days must be <"):
        run_card(card)


def test_rank_correlation_by_hand():
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == 0.0
    assert rank_correlation([1, 2, 2, 4], [1, 2, 2, 4]) == pytest.approx(1)


def test_only_pairs_that_really_differ_are_compared():
    assert pairs_alike([0.10, 0.101, 0.2], [0.3, 0.1, 0.4], tie=0.005) == 1.0  # the first two are a tie
    assert pairs_alike([0.1, 0.2], [0.2, 0.1], tie=0.005) == 0.0
    assert math.isnan(pairs_alike([0.1, 0.1], [0.2, 0.1], tie=0.005))

"""Training: it learns what can be learnt, goes on after a kill, and admits when nothing was learnt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from placement_worlds import GPU_SETTINGS, problem

from rlsched.agents import checkpoint as ck
from rlsched.agents.spec import TrainSpec
from rlsched.agents.train import CHECKPOINT, train
from rlsched.agents.validate import Validation
from rlsched.errors import SpecError
from rlsched.sim import state as st
from rlsched.sim.world import World

TINY = TrainSpec(
    steps=8 * 16 * 6,
    n_envs=8,
    rollout=16,
    minibatch=64,
    epochs=2,
    hidden=8,
    normaliser_steps=4,
    validate_every=2,
    learning_rate=1e-2,
    placement=GPU_SETTINGS,
)


def allocated(world: World, state: st.State) -> np.ndarray:
    return state.arrays.counter[:, st.C_PLACED_GPU].astype(np.float64)


def judge(better="up", score=allocated) -> Validation:
    made = problem(2, seed=9)
    return Validation(made.world, made.windows, "placed_gpu", score, better)


def weights(path: Path) -> dict[str, np.ndarray]:
    arrays, _ = ck.load_arrays(path / CHECKPOINT)
    return {**ck.unpack(arrays, "policy"), **ck.unpack(arrays, "optimizer"), **ck.unpack(arrays, "best")}


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = train(TINY, problem(), judge(), tmp_path / "whole")
    assert train(TINY, problem(), judge(), tmp_path / "parts", stop_after=3) is None
    # Rollout 3 was not checkpointed: it is done again, as if the process had been killed.
    assert ck.load_arrays(tmp_path / "parts" / CHECKPOINT)[1]["rollouts"] == 2
    parts = train(TINY, problem(), judge(), tmp_path / "parts", resume=True)
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)
    assert any((a[name] != 0).any() for name in a if "score" in name), "something was learnt"
    assert whole is not None
    assert parts is not None
    assert whole.validations == parts.validations
    assert [line["reward_mean"] for line in whole.curve] == [line["reward_mean"] for line in parts.curve]
    assert len(parts.curve) == 6


def test_the_same_seed_trains_the_same_and_another_does_not(tmp_path: Path) -> None:
    short = TINY.model_copy(update={"steps": 8 * 16 * 2})
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(short.model_copy(update={"seed": seed}), problem(), judge(), tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all((a[name] == b[name]).all() for name in a)
    assert any((a[name] != c[name]).any() for name in a)


def test_a_killed_process_leaves_a_checkpoint_that_can_be_continued(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); sys.path.insert(0, 'tests/agents')\n"
        "from pathlib import Path; from placement_worlds import problem; from test_train import TINY, judge\n"
        "from rlsched.agents.train import train\n"
        "spec = TINY.model_copy(update={'steps': 8 * 16 * 4000})\n"
        f"train(spec, problem(), judge(), Path({str(tmp_path)!r}))\n"
    )
    file = tmp_path / CHECKPOINT
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 240
        while not (file.exists() and ck.load_arrays(file)[1]["rollouts"] >= 2):
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = ck.load_arrays(file)[1]["rollouts"]
    more = TINY.model_copy(update={"steps": 8 * 16 * (done + 1)})
    outcome = train(more, problem(), judge(), tmp_path, resume=True)
    assert outcome is not None
    assert len(outcome.curve) == done + 1


def test_when_nothing_beats_the_untrained_policy_it_is_kept_and_said(tmp_path: Path) -> None:
    flat = judge(score=lambda world, state: np.ones(state.n_copies))
    outcome = train(TINY, problem(), flat, tmp_path)
    assert outcome is not None
    assert not outcome.learned
    assert outcome.chosen == 0
    assert (outcome.network.score.weight == 0).all(), "checkpoint 0 has a zero last layer"


def test_validation_chooses_in_the_direction_of_its_metric(tmp_path: Path) -> None:
    calls: list[int] = []

    def counting(world: World, state: st.State) -> np.ndarray:
        calls.append(1)
        return np.full(state.n_copies, float(len(calls)))

    for better, chosen in (("up", 6), ("down", 0)):
        calls.clear()
        outcome = train(TINY, problem(), judge(better, counting), tmp_path / better)
        assert outcome is not None
        assert outcome.chosen == chosen


def test_the_curve_has_what_diagnosis_needs(tmp_path: Path) -> None:
    lines: list[str] = []
    outcome = train(TINY, problem(), judge(), tmp_path, progress=lines.append)
    assert outcome is not None
    for key in ("steps", "reward_mean", "entropy", "approx_kl", "explained_variance", "steps_per_s", "env_share"):
        assert all(key in line for line in outcome.curve)
    assert [one["rollouts"] for one in outcome.validations] == [0, 2, 4, 6]
    assert any("left" in line for line in lines)
    assert any("checkpoint 0" in line for line in lines)
    assert list((tmp_path / "tensorboard").iterdir())


def test_an_earlier_training_is_not_overwritten_nor_continued_as_another(tmp_path: Path) -> None:
    short = TINY.model_copy(update={"steps": 128})
    train(short, problem(), judge(), tmp_path)
    with pytest.raises(SpecError, match=r"already holds a training\. Continue it with --resume"):
        train(short, problem(), judge(), tmp_path)
    with pytest.raises(SpecError, match="is of another training: hidden was 8 and is 9"):
        train(short.model_copy(update={"hidden": 9}), problem(), judge(), tmp_path, resume=True)
    with pytest.raises(SpecError, match="there is no checkpoint at"):
        train(short, problem(), judge(), tmp_path / "new", resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(SpecError, match="is not a checkpoint"):
        train(short, problem(), judge(), tmp_path, resume=True)


def test_an_annealed_training_ends_with_small_steps_and_cannot_be_made_longer(tmp_path: Path) -> None:
    spec = TINY.model_copy(update={"anneal": True})
    outcome = train(spec, problem(), judge(), tmp_path)
    assert outcome is not None
    arrays, _ = ck.load_arrays(tmp_path / CHECKPOINT)
    assert (arrays["policy.network.score.weight"] != 0).any()
    with pytest.raises(SpecError, match="is of another training: steps was 768 and is 9999"):
        train(spec.model_copy(update={"steps": 9999}), problem(), judge(), tmp_path, resume=True)


def test_clip_and_discount_go_in_a_straight_line_to_their_ends_in_parts_as_in_one_go(tmp_path: Path) -> None:
    spec = TINY.model_copy(update={"clip_end": 0.1, "discount_end": 0.5})
    assert [spec.clip_at(left) for left in (1.0, 0.5)] == pytest.approx([0.2, 0.15])
    assert spec.discount_at(0.0) == 0.5
    train(spec, problem(), judge(), tmp_path / "whole")
    train(spec, problem(), judge(), tmp_path / "parts", stop_after=4)
    train(spec, problem(), judge(), tmp_path / "parts", resume=True)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all((whole[name] == parts[name]).all() for name in whole)
    for other in (TINY, TINY.model_copy(update={"discount_end": 0.5}), TINY.model_copy(update={"clip_end": 1e-6})):
        folder = tmp_path / f"{other.discount_end}-{other.clip_end}"
        train(other, problem(), judge(), folder)
        assert any((whole[name] != one).any() for name, one in weights(folder).items())
    with pytest.raises(SpecError, match="is of another training: steps was 768 and is 9999"):
        train(spec.model_copy(update={"steps": 9999}), problem(), judge(), tmp_path / "whole", resume=True)


def test_rollouts_must_be_whole_minibatches() -> None:
    with pytest.raises(ValueError, match="minibatch must divide n_envs"):
        TrainSpec(n_envs=8, rollout=16, minibatch=100)


@pytest.mark.slow
def test_it_learns_what_a_wrong_prior_does_not_know(tmp_path: Path) -> None:
    # The prior places worst; the reward says so at once, so a short training must beat it.
    worst = GPU_SETTINGS.model_copy(update={"prior": {"fragmentation": -1.0}, "shortlist": ({"fragmentation": 1.0},)})
    spec = TINY.model_copy(
        update={"placement": worst, "steps": 8 * 16 * 60, "prior_scale": 1.0, "discount": 0.0, "validate_every": 20}
    )
    made = problem(8, seed=2, n_tasks=600, stay=True)

    def fragments(world: World, state: st.State) -> np.ndarray:
        return state.arrays.machine_f[:, st.M_FRAG].sum(axis=1)

    held = problem(4, seed=3, n_tasks=300, stay=True)
    outcome = train(spec, made, Validation(held.world, held.windows, "frag", fragments, "down"), tmp_path)
    assert outcome is not None
    assert outcome.learned
    assert np.mean(outcome.best) < 0.9 * np.mean(outcome.start)

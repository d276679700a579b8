"""Looking ahead: labels are what really would have followed, and a network learns to follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from placement_worlds import GPU_SETTINGS, problem

from rlsched.agents import checkpoint as ck
from rlsched.agents.distil import distil
from rlsched.agents.lookahead import Labels, collect
from rlsched.agents.network import CandidateScorer
from rlsched.agents.spec import LookaheadSpec, TrainSpec
from rlsched.agents.train import train
from rlsched.agents.validate import Validation, greedy
from rlsched.envs.problem import PlacementProblem
from rlsched.errors import SpecError
from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES
from rlsched.observe.placement import Observer, device_choice
from rlsched.sim import state as st
from rlsched.sim.simulate import advance_all, decide_all
from rlsched.sim.world import World

LOOK = LookaheadSpec(count="gpu", states=12, until=1.0, explore=0.3, judged=2, rounds=2)
TINY = TrainSpec(
    steps=0,
    hidden=8,
    normaliser_steps=4,
    n_envs=8,
    rollout=16,
    minibatch=64,
    placement=GPU_SETTINGS,
    lookahead=LOOK,
)


def crowded() -> PlacementProblem:
    """More GPUs asked for than there are, and nobody leaves: every choice counts."""
    return problem(6, n_machines=4, n_tasks=360, stay=True)


def judge() -> Validation:
    def placed(world: World, state: st.State) -> np.ndarray:
        return state.arrays.counter[:, st.C_PLACED_GPU].astype(np.float64)

    made = problem(2, n_machines=4, n_tasks=120, stay=True, seed=9)
    return Validation(made.world, made.windows, "placed_gpu", placed, "up")


def test_a_label_is_what_the_prior_reaches_from_the_candidate_on() -> None:
    made = crowded()
    labels = collect(made, TINY)
    assert len(labels) > 20
    assert labels.gain.std() > 0, "something must hang on the choice"
    assert (labels.gain[:, 0] == 0).all(), "candidate 0 is what the others are held against"
    assert (labels.gain[labels.action_mask == 0] == 0).all()
    every = LOOK.model_copy(update={"explore": 0.0, "states": 10**6})
    calm = collect(made, TINY.model_copy(update={"lookahead": every}))
    first = calm.gain[calm.window == 0]
    for decision in (0, 7, 15):
        for candidate in np.flatnonzero(calm.action_mask[decision])[:3]:
            led_to, before = _played(made, decision, candidate), _played(made, decision, 0)
            assert first[decision, candidate] == pytest.approx(led_to - before)


def _played(made: PlacementProblem, decision: int, candidate: int) -> float:
    """GPUs placed when candidate 0 is always taken but once; decisions without a choice do not count."""
    state = made.world.start([made.windows[0]])
    observer = Observer(made.world, 1, GPU_SETTINGS.observation)
    at = 0
    while advance_all(made.world, state)[0] >= 0:
        seen = observer.observe(state)
        take = candidate if at == decision and seen.action_mask[0].sum() > 1 else 0
        at += int(seen.action_mask[0].sum() > 1)
        decide_all(made.world, state, seen.rows[:, take], device_choice(GPU_SETTINGS.observation, made.world))
    return float(state.arrays.counter[0, st.C_PLACED_GPU] / 1000)


def test_labels_do_not_depend_on_interruptions(tmp_path: Path) -> None:
    made, keep = crowded(), tmp_path / "labels.npz"
    whole = collect(made, TINY)
    collect(made, TINY, rows=range(3), keep=keep)
    arrays, meta = ck.load_arrays(keep)
    ck.save_arrays(keep, arrays, {**meta, "windows": [0, 6]})  # as if it had been stopped after three of six
    resumed = collect(made, TINY, keep=keep)
    for name in ("candidates", "globals", "action_mask", "gain", "window"):
        assert getattr(whole, name).tobytes() == getattr(resumed, name).tobytes()


@pytest.mark.slow
def test_labels_do_not_depend_on_the_number_of_processes() -> None:
    made = crowded()
    alone = collect(made, TINY)
    several = collect(made, TINY.model_copy(update={"lookahead": LOOK.model_copy(update={"processes": 2})}))
    assert alone.gain.tobytes() == several.gain.tobytes()
    assert alone.candidates.tobytes() == several.candidates.tobytes()


def test_labels_of_other_settings_are_not_gone_on_from(tmp_path: Path) -> None:
    made, keep = crowded(), tmp_path / "labels.npz"
    collect(made, TINY, keep=keep)
    with pytest.raises(SpecError, match=r"was made with seed 0, now it is 1\. Remove it"):
        collect(made, TINY.model_copy(update={"seed": 1}), keep=keep)


def test_a_horizon_ends_the_look_ahead() -> None:
    near = TINY.model_copy(update={"lookahead": LOOK.model_copy(update={"horizon": 1})})
    # One task ahead, the candidates of a decision differ by one task at most.
    gain = collect(crowded(), near).gain
    assert np.abs(gain).max() <= 2.0


def _made_up(n: int = 512) -> Labels:
    """The emptier of two candidates is always the better one, and the prior takes the other or not."""
    draw = np.random.default_rng(0)
    candidates = draw.random((n, 2, len(CANDIDATE_NAMES)), dtype=np.float32)
    candidates[:, :, CANDIDATE_NAMES.index("prior")] = [0.0, -0.1]
    better = candidates[:, 1, 0] - candidates[:, 0, 0] + 0.1 * draw.standard_normal(n)
    gain = np.stack([np.zeros(n), better], axis=1).astype(np.float32)
    mask = np.ones((n, 2), np.int8)
    return Labels(candidates, draw.random((n, len(GLOBAL_NAMES)), dtype=np.float32), mask, gain, np.arange(n))


def test_distilling_learns_what_the_labels_say() -> None:
    network = CandidateScorer(16, 20.0)
    look = LOOK.model_copy(update={"ridge": 1.0, "margins": (0.0,)})
    line = distil(network, _made_up(), look, GPU_SETTINGS.observation, judge())
    assert line["held_gain"] > 0.1
    assert line["held_gain"] > 4 * line["held_se"]
    labels = _made_up()
    seen = {"candidates": labels.candidates, "globals": labels.globals, "action_mask": labels.action_mask}
    chosen = greedy(network)(seen)
    assert ((chosen == 1) == (labels.gain[:, 1] > 0)).mean() > 0.8


def test_where_labels_say_nothing_the_prior_stays() -> None:
    labels = _made_up()
    nothing = Labels(labels.candidates, labels.globals, labels.action_mask, labels.gain * 0, labels.window)
    network = CandidateScorer(8, 20.0)
    line = distil(network, nothing, LOOK, GPU_SETTINGS.observation, judge())
    assert line["margin"] == max(LOOK.margins), "of equals the largest"
    seen = {"candidates": labels.candidates, "globals": labels.globals, "action_mask": labels.action_mask}
    assert (greedy(network)(seen) == 0).all()


def test_a_wider_margin_leaves_the_prior_less_often() -> None:
    labels = _made_up()
    seen = {"candidates": labels.candidates, "globals": labels.globals, "action_mask": labels.action_mask}
    left = []
    for margin in (0.0, 0.3, 10.0):
        network = CandidateScorer(8, 20.0)
        look = LOOK.model_copy(update={"ridge": 1.0, "margins": (margin,)})
        distil(network, labels, look, GPU_SETTINGS.observation, judge())
        left.append((greedy(network)(seen) != 0).mean())
    assert left[0] > left[1] > left[2] == 0


def test_a_training_may_look_ahead_and_stop_there_or_go_on_with_ppo(tmp_path: Path) -> None:
    ahead = train(TINY, crowded(), judge(), tmp_path / "ahead")
    assert ahead is not None
    assert [one["stage"] for one in ahead.validations] == ["prior", "lookahead"]
    assert ahead.stage in ("prior", "lookahead")
    assert len(ahead.distilled) == LOOK.rounds
    both = train(TINY.model_copy(update={"steps": 256}), crowded(), judge(), tmp_path / "both")
    assert both is not None
    assert [one["stage"] for one in both.validations] == ["prior", "lookahead", "ppo"]
    assert both.validations[1] == ahead.validations[1]


def test_learning_by_neither_way_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no \[lookahead\]"):
        TrainSpec(steps=0)


def test_windows_must_suffice_for_the_rounds(tmp_path: Path) -> None:
    few = TINY.model_copy(update={"lookahead": LOOK.model_copy(update={"judged": 5})})
    with pytest.raises(SpecError, match=r"n_windows must leave a window a round beside the 5 judged: got 6"):
        train(few, crowded(), judge(), tmp_path)


def test_a_training_goes_on_with_another_number_of_processes_but_no_other_look_ahead(tmp_path: Path) -> None:
    once = train(TINY, crowded(), judge(), tmp_path)
    assert once is not None
    more = TINY.model_copy(update={"lookahead": LOOK.model_copy(update={"processes": 2})})
    again = train(more, crowded(), judge(), tmp_path, resume=True)
    assert again is not None
    assert again.validations == once.validations
    other = TINY.model_copy(update={"lookahead": LOOK.model_copy(update={"ridge": 2.0})})
    with pytest.raises(SpecError, match="is of another training: lookahead was"):
        train(other, crowded(), judge(), tmp_path, resume=True)

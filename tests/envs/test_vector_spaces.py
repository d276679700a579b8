"""Action spaces of vector environments draw what is allowed; what a vector environment lacks is one clear error."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from consolidation_problems import problem as consolidation
from placement_worlds import GPU_SETTINGS
from placement_worlds import problem as placement

from rlsched.envs import IDS, sb3_vec_env
from rlsched.envs.consolidation_problem import ConsolidationSettings
from rlsched.envs.spaces import MaskedMultiDiscrete
from rlsched.errors import PolicyError, SpecError

MOVES = ConsolidationSettings(actions="moves", budget=3, candidate_vms=99, candidate_machines=2)
MASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "placement": (IDS[0], {"problem": placement(cut=True), "settings": GPU_SETTINGS}),
    "moves": (IDS[2], {"problem": consolidation(), "settings": MOVES}),
}
CARDS = {IDS[0]: "placement", IDS[1]: "scaling", IDS[2]: "consolidation"}


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("lever", MASKED)
def test_a_sampled_action_is_never_masked(lever: str, copy: bool) -> None:
    name, options = MASKED[lever]
    envs = gymnasium.make_vec(name, num_envs=4, copy=copy, **options)

    def walk() -> list[list[int]]:
        envs.action_space.seed(3)
        _, infos = envs.reset(seed=2)
        drawn, masked, ended = [], 0, 0
        for _ in range(200):
            mask = infos["action_mask"].copy()
            masked += int((mask == 0).sum())
            actions = envs.action_space.sample()
            assert envs.action_space.contains(actions)
            assert mask[np.arange(4), actions].all()
            _, _, terminated, truncated, infos = envs.step(actions)
            drawn.append(actions.tolist())
            ended += int((terminated | truncated).sum())
        assert masked, "otherwise this shows nothing"
        assert ended, "the first decision of the next episode is sampled, too"
        return drawn

    assert walk() == walk(), "the same seed draws the same actions"


def test_each_allowed_candidate_is_drawn_alike_and_no_other() -> None:
    space = MaskedMultiDiscrete(3, 5)
    space.mask = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]], np.int8)
    space.seed(0)
    drawn = np.array([space.sample() for _ in range(2000)])
    assert drawn.dtype == space.dtype
    counts = np.array([np.bincount(column, minlength=5) for column in drawn.T])
    assert (counts[0] > 300).all()
    assert counts[1].tolist()[::2] == [0, 0, 0]
    assert counts[1, [1, 3]].min() > 900
    assert counts[2].tolist() == [0, 0, 0, 0, 2000]


def test_a_mask_that_is_given_wins_and_all_else_is_multi_discrete() -> None:
    space = MaskedMultiDiscrete(2, 3)
    space.mask = np.array([[1, 0, 0], [1, 0, 0]], np.int8)
    last = np.array([0, 0, 1], np.int8)
    assert space.sample(mask=(last, last)).tolist() == [2, 2]
    assert space.sample(probability=(last * 1.0, last * 1.0)).tolist() == [2, 2]
    plain = gymnasium.spaces.MultiDiscrete([3, 3])
    assert space == plain
    assert plain == space
    assert space.contains(np.array([2, 2]))
    assert not space.contains(np.array([3, 0]))
    assert (deepcopy(space).mask == space.mask).all()


@pytest.mark.parametrize("name", IDS)
def test_pictures_of_many_copies_are_refused(name: str) -> None:
    said = rf'pictures are of one environment, not of 2 copies.*gymnasium.make\("{name}", render_mode=\'rgb_array\'\)'
    with pytest.raises(SpecError, match=said):
        gymnasium.make_vec(name, num_envs=2, render_mode="rgb_array")
    with pytest.raises(SpecError, match=said):
        sb3_vec_env(name, 2, render_mode="rgb_array")
    assert gymnasium.make_vec(name, num_envs=2, render_mode=None).render_mode is None


@pytest.mark.parametrize("name", IDS)
def test_options_of_any_shape_are_refused(name: str) -> None:
    for env in (gymnasium.make(name), gymnasium.make_vec(name, num_envs=2)):
        env.reset(seed=0, options={})
        for options, said in (([1], r"\[1\]"), ("fast", "'fast'"), ({1: 2, "a": 3}, "1, a"), ([], r"\[\]")):
            with pytest.raises(PolicyError, match=f"reset has no options: got {said}"):
                env.reset(options=options)


@pytest.mark.parametrize("name", IDS)
def test_a_card_of_another_kind_is_one_line(name: str) -> None:
    mine = CARDS[name]
    for other, card in CARDS.items():
        if card == mine:
            continue
        for make in (gymnasium.make, gymnasium.make_vec):
            with pytest.raises(SpecError) as refused:
                make(name, card=card)
            wanted = f"{card} is a card of kind {card}: make it with {other}, or name a {mine} card."
            assert str(refused.value) == wanted


def test_an_unknown_environment_lists_the_known_ones_once() -> None:
    with pytest.raises(SpecError) as refused:
        sb3_vec_env("CartPole-v1", 8)
    assert str(refused.value).count("Known:") == 1
    assert all(str(refused.value).count(name) == 1 for name in IDS)

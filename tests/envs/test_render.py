"""Pictures of environments: what is drawn changes with what happens, and nothing is drawn unasked."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, problem

import rlsched.envs  # noqa: F401 - registers the environments
from rlsched.envs.placement import PlacementEnv
from rlsched.envs.render import CHOICE, HEIGHT, OPEN, WIDTH
from rlsched.errors import PolicyError, SpecError


def has(picture: np.ndarray, colour: str) -> int:
    """Pixels of a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((picture == wanted).all(axis=-1).sum())


@pytest.mark.parametrize(("gpus", "n_machines"), [(True, 12), (False, 12), (True, 120)])
def test_a_placement_shows_the_candidates_and_then_the_choice(gpus: bool, n_machines: int) -> None:
    settings = GPU_SETTINGS if gpus else CPU_SETTINGS
    env = PlacementEnv(problem(gpus=gpus, n_machines=n_machines), settings, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert before.shape == (HEIGHT, WIDTH, 3)
    assert before.dtype == np.uint8
    assert has(before, OPEN) > 100
    assert has(before, CHOICE) == 0, "nothing was chosen yet"
    assert np.array_equal(before, env.render()), "drawing changes nothing"
    env.step(np.int64(0))
    after = env.render()
    assert has(after, CHOICE) > 100
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.int64(0))
        over = terminated or truncated
    assert has(env.render(), CHOICE) > 0, "the end can be drawn, too"
    env.close()


def test_pictures_change_nothing_in_the_episode() -> None:
    seen = []
    for mode in (None, "rgb_array"):
        env = PlacementEnv(problem(), GPU_SETTINGS, render_mode=mode)
        env.reset(seed=3)
        for _ in range(5):
            observation, reward, *_ = env.step(np.int64(0))
            if mode:
                env.render()
        seen.append((observation["candidates"].tobytes(), reward))
    assert seen[0] == seen[1]


def test_a_consolidation_shows_machines_and_knobs() -> None:
    env = gymnasium.make("rlsched/Consolidation-v0", render_mode="rgb_array").unwrapped
    env.reset(seed=0)
    assert has(env.render(), CHOICE) == 0
    env.step(((env.action_space.low + env.action_space.high) / 2).astype(np.float32))
    assert has(env.render(), CHOICE) > 0
    env.close()


@pytest.mark.parametrize("name", ["rlsched/Placement-v0", "rlsched/Consolidation-v0", "rlsched/Scaling-v0"])
def test_what_cannot_be_drawn_is_said(name: str) -> None:
    env = gymnasium.make(name).unwrapped
    with pytest.raises(PolicyError, match="made without pictures: pass render_mode"):
        env.render()
    with pytest.raises(SpecError, match="unknown render_mode 'rgb'"):
        type(env)(render_mode="rgb")
    shown = type(env)(render_mode="rgb_array")
    with pytest.raises(PolicyError, match=r"call reset\(\) before render"):
        shown.render()
    assert shown.metadata["render_modes"] == ["human", "rgb_array"]


def test_a_window_where_there_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.setattr(matplotlib, "get_backend", lambda: "agg")
    env = PlacementEnv(problem(), GPU_SETTINGS, render_mode="human")
    with pytest.raises(SpecError, match='render_mode="human" needs a window'):
        env.reset(seed=0)


def test_matplotlib_is_loaded_with_the_first_picture_only() -> None:
    code = (
        "import sys, gymnasium, rlsched.envs\n"
        "env = gymnasium.make('rlsched/Placement-v0', render_mode='rgb_array').unwrapped\n"
        "env.reset(seed=0); print('matplotlib' in sys.modules)\n"
        "env.render(); print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["False", "True False"]

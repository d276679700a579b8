"""Pictures of environments: what is drawn changes with what happens, and nothing is drawn unasked."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from consolidation_problems import problem as consolidation
from matplotlib.figure import Figure
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, problem

import rlsched.envs  # noqa: F401 - registers the environments
from rlsched.envs.consolidation import ConsolidationEnv
from rlsched.envs.consolidation_problem import ConsolidationSettings
from rlsched.envs.placement import PlacementEnv
from rlsched.envs.render import CHOICE, HEIGHT, OPEN, WIDTH
from rlsched.envs.render_placement import MAX_BARS, MIN_BARS
from rlsched.envs.render_scaling import action_words
from rlsched.errors import PolicyError, SpecError
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.scaling.options import InstanceType


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


def drawn(env) -> tuple[list[str], list]:
    """Texts of the head, and the plots."""
    figure = Figure(figsize=(10, 6.4))
    env._draw(figure)
    return [one.get_text() for one in figure.texts], figure.axes


def test_moves_of_one_tick_are_one_moment_of_the_picture_and_the_last_is_named() -> None:
    settings = ConsolidationSettings(actions="moves", budget=3, candidate_vms=4, candidate_machines=2)
    env = ConsolidationEnv(consolidation(), settings, render_mode="rgb_array")
    env.reset(seed=0)
    assert drawn(env)[0][-1] == "nothing chosen yet"
    offered = env.episodes.moves[0, 0].tolist()
    env.step(np.int64(1))
    assert drawn(env)[0][-1] == f"chosen last: VM {offered[0]} to machine {offered[1]}, move 1 of at most 3 of its tick"
    assert len(env._past) == 1, "no time has passed"
    env.step(np.int64(0))
    assert drawn(env)[0][-1] == "chosen last: this tick ends after 1 move"
    assert len(env._past) == 2
    assert " moves and " in drawn(env)[0][1].split(" · ")[1], "what adds up is apart from what is now"
    ticks, over = 1, False
    while not over:
        _, _, _, over, _ = env.step(np.int64(0))
        ticks += 1
    assert len(env._past) == ticks + 1
    texts, axes = drawn(env)
    assert texts[-1] == "chosen last: this tick ends after 0 moves"
    assert axes[1].get_xlim()[1] == max(10, ticks)


def test_the_picture_after_the_end_has_bars_by_row() -> None:
    env = PlacementEnv(problem(n_machines=120), GPU_SETTINGS, render_mode="rgb_array")
    env.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.int64(0))
        over = terminated or truncated
    texts, axes = drawn(env)
    assert texts[1] == "the window has ended: nothing waits"
    assert axes[0].get_title(loc="left").startswith("CPU in use, % of the 48 fullest machines, numbered by row")
    rows = [int(one.get_text()) for one in axes[2].get_xticklabels()]
    assert len(rows) in (MAX_BARS, MAX_BARS + 1)
    assert env._last.machine in rows
    capacity = env.episodes.problem.world.arrays.fleet_i[
        int(env.episodes.state.arrays.counter[0, st.C_FLEET]), wd.L_CPU
    ]
    free = env.episodes.state.arrays.machine_i[0, st.M_CPU, :120] / capacity[:120]
    others = np.setdiff1d(np.arange(120), rows)
    assert np.delete(free[rows], rows.index(env._last.machine)).max() <= free[others].min()


def test_a_single_candidate_is_no_giant_bar() -> None:
    env = PlacementEnv(problem(n_machines=1), GPU_SETTINGS, render_mode="rgb_array")
    env.reset(seed=0)
    low, high = drawn(env)[1][0].get_xlim()
    assert high - low >= MIN_BARS


@pytest.mark.parametrize("discrete", [False, True])
def test_a_scaling_choice_is_told_as_it_is_carried_out(discrete: bool) -> None:
    types = [InstanceType(name=name, capacity=1.0, price_per_h=1.0, boot_s=0) for name in ("small", "large")]
    settings = SimpleNamespace(actions="discrete" if discrete else "box", spot_steps=4)
    problem = SimpleNamespace(world=SimpleNamespace(types=types), n_services=2, limits=(1, 9))
    names = ("instances", "type", "spot_share")
    episodes = SimpleNamespace(problem=problem, settings=settings, action_names=names)
    chosen = [0, 1, 3, 4, 0, 0] if discrete else [0.2, 0.5, 0.75, 4.1, 0.49, 0.0]
    said = "1 instance of large, 75% on the spot market; 5 instances of small, 0% on the spot market"
    assert action_words(episodes, np.array(chosen)) == said


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

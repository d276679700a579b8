"""``rlsched/Placement-v0``: both libraries' checkers, determinism, ends, masks."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, problem
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rlsched.envs
from rlsched.envs.placement import PlacementEnv
from rlsched.envs.problem import PlacementProblem
from rlsched.envs.vector import PlacementVectorEnv
from rlsched.errors import PolicyError, SpecError
from rlsched.observe.features import CANDIDATE_FEATURES, GLOBAL_FEATURES
from rlsched.policies.heuristic import Heuristic
from rlsched.sim import state as st
from rlsched.sim.simulate import run_policy
from rlsched.sim.world import Window

ID = "rlsched/Placement-v0"


def follow(n: int, steps: int = 120, seed: int = 5, settings=GPU_SETTINGS, **kwargs) -> tuple[bytes, list[bytes]]:
    """Everything copy 0 sees, and everything each copy sees, under a choice that depends on its own copy only."""
    env = PlacementVectorEnv(n, problem(**kwargs), settings)
    obs, _ = env.reset(seed=seed)
    seen: list[list[bytes]] = [[] for _ in range(n)]
    for step in range(steps):
        allowed = obs["action_mask"].sum(axis=1)
        obs, reward, terminated, truncated, _ = env.step((step * 7) % allowed)
        for i in range(n):
            parts = [obs[name][i].tobytes() for name in ("candidates", "globals", "action_mask")]
            seen[i].append(b"".join([*parts, reward[i].tobytes(), bytes([int(terminated[i]), int(truncated[i])])]))
    joined = [b"".join(one) for one in seen]
    return joined[0], joined


@pytest.mark.parametrize("gpus", [True, False])
def test_every_copy_sees_the_same_bytes_whatever_the_number_of_copies_and_threads(gpus: bool) -> None:
    settings = GPU_SETTINGS if gpus else CPU_SETTINGS
    episodes = problem(n_machines=40, gpus=gpus)

    def seen(n: int, threads: int) -> list[bytes]:
        env = PlacementVectorEnv(n, episodes, settings, threads=threads)
        obs, _ = env.reset(seed=11)
        out: list[list[bytes]] = [[] for _ in range(n)]
        for step in range(90):
            obs, reward, terminated, truncated, _ = env.step((step * 7) % obs["action_mask"].sum(axis=1))
            for i in range(n):
                parts = [obs[name][i].tobytes() for name in obs]
                out[i].append(b"".join([*parts, reward[i].tobytes(), bytes([int(terminated[i]), int(truncated[i])])]))
        return [b"".join(one) for one in out]

    many = seen(64, 1)
    assert len(set(many)) > 1
    assert seen(64, 2) == many
    assert seen(7, 2) == many[:7]
    assert seen(7, 1) == many[:7]
    assert seen(1, 1) == many[:1]


@pytest.mark.parametrize("settings", [GPU_SETTINGS, CPU_SETTINGS])
def test_gymnasiums_checker_passes(settings) -> None:
    env = gymnasium.make(ID, problem=problem(gpus=settings is GPU_SETTINGS), settings=settings)
    check_env(env.unwrapped, skip_render_check=True)


def test_stable_baselines3s_checker_passes() -> None:
    with warnings.catch_warnings():
        # It recommends flat observations for its own default networks; ours reads (K, F).
        warnings.filterwarnings("ignore", message="Your observation candidates has an unconventional shape")
        check_env_sb3(PlacementEnv(problem(), GPU_SETTINGS), warn=True)


def test_spaces_are_built_from_the_table() -> None:
    env = PlacementEnv(problem(), GPU_SETTINGS)
    spaces = env.observation_space
    assert spaces["candidates"].shape == (6, len(CANDIDATE_FEATURES))
    assert spaces["globals"].low.tolist() == [feature.low for feature in GLOBAL_FEATURES]
    assert (spaces["candidates"].high[0] == [feature.high for feature in CANDIDATE_FEATURES]).all()
    assert env.action_space.n == 6
    everyone = PlacementEnv(problem(n_machines=9), GPU_SETTINGS.model_copy(update={"candidates": "all"}))
    assert everyone.action_space.n == 9


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_copies() -> None:
    one, _ = follow(1)
    seven, all_seven = follow(7)
    many, all_many = follow(64)
    assert one == seven == many
    assert all_seven == all_many[:7]
    assert len(set(all_many)) > 1, "copies differ from each other"
    assert follow(1, seed=6)[0] != one


def test_a_copy_of_the_vector_environment_replays_the_single_one() -> None:
    env = PlacementEnv(problem(), GPU_SETTINGS)
    vector = PlacementVectorEnv(3, problem(), GPU_SETTINGS)
    seen, _ = env.reset(seed=11)
    together, infos = vector.reset(seed=11)
    for step in range(150):
        assert all((seen[name] == together[name][0]).all() for name in seen)
        assert (infos["action_mask"] == together["action_mask"]).all()
        action = step % int(seen["action_mask"].sum())
        seen, reward, terminated, truncated, _ = env.step(np.int64(action))
        together, rewards, *ends, infos = vector.step(step % together["action_mask"].sum(axis=1))
        assert (reward, terminated, truncated) == (rewards[0], ends[0][0], ends[1][0])
        if terminated or truncated:
            final = infos["final_obs"][0]
            assert all((seen[name] == final[name]).all() for name in seen)
            seen, _ = env.reset()


def test_always_taking_the_first_candidate_is_the_prior_heuristic() -> None:
    episodes = problem(n_windows=1)
    env = PlacementEnv(episodes, GPU_SETTINGS)
    env.reset(seed=0)
    ended = False
    while not ended:
        _, _, terminated, truncated, info = env.step(np.int64(0))
        ended = terminated or truncated
    state = episodes.world.start(episodes.windows)
    run_policy(episodes.world, state, Heuristic("prior", GPU_SETTINGS.prior, devices="score").arrays())
    mine = env.episodes.state
    assert (mine.arrays.task_i == state.arrays.task_i).all()
    assert info["episode_steps"] == int(mine.arrays.counter[0, st.C_DECISIONS])
    assert info["window"] == "w0"


def test_a_window_cut_out_of_a_trace_truncates_and_one_without_end_terminates() -> None:
    for cut in (True, False):
        env = PlacementEnv(problem(cut=cut), GPU_SETTINGS)
        env.reset(seed=1)
        terminated = truncated = False
        while not (terminated or truncated):
            obs, _, terminated, truncated, _ = env.step(np.int64(0))
        assert (terminated, truncated) == (not cut, cut)
        assert obs["action_mask"].sum() == 0
        with pytest.raises(PolicyError, match="has ended: reset it"):
            env.step(np.int64(0))


def test_a_masked_action_raises_and_changes_nothing() -> None:
    env = PlacementVectorEnv(3, problem(n_machines=3), GPU_SETTINGS)
    obs, _ = env.reset(seed=0)
    before = env.episodes.state.copy()
    for action, message in (
        (5, "action 5 is masked in copy 1"),
        (6, r"an action must lie in 0\.\.5: got 6 in copy 1"),
        (-1, r"an action must lie in 0\.\.5: got -1 in copy 1"),
    ):
        assert obs["action_mask"][1, 5] == 0
        with pytest.raises(PolicyError, match=message):
            env.step(np.array([0, action, 0]))
    with pytest.raises(PolicyError, match="one whole number a copy"):
        env.step(np.array([0.0, 0.0, 0.0]))
    assert env.episodes.state.same_as(before)


def test_sampling_the_action_space_draws_what_is_allowed() -> None:
    env = PlacementEnv(problem(n_machines=3), GPU_SETTINGS)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(60):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()


def test_same_step_autoreset_keeps_the_last_observation() -> None:
    env = gymnasium.make_vec(ID, num_envs=2, problem=problem(), settings=GPU_SETTINGS)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.reset(seed=2)
    for _ in range(400):
        obs, _, terminated, truncated, infos = env.step(np.zeros(2, np.int64))
        done = terminated | truncated
        assert (obs["action_mask"].sum(axis=1) > 0).all()
        if done.any():
            n = int(np.flatnonzero(done)[0])
            assert infos["_final_obs"].tolist() == done.tolist()
            assert infos["final_obs"][n]["action_mask"].sum() == 0
            assert infos["final_info"]["episode_steps"][n] > 0
            return
    raise AssertionError("no episode ended")


def test_episodes_can_be_saved_and_continued() -> None:
    env = PlacementVectorEnv(4, problem(), GPU_SETTINGS)
    env.reset(seed=3)
    for _ in range(70):
        env.step(np.zeros(4, np.int64))
    saved = env.episodes.save()
    saved = {name: array.copy() for name, array in saved.items()}
    rest = [env.step(np.zeros(4, np.int64)) for _ in range(90)]
    other = PlacementVectorEnv(4, problem(), GPU_SETTINGS)
    other.reset(seed=99)
    other.episodes.load(saved)
    again = [other.step(np.zeros(4, np.int64)) for _ in range(90)]
    for a, b in zip(rest, again, strict=True):
        assert all((a[0][name] == b[0][name]).all() for name in a[0])
        assert (a[1] == b[1]).all()
        assert (a[2] == b[2]).all()


def test_without_copying_an_observation_lasts_until_the_step_after_the_next() -> None:
    env = PlacementVectorEnv(2, problem(), GPU_SETTINGS, copy=False)
    first, _ = env.reset(seed=0)
    kept = first["candidates"].copy()
    second, *_ = env.step(np.zeros(2, np.int64))
    assert (first["candidates"] == kept).all()
    third, *_ = env.step(np.zeros(2, np.int64))
    assert third["candidates"] is first["candidates"]
    assert second["candidates"] is not first["candidates"]


def test_a_problem_that_never_asks_is_refused() -> None:
    built = problem(n_machines=2, gpus=False).world
    full = PlacementProblem(built, [built.whole])
    env = PlacementEnv(full, CPU_SETTINGS)
    env.episodes.problem.world.arrays.task_i.flags.writeable = True
    env.episodes.problem.world.arrays.task_i[:, 0] = 10**9
    with pytest.raises(SpecError, match="no window of the problem ever asks"):
        env.reset(seed=0)


def test_misuse_is_explained() -> None:
    env = PlacementEnv(problem(), GPU_SETTINGS)
    with pytest.raises(PolicyError, match="never reset"):
        env.step(np.int64(0))
    with pytest.raises(PolicyError, match="no options: got speed"):
        env.reset(options={"speed": 1})
    env.reset(seed=0)
    for action in (np.nan, np.float32(0), "0", None, True, np.array([0, 1]), np.array([0.0])):
        with pytest.raises(PolicyError, match="must be one whole number"):
            env.step(action)
    env.step(np.array([0]))
    with pytest.raises(SpecError, match="threads must be >= 1"):
        PlacementVectorEnv(1, problem(), GPU_SETTINGS, threads=0)
    with pytest.raises(SpecError, match="num_envs must be >= 1"):
        PlacementVectorEnv(0, problem(), GPU_SETTINGS)
    with pytest.raises(SpecError, match="one seed a copy"):
        PlacementVectorEnv(2, problem(), GPU_SETTINGS).reset(seed=[1])
    with pytest.raises(SpecError, match="at least one window"):
        PlacementProblem(problem().world, [])


def test_the_adapter_for_stable_baselines3_hands_over_the_buffers_themselves() -> None:
    env = rlsched.envs.sb3_vec_env("rlsched/Placement-v0", 3, problem=problem(), settings=GPU_SETTINGS)
    env.seed(1)
    obs = env.reset()
    assert obs["candidates"] is env.env.episodes.out.candidates
    _, reward, done, infos = env.step(np.zeros(3, np.int64))
    assert (reward.shape, done.shape, len(infos)) == ((3,), (3,), 3)
    assert env.env_method("action_masks")[2].dtype == bool
    env.close()


def test_a_window_outside_the_trace_is_refused_when_the_environment_is_made() -> None:
    built = problem().world
    with pytest.raises(SpecError, match=r"window far must lie in task rows"):
        PlacementEnv(PlacementProblem(built, [Window(0, 10), Window(5, 10**6, name="far")]), GPU_SETTINGS)

"""``rlsched/Consolidation-v0``: both libraries' checkers, determinism, ends, ranges, rewards."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from consolidation_problems import KNOBS, THRESHOLDS, problem
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rlsched.envs  # noqa: F401 - registers the environment
from rlsched.envs.consolidation import ConsolidationEnv, ConsolidationVectorEnv
from rlsched.envs.consolidation_card import ConsolidationCard, load_card
from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.errors import PolicyError, SpecError
from rlsched.observe.consolidation_features import GLOBAL_FEATURES
from rlsched.reward.consolidation import REWARDS
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.semantics import Semantics
from rlsched.spec import validate

ID = "rlsched/Consolidation-v0"


def actions(n: int, step: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """An action that depends on the copy's own number and the step only."""
    unit = np.abs(np.sin(np.arange(n)[:, None] * 1.7 + step * 0.9 + np.arange(3)))
    return (low + unit * (high - low)).astype(np.float32).clip(low, high)


def follow(n: int, steps: int = 60, seed: int = 5, settings: ConsolidationSettings = KNOBS) -> list[bytes]:
    """Everything each copy sees and is given."""
    env = ConsolidationVectorEnv(n, problem(), settings)
    low, high = env.single_action_space.low, env.single_action_space.high
    obs, _ = env.reset(seed=seed)
    seen = [[obs[i].tobytes()] for i in range(n)]
    for step in range(steps):
        obs, reward, terminated, truncated, _ = env.step(actions(n, step, low, high))
        for i in range(n):
            ends = bytes([int(terminated[i]), int(truncated[i])])
            seen[i].append(obs[i].tobytes() + reward[i].tobytes() + ends)
    return [b"".join(one) for one in seen]


@pytest.mark.parametrize("settings", [KNOBS, THRESHOLDS])
def test_both_checkers_pass(settings: ConsolidationSettings) -> None:
    with warnings.catch_warnings():
        # Both recommend ranges of -1..1; ours are stated in their own units, and nothing is clipped.
        warnings.filterwarnings("ignore", message=".*symmetric and normalized")
        check_env(gymnasium.make(ID, problem=problem(), settings=settings).unwrapped, skip_render_check=True)
        check_env_sb3(ConsolidationEnv(problem(), settings), warn=True)


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_copies() -> None:
    one, seven, many = follow(1), follow(7), follow(64)
    assert one == seven[:1]
    assert seven == many[:7]
    assert len(set(many)) > 3
    assert follow(1, seed=6) != one


def test_two_threads_that_step_at_once_give_the_same_bytes() -> None:
    expected = follow(7)
    found: dict[int, list[bytes]] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: follow(7)})) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == expected


def test_a_copy_of_the_vector_environment_replays_the_single_one() -> None:
    single, vector = ConsolidationEnv(problem(), KNOBS), ConsolidationVectorEnv(3, problem(), KNOBS)
    low, high = single.action_space.low, single.action_space.high
    seen, _ = single.reset(seed=11)
    together, _ = vector.reset(seed=11)
    for step in range(70):
        assert (seen == together[0]).all()
        several = actions(3, step, low, high)
        seen, reward, terminated, truncated, info = single.step(several[0])
        together, rewards, _, cut, infos = vector.step(several)
        assert (reward, truncated) == (rewards[0], cut[0])
        assert not terminated
        if truncated:
            assert (seen == infos["final_obs"][0]).all()
            assert info["window"] == infos["final_info"]["window"][0]
            assert info["episode_return"] == infos["final_info"]["episode_return"][0]
            seen, _ = single.reset()


def test_constant_knobs_are_the_policy_with_those_numbers() -> None:
    one = problem(n_worlds=1)
    env = ConsolidationVectorEnv(1, one, KNOBS)
    env.reset(seed=0)
    policy = ConsolidationPolicy("lr_mmt", 1.3, placement_cap=0.6, evacuate_below=0.5)
    infos: dict = {}
    while "final_info" not in infos:
        *_, infos = env.step(np.array([[1.3, 0.6, 0.5]]))
    run = Simulator(one.worlds[0], Semantics()).run([policy], [0])[0]
    assert infos["final_info"]["episode_steps"][0] == len(run.ticks)
    single = ConsolidationEnv(one, KNOBS)
    single.reset(seed=0)
    truncated = False
    while not truncated:
        _, _, _, truncated, _ = single.step(np.array([1.3, 0.6, 0.5]))
    assert single.episodes.state.meters(0) == run.meters


def test_every_field_keeps_its_range_and_the_histogram_adds_up() -> None:
    env = ConsolidationVectorEnv(16, problem(), KNOBS)
    obs, _ = env.reset(seed=1)
    names = [feature.name for feature in GLOBAL_FEATURES]
    bars = [i for i, name in enumerate(names) if name.startswith("load_")]
    assert obs.shape == (16, len(names))
    low, high = env.single_action_space.low, env.single_action_space.high
    for step in range(60):
        assert env.observation_space.contains(obs)
        on = obs[:, names.index("on")] > 0
        assert np.allclose(obs[on][:, bars].sum(axis=1), 1.0, atol=1e-6)
        obs, *_ = env.step(actions(16, step, low, high))


def test_ratios_do_not_depend_on_the_size_of_the_cluster() -> None:
    small = problem(n_worlds=1)
    w = small.worlds[0]
    tiled = type(w)(
        **{
            name: np.tile(getattr(w, name), 3)
            for name in ("host_cpu", "host_core", "host_mem", "host_curve", "vm_cpu", "vm_mem")
        },
        curves=w.curves,
        load=np.tile(w.load, 3),
    )
    first, _ = ConsolidationEnv(small, KNOBS).reset(seed=0)
    second, _ = ConsolidationEnv(ConsolidationProblem([tiled]), KNOBS).reset(seed=0)
    names = [feature.name for feature in GLOBAL_FEATURES]
    for name in ("demand", "trend", "line", "time_sin"):
        assert first[names.index(name)] == pytest.approx(second[names.index(name)], abs=1e-6)


def test_forecasts_are_columns_relative_to_now_and_0_where_unknown() -> None:
    plain = problem(n_worlds=1)
    w = plain.worlds[0]
    asked = (w.load * w.vm_cpu).sum(axis=1)
    given = np.full((1, len(asked), 2), np.nan)
    given[0, :, 0] = 3 * asked
    env = ConsolidationEnv(problem(n_worlds=1, forecasts=given, forecast_names=("h3", "h6")), KNOBS)
    obs, _ = env.reset(seed=0)
    assert obs[-2] == pytest.approx(0.5)
    assert obs[-1] == 0.0
    with pytest.raises(SpecError, match="forecasts must have shape"):
        problem(n_worlds=1, forecasts=given[:, 1:], forecast_names=("h3", "h6"))


def test_the_reward_is_minus_the_weighted_terms_by_hand() -> None:
    one = problem(n_worlds=1)
    settings = ConsolidationSettings(reward=dict.fromkeys(REWARDS, 2.0), pue=1.5)
    env = ConsolidationEnv(one, settings)
    env.reset(seed=0)
    before = env.episodes.state.meters(0)
    _, reward, *_, info = env.step(np.array([1.0, 1.0, 1.0]))
    after = env.episodes.state.meters(0)
    full_w = sum(one.worlds[0].curves[row].points[-1] for row in one.worlds[0].host_curve)
    expected = {
        "energy": 1.5 * (after.energy_ws - before.energy_ws) / (full_w * 300),
        "unmet": (after.short - before.short) / (after.requested - before.requested),
        "moves": (after.migrations - before.migrations) / one.worlds[0].n_vms,
        "violation": (after.violation_s - before.violation_s) / (after.active_s - before.active_s),
        "shutdowns": (after.shutdowns - before.shutdowns) / one.worlds[0].n_hosts,
    }
    assert info["reward_terms"] == pytest.approx({name: -value for name, value in expected.items()})
    assert reward == pytest.approx(-2.0 * sum(expected.values()))
    assert expected["moves"] > 0


def test_same_step_autoreset_keeps_the_last_observation() -> None:
    env = gymnasium.make_vec(ID, num_envs=2, problem=problem(), settings=KNOBS)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.reset(seed=2)
    for _ in range(30):
        obs, _, terminated, truncated, infos = env.step(env.action_space.sample())
        assert not terminated.any()
        if truncated.any():
            assert infos["_final_obs"].tolist() == truncated.tolist()
            assert (obs != infos["final_obs"][0]).any()
            assert infos["final_info"]["episode_steps"][0] == 24
            return
    raise AssertionError("no episode ended")


def test_episodes_can_be_saved_and_continued() -> None:
    env = ConsolidationVectorEnv(4, problem(), KNOBS)
    low, high = env.single_action_space.low, env.single_action_space.high
    env.reset(seed=3)
    for step in range(11):
        env.step(actions(4, step, low, high))
    saved = env.episodes.save()
    rest = [env.step(actions(4, step, low, high))[:2] for step in range(40)]
    other = ConsolidationVectorEnv(4, problem(), KNOBS)
    other.reset(seed=99)
    other.episodes.load(saved)
    again = [other.step(actions(4, step, low, high))[:2] for step in range(40)]
    assert all((a == b).all() for x, y in zip(rest, again, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ([0.1, 0.5, 0.5], r"parameter of copy 1 must be in 0.8..3: got 0.1"),
        ([1.2, 1.5, 0.5], r"placement_cap of copy 1 must be in 0.3..1: got 1.5"),
        ([1.2, 0.5, np.nan], r"evacuate_below of copy 1 must be in 0..1: got nan"),
        ([1.2, np.inf, 0.5], "nothing is clipped"),
    ],
)
def test_an_action_out_of_range_raises_and_changes_nothing(action: list[float], says: str) -> None:
    env = ConsolidationVectorEnv(3, problem(), KNOBS)
    env.reset(seed=0)
    before = env.episodes.state.copy()
    several = np.tile([1.2, 0.5, 0.5], (3, 1))
    several[1] = action
    with pytest.raises(PolicyError, match=says):
        env.step(several)
    assert env.episodes.state.same_as(before)


def test_misuse_is_explained() -> None:
    env = ConsolidationEnv(problem(), KNOBS)
    with pytest.raises(PolicyError, match="never reset"):
        env.step(np.array([1.2, 0.5, 0.5]))
    with pytest.raises(PolicyError, match="no options: got speed"):
        env.reset(options={"speed": 1})
    env.reset(seed=0)
    with pytest.raises(PolicyError, match=r"three numbers a copy .* got int64"):
        env.step(np.array([1, 1, 1]))
    truncated = False
    while not truncated:
        _, _, _, truncated, _ = env.step(np.array([1.2, 0.5, 0.5]))
    with pytest.raises(PolicyError, match="has ended: reset it"):
        env.step(np.array([1.2, 0.5, 0.5]))
    with pytest.raises(SpecError, match="num_envs must be >= 1"):
        ConsolidationVectorEnv(0, problem(), KNOBS)
    with pytest.raises(SpecError, match="one seed a copy"):
        ConsolidationVectorEnv(2, problem(), KNOBS).reset(seed=[1])
    with pytest.raises(SpecError, match="at least one world"):
        ConsolidationProblem([])
    with pytest.raises(SpecError, match="equal n_samples"):
        ConsolidationEnv(ConsolidationProblem([*problem().worlds, problem(ticks=9).worlds[0]]), KNOBS)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"detection": "lrx"}, "Did you mean 'lr'"),
        ({"selection": "lr"}, "wrong way round"),
        ({"placement_cap": (0.5, 1.5)}, r"placement_cap must be \[low, high\] within 0..1"),
        ({"detection": "thr", "parameter": (0.5, 2.0)}, r"parameter must be \[low, high\] within 0..1"),
        ({"reward": {"enery": 1.0}}, "Did you mean 'energy'"),
        ({"budged": 3}, "Did you mean 'budget'"),
    ],
)
def test_wrong_settings_are_one_clear_error(values: dict, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        validate(ConsolidationSettings, values, "card")


def test_the_shipped_cards_are_valid_and_say_where_days_come_from() -> None:
    for name in ("consolidation", "consolidation-planetlab"):
        spec, path = load_card(name)
        assert isinstance(path, Path)
        assert spec.worlds.hosts == 100
    with pytest.raises(SpecError, match=r"traces .* or profile, one of them"):
        validate(ConsolidationCard, {"kind": "consolidation", "data": {}}, "card")

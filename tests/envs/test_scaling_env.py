"""``rlsched/Scaling-v0``: the checkers, the vector environment, wrappers, and what a user can do wrong."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import rlsched.envs  # noqa: F401 - registers the environments
from rlsched.envs import scaling_actions as acts
from rlsched.envs.copies import copy_seeds
from rlsched.envs.scaling import ScalingEnv
from rlsched.envs.scaling_card import load_scaling_card
from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.envs.scaling_vector import ScalingVectorEnv
from rlsched.errors import PolicyError, SpecError
from rlsched.forecast.simple import forecast_table
from rlsched.sim.scaling import simulate
from rlsched.sim.scaling.options import InstanceType, ScalingOptions, Service
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

ROWS, STEPS = 6, 120


def problem(n_services: int = 1, types: int = 1, spot: bool = False, forecast: bool = True) -> ScalingProblem:
    """Windows of 30 intervals of sine waves of demand with noise, about ten instances high."""
    draw = np.random.default_rng(5)
    wave = 10 + 6 * np.sin(np.arange(STEPS) / 9)[None] + draw.normal(0, 1.5, (ROWS, STEPS))
    demand = Demand(np.arange(ROWS), 0, 300, np.maximum(wave, 0.0), "cores")
    kinds = [
        InstanceType(
            name=f"type-{k}", capacity=1 + k, price_per_h=12 * (1 + k), boot_s=600, start_usd=3,
            min_billing_s=900, spot_price_per_h=4 if spot else None,
        )
        for k in range(types)
    ]  # fmt: skip
    service = Service(
        min_instances=1, max_instances=30, unmet_usd_per_unit_h=120, late_usd_per_unit_h=12, deadline_s=600,
        credits=((0.9, 0.1),), latency_s=1,
    )  # fmt: skip
    world = World.build(demand, kinds, service, ScalingOptions(interruptions_per_h=0.5 if spot else 0.0))
    if forecast:
        table = forecast_table(demand, "ewma", horizons=(0, 2), quantiles=(0.1, 0.5, 0.9), fit_until=40)
        world = world.with_forecast(table.values, table.horizons, table.quantiles)
    windows = tuple(
        Window(tuple((row + i) % ROWS for i in range(n_services)), lo, lo + 30, f"{row}-{lo}")
        for row in range(ROWS)
        for lo in (20, 50, 90)
    )
    return ScalingProblem(world, windows)


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "box": ({}, {}),
    "discrete": ({}, {"actions": "discrete"}),
    "several services": ({"n_services": 3}, {}),
    "types and markets": ({"types": 2, "spot": True, "n_services": 2}, {}),
    "types and markets, discrete": ({"types": 2, "spot": True}, {"actions": "discrete"}),
    "no forecast": ({"forecast": False}, {"lags": (1, 2), "level": 20}),
}
WRAPPERS: dict[str, tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = {
    "delta": (acts.DeltaActions, acts.DeltaVectorActions, {"most": 2}),
    "utilisation": (acts.TargetUtilisationActions, acts.TargetUtilisationVectorActions, {}),
    "band": (acts.BandActions, acts.BandVectorActions, {"reach": (0.5, 2.0)}),
    "hpa": (acts.RuleActions, acts.RuleVectorActions, {"rule": "hpa", "reach": {"target": 0.2}}),
}


def make(variant: str) -> ScalingEnv:
    of_problem, of_settings = VARIANTS[variant]
    return ScalingEnv(problem(**of_problem), ScalingSettings(**of_settings))


def check_both(env: Any) -> None:
    from stable_baselines3.common.env_checker import check_env as check_sb3

    with warnings.catch_warnings():
        # Both advise a symmetric action space, and the first an unwrapped environment; neither is a rule.
        warnings.simplefilter("ignore", UserWarning)
        check_env(env, skip_render_check=True)
        check_sb3(env)


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_checkers_pass(variant: str) -> None:
    check_both(make(variant))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("variant", ["box", "several services", "types and markets"])
def test_both_checkers_pass_on_every_wrapper(wrapper: str, variant: str) -> None:
    single, _, options = WRAPPERS[wrapper]
    check_both(single(make(variant), **options))


def test_the_registered_environment_opens_the_bundled_sample() -> None:
    env = gymnasium.make("rlsched/Scaling-v0")
    check_both(env.unwrapped)
    vector = gymnasium.make_vec("rlsched/Scaling-v0", num_envs=3)
    observation, _ = vector.reset(seed=1)
    assert observation.shape == (3, *(env.observation_space.shape or ()))
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_observation_lies_in_the_space_and_the_table_describes_it(variant: str) -> None:
    env = make(variant)
    fields = env.episodes.fields
    assert len({field.name for field in fields}) == len(fields)
    space = env.observation_space
    s = env.episodes.problem.n_services
    assert space.shape == (s * len(fields),)
    assert isinstance(space, gymnasium.spaces.Box)
    assert [*space.low[: len(fields)]] == [field.low for field in fields]
    assert [*space.high[: len(fields)]] == [field.high for field in fields]
    env.action_space.seed(3)
    observation, _ = env.reset(seed=3)
    for _ in range(95):
        assert space.contains(observation)
        observation, _, _, truncated, _ = env.step(env.action_space.sample())
        if truncated:
            assert space.contains(observation)
            observation, _ = env.reset()


def test_the_observation_says_what_the_simulator_knows() -> None:
    env = make("box")
    observation, _ = env.reset(seed=0)
    observation, *_ = env.step(np.array([12.0], np.float32))
    told = dict(zip((field.name for field in env.episodes.fields), observation.tolist(), strict=True))
    world, code = env.episodes.problem.world, env.episodes.state.code
    row, t = int(code.rows[0, 0]), int(code.clock[0, 0])
    m = world.demand[row, t - 12 : t].mean()
    assert told["demand_1"] == pytest.approx(world.demand[row, t - 1] / (world.demand[row, t - 1] + m))
    assert told["demand_12"] == pytest.approx(world.demand[row, t - 12] / (world.demand[row, t - 12] + m))
    ready, ordered = code.alive[0, 0, 0, 2:].sum(), code.alive[0, 0, 0, 1]
    assert told["ready"] == pytest.approx(ready / (ready + m))
    assert told["booting_1"] == pytest.approx(ordered / (ordered + m) if ordered else 0.0)
    forecast = world.forecast[row, t, 1, 2]
    assert told["forecast_2_q0.9"] == pytest.approx(forecast / (forecast + m))
    assert told["day_sin"] == pytest.approx(np.sin(2 * np.pi * t * 300 / 86_400), abs=1e-6)


def test_an_observation_knows_nothing_of_the_coming_demand() -> None:
    whole = problem(forecast=False)
    rate = np.array(whole.world.demand)
    lo = whole.windows[0].lo
    rate[:, lo:] = 99.0
    other = ScalingProblem(
        World.build(Demand(np.arange(ROWS), 0, 300, rate, "cores"), whole.world.types, whole.world.services),
        whole.windows[:1],
    )
    first = ScalingEnv(ScalingProblem(whole.world, whole.windows[:1])).reset(seed=0)[0]
    assert first.tobytes() == ScalingEnv(other).reset(seed=0)[0].tobytes()


def test_the_return_is_minus_the_cost_of_the_window() -> None:
    env = make("types and markets")
    env.action_space.seed(1)
    env.reset(seed=1)
    total, terms, truncated, info = 0.0, dict[str, float](), False, {}
    while not truncated:
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert not terminated
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
        total += reward
        for name, value in info["reward_terms"].items():
            terms[name] = terms.get(name, 0.0) + value
    assert info["cost_usd"] == pytest.approx(-total)
    assert info["episode_return"] == pytest.approx(total)
    assert info["episode_steps"] == 30
    assert min(terms.values()) < 0


def test_reward_weights_are_those_of_the_card() -> None:
    env = ScalingEnv(problem(), ScalingSettings(reward={"instances": 2.0, "unmet": 0.5}))
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.array([3.0], np.float32))
    terms = info["reward_terms"]
    assert reward == pytest.approx(2.0 * terms["instances"] + 0.5 * terms["unmet"])
    with pytest.raises(SpecError, match=r"unknown reward 'unmett'\. Did you mean 'unmet'"):
        ScalingEnv(problem(), ScalingSettings(reward={"unmett": 1.0}))


def actions_of(step: int, n: int, numbers: int) -> np.ndarray[Any, Any]:
    """Actions of copies ``0..n`` that do not depend on how many there are."""
    out = np.zeros((n, numbers), np.float32)
    for copy in range(n):
        draw = np.random.default_rng([step, copy])
        out[copy] = draw.uniform(1, 30, numbers)
        out[copy, 1::3], out[copy, 2::3] = draw.uniform(0, 1), draw.uniform(0, 1)
    return out


def play(copies: int, steps: int = 70) -> list[bytes]:
    """Everything the first copy of a vector environment says, as bytes."""
    env = ScalingVectorEnv(copies, problem(n_services=2, types=2, spot=True))
    seen = [env.reset(seed=11)[0][0].tobytes()]
    for step in range(steps):
        observation, reward, terminated, truncated, infos = env.step(actions_of(step, copies, 6))
        seen += [observation[0].tobytes(), reward[:1].tobytes(), terminated[:1].tobytes(), truncated[:1].tobytes()]
        if truncated[0]:
            seen += [infos["final_obs"][0].tobytes(), infos["final_info"]["cost_usd"][:1].tobytes()]
            seen.append(str(infos["final_info"]["window"][0]).encode())
    return seen


def test_a_copy_is_the_same_bytes_among_1_7_and_64() -> None:
    assert play(1) == play(7) == play(64)


def test_a_copy_is_the_same_bytes_on_one_thread_and_on_two() -> None:
    alone = play(7)
    found: dict[int, list[bytes]] = {}

    def run(i: int) -> None:
        found[i] = play(7)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == alone


def test_a_copy_of_the_vector_environment_is_the_single_one() -> None:
    vector, single = ScalingVectorEnv(2, problem()), ScalingEnv(problem())
    single.episodes.seed(copy_seeds("scaling", 4, 2)[1:])
    single._root = 4
    first, _ = vector.reset(seed=4)
    observation, _ = single.reset()
    assert first[1].tobytes() == observation.tobytes()
    for step in range(65):
        actions = actions_of(step, 2, 1)
        many, rewards, _, truncated, infos = vector.step(actions)
        observation, reward, _, over, info = single.step(actions[1])
        assert rewards[1] == reward
        assert truncated[1] == over
        if over:
            assert infos["final_obs"][1].tobytes() == observation.tobytes()
            assert infos["final_info"]["episode_return"][1] == info["episode_return"]
            observation, _ = single.reset()
        assert many[1].tobytes() == observation.tobytes()


def test_final_infos_have_gymnasiums_layout() -> None:
    env = ScalingVectorEnv(3, problem())
    env.reset(seed=0)
    infos: dict[str, Any] = {}
    while not infos:
        *_, infos = env.step(np.full((3, 1), 9.0, np.float32))
    wanted: dict[str, Any] = {}
    for n in range(3):
        final = {name: values[n] for name, values in infos["final_info"].items() if not name.startswith("_")}
        final["window"] = str(final["window"])
        for name in ("cost_usd", "episode_return", "lost_share"):
            final[name] = float(final[name])
        final["episode_steps"] = int(final["episode_steps"])
        wanted = env._add_info(wanted, {"final_obs": infos["final_obs"][n], "final_info": final}, n)
    assert wanted.keys() == infos.keys()
    assert wanted["final_info"].keys() == infos["final_info"].keys()
    for name, values in wanted["final_info"].items():
        assert (values == infos["final_info"][name]).all(), name


def test_without_copying_the_last_but_one_observation_stays() -> None:
    env = ScalingVectorEnv(2, problem(), copy=False)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second, *_ = env.step(np.full((2, 1), 5.0, np.float32))
    assert np.shares_memory(second, env.episodes.out)
    assert (first == kept).all()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_vector_environment_is_the_wrapped_single_one(wrapper: str) -> None:
    of_single, of_vector, options = WRAPPERS[wrapper]
    single = of_single(ScalingEnv(problem(n_services=2)), **options)
    vector = of_vector(ScalingVectorEnv(1, problem(n_services=2)), **options)
    single.reset(seed=2)
    vector.reset(seed=2)
    vector.action_space.seed(2)
    for _ in range(29):
        action = vector.action_space.sample()
        many, rewards, *_ = vector.step(action)
        one, reward, *_ = single.step(action[0])
        assert many[0].tobytes() == one.tobytes()
        assert rewards[0] == reward


def test_no_offset_of_the_band_is_the_band_itself() -> None:
    given = problem()
    params = (0.4, 0.1, 1.2, 1.5, 1.0)
    env = acts.BandActions(ScalingEnv(given), params=params)
    _, _ = env.reset(seed=6)
    episodes = env.unwrapped.episodes  # type: ignore[attr-defined]
    window = given.windows[int(episodes.window[0])]
    truncated, info = False, {}
    while not truncated:
        _, _, _, truncated, info = env.step(np.zeros(2, np.float32))
    choice = simulate.RuleChoice(list(RULES).index("band"), params)
    state, _ = simulate.run(given.world, [window], [choice], [int(episodes.state.code.clock[0, 3])])
    assert info["cost_usd"] == state.code.sums[0, 0, :5].sum()


def test_delta_asks_for_so_many_more() -> None:
    env = acts.DeltaActions(ScalingEnv(problem()), most=3)
    env.reset(seed=0)
    alive = env.unwrapped.episodes.state.code.alive  # type: ignore[attr-defined]
    before = int(alive.sum())
    env.step(5)
    assert int(alive.sum()) == before + 2
    env.step(2)
    assert int(alive.sum()) == before + 1


def test_target_utilisation_sizes_for_demand_and_backlog() -> None:
    env = acts.TargetUtilisationActions(ScalingEnv(problem()))
    env.reset(seed=0)
    code = env.unwrapped.episodes.state.code  # type: ignore[attr-defined]
    world = env.unwrapped.episodes.problem.world  # type: ignore[attr-defined]
    newest = world.demand[code.rows[0, 0], code.clock[0, 0] - 1]
    env.step(np.array([0.8], np.float32))
    assert int(code.alive.sum()) == np.ceil(newest / 0.8)


def test_a_saved_environment_goes_on_with_the_same_bytes() -> None:
    first, second = (ScalingVectorEnv(3, problem(spot=True)) for _ in range(2))
    first.reset(seed=9)
    second.reset(seed=1)
    for step in range(40):
        first.step(actions_of(step, 3, 2) * [1, 0])
    second.episodes.load(first.episodes.save())
    for step in range(40):
        a, b = (env.step(actions_of(step, 3, 2) * np.array([1, 0], np.float32)) for env in (first, second))
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1].tobytes() == b[1].tobytes()


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.array([np.nan], np.float32), "must be a number in \\[1, 30\\]: got nan"),
        (np.array([31.0], np.float32), "must be a number in \\[1, 30\\]: got 31"),
        (np.array([0.0], np.float32), "must be a number in"),
        (np.array([3]), "must be floats: got dtype int64"),
        (np.array(["three"]), "must be floats"),
        (np.array([3.0, 3.0], np.float32), "need actions of shape"),
    ],
)
def test_an_action_that_is_not_allowed_changes_nothing(action: Any, said: str) -> None:
    env = make("box")
    env.reset(seed=0)
    before = env.episodes.state.copy()
    with pytest.raises(PolicyError, match=said):
        env.step(action)
    assert env.episodes.state.same_as(before)


def test_a_choice_that_is_not_there_is_an_error() -> None:
    env = make("types and markets, discrete")
    env.reset(seed=0)
    with pytest.raises(PolicyError, match="'type' must be a number in \\[0, 1\\]: got 2"):
        env.step(np.array([3, 2, 0]))
    with pytest.raises(PolicyError, match="must be whole numbers"):
        env.step(np.array([3.0, 1.0, 0.0]))


def test_wrapped_actions_are_checked_too() -> None:
    env = acts.BandActions(make("box"))
    env.reset(seed=0)
    with pytest.raises(PolicyError, match="action must lie in Box"):
        env.step(np.array([0.0, 1.5], np.float32))
    with pytest.raises(PolicyError, match="action must lie in Box"):
        env.step(np.array([np.nan, 0.0], np.float32))
    with pytest.raises(PolicyError, match="floats of shape"):
        env.step(np.array([0, 0]))


def test_stepping_after_the_end_or_before_the_beginning_is_an_error() -> None:
    env = make("box")
    action = np.array([5.0], np.float32)
    with pytest.raises(PolicyError, match="never reset"):
        env.step(action)
    env.reset(seed=0)
    for _ in range(30):
        env.step(action)
    with pytest.raises(PolicyError, match="has ended: reset it"):
        env.step(action)
    with pytest.raises(PolicyError, match="reset has no options: got speed"):
        env.reset(options={"speed": 2})
    with pytest.raises(PolicyError, match="never reset"):
        ScalingVectorEnv(2, problem()).step(np.zeros((2, 1), np.float32))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: ScalingProblem(problem().world, ()), "at least one window"),
        (lambda: ScalingProblem(problem().world, (Window((0,), 50, 121, "late"),)), "must lie inside the trace"),
        (lambda: ScalingProblem(problem().world, (Window((0,), 50, 60), Window((0, 1), 50, 60))), "like the others"),
        (lambda: ScalingEnv(ScalingProblem(problem().world, (Window((0,), 5, 60, "w"),))), "looks back 12"),
        (lambda: ScalingVectorEnv(0, problem()), "num_envs must be >= 1"),
        (lambda: ScalingVectorEnv(2, problem()).reset(seed=[1]), "one seed a copy"),
        (lambda: acts.DeltaActions(make("discrete")), 'needs actions = "box"'),
        (lambda: acts.RuleActions(make("box"), rule="hpaa", reach={"target": 1.0}), "Did you mean 'hpa'"),
        (lambda: acts.RuleActions(make("box"), rule="hpa", reach={"tarqet": 1.0}), "Did you mean 'target'"),
        (lambda: acts.BandActions(make("box"), params=(1.0,)), "has the parameters"),
        (lambda: acts.DeltaActions(make("box"), spot_share=0.5), "without a spot market"),
        (lambda: acts.DeltaActions(gymnasium.make("CartPole-v1")), "is for rlsched/Scaling-v0"),
        (lambda: ScalingEnv(card="scalling"), "no environment card 'scalling'"),
    ],
)
def test_what_cannot_be_says_why(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        build()


def test_a_card_with_an_unknown_key_names_it(tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.write_text('kind = "scaling"\n[demand]\nsource = "x"\ngroup = 3\n[[types]]\ncapacitty = 3\n')
    with pytest.raises(SpecError, match=r"unknown key 'demand\.group'\. Did you mean 'groups'"):
        load_scaling_card(card)
    with pytest.raises(SpecError, match="capacitty"):
        load_scaling_card(card)


@pytest.mark.parametrize("actions", ["box", "discrete"])
def test_the_picture_tells_a_choice_as_the_step_took_it(actions: str) -> None:
    from rlsched.envs.render_scaling import action_words

    env = ScalingEnv(problem(types=2, spot=True), ScalingSettings(actions=actions), render_mode="rgb_array")
    env.action_space.seed(0)
    env.reset(seed=0)
    names = [kind.name for kind in env.episodes.problem.world.types]
    for _ in range(20):
        env.step(env.action_space.sample())
        kind, on_demand, spot = (int(one) for one in env.episodes._decisions[0, 0])
        total = on_demand + spot
        said = action_words(env.episodes, env._chosen)
        assert said.startswith(f"{total} instance{'s' if total != 1 else ''} of {names[kind]}, ")
        share = float(said.split(", ")[1].split("%")[0]) / 100
        assert abs(spot - share * total) <= 0.5 + 0.005 * total

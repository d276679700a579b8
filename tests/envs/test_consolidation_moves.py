"""``rlsched/Consolidation-v0`` with moves chosen one by one: masks, budget, determinism, and what a plan does."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from consolidation_problems import problem
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rlsched.envs  # noqa: F401 - registers the environment
from rlsched.envs.consolidation import ConsolidationEnv, ConsolidationVectorEnv
from rlsched.envs.consolidation_problem import ConsolidationSettings
from rlsched.errors import PolicyError
from rlsched.observe.consolidation_features import MOVE_FEATURES
from rlsched.sim.consolidation.moves import N_FEATURES
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.semantics import Semantics

ID = "rlsched/Consolidation-v0"
MOVES = ConsolidationSettings(actions="moves", budget=3, candidate_vms=4, candidate_machines=2)
ALL = ConsolidationSettings(actions="moves", budget=50, candidate_vms=99, candidate_machines=99)


def allowed(mask: np.ndarray, step: int) -> np.ndarray:
    """The allowed action at a place that depends on the copy's own mask and the step only."""
    count = mask.sum(axis=1)
    return np.array([np.flatnonzero(row)[(step * 7) % n] for row, n in zip(mask, count, strict=True)])


def test_both_checkers_pass() -> None:
    check_env(gymnasium.make(ID, problem=problem(), settings=MOVES).unwrapped, skip_render_check=True)
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your observation candidates has an unconventional shape")
        check_env_sb3(ConsolidationEnv(problem(), MOVES), warn=True)
    assert len(MOVE_FEATURES) == N_FEATURES


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_copies() -> None:
    def follow(n: int) -> list[bytes]:
        env = ConsolidationVectorEnv(n, problem(), MOVES)
        obs, _ = env.reset(seed=5)
        seen: list[list[bytes]] = [[] for _ in range(n)]
        for step in range(120):
            assert env.observation_space.contains(obs)
            obs, reward, _, truncated, _ = env.step(allowed(obs["action_mask"], step))
            for i in range(n):
                seen[i] += [array[i].tobytes() for array in obs.values()]
                seen[i] += [reward[i].tobytes(), bytes([int(truncated[i])])]
        return [b"".join(one) for one in seen]

    many = follow(64)
    assert follow(1) == many[:1]
    assert follow(7) == many[:7]


def test_a_tick_ends_with_action_0_or_when_the_budget_is_spent() -> None:
    env = ConsolidationEnv(problem(n_worlds=1), MOVES)
    obs, info = env.reset(seed=0)
    assert (info["action_mask"] == obs["action_mask"]).all()
    for k in range(3):
        assert env.episodes.state.code.now_s[0] == 300.0
        assert obs["globals"][-1] == pytest.approx(k / 3)
        obs, reward, *_ = env.step(np.flatnonzero(obs["action_mask"])[1])
        assert (reward == 0.0) == (k < 2)
    assert env.episodes.state.code.now_s[0] == 600.0
    assert env.episodes.state.meters(0).migrations == 3
    assert obs["globals"][-1] == 0.0
    env.step(np.int64(0))
    assert env.episodes.state.code.now_s[0] == 900.0
    assert env.episodes.state.meters(0).migrations == 3


def test_ending_every_tick_at_once_is_a_policy_that_never_moves_a_vm() -> None:
    one = problem(n_worlds=1)
    env = ConsolidationEnv(one, MOVES)
    env.reset(seed=0)
    truncated = False
    while not truncated:
        _, _, _, truncated, _ = env.step(np.int64(0))
    still = ConsolidationPolicy("thr_mmt", 1.0, placement_cap=0.0, evacuate_below=0.0)
    assert env.episodes.state.meters(0) == Simulator(one.worlds[0], Semantics()).run([still], [0])[0].meters


def test_chosen_moves_happen_and_a_vm_moves_once_a_tick() -> None:
    env = ConsolidationEnv(problem(n_worlds=1), MOVES)
    obs, _ = env.reset(seed=1)
    chosen = []
    for _ in range(3):
        k = int(np.flatnonzero(obs["action_mask"])[-1])
        vm, host = env.episodes.moves[0, k - 1].tolist()
        assert vm not in dict(chosen)
        assert env.episodes.state.code.vm_host[0, vm] != host
        chosen.append((vm, host))
        obs, *_ = env.step(np.int64(k))
    assert [env.episodes.state.code.vm_host[0, vm] for vm, _ in chosen] == [host for _, host in chosen]


def test_with_room_for_all_every_possible_vm_and_receiver_is_offered() -> None:
    one = problem(n_worlds=1, n_hosts=6, n_vms=8)
    w = one.worlds[0]
    env = ConsolidationEnv(one, ALL)
    obs, _ = env.reset(seed=0)
    code = env.episodes.state.code
    offered = {tuple(row) for row in env.episodes.moves[0][obs["action_mask"][1:] == 1].tolist()}
    expected = set()
    for vm in range(w.n_vms):
        dark = set()
        for host in range(w.n_hosts):
            free = w.host_cpu[host] - code.vm_request[0, : w.n_vms][code.vm_host[0, : w.n_vms] == host].sum()
            held = w.vm_mem[code.vm_host[0, : w.n_vms] == host].sum()
            request = code.vm_request[0, vm]
            fits = host != code.vm_host[0, vm] and request <= min(free, w.host_core[host])
            if not fits or held + w.vm_mem[vm] > w.host_mem[host]:
                continue
            if not code.host_on[0, host]:
                if w.host_curve[host] in dark:
                    continue
                dark.add(w.host_curve[host])
            expected.add((vm, host))
    assert offered == expected


def test_a_masked_action_raises_and_changes_nothing() -> None:
    env = ConsolidationVectorEnv(2, problem(), MOVES)
    obs, _ = env.reset(seed=0)
    obs, *_ = env.step(allowed(obs["action_mask"], 1))
    before, plan = env.episodes.state.copy(), env.episodes.plan.copy()
    assert obs["action_mask"].shape == (2, 9)
    for action in (-1, 9):
        with pytest.raises(PolicyError, match=rf"an action must lie in 0\.\.8: got {action} in copy 1"):
            env.step(np.array([0, action]))
    with pytest.raises(PolicyError, match="one whole number a copy"):
        env.step(np.array([0.0, np.nan]))
    assert env.episodes.state.same_as(before)
    assert (env.episodes.plan == plan).all()
    with pytest.raises(PolicyError, match="no mask over knobs"):
        ConsolidationEnv(problem(), ConsolidationSettings()).action_masks()


def test_the_shipped_card_opens_with_moves_and_its_tables_say_what_they_are() -> None:
    from rlsched.envs.tables import describe_env

    env = gymnasium.make(ID, card="consolidation-moves")
    obs, info = env.reset(seed=0)
    assert set(obs) == {"globals", "candidates", "action_mask"}
    assert env.action_space.n == len(info["action_mask"]) == 8 * 4 + 1
    action = describe_env("consolidation-moves").action[0]
    assert (action.name, action.high) == ("move", 32)
    assert action.meaning.startswith("0: end the tick; k: the move in row k")
    episodes = env.unwrapped.episodes
    chosen = int(np.flatnonzero(info["action_mask"])[-1])
    wanted = episodes.moves[0, chosen - 1].tolist()
    now = float(episodes.state.code.now_s[0])
    env.step(chosen)
    assert episodes.plan[0, 0].tolist() == wanted, "k chooses row k - 1"
    assert float(episodes.state.code.now_s[0]) == now
    env.step(0)
    assert float(episodes.state.code.now_s[0]) > now, "0 ends the tick"
    assert gymnasium.make_vec(ID, num_envs=2, card="consolidation-moves").single_action_space.n == 33

"""The library's plain numpy against the compiled observation, rules and choices, on random worlds."""

from __future__ import annotations

import numpy as np
import pytest
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, world

from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES
from rlsched.observe.placement import Observer, device_choice
from rlsched.observe.settings import ObservationSettings
from rlsched.policies import POLICIES, blend
from rlsched.policies.heuristic import Heuristic
from rlsched.policies.library.cluster import read_cluster
from rlsched.policies.library.observe import Looker
from rlsched.policies.library.request import read_request
from rlsched.policies.library.rules import PLAIN_RULES
from rlsched.policies.library.snapshot import snapshot
from rlsched.policies.library.terms import Terms, terms_of, world_facts
from rlsched.sim import state as st
from rlsched.sim.rules import RULES
from rlsched.sim.simulate import advance_all, decide_all
from rlsched.sim.world import World
from rlsched.testing.policies import fresh_scores

WORLDS = [
    {"gpus": True},
    {"gpus": False},
    {"gpus": True, "lifetime": "unknown"},
    {"gpus": False, "lifetime": "predicted", "admission": "queue"},
    {"gpus": True, "fragmentation": "none", "empty_machines": "on"},
    {"gpus": True, "fragmentation": "cpu"},
    {"gpus": True, "calendar": True, "admission": "queue"},
]


def terms(built: World) -> Terms:
    return terms_of({"world": world_facts(built), "residents": True}, "test")


def settings_of(built: World) -> ObservationSettings:
    if built.options.fragmentation == "none":
        return ObservationSettings(candidates=6, shortlist=("dot_product", "lifetime"))
    settings = GPU_SETTINGS if built.fleets[0].gpu_count.any() else CPU_SETTINGS
    return settings.observation if built.options.fragmentation == "gpu" else CPU_SETTINGS.observation


def moments(built: World, settings: ObservationSettings, every: int = 3):
    """A run with random candidates; yields at some decisions."""
    state = built.start([built.whole])
    observer, devices = Observer(built, 1, settings), device_choice(settings, built)
    draw, step = np.random.default_rng(1), 0
    while advance_all(built, state)[0] >= 0:
        out = observer.observe(state)
        n = int(out.action_mask[0].sum())
        if n and step % every == 0:
            yield state, out
        decide_all(built, state, out.rows[:, int(draw.integers(max(n, 1)))], devices)
        step += 1


@pytest.mark.parametrize("options", WORLDS, ids=str)
def test_candidates_and_features_are_those_of_the_compiled_observation(options: dict) -> None:
    built = world(**options)
    settings, mine = settings_of(built), terms(built)
    looker, checked = Looker(settings, mine), 0
    for state, out in moments(built, settings):
        request, machines, situation = snapshot(built, state)
        cluster = read_cluster(machines, mine)
        view = looker.look(cluster, read_request(request, cluster, mine), situation)
        n = view.rows.size
        assert view.rows.tolist() == out.rows[0, :n].tolist()
        assert view.equal.tolist() == out.equal[0, :n].tolist()
        assert (view.observation["action_mask"] == out.action_mask).all()
        for part, names in (("candidates", CANDIDATE_NAMES), ("globals", GLOBAL_NAMES)):
            ours, theirs = view.observation[part], getattr(out, part)
            far = np.argwhere(~np.isclose(ours, theirs, rtol=0, atol=2e-6))
            assert far.size == 0, f"{names[far[0][-1]]}: {ours[tuple(far[0])]} is not {theirs[tuple(far[0])]}"
        checked += 1
    assert checked > 30


@pytest.mark.parametrize("options", WORLDS[:4], ids=str)
def test_every_rule_scores_as_the_compiled_one_to_the_last_bit(options: dict) -> None:
    built = world(**options)
    settings, mine = settings_of(built), terms(built)
    checked = 0
    for state, _ in moments(built, settings, every=17):
        request, machines, _ = snapshot(built, state)
        cluster = read_cluster(machines, mine)
        r = read_request(request, cluster, mine)
        for rule in RULES:
            one = Heuristic("one", {rule: 1.0}, shape=((0.0, 3.0), (40.0, 10.0), (100.0, 0.0)))
            ours = one._memory(mine).scores(cluster, r)[0][0]
            theirs = fresh_scores(one.arrays(), built, state, int(state.task[0]))
            if rule == "lifetime":  # its clock starts elsewhere
                assert np.allclose(ours, theirs)
            else:
                assert (ours == theirs).all(), rule
            checked += int(np.isfinite(ours).sum())
    assert checked > 1000
    assert set(PLAIN_RULES) == set(RULES)


def test_what_is_kept_between_questions_changes_nothing() -> None:
    built = world(gpus=True)
    settings, mine = settings_of(built), terms(built)
    follower = Looker(settings, mine)
    for state, _ in moments(built, settings, every=2):
        request, machines, situation = snapshot(built, state)
        cluster = read_cluster(machines, mine)
        r = read_request(request, cluster, mine)
        fresh = Looker(settings, mine).look(read_cluster(machines, mine), r, situation)
        kept = follower.look(cluster, r, situation)
        assert (fresh.rows == kept.rows).all()
        for name, array in fresh.observation.items():
            assert (array == kept.observation[name]).all(), name


@pytest.mark.parametrize("gpus", [True, False])
def test_a_heuristic_places_as_the_simulator_does(gpus: bool) -> None:
    built = world(gpus=gpus, n_machines=20)
    typical = {
        "requests": built.arrays.typical_i,
        "share": built.arrays.typical_p,
        "gpu_models": built.fleets[0].gpu_models,
    }
    by_score = [policy for policy in POLICIES.values() if policy.choice == "score" and "lifetime" not in policy.weights]
    extra = [blend({"fragmentation": 12, "best_fit": 2, "cosine": 0.3}, devices="score")] if gpus else []
    for policy in [*by_score, *extra]:
        from rlsched.sim.simulate import run_policy

        whole = built.start([built.whole])
        run_policy(built, whole, policy.arrays())
        state, checked = built.start([built.whole]), 0
        while (task := int(advance_all(built, state)[0])) >= 0:
            request, machines, _ = snapshot(built, state)
            decision = policy.place(request, machines, typical=typical)
            wanted = whole.arrays.task_i[0, task]
            assert (decision.row, sum(1 << d for d in decision.devices)) == (
                int(wanted[st.K_MACHINE]),
                int(wanted[st.K_GPUS]),
            ), (policy.name, task)
            decide_all(built, state, np.array([decision.row]), policy.arrays())
            checked += 1
        assert checked > 50

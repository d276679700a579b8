"""Each policy is asked in the words of its lever; asked otherwise it says how, and load_policy says what it takes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import rlsched
from rlsched.errors import PolicyError
from rlsched.policies.library.levers import LEVERS

HOURS = [21.0, 22.5, 20.1] * 10


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("placement-gpu", "scale", r"'placement-gpu' places tasks \(lever placement\) and has no scale\(\)"),
        ("placement-vm", "thresholds", r"lever consolidation.* Ask this one by place\(\), place_many\(\), explain"),
        ("best_fit", "scale", r"policy 'best_fit' places tasks .*load_policy\('scaling'\) for example"),
        (
            "scaling",
            "place",
            r"'scaling' scales a service .*load_policy\('placement-gpu'\).* Ask this one by scale\(\)",
        ),
        ("scaling", "explain", r"Ask this one by scale\(\)\. What scale\(\) answers says why"),
        ("consolidation", "explain", r"consolidates VMs \(lever consolidation\).* Ask this one by thresholds\(\)"),
    ],
)
def test_a_method_of_another_lever_is_refused_in_words(name: str, method: str, message: str) -> None:
    policy = rlsched.load_policy(name)
    with pytest.raises(PolicyError, match=message):
        getattr(policy, method)
    assert not hasattr(policy, method)


@pytest.mark.parametrize("lever", LEVERS)
def test_every_lever_has_its_methods_and_misspelt_ones_are_plain_errors(lever: str) -> None:
    _, methods, agent = LEVERS[lever]
    policy = rlsched.load_policy(agent)
    assert policy.lever == lever
    assert all(callable(getattr(policy, method)) for method in methods)
    with pytest.raises(AttributeError, match="has no attribute 'plaec'") as told:
        _ = policy.plaec
    assert not isinstance(told.value, PolicyError)


def test_heuristics_can_still_be_copied_and_pickled() -> None:
    policy = rlsched.load_policy("best_fit")
    assert copy.deepcopy(policy) == policy == pickle.loads(pickle.dumps(policy))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hpa", "'hpa' is a heuristic of scaling: it runs inside the simulator.* rlsched evaluate scaling-surf --set"),
        ("hpa:target=0.7", "--set policies=hpa:target=0.7. load_policy takes a heuristic of placement"),
        ("lr_mmt", "'lr_mmt' is a heuristic of consolidation.* evaluate consolidation-planetlab .*placement-gpu"),
        ("forecaster-vm", r"a forecaster decides nothing. Load it with rlsched.load_forecaster\('vm'\)"),
        ("hpaa", "unknown policy 'hpaa': neither a heuristic"),
        (5, "load_policy takes the name of a policy, or a path: got int"),
        (None, "got NoneType"),
    ],
)
def test_what_cannot_be_loaded_is_said_to_be_what_it_is(name: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        rlsched.load_policy(name)


def test_more_instances_than_there_may_be_are_refused_and_fewer_are_brought_up() -> None:
    policy = rlsched.load_policy("scaling")
    with pytest.raises(PolicyError, match=r"current must be at most 100, .*: got 1000. Pass the service's own limits"):
        policy.scale(HOURS, current=1000)
    with pytest.raises(PolicyError, match="current must be at most 8"):
        policy.scale(HOURS, current=9, limits=(2, 8))
    with pytest.raises(PolicyError, match="wait_s must be a finite number >= 0: got True"):
        policy.scale(HOURS, current=9, wait_s=True)
    assert policy.scale(HOURS, current=200, limits=(1, 300)).replicas < 200
    assert policy.scale(HOURS, current=0, limits=(30, 40)).replicas == 30


def test_memory_beyond_the_machine_or_on_a_machine_that_is_off_is_refused() -> None:
    hosts: dict[str, list[Any]] = {
        "cpu_mcore": [4000, 4000],
        "mem_mib": [32768, 32768],
        "on": [True, False],
        "asked_mcore": [2100.0, 0.0],
        "mem_used_mib": [9000, 0],
        "full_w": [117.0, 117.0],
    }
    names = "asked_mcore requested_mcore_s unmet_mcore_s on_machine_s short_machine_s moves switched energy_kwh"
    ticks: dict[str, list[float]] = {name: [] for name in names.split()}
    policy = rlsched.load_policy("consolidation")
    ticks = {name: [0.0] for name in ticks}
    assert policy.thresholds(hosts, ticks, vms=3)
    with pytest.raises(PolicyError, match="mem_used_mib of the machines must be at most mem_mib: got 40000 in row 0"):
        policy.thresholds({**hosts, "mem_used_mib": [40000, 0]}, ticks, vms=3)
    with pytest.raises(PolicyError, match=r"mem_used_mib .* must be 0 where the machine is off: got 5 in row 1"):
        policy.thresholds({**hosts, "mem_used_mib": [9000, 5]}, ticks, vms=3)

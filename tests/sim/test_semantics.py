"""Semantics: every option named, documented, and off or on in CloudSim."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from rlsched.errors import SpecError
from rlsched.sim.semantics import OPTIONS, Semantics, SemanticsCode


def test_every_option_is_documented_and_reaches_the_kernel() -> None:
    names = {spec.name for spec in dataclasses.fields(Semantics)}
    assert set(OPTIONS) == names
    assert all(len(meaning) > 30 for _, meaning in OPTIONS.values())
    # the order of VMs is the world's business, the start one bit
    assert names - set(SemanticsCode._fields) == {"vm_order", "initial_placement"}


def test_every_quirk_of_the_rules_has_an_option_of_its_own_that_cloudsim_switches() -> None:
    default, cloudsim = Semantics(), Semantics.cloudsim_303()
    switched = {quirk for name, (quirk, _) in OPTIONS.items() if getattr(default, name) != getattr(cloudsim, name)}
    assert {f"Q{i}" for i in range(1, 10)} <= switched


def test_each_option_switches_alone_in_both_directions() -> None:
    default, cloudsim = Semantics(), Semantics.cloudsim_303()
    for name in OPTIONS:
        there, back = getattr(cloudsim, name), getattr(default, name)
        assert default.replace({name: there}).replace({name: back}) == default
        assert cloudsim.replace({name: back}).replace({name: there}) == cloudsim


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"memory_count": True}, "Did you mean 'memory_counts'"),
        ({"memory_counts": 1}, "memory_counts must be true or false: got 1"),
        ({"wake_s": -1}, "wake_s must be a number >= 0: got -1"),
        ({"wake_s": "fast"}, "wake_s must be a number"),
        ({"off_w": float("inf")}, "off_w must be a number"),
        ({"initial_placement": "sprad"}, "Did you mean 'spread'"),
        ({"migration_overhead_share": 1.0}, "must be below 1"),
        ({"wake_s": -1, "off_w": -1}, "wake_s .* off_w"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule(options: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Semantics().replace(options)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'cloudsim_303'"):
        Semantics.named("cloudsim_30")


def test_the_page_on_fidelity_speaks_of_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text()
    named = set(re.findall(r"`([a-z_]+)", page))
    assert set(OPTIONS) <= named

"""What a scaling training is given: the experiment's own windows, none of them left out."""

from __future__ import annotations

import pytest

from rlsched import assets
from rlsched.cli.train_inputs import prepare
from rlsched.cli.train_scaling import PreparedScaling
from rlsched.errors import SpecError
from rlsched.evaluate.kinds import find_card

REAL = assets.package_dir().parent.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real traces are not here: no {REAL}")


def test_it_starts_at_the_tuned_rule_and_validates_on_every_window() -> None:
    ready = prepare(find_card("scaling-bitbrains"), [], "a test", REAL)
    assert isinstance(ready, PreparedScaling)
    assert ready.residual.base.rule == "band"
    assert len(ready.validation.windows) == 12
    assert all(len(one.rows) == 1 for one in ready.problem.windows), "services are learned from one by one"
    assert not {one.name for one in ready.problem.windows} & {one.name for one in ready.validation.windows}


def test_a_window_an_agent_cannot_be_asked_in_is_refused_and_not_left_out() -> None:
    with pytest.raises(SpecError, match=r"an agent that looks back 5000 cannot be asked there: lengthen"):
        prepare(find_card("scaling-bitbrains"), ["observation.level=5000"], "a test", REAL)


def test_how_to_evolve_is_read_only_where_the_agent_is_evolved() -> None:
    card, evolve = find_card("scaling-bitbrains"), ["evolution.sigma=0.02"]
    with pytest.raises(
        SpecError, match=r"--set evolution.sigma=0.02: .* the method is 'ppo'. Add --set method=evolution"
    ):
        prepare(card, evolve, "a test", REAL)
    ready = prepare(card, [*evolve, "method=evolution"], "a test", REAL)
    assert isinstance(ready, PreparedScaling)
    assert (ready.spec.method, ready.spec.evolution.sigma) == ("evolution", 0.02)

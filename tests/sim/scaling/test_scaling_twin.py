"""The compiled simulator equals the reference on random worlds, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsched.sim.scaling import reference, simulate
from rlsched.sim.scaling.rules.run import wanted
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.state import State

from .worlds import decisions, windows, worlds


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_kernel_equals_the_reference(data: st.DataObject) -> None:
    world = data.draw(worlds())
    n_services = data.draw(st.integers(1, 2))
    drawn = [data.draw(windows(world, n_services)) for _ in range(data.draw(st.integers(1, 3)))]
    compiled = State.new(world, drawn, [7 + i for i in range(len(drawn))])
    plain = compiled.copy()
    while not compiled.done.all():
        chosen = [[data.draw(decisions(world, row)) for row in window.rows] for window in drawn]
        open_copies = np.flatnonzero(~compiled.done)
        cost = simulate.step(world, compiled, np.array(chosen, np.int64))
        for n in open_copies:
            assert reference.step(world, plain, int(n), chosen[n]) == cost[n]
        assert compiled.same_as(plain)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_is_lost_or_made_on_the_way(data: st.DataObject) -> None:
    world = data.draw(worlds())
    window = data.draw(windows(world, 1))
    state = State.new(world, [window], [3])
    instances = int(state.code.alive.sum())
    while not state.done[0]:
        before = float(state.code.backlog.sum())
        simulate.step(world, state, np.array([[data.draw(decisions(world, window.rows[0]))]], np.int64))
        last = dict(zip(reference.st.LAST, state.code.last[0, 0], strict=True))
        after = float(state.code.backlog.sum())
        # Work: what waited and what came is served, lost, or waits.
        np.testing.assert_allclose(before + last["demand"], last["served"] + last["lost"] + after, rtol=1e-9, atol=1e-9)
        # Instances: ordered ones and those before are stopped, cancelled, interrupted, or alive.
        instances += int(last["started"] - last["stopped"] - last["cancelled"] - last["interrupted"])
        assert int(state.code.alive.sum()) == instances
        assert last["served"] <= last["capacity"] * (1 + 1e-12)
        assert (state.code.backlog >= 0).all()
        assert (state.code.alive >= 0).all()
    assert float(state.code.sums[0, 0, :5].sum()) >= 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_compiled_run_equals_the_rule_asked_on_the_reference(data: st.DataObject) -> None:
    world = data.draw(worlds())
    name = data.draw(st.sampled_from([name for name, rule in RULES.items() if not rule.needs_forecast]))
    number, params = list(RULES).index(name), tuple(parameter.default for parameter in RULES[name].parameters)
    kind = data.draw(st.integers(0, len(world.types) - 1))
    share = data.draw(st.floats(0, 1)) if (kind, 1) in world.pools else 0.0
    window = data.draw(windows(world, data.draw(st.integers(1, 2))))
    fallback = data.draw(st.booleans())
    compiled, _ = simulate.run(world, [window], [simulate.RuleChoice(number, params, kind, share, fallback)], [5])
    plain = State.new(world, [window], [5])
    while not plain.done[0]:
        chosen = []
        for service in range(plain.n_services):
            view = reference.view(world, plain, 0, service, kind)
            answer = wanted(number, view, np.array(params), plain.code.memory[0, service])
            chosen.append(reference.decision_of(world.code, plain.code, 0, service, answer, kind, share, fallback))
        reference.step(world, plain, 0, chosen)
    assert compiled.same_as(plain)

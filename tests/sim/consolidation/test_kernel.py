"""Kernel and reference are twins; copies are independent; the state is all there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from rlsched.errors import TraceError, UserError
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.policy import POLICIES, ConsolidationPolicy
from rlsched.sim.consolidation.reference import Reference
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.state import NONE, State
from rlsched.sim.consolidation.world import World
from rlsched.sim.semantics import Semantics

from .worlds import policies, semantics, world, worlds


def guests(state: State, n: int, n_vms: int) -> list[list[int]]:
    """VMs of each machine of a copy, in order of arrival."""
    code, out = state.code, []
    for first in code.first[n].tolist():
        row, entry = [], first
        while entry != NONE:
            assert entry < n_vms  # nothing is in flight at a decision
            row.append(entry)
            entry = int(code.after[n, entry])
        out.append(row)
    return out


def run_kernel(w: World, policy: ConsolidationPolicy, s: Semantics, seed: int) -> tuple[Any, State]:
    simulator = Simulator(w, s)
    run = simulator.run([policy], [seed])[0]
    state = State.new(w, [seed])
    simulator.begin(state, [policy])
    while not state.code.done.all():
        simulator.tick(state, [policy])
    return run, state


def compare(w: World, policy: ConsolidationPolicy, s: Semantics, seed: int) -> Meters | None:
    """Run both twins; None when the VMs do not fit, which both have to say."""
    reference = Reference(w, policy, s, seed)
    problem = None
    try:
        expected = reference.run()
    except TraceError as error:
        problem = str(error)
    if problem:
        with pytest.raises(TraceError) as caught:
            Simulator(w, s).run([policy], [seed])
        assert str(caught.value) == problem
        return None
    run, state = run_kernel(w, policy, s, seed)
    assert run.meters == expected
    assert state.meters(0) == expected
    assert run.checkpoints() == reference.checkpoints
    assert guests(state, 0, w.n_vms) == [[vm.row for vm, _ in host.guests] for host in reference.hosts]
    assert state.code.vm_granted[0].tolist() == [vm.granted for vm in reference.vms]
    assert state.code.host_used[0].tolist() == [host.used for host in reference.hosts]
    return expected


@given(worlds(), policies(), semantics(), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_the_kernel_equals_the_reference_bit_for_bit(
    w: World, policy: ConsolidationPolicy, s: Semantics, seed: int
) -> None:
    meters = compare(w, policy, s, seed)
    event(f"migrations: {'none' if meters is None or not meters.migrations else 'some'}")


@given(worlds(), semantics(), st.integers(0, 2**32 - 1), st.sampled_from(["lr_mmt", "lrr_mmt", "thr_mmt"]))
@settings(max_examples=80, deadline=None)
def test_the_twins_read_a_forecast_alike(w: World, s: Semantics, seed: int, name: str) -> None:
    ticks = len(w.tick_times(s))
    told = np.random.Generator(np.random.PCG64(seed)).random((ticks, w.n_vms))
    meters = compare(replace(w, forecast=told), ConsolidationPolicy(name, evacuate_below=0.3), s, 0)
    event(f"migrations: {'none' if meters is None or not meters.migrations else 'some'}")


def test_a_forecast_of_overload_empties_a_machine_that_its_own_line_would_not() -> None:
    w = world([(1000.0, 1000.0, 4096, 0)] * 3, [(400.0, 100)] * 2, [[50, 50]] * 16)
    policy = ConsolidationPolicy("lr_mmt", 1.0, evacuate_below=0.0)
    s = Semantics()
    calm = Simulator(w, s).run([policy], [0])[0]
    told = np.full((len(w.tick_times(s)), 2), 0.5)
    same = Simulator(replace(w, forecast=told), s).run([policy], [0])[0]
    told[12] = 5.0
    warned = Simulator(replace(w, forecast=told), s).run([policy], [0])[0]
    assert calm.meters.migrations == same.meters.migrations == 0
    assert warned.meters.migrations > 0


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((16, 2), np.nan), np.full((16, 2), -0.1)])
def test_a_forecast_of_another_shape_or_without_a_value_is_refused(bad: np.ndarray) -> None:
    w = world([(1000.0, 1000.0, 4096, 0)] * 3, [(400.0, 100)] * 2, [[50, 50]] * 16)
    with pytest.raises(TraceError, match="forecast must be one known share"):
        Simulator(replace(w, forecast=bad), Semantics())


@pytest.mark.slow
@given(worlds(), policies(), semantics(), st.integers(0, 3))
@settings(max_examples=3000, deadline=None)
def test_the_kernel_equals_the_reference_on_thousands_of_worlds(
    w: World, policy: ConsolidationPolicy, s: Semantics, seed: int
) -> None:
    compare(w, policy, s, seed)


def crowd(n_vms: int = 40, n_hosts: int = 24, n_ticks: int = 45, seed: int = 5) -> World:
    """A busier world than Hypothesis draws: every rule of every policy gets to act."""
    random = np.random.Generator(np.random.PCG64(seed))
    hosts = [(3720.0, 1860.0, 8192, 0), (5320.0, 2660.0, 8192, 1)] * (n_hosts // 2)
    vms = [((2500.0, 870), (2000.0, 1740), (1000.0, 1740), (500.0, 613))[i % 4] for i in range(n_vms)]
    base = random.integers(0, 60, n_vms)
    load = np.clip(base + random.integers(-30, 45, (n_ticks, n_vms)), 0, 100)
    return world(hosts, vms, load)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("semantic", ["default", "cloudsim_303"])
def test_every_policy_on_a_busy_world_is_equal_in_both(name: str, semantic: str) -> None:
    compare(crowd(), ConsolidationPolicy(name), Semantics.named(semantic), 1)


def test_the_busy_world_exercises_what_it_should() -> None:
    runs = Simulator(crowd(), Semantics.cloudsim_303()).run([ConsolidationPolicy(n) for n in POLICIES], [1] * 22)
    moved = {run.policy.name: run.meters.migrations for run in runs}
    assert all(moved[name] > 50 for name in POLICIES[2:])
    assert len({moved[name] for name in POLICIES[2:]}) > 12  # the rules do decide differently
    assert any(run.ticks[:, 3].max() > 0 for run in runs)  # machines are overloaded
    assert any(run.meters.shortfalls > 0 for run in runs)


def test_copies_side_by_side_do_not_know_of_each_other() -> None:
    w, s = crowd(), Semantics.cloudsim_303()
    simulator = Simulator(w, s)
    chosen = [ConsolidationPolicy(name) for name in POLICIES]
    seeds = list(range(len(chosen)))
    together = simulator.run(chosen, seeds)
    for policy, seed, run in zip(chosen, seeds, together, strict=True):
        alone = simulator.run([policy], [seed])[0]
        assert alone.meters == run.meters
        assert np.array_equal(alone.ticks, run.ticks)


@pytest.mark.parametrize("name", ["lr_mmt", "mad_rs", "iqr_mc", "dvfs"])
def test_save_restore_continue_equals_never_stopping(name: str, tmp_path: Path) -> None:
    w, s, policy = crowd(), Semantics(), [ConsolidationPolicy(name)] * 2
    simulator = Simulator(w, s)
    straight = State.new(w, [3, 4])
    simulator.begin(straight, policy)
    stopped = State.new(w, [3, 4])
    simulator.begin(stopped, policy)
    for step in range(simulator.n_ticks):
        simulator.tick(straight, policy)
        if step == 17:
            stopped.save(tmp_path / "state.npz")
            kept = stopped.copy()
            stopped = State.load(tmp_path / "state.npz")
            assert stopped.same_as(kept)
        simulator = Simulator(w, s)  # no memory of the past in the simulator either
        simulator.tick(stopped, policy)
    assert straight.code.done.all()
    assert straight.same_as(stopped)
    assert not straight.same_as(kept)


def test_a_copy_branched_off_goes_its_own_way_and_leaves_the_first_alone() -> None:
    w = crowd()
    simulator = Simulator(w, Semantics())
    calm, eager = ConsolidationPolicy("thr_mmt", 0.9), ConsolidationPolicy("thr_mmt", 0.4, placement_cap=0.5)
    state = State.new(w, [0, 0])
    simulator.begin(state, [calm, calm])
    simulator.tick(state, [calm, calm])
    before = state.copy()
    simulator.tick(state, [calm, eager], np.array([False, True]))
    assert state.code.now_s.tolist() == [600.0, 900.0]
    state.put(1, before, 1)
    assert state.same_as(before)


def test_parameters_may_change_at_every_tick() -> None:
    w = crowd()
    simulator = Simulator(w, Semantics())
    state = State.new(w, [0])
    never, always = ConsolidationPolicy("thr_mmt", 1.0, evacuate_below=0.0), ConsolidationPolicy("thr_mmt", 0.5)
    simulator.begin(state, [never])
    simulator.tick(state, [never])
    calm = int(state.code.last_tick[0, 4])
    simulator.tick(state, [always])
    assert calm == 0
    assert state.code.last_tick[0, 4] > 0


def test_a_finished_copy_stays_as_it_is() -> None:
    w = crowd(n_ticks=4)
    simulator = Simulator(w, Semantics())
    policy = [ConsolidationPolicy("lr_mmt")]
    state = State.new(w, [0])
    simulator.begin(state, policy)
    for _ in range(simulator.n_ticks):
        simulator.tick(state, policy)
    assert state.code.done.all()
    kept = state.copy()
    simulator.tick(state, policy)
    assert state.same_as(kept)


def test_a_file_that_is_no_state_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no saved state"):
        State.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError, match="not a saved consolidation state"):
        State.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(UserError, match="not a saved consolidation state"):
        State.load(tmp_path / "other.npz")


@given(worlds(), policies(), semantics())
@settings(max_examples=60, deadline=None)
def test_laws_of_any_run(w: World, policy: ConsolidationPolicy, s: Semantics) -> None:
    simulator = Simulator(w, s)
    state = State.new(w, [0])
    try:
        simulator.begin(state, [policy])
    except TraceError:
        assume(False)
    capacity = w.host_cpu
    while not state.code.done.all():
        simulator.tick(state, [policy])
        code = state.code
        held = [vm for row in guests(state, 0, w.n_vms) for vm in row]
        assert sorted(held) == np.flatnonzero(code.vm_host[0] != NONE).tolist()  # nobody is lost or doubled
        assert (code.vm_granted[0] <= code.vm_request[0] + 1e-9).all()
        assert (code.host_used[0] <= capacity * (1 + 1e-9)).all()
        if s.memory_counts:
            memory = np.bincount(code.vm_host[0][code.vm_host[0] != NONE], w.vm_mem[code.vm_host[0] != NONE], w.n_hosts)
            assert (memory <= w.host_mem).all()
        if not s.zero_demand_removes_vm:
            assert len(held) == w.n_vms
    meters = state.meters(0)
    assert meters.energy_ws >= 0
    assert 0 <= meters.degraded <= meters.short <= meters.requested
    assert meters.violation_s <= meters.active_s

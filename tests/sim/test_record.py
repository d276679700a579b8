"""A recorded run is the run itself, with its curve."""

import numpy as np
import pytest

from rlsched.errors import SpecError
from rlsched.policies import POLICIES
from rlsched.sim import state as st
from rlsched.sim.options import PlacementOptions
from rlsched.sim.record import run_recorded
from rlsched.sim.simulate import run_policy
from rlsched.sim.world import Typical, World
from rlsched.traces.columns import Machines, Trace


def a_world(admission: str = "reject") -> World:
    # One machine of two GPUs; every typical task wants a whole one.
    trace = Trace(
        task_id=np.arange(4),
        arrive_s=np.arange(4),
        depart_s=np.full(4, -1),
        cpu_mcore=np.full(4, 1000),
        mem_mib=np.full(4, 1),
        gpu_count=np.array([1, 0, 2, 1]),
        gpu_mgpu=np.array([300, 0, 1000, 1000]),
    )
    machines = Machines(
        machine_id=np.array(["m"]),
        cpu_mcore=np.array([8000]),
        mem_mib=np.array([100]),
        gpu_count=np.array([2]),
        gpu_model=np.array([0]),
        gpu_models=("A",),
    )
    typical = Typical(np.array([[1000, 0, 1, 1000, -1]]), np.ones(1))
    options = PlacementOptions(fragmentation="gpu", admission=admission)  # type: ignore[arg-type]
    return World.build(trace, machines, options, typical=typical)


def test_the_curve_by_hand() -> None:
    world = a_world()
    curve = run_recorded(world, world.start([world.whole]), POLICIES["fgd"].arrays())
    # The third asks for two whole GPUs and is refused, yet it has arrived.
    assert curve.arrived_mgpu.tolist() == [300, 300, 2300, 3300]
    assert curve.placed_mgpu.tolist() == [300, 300, 300, 1300]
    # 700 of the first device are a fragment from the first task on.
    assert curve.fragmentation.tolist() == [700.0, 700.0, 700.0, 700.0]


@pytest.mark.parametrize("name", ["fgd", "best_fit", "random", "gpu_packing"])
def test_a_recorded_run_ends_in_the_same_state(name: str) -> None:
    world = a_world()
    recorded, plain = world.start([world.whole], [5]), world.start([world.whole], [5])
    run_recorded(world, recorded, POLICIES[name].arrays())
    run_policy(world, plain, POLICIES[name].arrays())
    assert recorded.same_as(plain)
    assert recorded.over.all()


def test_the_sum_of_the_curve_is_the_running_sum() -> None:
    world = a_world()
    state = world.start([world.whole])
    curve = run_recorded(world, state, POLICIES["fgd"].arrays())
    assert curve.fragmentation[-1] == pytest.approx(state.arrays.clock[0, st.F_FRAG])


def test_a_curve_needs_one_copy_and_no_queue() -> None:
    world = a_world()
    with pytest.raises(SpecError, match="2 copies"):
        run_recorded(world, world.start([world.whole] * 2), POLICIES["fgd"].arrays())
    waiting = a_world("queue")
    with pytest.raises(SpecError, match="got 'queue'"):
        run_recorded(waiting, waiting.start([waiting.whole]), POLICIES["fgd"].arrays())

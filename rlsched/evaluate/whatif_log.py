"""A recorded run: where every task went, in one Parquet file that is a trace as well.

The file is what ``rlsched traces convert`` writes, with two columns more, ``machine`` and
``devices``; the machines, the policy and the options are in its metadata. Nothing else is
needed to show any moment of the run, or to continue it under another policy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.evaluate.contestants import Contestant, check_contestants
from rlsched.evaluate.library import contestants_of
from rlsched.evaluate.results import plain
from rlsched.evaluate.whatif import options_for, past_of
from rlsched.policies import Heuristic
from rlsched.rng import stream_seed
from rlsched.sim import state as st
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.simulate import check_over, run_policy
from rlsched.sim.state import State
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.store import load, replacing, save

I64 = npt.NDArray[np.int64]
NOWHERE = -1
LOG_VERSION = 1
FRAMES = 200  # times a live view is told about a run
_KEY = "replay"
_LISTS = ("gpu_models", "power_curves", "sites")


@dataclass(frozen=True)
class Log:
    """One policy on one trace.

    Parameters
    ----------
    trace, machines
    policy : str
        As ``rlsched.policies.find_policy`` takes it.
    seed : int
    machine : (K,) int64
        Row of ``machines`` each task went to; -1 where it was turned away.
    devices : (K,) int64
        Bits of the GPUs it got there.
    """

    trace: Trace
    machines: Machines
    policy: str
    seed: int
    machine: I64
    devices: I64


def open_world(trace: Trace, machines: Machines, contestants: list[Contestant]) -> World:
    """A world that every one of these policies can run in, the same for each."""
    options = options_for(trace, machines, contestants)
    check_contestants(contestants, options)
    return World.build(
        trace,
        machines,
        options,
        typical=typical_requests(past_of(trace)) if options.fragmentation != "none" else None,
        residents=any(one.needs_residents for one in contestants),
    )


def run_on(world: World, state: State, policy: Any, tell: Callable[[int], None] | None = None) -> None:
    """Bring a state to the end of its window; ``tell`` hears of the tasks since the last time."""
    if isinstance(policy, Heuristic):
        run_policy(world, state, policy.arrays(), chunk=max(1, len(world.trace) // FRAMES), progress=tell)
    else:
        policy.run(world, state, progress=tell)
    check_over(state)


def start(world: World, window: Window, seed: int) -> State:
    """The beginning of a run, its random numbers as an evaluation draws them."""
    return world.start([window], [stream_seed(seed, "window", "all")])


def record(
    trace: Trace,
    machines: Machines,
    policy: str,
    *,
    seed: int = 0,
    watch: Callable[[World, State], None] | None = None,
) -> Log:
    """Replay a whole trace under one policy and keep where every task went.

    Parameters
    ----------
    trace, machines
    policy : str
    seed : int
        Of a policy that draws random numbers.
    watch : callable, optional
        Called with the world and its state now and then, which it must not change.

    Raises
    ------
    UserError
        An unknown policy, or a trace that no machine can serve.
    """
    if seed < 0:
        raise SpecError(f"--seed must be >= 0: got {seed}.")
    one = contestants_of([policy])[0]
    world = open_world(trace, machines, [one])
    state = start(world, world.whole, seed)
    run_on(world, state, one.policy, None if watch is None else lambda _asked: watch(world, state))
    machine, devices = placements(state)
    return Log(trace, machines, policy, seed, machine, devices)


def placements(state: State) -> tuple[I64, I64]:
    """Machine and device bits of every task of copy 0; -1 and 0 where it is on none and was on none."""
    tasks = state.arrays.task_i[0]
    ran = np.isin(tasks[:, st.K_STATUS], (st.RUNNING, st.DONE))
    machine = np.where(ran, tasks[:, st.K_MACHINE], NOWHERE).astype(np.int64)
    return machine, np.where(ran, tasks[:, st.K_GPUS], 0).astype(np.int64)


def save_log(log: Log, path: Path) -> None:
    """Write a log, all or nothing.

    Raises
    ------
    SpecError
        When the place cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rows = {name: plain(getattr(log.machines, name).tolist()) for name in Machines.ROW_COLUMNS}
    said = {
        "version": LOG_VERSION,
        "policy": log.policy,
        "seed": log.seed,
        "machines": {**rows, **{name: list(getattr(log.machines, name)) for name in _LISTS}},
        "machines_source": log.machines.source,
    }
    trace = dataclasses.replace(log.trace, meta={**log.trace.meta, _KEY: said})
    with replacing(path) as temporary:
        save(trace, temporary)
        table = parquet.read_table(temporary)
        table = table.append_column("machine", pa.array(log.machine)).append_column("devices", pa.array(log.devices))
        parquet.write_table(table, temporary, compression="zstd")


def load_log(path: Path) -> Log:
    """Read what :func:`save_log` wrote.

    Raises
    ------
    TraceError
        Not there, damaged, not a log, or of another version.
    """
    import pyarrow.parquet as parquet

    trace = load(path)
    said = trace.meta.get(_KEY)
    if not isinstance(trace, Trace) or not isinstance(said, dict):
        raise TraceError(f"{path} holds no recorded run. Make one with 'rlsched replay --trace ... --log {path}'.")
    if said.get("version") != LOG_VERSION:
        raise TraceError(
            f"a log must be of version {LOG_VERSION}: {path} is of {said.get('version')!r}. Record the run again."
        )
    try:
        rows = dict(said["machines"])
        rows["price_per_h"] = [np.nan if one is None else one for one in rows["price_per_h"]]
        ids = rows.pop("machine_id")
        given: dict[str, Any] = {
            name: tuple(value) if name in _LISTS else np.array(value) for name, value in rows.items()
        }
        given["machine_id"] = np.array(ids, dtype=object if isinstance(ids[0], str) else np.int64)
        machines = Machines(**given, source=said["machines_source"]).validate()
        table = parquet.read_table(path, columns=["machine", "devices"])
        machine, devices = (table.column(name).to_numpy().astype(np.int64) for name in ("machine", "devices"))
        policy, seed = str(said["policy"]), int(said["seed"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        raise TraceError(f"a log must be whole: {path} is not ({error}). Record the run again.") from None
    if machine.size and (machine.min() < NOWHERE or machine.max() >= len(machines)):
        raise TraceError(
            f"machine must be in {NOWHERE}..{len(machines) - 1}: {path} has {machine.max()}. Record the run again."
        )
    meta = {key: value for key, value in trace.meta.items() if key != _KEY}
    return Log(dataclasses.replace(trace, meta=meta), machines, policy, seed, machine, devices)

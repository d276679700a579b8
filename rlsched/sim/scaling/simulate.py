"""The Python door to the compiled scaling simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError
from rlsched.rng import stream_seed
from rlsched.sim.scaling import kernel
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling import world as wd
from rlsched.sim.scaling.state import State, n_booting_slots
from rlsched.sim.scaling.world import Window, World

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RuleChoice:
    """A rule with its parameters, and what it buys.

    Parameters
    ----------
    rule : int
        Number in the table of rules.
    params : sequence of float
    kind : int
        Instance type.
    spot_share : float
        Share of the instances bought on the spot market, rounded half up to whole instances.
    fallback : bool
        Want no more spot instances than the market had in the interval before, and the others on
        demand; let go of instances on demand only when the spot ones that replace them serve.
    """

    rule: int
    params: tuple[float, ...]
    kind: int = 0
    spot_share: float = 0.0
    fallback: bool = False


def step(world: World, state: State, decisions: I64, cost: F64 | None = None) -> F64:
    """One interval of every copy whose window has not ended.

    Parameters
    ----------
    world : World
    state : State
        Written to.
    decisions : (N, S, 3) int64
        Type, instances on demand, instances on the spot market.
    cost : (N,) float64, optional
        Filled and returned.

    Returns
    -------
    (N,) float64, USD
        Cost of the interval, all services; 0 where the window had ended.

    Raises
    ------
    PolicyError
        When a decision is not allowed; nothing has changed then.
    """
    check_decisions(world, state, decisions)
    out = np.zeros(len(state)) if cost is None else cost
    kernel.step_all(world.code, state.code, decisions, out)
    return out


def check_decisions(world: World, state: State, decisions: I64) -> None:
    """Refuse decisions of the wrong shape, beyond the limits of a service, or on a market there is not."""
    shape = (len(state), state.n_services, 3)
    if decisions.shape != shape or decisions.dtype != np.int64:
        raise PolicyError(
            f"decisions must be int64 of shape {shape}: got {decisions.dtype} of shape {decisions.shape}."
        )
    w, s = world.code, state.code
    kind, total = decisions[..., 0], decisions[..., 1] + decisions[..., 2]
    low, high = w.service_i[s.rows, wd.S_MIN], w.service_i[s.rows, wd.S_MAX]
    ok = (kind >= 0) & (kind < len(world.types)) & (total >= low) & (total <= high) & (decisions[..., 1:] >= 0).all(-1)
    has_spot = np.array([(k, wd.SPOT) in world.pools for k in range(len(world.types))])
    ok &= (decisions[..., 2] == 0) | has_spot[np.clip(kind, 0, len(world.types) - 1)]
    bad = np.argwhere(~ok & ~state.done[:, None])
    if bad.size:
        from rlsched.sim.scaling import reference

        n = int(bad[0][0])
        reference.check_decisions(world, state, n, [tuple(map(int, one)) for one in decisions[n]])  # type: ignore[misc]


def run(
    world: World,
    windows: Sequence[Window],
    choices: Sequence[RuleChoice],
    seeds: Sequence[int] | None = None,
    log: bool = False,
) -> tuple[State, F64]:
    """Replay each window under its rule to the end, in one compiled call.

    Parameters
    ----------
    world : World
    windows : sequence of Window
        All with the same number of services.
    choices : sequence of RuleChoice
        One a window.
    seeds : sequence of int, optional
        Of each window's spot interruptions; by default the same stream for all.
    log : bool
        Keep what every interval showed.

    Returns
    -------
    state : State
        At the end; ``state.meters(n, service)`` has the sums.
    log : (N, T, S, 21) float64
        Columns ``rlsched.sim.scaling.state.LAST``, NaN after a window's end; T = 0 when not asked for.

    Raises
    ------
    SpecError
        When a window or a choice is not allowed.
    PolicyError
        When a rule answers something that is no number.
    """
    from rlsched.sim.scaling.drive import drive

    if len(choices) != len(windows):
        raise SpecError(f"need one rule a window: got {len(choices)} for {len(windows)} windows.")
    for choice in choices:
        if not 0 <= choice.kind < len(world.types):
            raise SpecError(f"instance type must lie in 0..{len(world.types) - 1}: got {choice.kind}.")
        if not 0.0 <= choice.spot_share <= 1.0:
            raise SpecError(f"spot_share must lie in [0, 1]: got {choice.spot_share}.")
        if choice.spot_share and (choice.kind, wd.SPOT) not in world.pools:
            raise SpecError(
                f"{world.types[choice.kind].name!r} has no spot market: spot_share must be 0, got {choice.spot_share}."
            )
    state = State.new(world, windows, seeds or [stream_seed(0, "interruptions")] * len(windows))
    params = np.zeros((len(choices), max(1, *(len(choice.params) for choice in choices))))
    for n, choice in enumerate(choices):
        params[n, : len(choice.params)] = choice.params
    longest = max(window.hi - window.lo for window in windows)
    kept = np.full((len(windows), longest if log else 0, state.n_services, len(st.LAST)), np.nan)
    bad = drive(
        world.code,
        state.code,
        np.array([choice.rule for choice in choices], np.int64),
        params,
        np.array([choice.kind for choice in choices], np.int64),
        np.array([choice.spot_share for choice in choices], np.float64),
        np.array([choice.fallback for choice in choices], np.int64),
        longest,
        np.zeros(n_booting_slots(world), np.int64),
        kept,
    )
    if bad >= 0:
        t = int(state.code.clock[bad, st.C_T])
        raise PolicyError(
            f"a rule must answer a finite number of instances: rule {choices[bad].rule} with parameters "
            f"{choices[bad].params} did not at interval {t} of window {windows[bad].name!r}."
        )
    return state, kept

"""Rewards composed of named terms: ``reward = Σ weight · term``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.reward import balance, cost, energy, fragmentation, rejection
from rlsched.reward.term import Term
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import copy_of
from rlsched.sim.power import watts
from rlsched.sim.state import State
from rlsched.sim.world import World, WorldArrays

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

#: The one table of terms. A new one is a file, a line here, and a branch of `_of_machine` or `_of_cluster`.
REWARDS: dict[str, Term] = {
    term.name: term for term in (fragmentation.TERM, balance.TERM, rejection.CPU, rejection.GPU, energy.TERM, cost.TERM)
}
_FRAGMENTATION, _BALANCE, _REJECTED_CPU, _REJECTED_GPU, _ENERGY, _COST = range(6)
_NAMES = tuple(REWARDS)
_S_FRAG, _S_CPU, _S_GPU, _S_WATT, _S_PRICE = range(5)


class RewardArrays(NamedTuple):
    """What a rewarder works with, as the compiled code takes it."""

    code: I64  # (A,) rows of REWARDS
    weight: F64  # (A,)
    placement: npt.NDArray[np.bool_]  # (A,) True: grows by placing the task, False: until the next decision
    scale: F64  # (F, 5) capacity of fragmentation, CPU, GPU; watts at full load; price of an hour
    before: F64  # (N, A)
    terms: F64  # (N, A)
    metered: I64  # (N,) the warm-up was over before the decision
    machine: I64  # (N,) machine that was chosen, -1 none


class Rewarder:
    """Measures the reward of one decision of every copy.

    Call :meth:`before` where all copies wait for a decision, :meth:`placed` when they have
    decided, and :meth:`after` when the clock has moved to the next decision.

    Parameters
    ----------
    world : World
    n_copies : int
    weights : mapping of str to float
        Name of :data:`REWARDS` → weight.

    Raises
    ------
    SpecError
        Unknown term, weight not finite, none given, or a term this world cannot measure.
    """

    def __init__(self, world: World, n_copies: int, weights: Mapping[str, float]) -> None:
        check_weights(weights, world.options.fragmentation)
        self.world = world
        self.weights = dict(weights)
        shape = (n_copies, len(weights))
        self.arrays = RewardArrays(
            np.array([_NAMES.index(name) for name in weights], np.int64),
            np.array(list(weights.values()), np.float64),
            np.array([REWARDS[name].span == "placement" for name in weights]),
            _scales(world.arrays),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(n_copies, np.int64),
            np.full(n_copies, -1, np.int64),
        )

    @property
    def terms(self) -> F64:
        """Value of each term at the last decision, (N, terms), unweighted."""
        return self.arrays.terms

    def before(self, state: State, machines: I64) -> None:
        """Note the quantities before the decision for ``machines`` (N,), -1 where the task is refused."""
        _before_all(self.world.arrays, state.arrays, self.arrays, np.asarray(machines, np.int64))

    def placed(self, state: State) -> None:
        """Note them right after the decision, before the clock moves."""
        _placed_all(self.world.arrays, state.arrays, self.arrays)

    def after(self, state: State, out: F64) -> F64:
        """Fill ``out`` (N,) float64 with the reward of the decision; returns it."""
        _after_all(self.world.arrays, state.arrays, self.arrays, out)
        return out


def _scales(w: WorldArrays) -> F64:
    out = np.zeros((w.fleet_i.shape[0], 5))
    gpu = w.option_i[wd.O_FRAG] == wd.FRAG_GPU
    for f, row in enumerate(out):
        n = int(w.fleet_n[f, wd.L_N])
        row[_S_CPU] = w.fleet_i[f, wd.L_CPU, :n].sum()
        row[_S_GPU] = w.fleet_i[f, wd.L_GPUS, :n].sum() * 1000
        row[_S_FRAG] = row[_S_GPU] if gpu else row[_S_CPU]
        curves = w.fleet_curve[f, :n]
        row[_S_WATT] = sum(float(watts(w.curve_kind[c], w.curve_table[c], 1.0)) for c in curves[curves >= 0])
        row[_S_PRICE] = np.nansum(w.fleet_f[f, wd.L_PRICE, :n])
    return out


def check_weights(weights: Mapping[str, float], measured: str) -> None:
    """Refuse unknown terms, and weights that cannot be.

    Parameters
    ----------
    weights : mapping of str to float
    measured : str
        The world's ``fragmentation`` option.

    Raises
    ------
    SpecError
    """
    if not weights:
        raise SpecError(f"a reward needs at least one term.{did_you_mean('', REWARDS)}")
    for name, weight in weights.items():
        if name not in REWARDS:
            raise SpecError(f"unknown reward {name!r}.{did_you_mean(name, REWARDS)}")
        if not math.isfinite(weight):
            raise SpecError(f"the weight of reward {name} must be finite: got {weight}.")
    if "fragmentation" in weights and measured == "none":
        raise SpecError("reward 'fragmentation' needs a world that measures it: set fragmentation to 'gpu' or 'cpu'.")


@bare_njit(forceinline=True)
def _of_machine(w: Any, c: Any, g: Any, code: Any, machine: Any) -> Any:
    """A quantity that a placement changes on one machine only."""
    if machine < 0:
        return 0.0
    if code == _FRAGMENTATION:
        return fragmentation.measure_fragmentation(c, machine, g.scale[c.counter[st.C_FLEET], _S_FRAG])
    return balance.measure_balance(w, c, machine)


@bare_njit(forceinline=True)
def _of_cluster(w: Any, c: Any, g: Any, code: Any) -> Any:
    scale = g.scale[c.counter[st.C_FLEET]]
    if code == _REJECTED_CPU:
        return rejection.measure_rejection(w, c, False, scale[_S_CPU])
    if code == _REJECTED_GPU:
        return rejection.measure_rejection(w, c, True, scale[_S_GPU])
    if code == _ENERGY:
        return energy.measure_energy(w, c, scale[_S_WATT])
    return cost.measure_cost(w, c, scale[_S_PRICE])


@bare_njit(inline="always")
def reward_before(w: Any, c: Any, g: Any, n: Any, machine: Any) -> None:
    """Note the quantities of copy ``n`` before its task is placed on a machine (-1: refused)."""
    g.metered[n], g.machine[n] = c.counter[st.C_METERED], machine
    if g.metered[n] == 1:
        for a in range(g.code.shape[0]):
            at_once = g.placement[a]
            g.before[n, a] = _of_machine(w, c, g, g.code[a], machine) if at_once else _of_cluster(w, c, g, g.code[a])


@bare_njit(inline="always")
def reward_placed(w: Any, c: Any, g: Any, n: Any) -> None:
    """Note what the placement itself did."""
    for a in range(g.code.shape[0]):
        if g.placement[a]:
            grown = 0.0
            if g.metered[n] == 1:
                grown = _of_machine(w, c, g, g.code[a], g.machine[n]) - g.before[n, a]
            g.terms[n, a] = 0.0 - grown


@bare_njit(inline="always")
def reward_after(w: Any, c: Any, g: Any, n: Any) -> Any:
    """Reward of the decision, when the clock stands at the next one."""
    reward = 0.0
    for a in range(g.code.shape[0]):
        if not g.placement[a]:
            grown = 0.0
            if c.counter[st.C_METERED] == 1:
                # Meters that began on the way began at zero.
                grown = _of_cluster(w, c, g, g.code[a]) - (g.before[n, a] if g.metered[n] == 1 else 0.0)
            g.terms[n, a] = 0.0 - grown
        reward += g.terms[n, a] * g.weight[a]
    return reward


@bare_njit
def _before_all(w: Any, s: Any, g: Any, machines: Any) -> None:
    for n in range(s.counter.shape[0]):
        reward_before(w, copy_of(s, n), g, n, machines[n])


@bare_njit
def _placed_all(w: Any, s: Any, g: Any) -> None:
    for n in range(s.counter.shape[0]):
        reward_placed(w, copy_of(s, n), g, n)


@bare_njit
def _after_all(w: Any, s: Any, g: Any, out: Any) -> None:
    for n in range(s.counter.shape[0]):
        out[n] = reward_after(w, copy_of(s, n), g, n)

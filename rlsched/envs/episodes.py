"""``Episodes``: ``N`` copies of a placement problem, one decision of each at a time.

The engine behind the single and the vector environment. An episode ends when its window ends:
**truncated** where the window is cut out of a longer trace (``stop_s`` is finite: the cluster
would have gone on, and value estimates must not stop there), **terminated** where nothing is
left (a window without end, such as filling a cluster).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.core.placement_step import ENDED, MASKED, check_actions, step_copies
from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.errors import PolicyError, SpecError
from rlsched.observe.placement import ObservationArrays, Observer, ObserverArrays, device_choice
from rlsched.reward.compose import Rewarder
from rlsched.rng import stream_seed
from rlsched.sim import state as st
from rlsched.sim.compile import bound
from rlsched.sim.simulate import advance_all
from rlsched.sim.state import State
from rlsched.sim.world import Window, World

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


class Episodes:
    """Run episodes of a problem; see the module docstring.

    Parameters
    ----------
    problem : PlacementProblem
    settings : PlacementSettings
    n_copies : int
    threads : int
        Threads that share the copies; the result is the same.

    Notes
    -----
    Which windows copy ``n`` replays depends on its seed and on how many episodes it has begun,
    never on the other copies: the same seed gives the same bytes whatever ``n_copies`` is.
    """

    def __init__(self, problem: PlacementProblem, settings: PlacementSettings, n_copies: int, threads: int = 1) -> None:
        self.problem, self.settings, self.n_copies = problem, settings, n_copies
        world = problem.world
        longest = max(problem.windows, key=lambda window: window.hi - window.lo)
        self.state: State = world.start([longest] * n_copies)
        self.observer = Observer(world, n_copies, settings)
        self.rewarder = Rewarder(world, n_copies, settings.reward)
        self._devices = device_choice(settings, world)
        #: Seed of each copy, and episodes it has begun.
        self.seeds = np.zeros(n_copies, np.int64)
        self.begun = np.zeros(n_copies, np.int64)
        self.window = np.full(n_copies, -1, np.int64)
        self.steps = np.zeros(n_copies, np.int64)
        self.returns = np.zeros(n_copies)
        self.reward = np.zeros(n_copies)
        #: True where the window is cut out of a longer trace.
        self.cut = np.zeros(n_copies, np.bool_)
        self._task = np.full(n_copies, -1, np.int64)
        self._where = np.zeros(2, np.int64)
        # Two sets of buffers: what a step returned stays as it was until the step after the next.
        self._buffers = (self.observer.out, self.observer.buffers())
        self._turn = 0
        # Neighbouring copies go to one thread; each thread works on a desk of its own.
        self._compiled: Callable[..., Any] | None = None
        edges = np.linspace(0, n_copies, min(threads, n_copies) + 1).astype(np.int64)
        scratch = [self.observer.scratch, *(self.observer.another_desk() for _ in edges[2:])]
        self._parts = [(one, edges[i : i + 2]) for i, one in enumerate(scratch)]
        self._pool = ThreadPoolExecutor(len(self._parts)) if len(self._parts) > 1 else None

    @property
    def out(self) -> ObservationArrays:
        """The latest observation."""
        return self._buffers[self._turn]

    def seed(self, seeds: I64) -> None:
        """Give every copy its seed; its next episode is its first."""
        self.seeds[:] = seeds
        self.begun[:] = 0

    def begin(self, copies: I64) -> None:
        """Begin the next episode of some copies and observe them (in the present buffers).

        Raises
        ------
        SpecError
            When no window ever asks for a decision.
        """
        waiting = copies
        for _ in range(8 * len(self.problem.windows)):
            for n in waiting:
                self._open(int(n))
            advance_all(self.problem.world, self.state, self._task, self.observer.logs)
            waiting = waiting[self._task[waiting] < 0]
            if waiting.size == 0:
                self.steps[copies] = 0
                self.returns[copies] = 0.0
                self.observer.observe(self.state, copies, self.out, followed=True)
                return
        raise SpecError(
            "no window of the problem ever asks for a decision: no machine can hold any of its tasks. "
            "Check the units of trace and machines."
        )

    def step(self, actions: npt.NDArray[Any]) -> tuple[F64, Bool, Bool]:
        """Place the waiting task of every copy and run to the next decision.

        Parameters
        ----------
        actions : (N,) integers
            Candidate of each copy.

        Returns
        -------
        reward (N,) float64, terminated (N,) bool, truncated (N,) bool
            Buffers of this object, valid until the next step.

        Raises
        ------
        PolicyError
            When an action is masked or out of range, or an episode has ended and was not begun
            again; no copy has changed then.
        """
        chosen = self._checked(np.asarray(actions))
        seen, self._turn = self.out, 1 - self._turn
        if self._pool is None:
            self._step(self._parts[0], chosen, seen)
        else:
            for done in [self._pool.submit(self._step, part, chosen, seen) for part in self._parts]:
                done.result()
        self.steps += 1
        self.returns += self.reward
        over = self._task < 0
        return self.reward, over & ~self.cut, over & self.cut

    def _step(self, part: tuple[ObserverArrays, I64], chosen: I64, seen: ObservationArrays) -> None:
        args = (
            self.problem.world.arrays,
            self.state.arrays,
            self._devices,
            part[0],
            self.rewarder.arrays,
            self.observer.logs,
            chosen,
            seen,
            self.out,
            self._task,
            self.reward,
            part[1],
        )
        if self._compiled is None:  # every array that is ever passed is of the types of the first
            self._compiled = bound(step_copies, *args)
        self._compiled(*args)

    def terms(self, n: int) -> dict[str, float]:
        """The unweighted terms of copy ``n``'s last reward."""
        return dict(zip(self.rewarder.weights, map(float, self.rewarder.terms[n]), strict=True))

    def episode(self, n: int) -> dict[str, Any]:
        """What copy ``n`` has done since its episode began."""
        window = self.problem.windows[int(self.window[n])]
        return {
            "window": window.name,
            "episode_return": float(self.returns[n]),
            "episode_steps": int(self.steps[n]),
            "sim_time_s": float(self.state.clock_s[n]),
        }

    def save(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to continue, as named arrays (for ``numpy.savez``)."""
        own = {name: getattr(self, name) for name in ("seeds", "begun", "window", "steps", "returns")}
        return {**{f"state.{k}": v for k, v in self.state.to_dict().items()}, **{f"own.{k}": v for k, v in own.items()}}

    def load(self, saved: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from what :meth:`save` gave; renews the observation."""
        self.state.write(State.from_dict({k[6:]: v for k, v in saved.items() if k.startswith("state.")}))
        for name in ("seeds", "begun", "window", "steps", "returns"):
            getattr(self, name)[:] = saved[f"own.{name}"]
        self._task[:] = self.state.task
        self.cut[:] = np.isfinite(self.state.arrays.clock[:, st.F_STOP])
        self.observer.observe(self.state, None, self.out)

    def _checked(self, actions: npt.NDArray[Any]) -> I64:
        if actions.shape != (self.n_copies,) or actions.dtype.kind not in "iu":
            raise PolicyError(
                f"need one whole number a copy, shape ({self.n_copies},): got {actions.dtype} of shape {actions.shape}."
            )
        chosen = np.ascontiguousarray(actions, np.int64)
        mask = self.out.action_mask
        check_actions(self._task, mask, chosen, self._where)
        n = int(self._where[1])
        if self._where[0] == ENDED:
            raise PolicyError(f"the episode of copy {n} has ended: reset it before the next step.")
        if self._where[0] == MASKED:
            if not 0 <= chosen[n] < mask.shape[1]:
                raise PolicyError(f"an action must lie in 0..{mask.shape[1] - 1}: got {int(actions[n])} in copy {n}.")
            raise PolicyError(
                f"action {int(actions[n])} is masked in copy {n}: choose where the action mask is 1 "
                f"({int(mask[n].sum())} of {mask.shape[1]} candidates, the first ones)."
            )
        return chosen

    def _open(self, n: int) -> None:
        windows = self.problem.windows
        pick = stream_seed(int(self.seeds[n]), "episode", int(self.begun[n]))
        self.begun[n] += 1
        self.window[n] = pick % len(windows)
        reopen(self.problem.world, self.state, n, windows[int(self.window[n])], pick)
        self.cut[n] = math.isfinite(windows[int(self.window[n])].stop_s)
        self.observer.forget(np.array([n]))


def reopen(world: World, state: State, n: int, window: Window, seed: int) -> None:
    """Put copy ``n`` at the beginning of a window, whatever it did before.

    Parameters
    ----------
    world, state : World, State
        The state must have room for the window's tasks.
    n : int
    window : Window
    seed : int
        Of the copy.
    """
    arrays = state.arrays
    for name, array in state.to_dict().items():
        array[n] = -1 if name in ("gpu", "queue", "group_link", "group_head") else 0
    world.open(arrays.copy_view(n), window, int(seed))

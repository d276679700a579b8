"""``ScalingEpisodes``: ``N`` copies of a scaling problem, one interval of each at a time.

The engine behind the single and the vector environment. An episode ends with its window, and is
**truncated**: the service would have gone on, and value estimates must not stop there.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from rlsched.envs.scaling_problem import ScalingProblem, ScalingSettings
from rlsched.errors import PolicyError
from rlsched.observe import scaling_step
from rlsched.observe.scaling import fields_of, observer_code
from rlsched.observe.scaling_fields import ScalingField
from rlsched.reward.scaling import SCALING_REWARDS, reward_weights
from rlsched.rng import stream_seed
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.state import State

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]


class ScalingEpisodes:
    """Run episodes of a problem; see the module docstring.

    Parameters
    ----------
    problem : ScalingProblem
    settings : ScalingSettings
    n_copies : int

    Notes
    -----
    Which windows copy ``n`` replays, and which spot instances it loses, depends on its seed and on
    how many episodes it has begun, never on the other copies.
    """

    def __init__(self, problem: ScalingProblem, settings: ScalingSettings, n_copies: int) -> None:
        problem.check_history(settings.reach)
        self.problem, self.settings, self.n_copies = problem, settings, n_copies
        world = problem.world
        self.fields: tuple[ScalingField, ...] = fields_of(world, settings)
        self._world = world.code
        self._observer = observer_code(world, settings)
        self._weights = reward_weights(settings.reward)
        # Every window as it begins, copied from when an episode does.
        self._begins = State.new(world, problem.windows, [0] * len(problem.windows))
        first = self._begins.code
        self.state = State(st.StateCode(**{k: np.repeat(v[:1], n_copies, axis=0) for k, v in first._asdict().items()}))
        self.state.code.clock[:, st.C_T] = self.state.code.clock[:, st.C_HI]  # nothing runs before `begin`
        #: Numbers of an action: instances, the type where there are several, the share on the spot market.
        self.action_names: tuple[str, ...] = ("instances",)
        if len(world.types) > 1:
            self.action_names += ("type",)
        if len(world.pools) > len(world.types):
            self.action_names += ("spot_share",)
        s = problem.n_services
        self._actions = np.zeros((n_copies, s, len(self.action_names)))
        flat = self._actions.reshape(n_copies, -1)
        # Shapes that actions may have → where they go; one number a copy may come without an axis of its own.
        self._places: dict[tuple[int, ...], F64] = {flat.shape: flat}
        if flat.shape[1] == 1:
            self._places[(n_copies,)] = flat[:, 0]
        self._decisions = np.zeros((n_copies, s, 3), np.int64)
        self._spot_steps = settings.spot_steps if settings.actions == "discrete" else 0
        self._kinds = "iu" if self._spot_steps else "f"
        self._arrays = (*self._world, *self.state.code, *self._observer)
        self.reward = np.zeros(n_copies)
        #: Seed of each copy, episodes it has begun, and the window it replays.
        self.seeds = np.zeros(n_copies, np.int64)
        self.begun = np.zeros(n_copies, np.int64)
        self.window = np.full(n_copies, -1, np.int64)
        # Two buffers: what a step returned stays as it was until the step after the next.
        shape = (n_copies, s * len(self.fields))
        self._buffers = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        self._turn = 0

    @property
    def out(self) -> F32:
        """The latest observation, (N, S * F)."""
        return self._buffers[self._turn]

    def observation_space(self) -> gymnasium.spaces.Box:
        """Of one copy: the fields of the first service, then of the second, ..."""
        s = self.problem.n_services
        low = np.tile(np.array([field.low for field in self.fields], np.float32), s)
        high = np.tile(np.array([field.high for field in self.fields], np.float32), s)
        return gymnasium.spaces.Box(low, high, dtype=np.float32)

    def action_space(self) -> gymnasium.Space[Any]:
        """Of one copy: the action of the first service, then of the second, ..."""
        low, high = self.problem.limits
        many, s = len(self.problem.world.types), self.problem.n_services
        if self.settings.actions == "discrete":
            choices = {"instances": high - low + 1, "type": many, "spot_share": self.settings.spot_steps + 1}
            sizes = [choices[name] for name in self.action_names] * s
            return gymnasium.spaces.Discrete(sizes[0]) if len(sizes) == 1 else gymnasium.spaces.MultiDiscrete(sizes)
        ends = {"instances": (low, high), "type": (0, many - 1), "spot_share": (0, 1)}
        box = np.array([ends[name] for name in self.action_names] * s, np.float32)
        return gymnasium.spaces.Box(box[:, 0], box[:, 1], dtype=np.float32)

    def seed(self, seeds: I64) -> None:
        """Give every copy its seed; its next episode is its first."""
        self.seeds[:] = seeds
        self.begun[:] = 0

    def begin(self, copies: I64) -> None:
        """Begin the next episode of some copies and observe them (in the present buffer)."""
        picks = [stream_seed(int(self.seeds[n]), "episode", int(self.begun[n])) for n in copies]
        windows = np.array([pick % len(self.problem.windows) for pick in picks], np.int64)
        for mine, theirs in zip(self.state.code, self._begins.code, strict=True):
            mine[copies] = theirs[windows]
        self.state.code.clock[copies, st.C_SEED] = picks
        self.window[copies] = windows
        self.begun[copies] += 1
        scaling_step.look(self._world, self.state.code, self._observer, copies, self.out)

    def step(self, actions: npt.NDArray[Any]) -> tuple[F64, int]:
        """Run one interval of every copy.

        Parameters
        ----------
        actions : (N, S * A) numbers
            Floats for a box, whole numbers for choices; (N,) where that is one number.

        Returns
        -------
        reward : (N,) float64
            A buffer of this object, valid until the next step.
        ended : int
            How many copies' windows are over; :attr:`over` says which.

        Raises
        ------
        PolicyError
            When an action is not allowed, or an episode has ended and was not begun again; no copy
            has changed then.
        """
        place = self._places.get(actions.shape)
        if place is None or actions.dtype.kind not in self._kinds:
            raise self._misfit(actions)
        place[...] = actions
        out = self._buffers[1 - self._turn]
        ended = scaling_step.step(
            *self._arrays, self._actions, self._spot_steps, self._decisions, self._weights, self.reward, out
        )
        if ended < 0:
            raise self._refusal()
        self._turn = 1 - self._turn
        return self.reward, ended

    @property
    def over(self) -> npt.NDArray[np.bool_]:
        """(N,) has the window of each copy ended."""
        return self.state.done

    def terms(self, n: int) -> dict[str, float]:
        """The unweighted terms of copy ``n``'s last reward, all services, USD."""
        parts = -self.state.code.last[n, :, : len(st.COST)].sum(axis=0)
        return dict(zip(SCALING_REWARDS, map(float, parts), strict=True))

    def episode(self, copies: I64) -> dict[str, npt.NDArray[Any]]:
        """What copies have done since their episodes began, one value each."""
        code = self.state.code
        sums = code.sums[copies].sum(axis=1)
        names = [self.problem.windows[int(w)].name for w in self.window[copies]]
        demand = np.maximum(sums[:, st.L_DEMAND], np.finfo(np.float64).tiny)
        return {
            "window": np.array(names, dtype=object),
            "episode_return": -(sums[:, : len(st.COST)] * self._weights).sum(axis=1),
            "episode_steps": code.clock[copies, st.C_T] - code.clock[copies, st.C_LO],
            "cost_usd": sums[:, : len(st.COST)].sum(axis=1),
            "lost_share": sums[:, st.L_LOST] / demand,
        }

    def save(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to continue, as named arrays (for ``numpy.savez``)."""
        own = {name: getattr(self, name) for name in ("seeds", "begun", "window")}
        return {**{f"state.{k}": v for k, v in self.state.to_dict().items()}, **{f"own.{k}": v for k, v in own.items()}}

    def load(self, saved: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from what :meth:`save` gave; renews the observation."""
        for name, array in self.state.code._asdict().items():
            array[...] = saved[f"state.{name}"]
        for name in ("seeds", "begun", "window"):
            getattr(self, name)[:] = saved[f"own.{name}"]
        everyone = np.arange(self.n_copies)
        scaling_step.look(self._world, self.state.code, self._observer, everyone, self.out)

    def _misfit(self, actions: npt.NDArray[Any]) -> PolicyError:
        shape = next(iter(self._places))
        if actions.shape not in self._places:
            return PolicyError(f"need actions of shape {shape}, one row a copy: got {actions.shape}.")
        wanted = "whole numbers" if self._spot_steps else "floats"
        return PolicyError(f"actions must be {wanted}: got dtype {actions.dtype}.")

    def _refusal(self) -> PolicyError:
        over = np.flatnonzero(self.over)
        if over.size:
            return PolicyError(f"the episode of copy {over[0]} has ended: reset it before the next step.")
        low, high = self.problem.limits
        ends = {"instances": (low, high), "type": (0, len(self.problem.world.types) - 1), "spot_share": (0, 1)}
        if self._spot_steps:
            ends = {"instances": (0, high - low), "type": ends["type"], "spot_share": (0, self._spot_steps)}
        least = np.array([ends[name][0] for name in self.action_names])
        most = np.array([ends[name][1] for name in self.action_names])
        bad = np.argwhere(~((self._actions >= least) & (self._actions <= most)))
        n, service, i = (int(at) for at in bad[0])
        name = self.action_names[i]
        return PolicyError(
            f"action {name!r} must be a number in [{ends[name][0]}, {ends[name][1]}]: got "
            f"{self._actions[n, service, i]:g} for service {service} of copy {n}."
        )

"""``ConsolidationEpisodes``: ``N`` copies of a consolidation problem, one decision of each at a time.

The engine behind the single and the vector environment. An episode is one world from its first
tick to the end of its load; it is **truncated** there, as the VMs would have gone on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.errors import PolicyError
from rlsched.observe.consolidation import ConsolidationObserver
from rlsched.reward.consolidation import REWARDS, ConsolidationRewarder
from rlsched.rng import stream_seed
from rlsched.sim.consolidation.policy import DETECTIONS, MIGRATING, SELECTIONS, PolicyCode
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.state import State, StateCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

_OWN = ("seeds", "begun", "ended", "steps", "returns")


class ConsolidationEpisodes:
    """Run episodes of a problem under knobs; see the module docstring.

    Parameters
    ----------
    problem : ConsolidationProblem
    settings : ConsolidationSettings
    n_copies : int

    Notes
    -----
    Which worlds copy ``n`` replays depends on its seed and on how many episodes it has begun,
    never on the other copies: the same seed gives the same bytes whatever ``n_copies`` is.
    """

    def __init__(self, problem: ConsolidationProblem, settings: ConsolidationSettings, n_copies: int) -> None:
        self.problem, self.settings, self.n_copies = problem, settings, n_copies
        self.simulator = Simulator(problem.worlds, problem.semantics)
        self.state = State.new(problem.worlds, [0] * n_copies)
        assert problem.forecasts is not None  # the problem has put them there
        self.observer = ConsolidationObserver(
            problem.worlds,
            self.simulator.stacked,
            n_copies,
            problem.forecasts,
            problem.semantics.sla_tolerance_mips,
        )
        self.rewarder = ConsolidationRewarder(n_copies, settings.reward, settings.pue)
        self.code = PolicyCode(
            np.full(n_copies, MIGRATING, np.int64),
            np.full(n_copies, DETECTIONS[settings.detection], np.int64),
            np.full(n_copies, SELECTIONS[settings.selection], np.int64),
            *(np.full(n_copies, high) for _, high in settings.ranges.values()),
        )
        self._low = np.array([low for low, _ in settings.ranges.values()])
        self._high = np.array([high for _, high in settings.ranges.values()])
        self._names = tuple(settings.ranges)
        self._vms = np.array([one.n_vms for one in problem.worlds], np.float64)
        self._hosts = np.array([one.n_hosts for one in problem.worlds], np.float64)
        self._all = np.ones(n_copies, np.bool_)
        #: Seed of each copy, and episodes it has begun.
        self.seeds = np.zeros(n_copies, np.int64)
        self.begun = np.zeros(n_copies, np.int64)
        self.ended = np.ones(n_copies, np.bool_)
        self.steps = np.zeros(n_copies, np.int64)
        self.returns = np.zeros(n_copies)
        self.reward = np.zeros(n_copies)
        self._make_buffers()

    def _make_buffers(self) -> None:
        # Two buffers: what a step returned stays as it was until the step after the next.
        self._buffers = tuple(np.zeros((self.n_copies, self.observer.n_features), np.float32) for _ in range(2))
        self._turn = 0

    @property
    def out(self) -> F32:
        """The latest observation, (N, G)."""
        return self._buffers[self._turn]

    def seed(self, seeds: I64) -> None:
        """Give every copy its seed; its next episode is its first."""
        self.seeds[:] = seeds
        self.begun[:] = 0

    def begin(self, copies: I64) -> None:
        """Begin the next episode of some copies and observe them (in the present buffer)."""
        code = self.state.code
        which = np.zeros(self.n_copies, np.bool_)
        which[copies] = True
        for n in copies:
            pick = stream_seed(int(self.seeds[n]), "episode", int(self.begun[n]))
            code.world[n] = pick % len(self.problem.worlds)
            code.random[n] = stream_seed(pick, "vm_selection")
        self.begun[copies] += 1
        self.simulator.begin(self.state, self.code, which)
        self.observer.note(code, which, fresh=True)
        self._observe(which)
        self.ended[copies] = False
        self.steps[copies] = 0
        self.returns[copies] = 0.0

    def step(self, actions: npt.NDArray[Any]) -> tuple[F64, Bool, Bool]:
        """Set the knobs of every copy and run to the next tick.

        Parameters
        ----------
        actions : (N, 3) float32 or float64
            Columns as ``settings.ranges``.

        Returns
        -------
        reward (N,) float64, terminated (N,) bool, truncated (N,) bool
            Overwritten by the next step.

        Raises
        ------
        PolicyError
            An action that is no such array, is NaN or out of range; a copy whose episode is over.
            Nothing has changed then.
        """
        self._check(actions)
        self.code.parameter[:], self.code.placement_cap[:], self.code.evacuate_below[:] = actions.T
        return self._advance(self._all)

    def _advance(self, ending: Bool) -> tuple[F64, Bool, Bool]:
        """Let copies take their tick; the others stay where they are, and their reward is 0."""
        code = self.state.code
        self.rewarder.before(code)
        self._run()
        self._turn = 1 - self._turn
        self.observer.note(code, ending, fresh=False)
        self._observe(self._all)
        world = code.world
        self.rewarder.after(code, self.observer.full_ws[world], self._vms[world], self._hosts[world], self.reward)
        self.ended[:] = code.done
        self.steps += 1
        self.returns += self.reward
        return self.reward, np.zeros(self.n_copies, np.bool_), code.done.copy()

    def _run(self) -> None:
        self.simulator.tick(self.state, self.code)

    def _observe(self, which: Bool) -> None:
        self.observer.observe(self.state.code, which, self.out)

    def terms(self, n: int) -> dict[str, float]:
        """The unweighted terms of copy ``n``'s last reward."""
        values = dict(zip(REWARDS, map(float, self.rewarder.terms[n]), strict=True))
        return {name: values[name] for name in self.rewarder.weights}

    def episode(self, n: int) -> dict[str, Any]:
        """What copy ``n`` has done since its episode began."""
        return {
            "window": self.problem.names[int(self.state.code.world[n])],
            "episode_return": float(self.returns[n]),
            "episode_steps": int(self.steps[n]),
            "sim_time_s": float(self.state.code.now_s[n]),
        }

    def save(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to continue, as named arrays (for ``numpy.savez``)."""
        own = {f"own.{name}": getattr(self, name).copy() for name in _OWN}
        seen = {"own.past": self.observer.past.copy(), "own.noted": self.observer.noted.copy()}
        return {**{f"state.{k}": v.copy() for k, v in self.state.code._asdict().items()}, **own, **seen}

    def load(self, saved: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from what :meth:`save` gave; renews the observation."""
        for name in StateCode._fields:
            getattr(self.state.code, name)[:] = saved[f"state.{name}"]
        for name in _OWN:
            getattr(self, name)[:] = saved[f"own.{name}"]
        self.observer.past[:] = saved["own.past"]
        self.observer.noted[:] = saved["own.noted"]
        self._observe(self._all)

    def _check(self, actions: npt.NDArray[Any]) -> None:
        if actions.shape != (self.n_copies, 3) or actions.dtype.kind != "f":
            raise PolicyError(
                f"need three numbers a copy ({', '.join(self._names)}), shape ({self.n_copies}, 3), float32 or "
                f"float64: got {actions.dtype} of shape {actions.shape}."
            )
        self._check_open()
        # The ends as float32 are allowed: that is what the action space holds.
        good = (actions >= self._low.astype(actions.dtype)) & (actions <= self._high.astype(actions.dtype))
        if not good.all():
            n, k = (int(one) for one in np.argwhere(~good)[0])
            raise PolicyError(
                f"{self._names[k]} of copy {n} must be in {self._low[k]:g}..{self._high[k]:g}: got {actions[n, k]}. "
                "Rescale the action; nothing is clipped here."
            )

    def _check_open(self) -> None:
        over = np.flatnonzero(self.ended)
        if over.size:
            raise PolicyError(f"the episode of copy {over[0]} has ended: reset it before the next step.")

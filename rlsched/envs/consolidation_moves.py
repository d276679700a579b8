"""``MoveEpisodes``: consolidation where the moves of a tick are chosen one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.envs.consolidation_episodes import F64, I64, Bool, ConsolidationEpisodes
from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.envs.consolidation_spaces import n_candidates
from rlsched.errors import PolicyError
from rlsched.sim.consolidation import moves as kernel
from rlsched.sim.consolidation.policy import THR

Buffers = dict[str, npt.NDArray[Any]]


class MoveEpisodes(ConsolidationEpisodes):
    """As :class:`ConsolidationEpisodes`, one move a step.

    Action 0 ends the tick; action ``k`` chooses candidate ``k - 1``. When the budget is spent the
    tick ends by itself. Until then no time passes and the reward is 0.

    Attributes
    ----------
    plan : (N, budget, 2) int64
        VM and machine of the moves chosen at this tick.
    planned : (N,) int64
    moves : (N, K, 2) int64
        VM and machine of each candidate whose mask is 1.
    """

    def __init__(self, problem: ConsolidationProblem, settings: ConsolidationSettings, n_copies: int) -> None:
        self.n_candidates = n_candidates(settings)
        self.plan = np.zeros((n_copies, settings.budget, 2), np.int64)
        self.planned = np.zeros(n_copies, np.int64)
        self.moves = np.zeros((n_copies, self.n_candidates, 2), np.int64)
        super().__init__(problem, settings, n_copies)
        self.code.detection[:] = THR  # no rule looks for overload here, and this one needs no history

    def _make_buffers(self) -> None:
        n, k = self.n_copies, self.n_candidates
        self._sets: tuple[Buffers, ...] = tuple(
            {
                "globals": np.zeros((n, self.observer.n_features + 1), np.float32),
                "candidates": np.zeros((n, k, kernel.N_FEATURES), np.float32),
                "action_mask": np.zeros((n, k + 1), np.int8),
            }
            for _ in range(2)
        )
        self._turn = 0

    @property
    def out(self) -> Buffers:  # type: ignore[override]
        """The latest observation, by name."""
        return self._sets[self._turn]

    def begin(self, copies: I64) -> None:
        """Begin the next episode of some copies and observe them."""
        self.planned[copies] = 0
        super().begin(copies)

    def step(self, actions: npt.NDArray[Any]) -> tuple[F64, Bool, Bool]:
        """Choose a move in every copy, or end its tick.

        Parameters
        ----------
        actions : (N,) whole numbers

        Raises
        ------
        PolicyError
            A masked action, or one that is no whole number; nothing has changed then.
        """
        self._check_moves(actions)
        copies = np.flatnonzero(actions > 0)
        self.plan[copies, self.planned[copies]] = self.moves[copies, actions[copies] - 1]
        self.planned[copies] += 1
        self._ending = (actions == 0) | (self.planned == self.settings.budget)
        return self._advance(self._ending)

    def _run(self) -> None:
        s = self.simulator
        kernel.carry(s.stacked, s.semantics_code, self.state.code, self.code, s.scratch, self._ending, self.plan,
                     self.planned)  # fmt: skip

    def _observe(self, which: Bool) -> None:
        s, out, settings = self.simulator, self.out, self.settings
        self.observer.observe(self.state.code, which, out["globals"])
        out["globals"][which, -1] = self.planned[which] / settings.budget
        kernel.offer(
            s.stacked, s.semantics_code, self.state.code, self.code, s.scratch, which, self.plan, self.planned,
            settings.candidate_vms, settings.candidate_machines, self.moves, out["candidates"], out["action_mask"],
        )  # fmt: skip

    def save(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to continue, as named arrays (for ``numpy.savez``)."""
        return {**super().save(), "own.plan": self.plan.copy(), "own.planned": self.planned.copy()}

    def load(self, saved: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from what :meth:`save` gave; renews the observation."""
        self.plan[:], self.planned[:] = saved["own.plan"], saved["own.planned"]
        super().load(saved)

    def _check_moves(self, actions: npt.NDArray[Any]) -> None:
        if actions.shape != (self.n_copies,) or actions.dtype.kind not in "iu":
            raise PolicyError(
                f"need one whole number a copy, shape ({self.n_copies},): got {actions.dtype} of shape {actions.shape}."
            )
        self._check_open()
        mask = self.out["action_mask"]
        known = (actions >= 0) & (actions < mask.shape[1])
        bad = np.flatnonzero(~known | (mask[np.arange(self.n_copies), np.where(known, actions, 0)] == 0))
        if bad.size:
            n = int(bad[0])
            if not known[n]:
                raise PolicyError(f"an action must lie in 0..{mask.shape[1] - 1}: got {int(actions[n])} in copy {n}.")
            raise PolicyError(
                f"action {int(actions[n])} is masked in copy {n}: choose where the action mask is 1 "
                f"({int(mask[n].sum())} of {mask.shape[1]}; 0 ends the tick)."
            )

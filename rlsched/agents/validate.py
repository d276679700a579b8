"""Validation: how good a network is on fixed windows it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents.network import CandidateScorer
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.learned import run_greedy
from rlsched.rng import stream_seed
from rlsched.sim.state import State
from rlsched.sim.world import Window, World

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Windows of the validation split, and what counts there.

    Parameters
    ----------
    world : World
    windows : sequence of Window
    metric : str
    score : callable
        ``(world, state)`` of windows that have ended → (N,) float64.
    better : {"up", "down"}
    """

    world: World
    windows: Sequence[Window]
    metric: str
    score: Callable[[World, State], F64]
    better: Literal["up", "down"]

    def play(self, settings: ObservationSettings, choose: Callable[[dict[str, npt.NDArray[Any]]], Any]) -> F64:
        """Score of a chooser on each window, (N,)."""
        state = self.world.start(list(self.windows))
        run_greedy(self.world, state, settings, choose)
        return np.asarray(self.score(self.world, state), dtype=np.float64)

    def is_better(self, a: float, b: float) -> bool:
        """True when mean score ``a`` beats ``b``; equal does not."""
        return a > b if self.better == "up" else a < b


def greedy(network: CandidateScorer) -> Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[np.int64]]:
    """Choose the largest logit, lowest candidate on ties."""

    def choose(observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        best: npt.NDArray[np.int64] = np.argmax(logits_of(network, observation), axis=1)
        return best

    return choose


def sampled(network: CandidateScorer, seed: int) -> Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[np.int64]]:
    """Draw candidates as training does, from a generator of its own."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "sampled validation") % 2**31)

    def choose(observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        chances = torch.softmax(torch.from_numpy(logits_of(network, observation)), dim=1)
        drawn: npt.NDArray[np.int64] = torch.multinomial(chances, 1, generator=generator).squeeze(1).numpy()
        return drawn

    return choose


def logits_of(network: CandidateScorer, observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Logits of a batch of observations, (N, K)."""
    with torch.no_grad():
        out: npt.NDArray[np.float32] = network.logits(
            *(
                torch.from_numpy(np.ascontiguousarray(observation[name]))
                for name in ("candidates", "globals", "action_mask")
            )
        ).numpy()
    return out

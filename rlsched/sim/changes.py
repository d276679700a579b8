"""Which machines changed lately: a ring the score cache reads, so that only those are rescored."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim.compile import bare_njit


class Changes(NamedTuple):
    """A ring of machine rows. Scratch: nothing in the simulation depends on it."""

    ring: npt.NDArray[np.int32]  # length a power of two
    head: npt.NDArray[np.int64]  # (1,) changes noted so far


def no_changes() -> Changes:
    """A ring that forgets everything, for callers without a cache."""
    return Changes(np.zeros(1, np.int32), np.zeros(1, np.int64))


class Logs(NamedTuple):
    """A ring a copy, for those who follow several copies."""

    ring: npt.NDArray[np.int32]  # (N, length a power of two)
    head: npt.NDArray[np.int64]  # (N, 1)


def make_logs(n_copies: int, length: int = 256) -> Logs:
    """Empty rings; one that runs over tells its reader to look at every machine."""
    return Logs(np.zeros((n_copies, length), np.int32), np.zeros((n_copies, 1), np.int64))


@bare_njit(inline="always")
def log_of(logs: Any, n: Any) -> Any:
    """Ring of copy ``n``; where there is one ring only, all share it (and nobody reads it)."""
    at = n % logs.ring.shape[0]
    return Changes(logs.ring[at], logs.head[at])


@bare_njit(inline="always")
def note_change(log: Any, machine: Any) -> None:
    """Remember that a machine's state changed."""
    log.ring[log.head[0] & (log.ring.shape[0] - 1)] = machine
    log.head[0] += 1

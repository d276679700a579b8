"""Several heuristics as arrays: the prior, which orders the candidates, and those that only name some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim.rules import R_GPU_CLUSTERING, RULES, TIMED

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

#: How the best of a heuristic is found: from a kept list, from the machines' expected ends
#: (``lifetime`` alone), by scoring every machine at every decision, or by row (``first_fit`` alone).
LISTED, BY_END, SCANNED, BY_ROW = range(4)


class BlendArrays(NamedTuple):
    """Heuristics; the first is the prior."""

    rules: I64  # (B, P) rows of RULES, in the order they are added
    weights: F64  # (B, P)
    length: I64  # (B,) terms of each
    kind: I64  # (B,) LISTED, BY_END, SCANNED or BY_ROW
    listed: I64  # (B,) terms of those of a kept list, 0 for the others
    room: I64  # (B,) length of each list, where lists are kept
    best: int  # candidates each heuristic names before the prior fills up
    kinds_count: int  # 1: a rule looks at the kinds of tasks on a machine


def make_blends(blends: Sequence[Mapping[str, float]], best: int, candidates: int) -> BlendArrays:
    """Number the rules of the heuristics.

    Parameters
    ----------
    blends : sequence of mapping of str to float
        Rule → weight, known rules only; the prior first. The order of the rules is kept, as it
        decides the last bit of a sum.
    best : int
        Candidates each heuristic names.
    candidates : int
        Of a decision.
    """
    terms = [dict(blend) or {"first_fit": 1.0} for blend in blends]
    width = max(len(blend) for blend in terms)
    rules, weights = np.zeros((len(terms), width), np.int64), np.zeros((len(terms), width))
    kind = np.zeros(len(terms), np.int64)
    for b, blend in enumerate(terms):
        rules[b, : len(blend)] = [RULES.index(name) for name in blend]
        weights[b, : len(blend)] = list(blend.values())
        if list(blend) == ["first_fit"]:  # it scores all machines alike, whatever its weight
            kind[b] = BY_ROW
        if any(RULES.index(name) in TIMED for name in blend):
            kind[b] = BY_END if list(blend) == ["lifetime"] and blend["lifetime"] > 0 else SCANNED
    length = np.array([len(blend) for blend in terms], np.int64)
    by_kind = any(RULES.index(name) == R_GPU_CLUSTERING for blend in terms for name in blend)
    # The prior may have to name every candidate; a heuristic skips at most those named before its last turn.
    # Some more, so that a list does not run out at once.
    need = np.full(len(terms), min(candidates, len(terms) * best), np.int64)
    need[0] = candidates
    room = need + np.maximum(8, need // 2)
    return BlendArrays(rules, weights, length, kind, np.where(kind == LISTED, length, 0), room, best, int(by_kind))

"""A tournament of machines, for all requests at once.

For rules whose score is a few operations, and traces with few different requests, every
machine keeps its score for every request in one row, and every eight rows their maxima, level
upon level. A changed machine redoes its row and one row a level, each for all requests with
the same vector instructions; a decision walks down from the top. So both cost
``O(log machines)``, and the trace of a big cluster replays about as fast as that of a small one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.rules import R_BEST_FIT, R_COSINE, R_DOT_PRODUCT, R_FIRST_FIT, R_NORM_L2
from rlsched.sim.scoring import NEG

#: Rules the index can score.
INDEXED = (R_FIRST_FIT, R_BEST_FIT, R_DOT_PRODUCT, R_NORM_L2, R_COSINE)
MAX_TYPES = 128
FAN = 8
NOTHING_FITS = 1e150  # a request for the padding; its square is still finite


class Index(NamedTuple):
    """Scratch: derived from the state, rebuilt from nothing."""

    tree: npt.NDArray[np.float64]  # (nodes * width,) one row of scores a node
    level: npt.NDArray[np.int64]  # (levels + 1,) first node of each level
    requests: npt.NDArray[np.float64]  # (4, T padded) cpu, mem; infinity where none is asked for
    cursor: npt.NDArray[np.int64]  # (1,) changes taken in; -1 before the first


def make_index(w: Any, rules: npt.NDArray[np.int64]) -> Index | None:
    """An empty index; None where this world or policy is not one it can serve.

    Parameters
    ----------
    w : WorldArrays
    rules : (A,) int64
        Rules of the policy.
    """
    n_types = w.type_i.shape[0]
    if n_types > MAX_TYPES or (w.type_i[:, wd.T_GPUS] > 0).any() or not set(rules.tolist()) <= set(INDEXED):
        return None
    width = FAN * math.ceil(n_types / FAN)
    sizes = [FAN * math.ceil(w.fleet_i.shape[2] / FAN)]
    while sizes[-1] > FAN:
        sizes.append(FAN * math.ceil(sizes[-1] / FAN / FAN))
    cpu, mem = np.full(width, NOTHING_FITS), np.full(width, NOTHING_FITS)
    cpu[:n_types], mem[:n_types] = w.type_i[:, wd.T_CPU], w.type_i[:, wd.T_MEM]
    return Index(
        np.full(sum(sizes) * width, NEG),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.stack([cpu, mem, np.where(cpu == 0, np.inf, 0.0), np.where(mem == 0, np.inf, 0.0)]),
        np.full(1, -1, np.int64),
    )


def no_index() -> Index:
    """A placeholder of the same type, for policies without an index."""
    return Index(np.zeros(1), np.zeros(1, np.int64), np.zeros((4, 1)), np.full(1, -1, np.int64))


# Flags: "no NaN" lets minima and maxima be taken eight at a time. It changes no value, and
# nothing is summed in another order.
@bare_njit(fastmath={"nnan", "nsz"})
def _score_row(
    out: Any,
    requests: Any,
    free_cpu: Any,
    free_mem: Any,
    inv_cpu: Any,
    inv_mem: Any,
    up: Any,
    rules: Any,
    weights: Any,
) -> None:
    """Scores of one machine for every request: the same numbers as the rules give."""
    cpu, mem, no_cpu, no_mem = requests[0], requests[1], requests[2], requests[3]
    if rules.shape[0] == 1 and rules[0] == R_BEST_FIT:
        # One loop, short of which the compiler makes two vector instructions a step.
        weight = weights[0]
        for t in range(out.shape[0]):
            left = (free_cpu - cpu[t]) * inv_cpu + no_cpu[t]
            other = (free_mem - mem[t]) * inv_mem + no_mem[t]
            left = other if other < left else left
            fits = (free_cpu >= cpu[t]) & (free_mem >= mem[t]) & up
            out[t] = 0.0 + weight * -left if fits else NEG
        return
    x, y = free_cpu * inv_cpu, free_mem * inv_mem
    for t in range(out.shape[0]):
        out[t] = 0.0
    for j in range(rules.shape[0]):
        rule, weight = rules[j], weights[j]
        if rule == R_BEST_FIT:
            for t in range(out.shape[0]):
                left = (free_cpu - cpu[t]) * inv_cpu + no_cpu[t]
                other = (free_mem - mem[t]) * inv_mem + no_mem[t]
                left = other if other < left else left
                out[t] += weight * -left
        elif rule == R_DOT_PRODUCT:
            for t in range(out.shape[0]):
                a, b = cpu[t] * inv_cpu, mem[t] * inv_mem
                out[t] += weight * (a * x + b * y)
        elif rule == R_NORM_L2:
            for t in range(out.shape[0]):
                a, b = cpu[t] * inv_cpu, mem[t] * inv_mem
                out[t] += weight * -((x - a) * (x - a) + (y - b) * (y - b))
        elif rule == R_COSINE:
            for t in range(out.shape[0]):
                a, b = cpu[t] * inv_cpu, mem[t] * inv_mem
                length = math.sqrt((a * a + b * b) * (x * x + y * y))
                out[t] += weight * ((a * x + b * y) / length if length > 0.0 else 0.0)
    for t in range(out.shape[0]):
        out[t] = out[t] if (free_cpu >= cpu[t]) & (free_mem >= mem[t]) & up else NEG


@bare_njit(fastmath={"nnan", "nsz"})
def _lift(flat: Any, width: Any, level: Any, i: Any) -> None:
    """Bring the maxima above machine ``i`` up to date."""
    width = np.uint64(width)
    node = i
    for depth in range(level.shape[0] - 2):
        group = node // FAN
        # Unsigned positions: no test for negative indices.
        first = np.uint64(level[depth] + group * FAN) * width
        up = np.uint64(level[depth + 1] + group) * width
        for t in range(width):
            top = flat[first + t]
            for child in range(1, FAN):
                value = flat[first + np.uint64(child) * width + t]
                top = value if value > top else top
            flat[up + t] = top
        node = group


@bare_njit(inline="always")
def _redo(index: Any, i: Any, rules: Any, weights: Any, m: Any) -> None:
    _score_row(
        index.tree[i * index.requests.shape[1] : (i + 1) * index.requests.shape[1]],
        index.requests,
        float(m.i[st.M_CPU, i]),
        float(m.i[st.M_MEM, i]),
        m.inv[wd.L_INV_CPU, i],
        m.inv[wd.L_INV_MEM, i],
        m.i[st.M_UP, i] == 1,
        rules,
        weights,
    )


@bare_njit(inline="always")
def refresh_index(index: Any, size: Any, rules: Any, weights: Any, m: Any, log: Any) -> None:
    """Take in the machines that changed since the last call."""
    head, cursor, ring = log.head[0], index.cursor[0], log.ring
    if cursor < 0 or head - cursor > ring.shape[0]:
        for i in range(size):
            _redo(index, i, rules, weights, m)
        for i in range(0, size, FAN):
            _lift(index.tree, index.requests.shape[1], index.level, i)
    else:
        for change in range(cursor, head):
            i = ring[change & (ring.shape[0] - 1)]
            _redo(index, i, rules, weights, m)
            _lift(index.tree, index.requests.shape[1], index.level, i)
    index.cursor[0] = head


@bare_njit
def first_best_indexed(flat: Any, width: Any, level: Any, t: Any) -> Any:
    """Row of the largest score for request ``t``, lowest row on ties; -1 when nothing fits."""
    width = np.uint64(width)
    depth = level.shape[0] - 2
    at = np.uint64(level[depth]) * width + np.uint64(t)
    node: Any = np.uint64(0)
    child: Any
    chosen: Any
    top = NEG
    for child in range(np.uint64(FAN)):
        value = flat[at + child * width]
        node = child if value > top else node
        top = value if value > top else top
    if top == NEG:
        return -1
    while depth > 0:
        depth -= 1
        node *= np.uint64(FAN)
        at = (np.uint64(level[depth]) + node) * width + np.uint64(t)
        chosen = np.uint64(0)
        for back in range(np.uint64(FAN)):  # no early end: it would be mispredicted
            child = np.uint64(FAN - 1) - back
            chosen = child if flat[at + child * width] == top else chosen
        node += chosen
    return np.int64(node)

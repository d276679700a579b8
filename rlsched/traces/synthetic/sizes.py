"""What tasks ask for: a list of request shapes (atoms) with their shares, repeated inside a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from rlsched.errors import TraceError
from rlsched.spec import Spec
from rlsched.traces.advice import option
from rlsched.traces.columns import F64, I64, Trace
from rlsched.traces.synthetic.mix import Drift
from rlsched.traces.synthetic.tables import Weights

GRID_PER_OCTAVE = 4  # rare requests are first moved to this grid, a step of 19 %


class Atom(Spec):
    """One request shape. Everything a task asks for is in it, so resources stay joint."""

    cpu_mcore: int = Field(ge=0)
    mem_mib: int = Field(ge=0)
    gpu_count: int = Field(default=0, ge=0)
    gpu_mgpu: int = Field(default=0, ge=0)
    gpu_model_mask: int = -1
    priority: int = 0


ATOM_COLUMNS = tuple(Atom.model_fields)


class Sizes(Spec):
    """Which atom the first task of a batch is, and whether the others follow it."""

    atom_share: Weights = Field(description="share of the batches that begin with each atom")
    repeat: float = Field(ge=0, le=1, description="probability that a later task asks for what the first asked")
    drift: tuple[Drift, ...] = Field(default=(), description="how the shares move, see mix.py")


class AtomFit(NamedTuple):
    """Atoms of a trace and how each row became one.

    Shares are of the tasks: ``exact`` kept their request, ``gridded`` were rounded to a quarter
    octave, ``merged`` went to the nearest kept atom.
    """

    atoms: tuple[Atom, ...]
    code: I64  # (K,)
    exact: float
    gridded: float
    merged: float


def fit_atoms(trace: Trace, min_count: int) -> AtomFit:
    """Find the request shapes that at least ``min_count`` tasks share.

    Requests seen less often are rounded to a grid of a quarter octave in CPU and memory; a grid
    cell with ``min_count`` tasks becomes an atom; what is left goes to the nearest atom
    (distance in log2 of CPU plus memory) of the same GPU count, share and models where there is
    one, otherwise of the same GPU count, otherwise to any.

    Raises
    ------
    TraceError
        When no shape reaches ``min_count``, even on the grid.
    """
    rows = np.stack([getattr(trace, name) for name in ATOM_COLUMNS], axis=1)  # (K, 6)
    code = np.full(len(trace), -1, np.int64)
    kept: list[I64] = []
    gridded = rows.copy()
    for column in (0, 1):
        gridded[:, column] = _to_grid(rows[:, column])
    shares = []
    for values in (rows, gridded):
        left = np.flatnonzero(code < 0)
        if left.size:
            shapes, inverse, counts = np.unique(values[left], axis=0, return_inverse=True, return_counts=True)
            for i in np.flatnonzero(counts >= min_count):
                same = [j for j, known in enumerate(kept) if np.array_equal(known, shapes[i])]
                if not same:
                    kept.append(shapes[i])
                code[left[inverse.ravel() == i]] = same[0] if same else len(kept) - 1
        shares.append(float((code >= 0).mean()))
    if not kept:
        raise TraceError(
            f"no request shape is shared by {min_count} of the {len(trace)} tasks of {trace.source or 'the trace'}. "
            f"Fit a longer trace, or lower {option('min_count')} (which discloses more)."
        )
    left = np.flatnonzero(code < 0)
    table = np.stack(kept)
    shapes, inverse = np.unique(rows[left], axis=0, return_inverse=True)
    nearest = np.asarray([_nearest(shape, table) for shape in shapes], dtype=np.int64)
    code[left] = nearest[inverse.ravel()] if left.size else code[left]
    order = np.lexsort(table.T[::-1])  # by CPU, then memory: readable, and no order of rows survives
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    atoms = tuple(Atom(**dict(zip(ATOM_COLUMNS, map(int, table[i]), strict=True))) for i in order)
    return AtomFit(atoms, rank[code], shares[0], shares[1] - shares[0], 1.0 - shares[1])


def _to_grid(value: I64) -> I64:
    positive = value > 0
    log = np.log2(np.where(positive, value, 1).astype(np.float64))
    return np.where(positive, np.rint(2.0 ** (np.rint(log * GRID_PER_OCTAVE) / GRID_PER_OCTAVE)), 0).astype(np.int64)


def _nearest(shape: I64, table: I64) -> int:
    distance = np.abs(np.log2(table[:, :2] + 1.0) - np.log2(shape[:2] + 1.0)).sum(axis=1)
    same_gpu = table[:, 2] == shape[2]
    same_kind = same_gpu & (table[:, 3:5] == shape[3:5]).all(axis=1)
    for allowed in (same_kind, same_gpu):
        if allowed.any():
            return int(np.where(allowed, distance, np.inf).argmin())
    return int(distance.argmin())


def fit_sizes(code: I64, batch: I64, n_atoms: int) -> Sizes:
    """Shares of the atoms among batch heads, and how often the rest of a batch repeats its head.

    Parameters
    ----------
    code : (K,) int64
        Atom of each task.
    batch : (K,) int64
        Batch of each task, ascending; the first row of a batch is its head.
    n_atoms : int

    Notes
    -----
    A later task equals its head by repeating it or by chance, ``e = r + (1 - r) p``, with ``p``
    the chance that a fresh draw hits the head's atom; ``r`` solves that.
    """
    head = np.r_[True, batch[1:] != batch[:-1]]
    share = np.bincount(code[head], minlength=n_atoms) / head.sum()
    follower = np.flatnonzero(~head)
    if follower.size == 0:
        return Sizes(atom_share=tuple(share.tolist()), repeat=1.0)
    head_code = code[np.flatnonzero(head)[np.cumsum(head) - 1]]
    equal = float((code[follower] == head_code[follower]).mean())
    chance = float(share[head_code[follower]].mean())
    repeat = (equal - chance) / (1 - chance) if chance < 1 else 1.0
    return Sizes(atom_share=tuple(share.tolist()), repeat=float(max(repeat, 0.0)))


def draw_codes(sizes: Sizes, heads: I64, batch_size: I64, rng: np.random.Generator) -> I64:
    """Atom of every task of batches with the given heads, ``(sum of batch_size,)`` int64."""
    share = np.asarray(sizes.atom_share, dtype=np.float64)
    cumulative: F64 = np.cumsum(share / share.sum())
    first = np.cumsum(batch_size) - batch_size
    code = np.repeat(heads, batch_size)
    fresh = rng.random(code.size) >= sizes.repeat
    fresh[first] = False
    code[fresh] = np.searchsorted(cumulative, rng.random(int(fresh.sum())), side="right")
    return np.minimum(code, share.size - 1).astype(np.int64)

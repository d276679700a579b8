"""How long tasks run: life-table survival curves by size, a Pareto tail, one factor a batch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from rlsched.spec import Spec
from rlsched.traces.columns import F64, I64, UNKNOWN, Trace
from rlsched.traces.synthetic.normal import normal_cdf, normal_quantile
from rlsched.traces.synthetic.tables import significant

MAX_BINS = 48
TAIL_EVENTS = 50  # ends that the Pareto exponent rests on, where there are as many
CURVE_TASKS = 1000  # an atom with fewer tasks shares a curve with the other rare atoms


class Curve(Spec):
    """A survival curve: straight lines between ``edge_s``, a truncated Pareto law beyond the last.

    ``survival[j]`` is the share still running at ``edge_s[j]``; the first edge is 0, where it is 1.
    """

    atoms: tuple[int, ...] = Field(description="atoms the curve is for")
    edge_s: tuple[float, ...] = Field(min_length=2)
    survival: tuple[float, ...] = Field(min_length=2)
    tail_alpha: float | None = Field(default=None, gt=0, description="None: nothing outlives the last edge")

    @model_validator(mode="after")
    def _falls(self) -> Curve:
        if len(self.edge_s) != len(self.survival):
            raise ValueError(f"edge_s and survival must be as long: got {len(self.edge_s)} and {len(self.survival)}")
        if self.edge_s[0] != 0 or any(not b > a for a, b in pairwise(self.edge_s)):
            raise ValueError("edge_s must ascend from 0")
        if self.survival[0] != 1 or self.survival[-1] < 0 or any(not b <= a for a, b in pairwise(self.survival)):
            raise ValueError("survival must fall from 1 and stay >= 0")
        return self


class Lifetimes(Spec):
    """Curves by atom, and how alike the lives of one batch are."""

    curves: tuple[Curve, ...]
    batch_correlation: float = Field(ge=0, le=1, description="of the normal scores of two lives of one batch")
    max_s: float = Field(gt=0, description="no life is drawn beyond this; the tail is truncated there")


def observed_lives(trace: Trace) -> tuple[F64, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Split a trace into lives.

    Returns
    -------
    life_s : (K,) float64, seconds
        Length, or the age at which the task was last seen; NaN where neither is known.
    ended : (K,) bool
        The end was seen; otherwise the life is right-censored.
    known : (K,) bool
    """
    ended = trace.depart_s != UNKNOWN
    seen = trace.last_seen_s != UNKNOWN
    end = np.where(ended, trace.depart_s, trace.last_seen_s).astype(np.float64)
    life = np.where(ended | seen, end - trace.arrive_s, np.nan)
    return life, ended, ended | seen


def fit_lifetimes(
    life_s: F64,
    ended: npt.NDArray[np.bool_],
    code: I64,
    batch: I64,
    n_atoms: int,
    max_s: float,
    min_count: int,
    digits: int,
) -> Lifetimes | None:
    """Fit curves to lives, some of them right-censored.

    Parameters
    ----------
    life_s, ended : (K,)
        Known lives only, see :func:`observed_lives`.
    code, batch : (K,) int64
        Atom and batch of each task.
    n_atoms : int
    max_s : float
        Longest life to draw, seconds.
    min_count : int
        Fewest ends behind a bin of a curve.
    digits : int
        Significant digits kept.

    Returns
    -------
    Lifetimes or None
        None when fewer than ``min_count`` ends were seen.
    """
    if int(ended.sum()) < min_count:
        return None
    tasks = np.bincount(code, minlength=n_atoms)
    ends = np.bincount(code[ended], minlength=n_atoms)
    own = (tasks >= CURVE_TASKS) & (ends >= 2 * min_count)
    groups = [[int(a)] for a in np.flatnonzero(own)]
    rest = [int(a) for a in np.flatnonzero(~own)]
    if rest:
        groups.append(rest)
    curves = []
    score = np.zeros(life_s.size)
    for group in groups:
        mine = np.isin(code, group)
        if int(ended[mine].sum()) < min_count:  # too few ends: the curve of all tasks serves these atoms
            mine = np.ones(life_s.size, np.bool_)
        curve = fit_curve(life_s[mine], ended[mine], group, max_s, min_count, digits)
        curves.append(curve)
        mine = np.isin(code, group)
        survival = survival_at(curve, life_s[mine])
        middle = np.where(ended[mine], 1 - survival, 1 - survival / 2)  # a censored life ends somewhere beyond
        score[mine] = normal_quantile(np.clip(middle, 1e-6, 1 - 1e-6))
    return Lifetimes(
        curves=tuple(curves),
        batch_correlation=float(significant(batch_correlation(score, batch), 2)),
        max_s=float(significant(max_s, digits)),
    )


def fit_curve(
    life_s: F64, ended: npt.NDArray[np.bool_], atoms: list[int], max_s: float, min_count: int, digits: int
) -> Curve:
    """One survival curve by the life-table (actuarial) estimator.

    Bins hold about equally many ends, at least ``min_count``, their edges rounded; so the curve
    is right for lives recorded exactly and for lives recorded in intervals. A task censored
    inside a bin counts half at risk there (Cutler and Ederer 1958). Beyond the last edge the
    exponent is Hill's maximum-likelihood estimate with censored lives as exposure,
    ``alpha = ends / sum(log(life / edge))`` over all lives longer than the edge; the last edge
    leaves a fiftieth of the ends beyond it, at most ``TAIL_EVENTS`` and at least ``min_count``.
    """
    ends = np.sort(life_s[ended])
    beyond = max(min_count, min(TAIL_EVENTS, ends.size // 50))
    quantiles = _body_quantiles(ends.size, beyond, min_count)
    edges = _spaced(np.unique(significant(np.quantile(ends, quantiles), digits)), ends, min_count)
    which_end = np.clip(np.searchsorted(edges, life_s, side="left"), 1, edges.size)  # bin j is (edge[j-1], edge[j]]
    survival = [1.0]
    at_risk = float(life_s.size)
    for j in range(1, edges.size):
        here = which_end == j
        died, lost = float((here & ended).sum()), float((here & ~ended).sum())
        risk = at_risk - lost / 2
        survival.append(survival[-1] * (1 - died / risk) if risk > 0 else survival[-1])
        at_risk -= died + lost
    left = survival[-1]
    alpha: float | None = None
    longer = life_s > edges[-1]
    if left > 0 and longer.any() and edges[-1] < max_s:
        seen = max(float((ended & longer).sum()), 0.5)  # no end seen: half of one, so the tail is long, not endless
        alpha = float(significant(seen / float(np.log(life_s[longer] / edges[-1]).sum()), 2))
    if alpha is None and left > 0:
        survival[-1] = 0.0  # nothing is known beyond: lives end at the last edge, as the field says
    return Curve(
        atoms=tuple(atoms),
        edge_s=tuple(edges.tolist()),
        survival=tuple(np.round(survival, 4).tolist()),
        tail_alpha=alpha,
    )


def _body_quantiles(ends: int, beyond: int, min_count: int) -> F64:
    """Where the edges lie: equal counts up to 95 %, then closer and closer to the tail."""
    last = 1 - beyond / ends if ends > beyond else 1.0
    bins = int(np.clip(ends // min_count, 1, MAX_BINS))
    body = np.linspace(0, min(last, 0.95), bins + 1)[1:]
    upper = 1 - 0.05 * 2.0 ** (-0.5 * np.arange(1, 40))
    return np.unique(np.concatenate([body, upper[upper < last], [last]]))


def _spaced(edges: F64, ends: F64, min_count: int) -> F64:
    """0 and those of the edges that leave ``min_count`` ends between neighbours, and beyond the last (or none)."""
    below = np.searchsorted(ends, edges, side="right")
    kept, seen = [0.0], 0
    for edge, count in zip(edges.tolist(), below.tolist(), strict=True):
        left = ends.size - count
        if edge > 0 and count - seen >= min_count and (left >= min_count or left == 0):
            kept.append(edge)
            seen = count
    if len(kept) == 1:  # all ends within one bin
        kept.append(max(float(edges[-1]), 1.0))
    return np.asarray(kept)


def survival_at(curve: Curve, life_s: F64) -> F64:
    """Share of tasks that run longer than ``life_s``, by the curve (tail not truncated)."""
    edge, level = np.asarray(curve.edge_s), np.asarray(curve.survival)
    body = np.interp(life_s, edge, level)
    if curve.tail_alpha is None:
        return np.asarray(body)
    beyond = np.maximum(life_s / edge[-1], 1.0)
    return np.asarray(np.where(life_s > edge[-1], level[-1] * beyond**-curve.tail_alpha, body))


def life_at(curve: Curve, share: F64, max_s: float) -> F64:
    """Life that a share ``share`` of tasks outlives: the inverse of the survival curve, seconds.

    The Pareto tail is truncated at ``max_s`` by re-scaling its mass, so nothing piles up there.
    """
    edge, level = np.asarray(curve.edge_s), np.asarray(curve.survival)
    life = np.interp(-share, -level, edge)
    if curve.tail_alpha is not None and level[-1] > 0:
        tail = share < level[-1]
        floor = (max_s / edge[-1]) ** -curve.tail_alpha if max_s > edge[-1] else 1.0
        part = floor + (1 - floor) * share[tail] / level[-1]
        life[tail] = edge[-1] * part ** (-1 / curve.tail_alpha)
    return np.asarray(life, dtype=np.float64)


def batch_correlation(score: F64, batch: I64) -> float:
    """Correlation of two normal scores of one batch, each task weighing the same, in 0..1.

    ``sum over batches of (sum z)^2 - sum z^2, over (n - 1)``, divided by the variance times the
    tasks in batches of two or more; scores are centred first.
    """
    _, code, size = np.unique(batch, return_inverse=True, return_counts=True)
    many = size[code] > 1
    if not many.any():
        return 0.0
    z = score - score[many].mean()
    total = np.bincount(code, weights=np.where(many, z, 0.0))
    square = np.bincount(code, weights=np.where(many, z * z, 0.0))
    pair = np.where(size > 1, (total**2 - square) / np.maximum(size - 1, 1), 0.0).sum()
    spread = square.sum()
    return float(np.clip(pair / spread, 0.0, 1.0)) if spread > 0 else 0.0


def draw_lives(lifetimes: Lifetimes, code: I64, batch_size: I64, rng: np.random.Generator) -> F64:
    """Lives of the tasks of the given batches, ``(K,)`` float64 seconds.

    One Gaussian factor a batch gives the correlation; ranks go through the curve of the atom.
    """
    rho = lifetimes.batch_correlation
    shared = np.repeat(rng.standard_normal(batch_size.size), batch_size)
    score = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.standard_normal(code.size)
    share = normal_cdf(-score)
    life = np.empty(code.size)
    curve_of = np.zeros(max(max(c.atoms) for c in lifetimes.curves) + 1, np.int64)
    for i, curve in enumerate(lifetimes.curves):
        curve_of[list(curve.atoms)] = i
    which = curve_of[code]
    for i, curve in enumerate(lifetimes.curves):
        mine = which == i
        life[mine] = life_at(curve, share[mine], lifetimes.max_s)
    return life

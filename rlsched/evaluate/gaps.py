"""Bounds beside policies: what nobody can beat, and how much of the way there a policy has gone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.results import plain

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """What no policy can beat on one metric.

    Parameters
    ----------
    name : str
        ``"lp_bound"``, ``"capacity_bound"``, ...
    metric : str
    windows : tuple of str
    values : (W,) float64
        Unit of the metric; NaN where none was found.
    doc : str
        What it relaxes, in a sentence.
    """

    name: str
    metric: str
    windows: tuple[str, ...]
    values: F64
    doc: str


def _unknown(values: F64) -> npt.NDArray[np.bool_]:
    """Windows of which a value is not known, (W,)."""
    return np.asarray(np.isnan(values).any(axis=tuple(range(1, values.ndim))))


def bound_rows(bounds: Sequence[Bound]) -> list[dict[str, Any]]:
    """``bound, metric, window, value, doc``, null where none was found."""
    return [
        {"bound": one.name, "metric": one.metric, "window": window, "value": plain(float(value)), "doc": one.doc}
        for one in bounds
        for window, value in zip(one.windows, one.values, strict=True)
    ]


def gap_rows(
    values: Mapping[str, Mapping[str, F64]], bounds: Sequence[Bound], origin: str, bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """Share of the gap from a reference to each bound that every policy closes.

    The gap is that of the means over the windows; the interval is of the same ratio over
    resampled windows and seeds, paired. A policy worse than the reference closes less than
    nothing.

    Parameters
    ----------
    values : policy → metric → (W, S) float64
        Windows in the order of the bounds'.
    bounds : sequence of Bound
    origin : str
        The reference that closes nothing; ``""``: no gaps.
    bootstrap : Bootstrap

    Returns
    -------
    list of dict
        ``policy, metric, bound, from, share, ci_low, ci_high, n_windows``; only where the
        reference is not at the bound already.
    """
    out: list[dict[str, Any]] = []
    for bound in bounds if origin in values else ():
        end = bound.values[:, None]
        for policy, metrics in values.items():
            if policy == origin:
                continue
            start, mine = values[origin][bound.metric], metrics[bound.metric]
            known = ~(_unknown(start) | _unknown(mine) | _unknown(end))
            whole = float(start[known].mean() - end[known].mean()) if known.any() else 0.0
            if abs(whole) < 1e-12:
                continue
            went = float(start[known].mean() - mine[known].mean()) / whole
            low = high = math.nan
            if known.sum() > 1:
                draws = [bootstrap.means(grid[known]) for grid in (start, mine, end)]
                size = draws[0] - draws[2]
                if np.all(np.sign(size) == np.sign(whole)):  # otherwise the ratio has no interval
                    tail = (1 - bootstrap.level) / 2
                    low, high = np.quantile((draws[0] - draws[1]) / size, [tail, 1 - tail])
            row = {"policy": policy, "metric": bound.metric, "bound": bound.name, "from": origin}
            numbers = {"share": went, "ci_low": float(low), "ci_high": float(high)}
            out.append({**row, **{key: plain(one) for key, one in numbers.items()}, "n_windows": int(known.sum())})
    return out

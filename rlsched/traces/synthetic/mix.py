"""How the mix of requests drifts: a shape that is asked for now is asked for again soon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rlsched.spec import Spec
from rlsched.traces.columns import F64, I64
from rlsched.traces.synthetic.arrivals import BURST_TAU_S, STEP_S
from rlsched.traces.synthetic.gaussian import Component, draw_log_rates, fit_components
from rlsched.units import SECONDS_PER_DAY

OWN_BATCHES = 200  # an atom that began fewer batches of a stream drifts like the other rare ones
_ROWS = 200_000  # batches looked up at a time


class Drift(Spec):
    """How the log weight of some atoms moves; each of them on a path of its own."""

    atoms: tuple[int, ...]
    components: tuple[Component, ...] = Field(min_length=1)


def fit_drift(code: I64, step: I64, steps: int, n_atoms: int, digits: int) -> tuple[Drift, ...]:
    """Fit the drift of the atoms of a stream.

    Parameters
    ----------
    code, step : (B,) int64
        Atom and five-minute step of each batch, ``0 <= step < steps``.
    steps, n_atoms : int
    digits : int
        Significant digits kept.

    Returns
    -------
    tuple of Drift
        One for each atom with ``OWN_BATCHES``, one for the others together; none where no
        drift is seen.

    Notes
    -----
    Residuals are counts of an atom less its share of the step's batches, so the rhythm of
    arrivals is no drift. Their autocovariances over those of the expectation are those of the
    relative weight; the multinomial part of lag 0 is taken off. Several atoms are summed.
    """
    longest = min(steps // 4, 4 * SECONDS_PER_DAY // STEP_S)
    if longest < 3 or n_atoms < 2:
        return ()
    lags = np.unique(np.concatenate([[0], np.geomspace(1, longest, 24).astype(np.int64)]))
    taus = tuple(tau for tau in BURST_TAU_S if tau <= steps * STEP_S / 4)
    total = np.bincount(step, minlength=steps).astype(np.float64)
    batches = np.bincount(code, minlength=n_atoms)
    own = [[int(atom)] for atom in np.flatnonzero(batches >= OWN_BATCHES)]
    rare = [int(atom) for atom in np.flatnonzero(batches < OWN_BATCHES)]
    out = []
    for group in [*own, rare] if batches[rare].sum() >= OWN_BATCHES else own:
        seen, expected = np.zeros(lags.size), np.zeros(lags.size)
        for atom in group:
            _add(code == atom, step, total, lags, seen, expected)
        components = fit_components(seen / np.maximum(expected, 1e-12), lags, STEP_S, taus, digits)
        if components:
            out.append(Drift(atoms=tuple(group), components=components))
    return tuple(out)


def _add(mine: npt.NDArray[np.bool_], step: I64, total: F64, lags: I64, seen: F64, expected: F64) -> None:
    """Add the autocovariances of one atom's residuals and expectations to the sums."""
    share = float(mine.mean())
    mean = share * total
    residual = np.bincount(step[mine], minlength=total.size) - mean
    for i, k in enumerate(lags.tolist()):
        seen[i] += float(residual[: total.size - k] @ residual[k:])
        expected[i] += float(mean[: total.size - k] @ mean[k:])
    seen[0] -= (1 - share) * float(mean.sum())


def draw_mixed(share: F64, drift: tuple[Drift, ...], step: I64, steps: int, rng: np.random.Generator) -> I64:
    """Atoms of batches that come at the given steps.

    Parameters
    ----------
    share : (A,) float64
        Mean shares.
    drift : tuple of Drift
    step : (B,) int64
        ``0 <= step < steps``.
    steps : int
    rng : numpy.random.Generator

    Returns
    -------
    (B,) int64
        Atom by shares that are multiplied by log-normal weights and made to sum to 1 in each
        step. That takes a little from atoms that drift much: their mean share comes out lower.
    """
    weight = np.repeat(share[None, :], steps, axis=0)
    for one in drift:
        weight[:, list(one.atoms)] *= np.exp(draw_log_rates(one.components, steps, len(one.atoms), STEP_S, rng))
    cumulative = np.cumsum(weight, axis=1)
    cumulative /= cumulative[:, -1:]
    point = rng.random(step.size)
    out = np.empty(step.size, np.int64)
    for begin in range(0, step.size, _ROWS):
        rows = slice(begin, begin + _ROWS)
        out[rows] = (cumulative[step[rows]] <= point[rows, None]).sum(axis=1)
    return np.minimum(out, share.size - 1)

"""When batches arrive: level × rhythms × bursts, as an inhomogeneous Poisson process of batches.

The batch is the unit (tasks of one tenant and group that come at the same moment), so a draw
at another scale changes how many batches come, never how large they are.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field, model_validator

from rlsched.spec import Spec
from rlsched.traces.columns import F64, I64
from rlsched.traces.synthetic.gaussian import Component, draw_log_rates, fit_components
from rlsched.traces.synthetic.tables import Weights, autocovariance, shape_factors, significant
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

STEP_S = 300  # rates are constant over five minutes, the step of the cloud traces
DAY_SLOTS = 48
WEEK_DAYS = 7
SIZE_BINS_PER_OCTAVE = 4
MIN_ECHO, MAX_ECHO = 0.02, 0.45  # less is not told from noise; 0.5 would be a batch always followed by one
#: Periods, hours, that a schedule can have; the one that explains most is taken. Longer ones that
#: 3.5 days of Azure V1 showed did not hold in the three weeks before.
SCHEDULE_H = (1, 2)
#: Memories a burst can have; a longer one than a quarter of what was observed is not offered.
BURST_TAU_S = (600.0, 1800.0, 7200.0, 21_600.0, 86_400.0, 345_600.0)


class Arrivals(Spec):
    """The rate of batches per five minutes, seen from the start of the source trace.

    ``rate(t) = level × day × week × schedule × exp(g(t) - var/2)``; ``g`` is the sum of ``bursts``;
    the level counts echoes.
    """

    batches_per_step: float = Field(gt=0, description="mean number of batches in 300 s")
    day_factors: Weights = Field(min_length=DAY_SLOTS, max_length=DAY_SLOTS)
    week_factors: Weights = Field(min_length=WEEK_DAYS, max_length=WEEK_DAYS)
    schedule_factors: Weights = Field(
        default=(1.0,), description="one for every five minutes of a schedule of 1 or 2 hours, or a single 1"
    )
    bursts: tuple[Component, ...] = ()
    echo: float = Field(default=0.0, ge=0, lt=1, description="chance that a batch is followed by one in the next 300 s")
    batch_size_edges: tuple[int, ...] = Field(min_length=2, description="bins of tasks a batch, last edge not included")
    batch_size_share: Weights = Field(min_length=1, description="share of the batches in each bin")

    @model_validator(mode="after")
    def _bins_fit(self) -> Arrivals:
        edges = self.batch_size_edges
        if edges[0] < 1 or any(b <= a for a, b in pairwise(edges)):
            raise ValueError(f"batch_size_edges must ascend from at least 1: got {list(edges)}")
        if len(self.schedule_factors) not in (1, *(h * SECONDS_PER_HOUR // STEP_S for h in SCHEDULE_H)):
            raise ValueError(f"schedule_factors must be 1, 12 or 24 numbers: got {len(self.schedule_factors)}")
        if len(self.batch_size_share) != len(edges) - 1:
            raise ValueError(f"batch_size_share must have {len(edges) - 1} numbers, one less than its edges")
        return self


def fit_arrivals(when_s: F64, size: I64, high: int, observed_s: float, min_count: int, digits: int) -> Arrivals:
    """Fit the process to batches.

    Parameters
    ----------
    when_s : (B,) float64, seconds
        Moment of each batch, ``0 <= when_s < observed_s``.
    size : (B,) int64
        Tasks in each batch, ``1..high``.
    high : int
        Largest size of the range of batches looked at.
    observed_s : float
        Length of the trace, seconds.
    min_count : int
        Fewest batches behind a bin of the size table.
    digits : int
        Significant digits kept.

    Notes
    -----
    Rhythms are slot means, shrunk by their sampling noise (the spread between repetitions); the
    week is flat when fewer than 14 days were observed, the day when fewer than 2. A schedule has
    the period of 1 or 2 hours whose shrunk factors vary most. Burst components are fitted by non-negative
    least squares to ``log(1 + c_k)``, ``c_k`` the autocovariances of the relative rate; Poisson
    noise touches lag 0 only and is subtracted there. For a log-normal rate ``log(1 + c_k)`` is
    the autocovariance of its logarithm (Aitchison and Brown 1957). Lag 1 is left out of that fit:
    its excess is the chance of an echo, a batch followed by another in the next five minutes,
    which (unlike a burst) keeps its weight when a draw is scaled down.
    """
    steps = max(int(np.ceil(observed_s / STEP_S)), 1)
    count = np.bincount(np.minimum((when_s // STEP_S).astype(np.int64), steps - 1), minlength=steps).astype(np.float64)
    level = float(count.mean())
    t = np.arange(steps, dtype=np.int64)
    day, week, schedule = np.ones(DAY_SLOTS), np.ones(WEEK_DAYS), np.ones(1)
    # The shortest cycle first: a day's half-hours would take a two-hour schedule for their own.
    if observed_s >= SECONDS_PER_DAY:
        offers = [_rhythm(count / level, h * SECONDS_PER_HOUR // STEP_S, h * SECONDS_PER_HOUR) for h in SCHEDULE_H]
        schedule = significant(max(offers, key=lambda f: float(f.var())), digits)  # the shortest wins ties
        if np.ptp(schedule) == 0:
            schedule = np.ones(1)
    expected = level * _at(schedule, t, schedule.size * STEP_S)
    if observed_s >= 2 * SECONDS_PER_DAY:
        day = _rhythm(count / expected, DAY_SLOTS, SECONDS_PER_DAY)
        # Half-hours of a few days are noisy; neighbours are alike.
        day = significant(0.25 * np.roll(day, 1) + 0.5 * day + 0.25 * np.roll(day, -1), digits)
    expected = expected * _at(day, t, SECONDS_PER_DAY)
    if observed_s >= 2 * WEEK_DAYS * SECONDS_PER_DAY:
        week = significant(_rhythm(count / expected, WEEK_DAYS, WEEK_DAYS * SECONDS_PER_DAY), digits)
    expected = expected * _at(week, t, WEEK_DAYS * SECONDS_PER_DAY)
    expected *= level / expected.mean()
    edges, share = size_table(size, min_count, high)
    bursts, echo = _fit_bursts(count, expected, observed_s, digits)
    return Arrivals(
        batches_per_step=float(significant(level, digits)),
        day_factors=tuple(day.tolist()),
        week_factors=tuple(week.tolist()),
        schedule_factors=tuple(schedule.tolist()),
        bursts=bursts,
        echo=echo,
        batch_size_edges=tuple(edges.tolist()),
        batch_size_share=tuple(significant(share, digits).tolist()),
    )


def _rhythm(relative: F64, slots: int, period_s: int) -> F64:
    """Factors of a cycle from the relative counts of all steps, see :func:`shape_factors`."""
    per_slot = period_s // slots // STEP_S
    whole = relative[: relative.size // per_slot * per_slot].reshape(-1, per_slot).mean(axis=1)
    rows = -(-whole.size // slots)
    table = np.full(rows * slots, np.nan)
    table[: whole.size] = whole
    return shape_factors(table.reshape(rows, slots))


def _at(factors: F64, step: I64, period_s: int) -> F64:
    """Factor of each five-minute step of the clock."""
    return np.asarray(factors[(step * STEP_S % period_s) * factors.size // period_s])


def _fit_bursts(count: F64, expected: F64, observed_s: float, digits: int) -> tuple[tuple[Component, ...], float]:
    residual = count - expected
    longest = min(int(observed_s / STEP_S / 4), 4 * SECONDS_PER_DAY // STEP_S)
    if longest < 3:
        return (), 0.0
    lags = np.unique(np.geomspace(2, longest, 24).astype(np.int64))
    at_zero = (residual @ residual - expected.sum()) / (expected @ expected)  # less the Poisson part
    covariance = np.concatenate([[at_zero], autocovariance(residual, expected, lags)])
    taus = tuple(tau for tau in BURST_TAU_S if tau <= observed_s / 4)
    bursts = fit_components(covariance, np.concatenate([[0], lags]), STEP_S, taus, digits)
    # What lag 1 shows beyond the bursts are batches that come in pairs: chance p, covariance p/(1+p) of the mean.
    by_bursts = np.expm1(sum(b.variance * np.exp(-STEP_S / b.tau_s) for b in bursts if b.tau_s > 0))
    excess = float(residual[:-1] @ residual[1:] - by_bursts * (expected[:-1] @ expected[1:])) / float(expected.sum())
    echo = 0.0 if excess < MIN_ECHO else min(excess, MAX_ECHO) / (1 - min(excess, MAX_ECHO))
    return bursts, float(significant(echo, 2))


def size_table(size: I64, min_count: int, high: int) -> tuple[I64, F64]:
    """Bins of the batch size with at least ``min_count`` batches each, and their shares.

    Edges are 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, ... (a quarter octave), so that the largest
    batch is not told exactly; bins with too few batches join their neighbour. ``high`` is the
    largest size of the range looked at.
    """
    low, top = int(size.min()), int(size.max())
    octaves = int(np.ceil(np.log2(top + 1))) * SIZE_BINS_PER_OCTAVE
    grid = np.unique(np.rint(2.0 ** (np.arange(octaves + 1) / SIZE_BINS_PER_OCTAVE)).astype(np.int64))
    roof = min(int(grid[grid > top][0]), high + 1)
    edges = [low, *(int(e) for e in grid if low < e < roof), roof]
    counts, _ = np.histogram(size, bins=np.asarray(edges))
    kept_edges, kept = [edges[0]], []
    run = 0
    for i, c in enumerate(counts):
        run += int(c)
        if run >= min_count:
            kept_edges.append(edges[i + 1])
            kept.append(run)
            run = 0
    if run and kept:  # a thin top joins the bin below it
        kept[-1] += run
        kept_edges[-1] = edges[-1]
    elif run:
        kept, kept_edges = [run], [edges[0], edges[-1]]
    return np.asarray(kept_edges, np.int64), np.asarray(kept, np.float64) / size.size


def draw_sizes(arrivals: Arrivals, n: int, rng: np.random.Generator) -> I64:
    """Sizes of ``n`` batches, ``(n,)`` int64: a bin by its share, then log-uniform inside it."""
    edges = np.asarray(arrivals.batch_size_edges, np.float64)
    share = np.asarray(arrivals.batch_size_share)
    which = rng.choice(share.size, size=n, p=share / share.sum())
    low, high = edges[which], edges[which + 1]
    return np.floor(low * (high / low) ** rng.random(n)).astype(np.int64)


def draw_moments(arrivals: Arrivals, first_step: int, steps: int, scale: float, rng: np.random.Generator) -> I64:
    """Moments of the batches, ascending.

    Parameters
    ----------
    arrivals : Arrivals
    first_step : int
        First five-minute step, counted from the start of the source's clock; may be negative.
    steps : int
        How many steps.
    scale : float
        Factor on the number of batches.
    rng : numpy.random.Generator

    Returns
    -------
    (B,) int64, seconds
        From the first step, uniform to the second inside each step.
    """
    t = np.arange(first_step, first_step + steps, dtype=np.int64)
    rate = np.full(steps, arrivals.batches_per_step * scale)
    for factors, period in (
        (arrivals.day_factors, SECONDS_PER_DAY),
        (arrivals.week_factors, WEEK_DAYS * SECONDS_PER_DAY),
        (arrivals.schedule_factors, len(arrivals.schedule_factors) * STEP_S),
    ):
        values = np.asarray(factors)
        rate *= _at(values / values.mean(), t, period)
    rate *= np.exp(draw_log_rates(arrivals.bursts, steps, 1, STEP_S, rng)[:, 0])
    count = rng.poisson(rate / (1 + arrivals.echo))
    count[1:] += rng.binomial(count[:-1], arrivals.echo)
    moment = np.repeat(np.arange(steps, dtype=np.int64) * STEP_S, count) + rng.integers(0, STEP_S, int(count.sum()))
    return np.sort(moment)

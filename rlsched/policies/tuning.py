"""A seeded search over the numbers of any family of policies.

Half of the budget is drawn over the whole ranges (a Latin hypercube, so that each number is spread
evenly), half steps around the best so far, in ever smaller steps. Everything is scored on train; the best
few are scored on validation, and the best there is taken. A trained agent is selected on validation too,
by its checkpoints; how many looks each had is in ``tuned.toml`` and in the agent's ``training.json``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rlsched.errors import SpecError
from rlsched.rng import stream

Values = dict[str, float]
Progress = Callable[[str, float], None]
#: Share of the budget that is spread over the whole ranges.
SPREAD_SHARE = 0.5
#: Steps around the best have this standard deviation, as a share of the range, at first and at the end.
WIDEST, NARROWEST = 0.25, 0.02
#: A number within this share of its range of an end is said to be at the edge.
EDGE = 0.02
#: Steps that lead to a member tried before are drawn again so many times; then the search ends.
REDRAWS = 100
SCALES = ("linear", "log", "whole")


class Range(Protocol):
    """One number of a family; see ``rlsched.sim.scaling.rules.table.Parameter`` for one kind."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def default(self) -> float:
        """Where the textbook has it; tried first."""

    @property
    def low(self) -> float:
        """The least it is tuned to."""

    @property
    def high(self) -> float:
        """The most it is tuned to; equal to ``low``: it is not tuned and keeps its default."""

    @property
    def scale(self) -> str:
        """``linear``, ``log`` or ``whole``."""


@dataclass(frozen=True)
class Family:
    """Policies that differ in some numbers.

    Parameters
    ----------
    name : str
    parameters : sequence of Range
    """

    name: str
    parameters: Sequence[Range]

    def __post_init__(self) -> None:
        for one in self.parameters:
            if one.scale not in SCALES:
                raise SpecError(
                    f"scale of {self.name}.{one.name} must be one of {', '.join(SCALES)}: got {one.scale!r}."
                )
            if not one.low <= one.high or (one.scale == "log" and one.low <= 0):
                raise SpecError(
                    f"{self.name}.{one.name} must have low <= high, and low > 0 on a log scale: got "
                    f"{one.low}..{one.high}."
                )

    @property
    def free(self) -> tuple[Range, ...]:
        """The parameters that are tuned."""
        return tuple(one for one in self.parameters if one.low < one.high)

    @property
    def defaults(self) -> Values:
        """Every parameter where the textbook has it."""
        return {one.name: one.default for one in self.parameters}


class Problem(Protocol):
    """What scores a member of a family on the windows of a split."""

    @property
    def better(self) -> str:
        """``down`` or ``up``."""

    def score(self, family: str, values: Mapping[str, float], split: str) -> float:
        """One number for the whole split, e.g. the mean over its windows; NaN is refused."""


@dataclass(frozen=True)
class Trial:
    """One member of the family and its score.

    Parameters
    ----------
    values : dict of str to float
    score : float
    """

    values: Values
    score: float


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Parameters
    ----------
    best : Trial
        Scored on validation.
    train_score : float
        Its score on train.
    tried : tuple of Trial
        On train, in order; the first has the defaults.
    finalists : tuple of Trial
        On validation, best of train first.
    at_edge : tuple of str
        Numbers of the best that lie at an end of their range: the range may be too narrow.
    """

    best: Trial
    train_score: float
    tried: tuple[Trial, ...]
    finalists: tuple[Trial, ...]
    at_edge: tuple[str, ...]


def tune(
    family: Family,
    problem: Problem,
    split: tuple[str, str] = ("train", "validation"),
    *,
    budget: int = 60,
    keep: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Tune a family on train windows and select on validation windows.

    Parameters
    ----------
    family : Family
    problem : Problem
    split : (str, str)
        Names of the splits that are searched and selected on.
    budget : int
        Members tried on the first; fewer where the family has no more.
    keep : int
        The best so many are scored on the second.
    seed : int
    progress : callable, optional
        Told what is being done and the share that is done.

    Returns
    -------
    Tuned
        On equal validation scores the better on train, then the earlier one.

    Raises
    ------
    SpecError
        When ``budget`` or ``keep`` is < 1, or a score is NaN.

    Examples
    --------
    >>> from rlsched.sim.scaling.rules.table import RULES
    >>> class Toy:
    ...     better = "down"
    ...
    ...     def score(self, family, values, split):
    ...         return abs(values["k"] - 1.5)
    >>> round(tune(Family("ewma", RULES["ewma"].parameters), Toy(), budget=200).best.values["k"], 1)
    1.5
    """
    if budget < 1 or keep < 1:
        raise SpecError(f"budget and keep must be >= 1: got {budget} and {keep}.")
    sign = {"down": 1.0, "up": -1.0}[problem.better]
    total = budget + min(keep, budget)
    tried: list[Trial] = []

    def trial(values: Values, on: str, at: int) -> Trial:
        if progress is not None:
            progress(f"tuning {family.name}", at / total)
        score = float(problem.score(family.name, values, on))
        if math.isnan(score):
            raise SpecError(f"{family.name} with {values} has no score on the {on} windows, so it cannot be tuned.")
        return Trial(values, score)

    for values in candidates(family, tried, sign, budget, seed):
        tried.append(trial(values, split[0], len(tried)))
    ranked = sorted(tried, key=lambda one: sign * one.score)[:keep]
    finalists = tuple(trial(one.values, split[1], len(tried) + i) for i, one in enumerate(ranked))
    chosen = min(range(len(finalists)), key=lambda i: sign * finalists[i].score)
    best = finalists[chosen]
    return Tuned(best, ranked[chosen].score, tuple(tried), finalists, _at_edge(family, best.values))


def candidates(family: Family, tried: Sequence[Trial], sign: float, budget: int, seed: int) -> Iterator[Values]:
    """Members to try, each once, at most ``budget``: the defaults, a spread, steps around the best.

    Parameters
    ----------
    family : Family
    tried : sequence of Trial
        Grows while this runs, by one for each member taken.
    sign : float
        1 where a lower score is better, -1 where a higher is.
    budget, seed : int
    """
    seen = [family.defaults]
    yield family.defaults
    free = family.free
    if not free:
        return
    draw = stream(seed, "tune", family.name)
    # Whole numbers alone are so many members; with another kind of number there is no end of them.
    members = math.prod(one.high - one.low + 1 if one.scale == "whole" else math.inf for one in free)
    budget = int(min(budget, members))
    spread = round((budget - 1) * SPREAD_SHARE)
    columns = [(draw.permutation(spread) + draw.random(spread)) / max(spread, 1) for _ in free]
    for i in range(spread):
        values = _member(family, [float(column[i]) for column in columns])
        if values not in seen:
            seen.append(values)
            yield values
    first = len(seen)
    while len(seen) < budget:
        best = min(tried, key=lambda one: sign * one.score).values
        width = WIDEST * (NARROWEST / WIDEST) ** ((len(seen) - first) / max(budget - first - 1, 1))
        for _ in range(REDRAWS):
            moved = draw.random(len(free)) < 0.5
            moved[draw.integers(len(free))] = True
            step = np.where(moved, draw.normal(0.0, width, len(free)), 0.0)
            units = [_fold(_unit(one, best[one.name]) + s) for one, s in zip(free, step.tolist(), strict=True)]
            values = _member(family, units)
            if values not in seen:
                break
            width = min(1.0, width * 1.5)  # whole numbers near the best are soon used up
        else:
            return
        seen.append(values)
        yield values


def _member(family: Family, units: Sequence[float]) -> Values:
    """Places in [0, 1] of the free numbers → all numbers."""
    values = family.defaults
    for one, unit in zip(family.free, units, strict=True):
        if one.scale == "log":
            value = one.low * (one.high / one.low) ** unit
        elif one.scale == "whole":
            value = float(min(math.floor(one.low + unit * (one.high - one.low + 1)), one.high))
        else:
            value = one.low + unit * (one.high - one.low)
        values[one.name] = float(f"{value:.5g}")
    return values


def _unit(one: Range, value: float) -> float:
    """Where a number lies in its range, 0..1; a default outside it lies at the nearer end."""
    inside = min(max(value, one.low), one.high)
    if one.scale == "log":
        return math.log(inside / one.low) / math.log(one.high / one.low)
    if one.scale == "whole":
        return (inside - one.low + 0.5) / (one.high - one.low + 1)
    return (inside - one.low) / (one.high - one.low)


def _fold(unit: float) -> float:
    """A step over an end comes back in: the ends are not tried over and over."""
    folded = math.fmod(abs(unit), 2.0)
    return 2.0 - folded if folded > 1.0 else folded


def _at_edge(family: Family, values: Values) -> tuple[str, ...]:
    out = []
    for one in family.free:
        if one.scale == "whole":
            edge = one.high > one.low + 1 and values[one.name] in (one.low, one.high)  # a switch has only ends
        else:
            edge = not EDGE <= _unit(one, values[one.name]) <= 1.0 - EDGE
        if edge:
            out.append(one.name)
    return tuple(out)

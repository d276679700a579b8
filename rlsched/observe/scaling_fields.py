"""The observation of ``rlsched/Scaling-v0``, one row a field: name, range, unit, meaning.

The environment builds its space from the table, the documentation prints it, a policy file names
the fields it was trained on. Every amount ``x`` is told as ``x / (x + m)``: ``m`` is the mean demand
of the last intervals, so a policy trained on a service of ten instances reads one of a thousand.
That lies in [0, 1) whatever happens; nothing is clipped. Where both are 0 it is 0.

Changing a name, an order, a range or a meaning needs a new ``SCALING_SCHEMA_VERSION``.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, field_validator

from rlsched.spec import Spec

SCALING_SCHEMA_VERSION = 1


class ScalingObservation(Spec):
    """What is seen of a service.

    Parameters
    ----------
    lags : list of int
        Demand this many intervals ago; 1 is the newest there is.
    level : int
        ``m`` is the mean demand of the last so many intervals.
    """

    lags: tuple[int, ...] = (1, 2, 3, 4, 6, 9, 12)
    level: int = Field(default=12, ge=1, le=100_000)

    @field_validator("lags")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 1:
            raise ValueError("must ascend, from 1 on")
        return value

    @property
    def reach(self) -> int:
        """Intervals before a window that must be known."""
        return max(self.level, self.lags[-1])


@dataclass(frozen=True)
class ScalingField:
    """One number of the observation of one service.

    Parameters
    ----------
    name : str
    low, high : float
        Both ends included; they hold always.
    unit : str
    meaning : str
    """

    name: str
    low: float
    high: float
    unit: str
    meaning: str

    shape = "()"
    dtype = "float32"


def scaling_fields(
    settings: ScalingObservation,
    boot_steps: int,
    horizons: tuple[int, ...],
    quantiles: tuple[float, ...],
    type_names: tuple[str, ...],
    has_spot: bool,
) -> tuple[ScalingField, ...]:
    """The table for a world, in the order of the numbers.

    Parameters
    ----------
    settings : ScalingObservation
    boot_steps : int
        Intervals the slowest type boots.
    horizons, quantiles : tuple
        Of the forecast; empty without one.
    type_names : tuple of str
        More than one: one field each says which was chosen last.
    has_spot : bool
    """

    def amount(name: str, meaning: str) -> ScalingField:
        return ScalingField(name, 0, 1, "x / (x + m), demand", meaning)

    fields = [amount(f"demand_{lag}", f"x: demand {lag} interval{'s' * (lag > 1)} ago") for lag in settings.lags]
    fields.append(ScalingField("level", 0, 1, "m / (m + x), demand", "x: capacity of the most instances allowed"))
    fields.append(amount("ready", "x: capacity that serves in the coming interval"))
    for i in range(1, boot_steps):
        fields.append(
            amount(f"booting_{i}", f"x: capacity that joins {i} interval{'s' * (i > 1)} after the coming one")
        )
    fields.append(amount("backlog", "x: work waiting, times intervals"))
    fields.append(amount("lost", "x: work lost in the last interval"))
    fields.append(ScalingField("utilisation", 0, 1, "share of the capacity", "served in the last interval"))
    fields.append(
        ScalingField(
            "wait", 0, 1, "x / (x + interval), seconds", "x: waiting time that most stayed below, last interval"
        )
    )
    for h in horizons:
        for q in quantiles:
            when = "the coming interval" if h == 0 else f"the interval {h} after the coming one"
            fields.append(amount(f"forecast_{h}_q{q:g}", f"x: forecast of {when}, quantile {q:g}"))
    for name, what in (("day", "the day"), ("week", "the week")):
        fields.append(ScalingField(f"{name}_sin", -1, 1, "sine", f"time of {what} on the trace's clock"))
        fields.append(ScalingField(f"{name}_cos", -1, 1, "cosine", f"time of {what}"))
    if has_spot:
        fields.append(
            ScalingField("spot_share", 0, 1, "share of the instances", "on the spot market, booting ones too")
        )
        fields.append(
            ScalingField(
                "spot_price", 0, 1, "x / (x + y), USD", "x: spot price of the last type, y: on demand; 0: not sold"
            )
        )
    if len(type_names) > 1:
        fields += [ScalingField(f"type_{name}", 0, 1, "0 or 1", "1: chosen last") for name in type_names]
    return tuple(fields)

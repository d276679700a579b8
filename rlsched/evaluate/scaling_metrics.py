"""Metrics of a scaling window: read off the sums that the simulator keeps, all services together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.metrics import Metric
from rlsched.sim.scaling import state as st
from rlsched.units import SECONDS_PER_HOUR

Direction = Literal["down", "up", "none"]
F64 = npt.NDArray[np.float64]
PARTS = ("instance_usd", "start_usd", "unmet_usd", "late_usd", "credit_usd")


class Sums:
    """The meters of one copy, services added up.

    Parameters
    ----------
    sums : (S, M) float64
        Of ``StateCode.sums``; columns ``rlsched.sim.scaling.state.SUMS``.
    step_s, span_s : float, seconds
        Of an interval, of the window.
    """

    def __init__(self, sums: F64, step_s: float, span_s: float) -> None:
        self.sums, self.step_s, self.span_s = sums, step_s, span_s

    def total(self, name: str) -> float:
        """Sum over services."""
        return math.fsum(self.sums[:, st.SUMS.index(name)].tolist())

    def hours(self, name: str) -> float:
        """A sum over intervals as a sum over hours."""
        return self.total(name) * self.step_s / SECONDS_PER_HOUR


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _sum(name: str) -> Callable[[Any], float]:
    return lambda m: m.total(name)


def _share(part: str, whole: str) -> Callable[[Any], float]:
    return lambda m: _ratio(m.total(part), m.total(whole))


_ERLANG = "Erlang C, rlsched.sim.queueing"


def _usd(name: str, label: str, formula: str) -> Metric:
    return Metric(name, label, "USD", formula, "down", "", _sum(name))


def _count(name: str, label: str, formula: str) -> Metric:
    return Metric(f"{name}_instances", label, "instances", formula, "none", "", _sum(name))


def _cost(m: Any) -> float:
    return math.fsum(m.total(part) for part in PARTS)


def _worst_wait(m: Any) -> float:
    return float(m.sums[:, st.SUMS.index("longest_s")].max())


def _hours(m: Any) -> float:
    return float(m.hours("billed"))


def _window(m: Any) -> float:
    return float(m.span_s / SECONDS_PER_HOUR)


def _percent(name: str, label: str, unit: str, formula: str, better: Direction, parts: tuple[str, str]) -> Metric:
    return Metric(name, label, unit, formula, better, "", _share(*parts), percent=True)


_TABLE = (
    Metric("cost_usd", "cost", "USD", " + ".join(PARTS), "down", "", _cost),
    _usd("instance_usd", "instances", "Σ price of every billed instance and interval"),
    _usd("start_usd", "starts", "orders · price of a start"),
    _usd("unmet_usd", "unmet demand", "lost unit-hours · penalty"),
    _usd("late_usd", "late work", "waiting unit-hours · penalty"),
    _usd("credit_usd", "credits", "share of the bill given back, by the share of good intervals"),
    _percent("unmet_share", "unmet", "share of demand", "work lost / work that arrived", "down", ("lost", "demand")),
    _percent(
        "violated_share",
        "bad intervals",
        "share of intervals with demand",
        "intervals in which the promised waiting time or availability was missed / intervals with demand",
        "down",
        ("violated", "asked"),
    ),
    _percent(
        "utilisation_share",
        "utilisation",
        "share of capacity",
        "work served / capacity that was ready",
        "none",
        ("served", "capacity"),
    ),
    Metric("instance_h", "instance-hours", "h", "Σ billed instances · hours", "none", "", _hours),
    _count("started", "started", "orders"),
    _count("cancelled", "cancelled", "orders taken back while booting"),
    _count("interrupted", "interrupted", "spot instances the provider took back"),
    Metric(
        "mean_wait_s",
        "mean wait",
        "s",
        "Σ mean waiting time of an interval · demand / Σ demand",
        "down",
        _ERLANG,
        _share("wait_s", "demand"),
    ),
    Metric(
        "worst_wait_s", "worst wait", "s", "largest waiting-time quantile of an interval", "down", _ERLANG, _worst_wait
    ),
    Metric(
        "held_decisions",
        "held back",
        "decisions",
        "answers of rules outside min_instances..max_instances",
        "none",
        "",
        _sum("held"),
    ),
    Metric("window_h", "window", "h", "hours of the window", "none", "", _window),
)

#: Name → metric of a scaling window, in the order of rows and of ``docs/metrics.md``.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def read_metrics(sums: Sums) -> Mapping[str, float]:
    """Every metric of one window: name → number, NaN where not known."""
    of: Any = sums
    return {name: float(metric.read(of)) for name, metric in METRICS.items()}

"""The observation of ``rlsched/Consolidation-v0``, one row a field: name, range, unit, meaning.

The table is the promise, as in :mod:`rlsched.observe.features`: spaces are built from it, and
tests hold the compiled code to the ranges. Every field is a ratio, so a policy that learned on
100 machines reads 800. Nothing is clipped: what could grow without bound is squashed by
``x / (1 + x)``, and says so.

Changing a name, an order, a range or a meaning needs a new ``SCHEMA_VERSION``.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlsched.observe.features import Feature

SCHEMA_VERSION = 1
#: Equal bins of a machine's load, and one for machines asked for all they have or more.
HISTOGRAM_BINS = 10
#: Ticks that the slower of two looks back covers.
LOOK_BACK = 6

_SQUASHED = "x / (1 + x)"
_CHANGE = "(a − b) / (a + b)"


def _globals(name: str, low: float, high: float, unit: str, meaning: str) -> Feature:
    return Feature(name, "globals", low, high, unit, meaning)


def _histogram() -> list[Feature]:
    bins = [(f"load_{i}0", f"asked for {i}0 % of their CPU or more, below {i + 1}0 %") for i in range(HISTOGRAM_BINS)]
    bins[0] = ("load_00", "asked for less than 10 % of their CPU")
    return [
        _globals(name, 0, 1, "share of the machines that are on", meaning)
        for name, meaning in (*bins, ("load_full", "asked for all of their CPU or more"))
    ]


#: Columns of ``globals``, in order; forecasts follow, see :func:`forecast_features`.
GLOBAL_FEATURES: tuple[Feature, ...] = (
    _globals("time_sin", -1, 1, "sin(2π t / day)", "time of day"),
    _globals("time_cos", -1, 1, "cos(2π t / day)", "time of day"),
    _globals("on", 0, 1, "share of the machines", "that are on"),
    *_histogram(),
    _globals("short", 0, 1, "share of the machines that are on", "that give less than they are asked for"),
    _globals("demand", 0, 1, _SQUASHED, "x: CPU asked for / CPU of all machines"),
    _globals("demand_on", 0, 1, _SQUASHED, "x: CPU asked for / CPU of the machines that are on; 0 when none is"),
    _globals("memory_on", 0, 1, _SQUASHED, "x: memory of the VMs / memory of the machines that are on; 0 when none is"),
    _globals("trend", -1, 1, _CHANGE, "a: CPU asked for now, b: one tick ago; 0 at the first decision"),
    _globals("trend_slow", -1, 1, _CHANGE, f"the same, b: {LOOK_BACK} ticks ago, or as far back as there is"),
    _globals(
        "line",
        -1,
        1,
        "(a − b) / (|a| + b)",
        "a: what lines fitted to the VMs' last loads expect next, b: asked for now",
    ),
    _globals("moves", 0, 1, _SQUASHED, "x: moves of the last tick / VMs"),
    _globals("moves_slow", 0, 1, _SQUASHED, f"x: moves of the last {LOOK_BACK} ticks / VMs / ticks"),
    _globals("unmet", 0, 1, "share of the CPU asked for", "not given in the last tick"),
    _globals("unmet_slow", 0, 1, "share of the CPU asked for", f"not given in the last {LOOK_BACK} ticks"),
    _globals("violation", 0, 1, "share of the machine-seconds on", "with less given than asked for, in the last tick"),
    _globals("violation_slow", 0, 1, "share of the machine-seconds on", f"the same in the last {LOOK_BACK} ticks"),
    _globals("switched", 0, 1, _SQUASHED, "x: machines shut down or woken in the last tick / machines"),
    _globals("power", 0, 1, _SQUASHED, "x: energy of the last tick / energy of all machines at full power"),
)


def forecast_features(names: Sequence[str]) -> tuple[Feature, ...]:
    """One field a forecast that the problem gives.

    Parameters
    ----------
    names : sequence of str
        Of the forecasts, such as ``"h3_q50"``.
    """
    return tuple(
        _globals(f"forecast_{name}", -1, 1, _CHANGE, "a: CPU asked for that is forecast, b: now; 0 where not known")
        for name in names
    )


#: Columns of ``candidates`` when moves are chosen one by one, in order. A slot without a move holds zeros.
MOVE_FEATURES: tuple[Feature, ...] = tuple(
    Feature(name, "candidates", low, high, unit, meaning)
    for name, low, high, unit, meaning in (
        ("load", 0, 1, _SQUASHED, "x: CPU the VM asks for / CPU of its machine"),
        ("memory", 0, 1, _SQUASHED, "x: memory of the VM / memory of its machine"),
        ("copying", 0, 1, "share of a tick", "that copying the VM takes, waking included"),
        ("from_before", 0, 1, _SQUASHED, "x: CPU asked of its machine / CPU, with it"),
        ("from_after", 0, 1, _SQUASHED, "x: the same without it"),
        ("from_guests", 0, 1, "1 / n", "n: VMs on its machine, itself included; 1: leaving empties it"),
        ("from_line", 0, 1, _SQUASHED, "x: what fitted lines expect of its machine next / CPU, with it, at least 0"),
        ("to_before", 0, 1, _SQUASHED, "x: CPU asked of the receiver / CPU, without it"),
        ("to_after", 0, 1, _SQUASHED, "x: the same with it"),
        ("to_memory", 0, 1, _SQUASHED, "x: memory of the receiver's VMs / memory, with it"),
        ("to_line", 0, 1, _SQUASHED, "x: what fitted lines expect of the receiver next / CPU, with it, at least 0"),
        ("wakes", 0, 1, "0 or 1", "1: the receiver is off and has to be switched on"),
        (
            "power",
            -1,
            1,
            "share of the receiver's full power",
            "rise of power at the receiver minus fall at its machine",
        ),
    )
)
#: What ``globals`` has besides when moves are chosen one by one.
PLAN_FEATURES: tuple[Feature, ...] = (
    _globals("planned", 0, 1, "share of the budget", "moves already chosen at this tick"),
)

"""Machines, money and energy in sentences, with what is not known said to be so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlsched.evaluate.answer import metric_label
from rlsched.evaluate.results import Document
from rlsched.traces.columns import Machines


def sentences(document: Document, machines: Machines) -> list[str]:
    """What stands behind the answer of a what-if.

    Returns
    -------
    list of str
        How many machines each policy would have needed, and what that saves; what is not known of
        money and energy, and why; why another metric than rejections decides.
    """
    lines = []
    if document["provenance"]["main_metric"] == "active_machines":
        lines.append("No policy turned anything away, so machines in use decide who leads.")
    if document["needed"] is not None:
        lines += _needed(document["needed"])
    return lines + _not_known(machines)


def _needed(needed: Mapping[str, Any]) -> list[str]:
    reference, there = needed["reference"], needed["machines"]
    by = {one["policy"]: one for one in needed["by_policy"]}
    mine = by[reference]
    n = len(mine["needed"])
    windows = f"the mean of {n} windows" if n > 1 else "on one window"
    lines = []
    if mine["mean"] is not None:
        lines.append(
            f"{reference} would have turned away no more {metric_label(needed['metric']).removeprefix('rejected ')} "
            f"with {_number(mine['mean'])} of the {there} machines ({windows}; {mine['everywhere']} for every window)."
        )
    for one in needed["by_policy"]:
        if one["policy"] == reference:
            continue
        unknown = sum(value is None for value in one["needed"])
        if one["fewer"] is None:
            lines.append(
                f"How many machines {one['policy']} would have needed is not known: on {unknown} of {n} windows it "
                f"turns away more than {reference} even with twice the machines."
                if unknown
                else f"How many machines {one['policy']} would have needed is not known: in some window nothing was "
                "asked for."
            )
            continue
        lines.append(_fewer(one, mine, windows))
    return lines


def _fewer(one: Mapping[str, Any], mine: Mapping[str, Any], windows: str) -> str:
    reference = mine["policy"]
    saved = one["fewer"]
    low, high = one["fewer_low"], one["fewer_high"]
    many = "fewer" if saved >= 0 else "more"
    head = (
        f"With {one['policy']} you would have needed {_ends(abs(saved), *_turned(saved, low, high))} {many} machines "
        f"than with {reference} ({_number(one['mean'])} against {_number(mine['mean'])}, {windows}; "
        f"{one['everywhere']} against {mine['everywhere']} for every window)"
    )
    if low is not None and low <= 0 <= high:
        head += ", which is no difference shown"
    parts = []
    for key, unit in (("usd_a_day", "USD"), ("kwh_a_day", "kWh")):
        if one[key] is not None:
            word = "saved" if one[key] >= 0 else "spent a further"
            ends = _turned(one[key], one[f"{key}_low"], one[f"{key}_high"])
            parts.append(f"{word} {_ends(abs(one[key]), *ends)} {unit} a day")
    if not parts:
        return f"{head}."
    return f"{head}; with just those machines, all of them on, it would have {' and '.join(parts)}."


def _not_known(machines: Machines) -> list[str]:
    lines = []
    n = len(machines)
    unpriced, dark = int(np.isnan(machines.price_per_h).sum()), int((machines.power_curve < 0).sum())
    if unpriced:
        lines.append(
            f"Money is not known: {unpriced} of {n} machines have no price_per_h. Add the column, "
            "or --price USD_AN_HOUR."
        )
    if dark:
        lines.append(
            f"Energy is not known: {dark} of {n} machines have no power_curve. Add the column, or --power-curve NAME."
        )
    return lines


def _turned(value: float, low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """The ends as seen from the sign of the value."""
    if value >= 0 or low is None or high is None:
        return low, high
    return 0.0 - high, 0.0 - low  # no minus before a zero


def _ends(value: float, low: float | None, high: float | None) -> str:
    """``3.2 [2.1, 4.4]``."""
    if low is None or high is None:
        return _number(value)
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")

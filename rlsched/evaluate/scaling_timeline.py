"""One scaling window over time: demand, capacity, instances, what was lost and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.scaling_partings import Anybody, watch_window
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.world import Window, World
from rlsched.units import SECONDS_PER_HOUR

F64 = npt.NDArray[np.float64]


def scaling_timeline(
    world: World, window: Window, policies: Sequence[tuple[str, Anybody]], seed: int
) -> dict[str, Any] | None:
    """Play a window under each policy and tell it over time, services added up.

    Parameters
    ----------
    world : World
    window : Window
    policies : sequence of (str, ScalingPolicy or LearnedScaling)
        Name and policy.
    seed : int
        Of the interruptions; the window's name is mixed in, as in an evaluation.

    Returns
    -------
    dict or None
        As ``rlsched.evaluate.timeline.placement_timeline``; None without policies.
    """
    if not policies:
        return None
    log = np.stack([watch_window(world, window, one, seed)[0] for _, one in policies])  # (N, T, S, 21)
    whole = log.sum(axis=2)  # all services
    hours = np.arange(window.hi - window.lo) * world.step_s / SECONDS_PER_HOUR

    def column(*names: str) -> list[F64]:
        return [
            sum((whole[n, :, st.LAST.index(name)] for name in names), np.zeros(len(hours))) for n in range(len(whole))
        ]

    def each(name: str, values: Sequence[F64]) -> list[dict[str, Any]]:
        return [
            {"name": name, "policy": policy, "values": _rounded(one)}
            for (policy, _), one in zip(policies, values, strict=True)
        ]

    demand = {"name": "demand", "policy": "", "values": _rounded(column("demand")[0])}
    panels = [
        {"label": "Demand and capacity", "unit": world.unit, "series": [demand, *each("capacity", column("capacity"))]},
        {"label": "Instances billed", "unit": "instances", "series": each("billed", column("billed"))},
        {
            "label": "Demand lost so far",
            "unit": f"{world.unit} · h",
            "series": each("lost", [np.cumsum(one) * world.step_s / SECONDS_PER_HOUR for one in column("lost")]),
        },
        {"label": "Cost so far", "unit": "USD", "series": each("cost", [np.cumsum(one) for one in column(*st.COST)])},
    ]
    return {
        "window": window.name,
        "x": _rounded(hours),
        "x_label": "hours since the window began",
        "metered_from": None,
        "panels": panels,
    }


def _rounded(values: F64) -> list[float]:
    return [round(float(value), 3) for value in values]

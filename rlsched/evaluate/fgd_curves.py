"""A run's events → the published curves: one value for every percent of arrived demand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.sim.record import Curve

F64 = npt.NDArray[np.float64]

#: The three curves, in the order of the published tables.
METRICS = ("gpu_alloc_pct", "frag_pct_of_idle", "frag_pct_of_capacity")


def bin_curve(curve: Curve, capacity_mgpu: int, last_pct: int) -> dict[str, F64]:
    """Mean over the events of each percent of arrived demand.

    An event is in bin ``a`` when its arrived demand, in % of capacity, rounds to ``a`` (halves to
    even). A bin without events takes those from ``a - 1`` to ``a + 1``, ends included; one that
    has none there either is NaN.

    Parameters
    ----------
    curve : Curve
    capacity_mgpu : int
    last_pct : int
        Bins are 0..last_pct.

    Returns
    -------
    dict of str to (last_pct + 1,) float64, %
        ``gpu_alloc_pct``: placed demand of capacity, to 2 decimals per event and again in the
        mean. ``frag_pct_of_idle``: fragmentation of idle GPU, to 2 decimals per event; the mean to
        3, as the reference table has it. ``frag_pct_of_capacity``: the mean to 2 decimals.
    """
    arrived = 100.0 * curve.arrived_mgpu / capacity_mgpu
    idle = capacity_mgpu - curve.placed_mgpu
    of_idle = np.full(arrived.shape, np.nan)  # a full cluster has no idle GPU to take a share of
    np.divide(100.0 * curve.fragmentation, idle, out=of_idle, where=idle > 0)
    events = {
        "gpu_alloc_pct": (np.round(100.0 * curve.placed_mgpu / capacity_mgpu, 2), 2),
        "frag_pct_of_idle": (np.round(of_idle, 2), 3),
        "frag_pct_of_capacity": (100.0 * curve.fragmentation / capacity_mgpu, 2),
    }
    nearest = np.rint(arrived).astype(np.int64)  # ascending, as arrivals only add
    first = np.searchsorted(nearest, np.arange(last_pct + 1), side="left")
    end = np.searchsorted(nearest, np.arange(last_pct + 1), side="right")
    empty = np.flatnonzero(first == end)
    first[empty] = np.searchsorted(arrived, empty - 1, side="left")
    end[empty] = np.searchsorted(arrived, empty + 1, side="right")
    return {
        name: np.array(
            [np.round(value[i:j].mean(), decimals) if j > i else np.nan for i, j in zip(first, end, strict=True)]
        )
        for name, (value, decimals) in events.items()
    }

"""The batch: tasks of one tenant and group that come at the same moment."""

from __future__ import annotations

import numpy as np

from rlsched.traces.columns import I64, Trace


def batches(trace: Trace) -> I64:
    """Number the batches: neighbouring rows of equal moment, tenant and group; ``(K,)`` ascending."""
    new = np.zeros(len(trace), np.bool_)
    for name in ("arrive_s", "tenant", "group"):
        value = getattr(trace, name)
        new[1:] |= value[1:] != value[:-1]
    return np.cumsum(new).astype(np.int64)

"""Cosine: the machine whose free capacity points the way the request does.

**Formula.** ``r.f / (|r| |f|)`` with request ``r`` and free ``f`` before placement, both as shares of
the machine's capacity in CPU, memory and the sum of the devices (0 where ``f`` is 0).

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** The alignment of Panigrahy et al., "Heuristics for vector bin packing", Microsoft
Research 2011, with both vectors scaled to length 1, so that the amount free does not count.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

COSINE = Heuristic(
    name="cosine",
    weights={"cosine": 1.0},
    doc="The machine whose free capacity points the way the request does.",
    source="Panigrahy et al., MSR 2011, with vectors of length 1",
)

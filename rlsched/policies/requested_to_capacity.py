"""Kubernetes RequestedToCapacityRatio: a function of the allocated share, given by points.

**Formula.** ``floor((s(a) + s(b)) / 2 + 0.5)`` with ``a = floor(100 (c_cpu - f_cpu + r_cpu) / c_cpu)``,
``b`` likewise for memory (100 where the capacity is 0), and ``s`` the line through the points
``shape`` of (percent, score), constant outside them, rounded down. The points here are (0, 0) and
(100, 100), which packs; ``dataclasses.replace(policy, shape=...)`` gives others.

**Ties.** Lowest row (Kubernetes draws among ties). Devices: smallest sufficient free share,
lowest index on ties.

**Source.** kube-scheduler, plug-in NodeResourcesFit, strategy RequestedToCapacityRatio, CPU and
memory weighted 1 (scores of its configuration run to 10, these to 100).
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

REQUESTED_TO_CAPACITY = Heuristic(
    name="requested_to_capacity",
    weights={"requested_to_capacity": 1.0},
    doc="A function of the allocated shares given by points; packs by default.",
    source="kube-scheduler, NodeResourcesFit",
)

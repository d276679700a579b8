"""Kubernetes LeastAllocated: the machine left with the largest share of CPU and memory.

**Formula.** ``floor((a + b) / 2)`` with ``a = floor(100 (f_cpu - r_cpu) / c_cpu)``, ``b`` likewise for
memory (0 where the capacity is 0). Requests, not measured load; GPUs are not in it.

**Ties.** Lowest row (Kubernetes draws among ties). Devices: smallest sufficient free share,
lowest index on ties.

**Source.** kube-scheduler, plug-in NodeResourcesFit, strategy LeastAllocated, CPU and memory weighted 1.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

LEAST_ALLOCATED = Heuristic(
    name="least_allocated",
    weights={"least_allocated": 1.0},
    doc="The machine left with the largest share of CPU and memory, in whole percents.",
    source="kube-scheduler, NodeResourcesFit",
)

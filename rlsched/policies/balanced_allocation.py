"""Kubernetes BalancedAllocation: the machine whose CPU and memory are most evenly allocated.

**Formula.** ``floor(100 (1 - |a - b| / 2))`` with ``a`` and ``b`` the shares of CPU and memory allocated
after placement; ``|a - b| / 2`` is the standard deviation of the two.

**Ties.** Lowest row (Kubernetes draws among ties). Devices: smallest sufficient free share,
lowest index on ties.

**Source.** kube-scheduler, plug-in NodeResourcesBalancedAllocation, CPU and memory.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

BALANCED_ALLOCATION = Heuristic(
    name="balanced_allocation",
    weights={"balanced_allocation": 1.0},
    doc="The machine whose CPU and memory are most evenly allocated afterwards.",
    source="kube-scheduler, NodeResourcesBalancedAllocation",
)

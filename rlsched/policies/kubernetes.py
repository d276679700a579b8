"""Kubernetes by default: LeastAllocated plus BalancedAllocation.

**Formula.** The sum of :mod:`least_allocated <rlsched.policies.least_allocated>` and
:mod:`balanced_allocation <rlsched.policies.balanced_allocation>`, weighted 1 each, as the default profile
does. Its other plug-ins (spreading, affinity, images) have nothing to score on these traces.

**Ties.** Lowest row (Kubernetes draws among ties). Devices: smallest sufficient free share,
lowest index on ties.

**Source.** The default profile of kube-scheduler.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

KUBERNETES = Heuristic(
    name="kubernetes",
    weights={"least_allocated": 1.0, "balanced_allocation": 1.0},
    doc="The default of Kubernetes: least allocated plus balanced allocation.",
    source="kube-scheduler, default profile",
)

"""Norm difference (L2): the machine with the least left over, in the Euclidean norm.

**Formula.** ``-sum_d ((f_d - r_d) / c_d)^2`` over CPU, memory and the sum of the devices, free
``f`` before placement, capacity ``c`` of that machine (a resource it has none of counts 0).

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** Panigrahy et al., "Heuristics for vector bin packing", Microsoft Research 2011 (norm-based
greedy), with all resources weighted alike.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

NORM_L2 = Heuristic(
    name="norm_l2",
    weights={"norm_l2": 1.0},
    doc="The machine with the least left over, in the Euclidean norm.",
    source="Panigrahy et al., MSR 2011",
)

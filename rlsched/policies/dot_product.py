"""Dot product: the machine whose free capacity is best aligned with the request.

**Formula.** ``sum_d (r_d / c_d) * (f_d / c_d)`` over CPU, memory and the sum of the devices, free
``f`` before placement, capacity ``c`` of that machine (a resource it has none of counts 0).

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** Panigrahy et al., "Heuristics for vector bin packing", Microsoft Research 2011;
Grandl et al., "Multi-resource packing for cluster schedulers" (Tetris), SIGCOMM 2014. The
variant of the FGD study, which prefers the *smallest* product, is ``fgd_dot_product``.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

DOT_PRODUCT = Heuristic(
    name="dot_product",
    weights={"dot_product": 1.0},
    doc="The machine whose free capacity is best aligned with the request (Tetris).",
    source="Panigrahy et al., MSR 2011; Grandl et al., SIGCOMM 2014",
)

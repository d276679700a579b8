"""Dot product of the FGD study: the machine with the *smallest* product, in whole percents.

**Formula.** ``floor(100 (1 - v / 2))`` with ``v = (f_cpu / C)(r_cpu / C) + (f_gpu / G)(r_gpu / G)``,
free ``f`` before placement, ``C`` and ``G`` the largest CPU and GPU capacities of any machine.
Opposite in direction to ``dot_product``: in effect a best fit weighted by the request.

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** Weng et al., "Beware of Fragmentation", USENIX ATC 2023 (``DotProd``), as its published
program computes it.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

FGD_DOT_PRODUCT = Heuristic(
    name="fgd_dot_product",
    weights={"fgd_dot_product": 1.0},
    doc="DotProd of the FGD study: the smallest product of free and request, in whole percents.",
    source="Weng et al., USENIX ATC 2023",
)

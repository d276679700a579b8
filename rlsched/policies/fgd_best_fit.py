"""Best fit of the FGD study: the machine left with the least CPU and GPU, in whole percents.

**Formula.** ``floor(100 (1 - s))`` with ``s = 0.5 (f_cpu - r_cpu) / C + 0.5 (f_gpu - r_gpu) / G``,
where ``C`` and ``G`` are the largest CPU and GPU capacities of any machine. Memory is not in it.

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** Weng et al., "Beware of Fragmentation", USENIX ATC 2023 (``BestFit``), as its published
program computes it; that rescales to 0..100 afterwards, which does not change the order.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

FGD_BEST_FIT = Heuristic(
    name="fgd_best_fit",
    weights={"fgd_best_fit": 1.0},
    doc="BestFit of the FGD study: least CPU and GPU left, in whole percents.",
    source="Weng et al., USENIX ATC 2023",
)

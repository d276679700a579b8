"""Worst fit: the machine left loosest in the resources the task asks for.

**Formula.** ``+min_d (f_d - r_d) / c_d``: the score of :mod:`best_fit
<rlsched.policies.best_fit>` with weight -1. It spreads tasks.

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** D. S. Johnson, "Near-optimal bin packing algorithms", MIT 1973.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

WORST_FIT = Heuristic(
    name="worst_fit",
    weights={"best_fit": -1.0},
    doc="The machine left loosest in the resources the task asks for; spreads.",
    source="Johnson, MIT 1973",
)

"""Best fit: the machine left tightest in the resources the task asks for.

**Formula.** With free ``f``, request ``r`` and capacity ``c`` (CPU and memory, and the sum over
the devices for GPUs), the score is ``-min_d (f_d - r_d) / c_d`` over the resources ``d`` the
task asks for; it lies in [-1, 0].

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Source.** D. S. Johnson, "Near-optimal bin packing algorithms", MIT 1973, for one resource;
taking the tightest of several is ours. The variant of the FGD study is ``fgd_best_fit``.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

BEST_FIT = Heuristic(
    name="best_fit",
    weights={"best_fit": 1.0},
    doc="The machine left tightest in the resources the task asks for.",
    source="Johnson, MIT 1973",
)

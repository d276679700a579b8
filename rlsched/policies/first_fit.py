"""First fit: the first machine in the list that can hold the task.

**Formula.** The score is 0 on every machine that fits.

**Ties.** All machines that fit are tied, and the lowest row wins ties: that is the rule.

**Source.** D. S. Johnson, "Near-optimal bin packing algorithms", MIT 1973.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

FIRST_FIT = Heuristic(
    name="first_fit",
    weights={"first_fit": 1.0},
    doc="The first machine in the list that can hold the task.",
    source="Johnson, MIT 1973",
)

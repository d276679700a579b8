"""Next fit: the machine chosen last while it can hold the task, then the next that can.

**Formula.** With ``last`` the row chosen before (row 0 at first), the first of
``last, last + 1, ...`` that fits, going round past the end. Machines come back after all
others, since tasks leave; in the textbook, where nothing leaves, a bin once left is closed.

**Ties.** None: the order of the machine list decides.

**Source.** D. S. Johnson, "Near-optimal bin packing algorithms", MIT 1973.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

NEXT_FIT = Heuristic(
    name="next_fit",
    choice="next_fit",
    doc="The machine chosen last while it fits, then the next that does.",
    source="Johnson, MIT 1973",
)

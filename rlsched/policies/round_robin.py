"""Round robin: the next machine in the list that can hold the task, after the last one chosen.

**Formula.** With ``last`` the row chosen before (the first decision starts at row 0), the first
of ``last + 1, last + 2, ...`` that fits, going round past the end.

**Ties.** None: the order of the machine list decides.

**Source.** Folklore; the default of many load balancers.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

ROUND_ROBIN = Heuristic(
    name="round_robin",
    choice="round_robin",
    doc="The next machine that fits after the one chosen last, going round.",
    source="folklore",
)

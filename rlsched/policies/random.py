"""Random: any machine that can hold the task.

**Formula.** A machine drawn uniformly among those that can hold the task, and a device drawn
uniformly among those with the share free for a request of part of one GPU.

**Ties.** None. The draw is a hash of the copy's seed and the number of the decision, so a run
depends on its seed alone.

**Source.** The baseline of Weng et al., "Beware of Fragmentation", USENIX ATC 2023.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

RANDOM = Heuristic(
    name="random",
    choice="random",
    devices="random",
    doc="Any machine that can hold the task, drawn uniformly; devices likewise.",
    source="baseline of Weng et al., USENIX ATC 2023",
)

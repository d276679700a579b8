"""Fragmentation: the machine whose fragmentation grows least, without FGD's rounding.

**Formula.** ``D / 1000``: fragmentation before minus after placement, in GPUs (in cores on a cluster
measured in CPU); see :mod:`rlsched.sim.fragmentation`. The form to blend with others.

**Ties.** Lowest row; rare, so unlike ``fgd`` this is not partly first fit. Devices of a request for
part of a GPU: the one with the best score, lowest index on ties.

**Needs** typical requests (``typical_requests(trace)`` of training data) in the world.

**Source.** The gradient of Weng et al., "Beware of Fragmentation", USENIX ATC 2023.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

FRAGMENTATION = Heuristic(
    name="fragmentation",
    weights={"fragmentation": 1.0},
    devices="score",
    doc="The machine whose fragmentation grows least, as a real number.",
    source="after Weng et al., USENIX ATC 2023",
)

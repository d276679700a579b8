"""FGD, fragmentation gradient descent: the machine whose fragmentation grows least.

**Formula.** Let ``D`` be the fragmentation of the machine before minus after placement, in
milli-GPU (see :mod:`rlsched.sim.fragmentation`; in millicores on a cluster measured in CPU). The score is
``floor(100 / (1 + exp(-D / 1000)))``: whole percents, 50 where nothing changes.

**Ties.** Lowest row. They are very common, as one step is 40 milli-GPU wide and steps beyond 4.6 GPUs
are all one; on the openb trace, breaking them at random instead costs 5 points of GPU allocation.
Devices of a request for part of a GPU: the one with the best score, lowest index on ties; whole
GPUs: fully free ones, lowest index first.

**Needs** typical requests (``typical_requests(trace)`` of training data) in the world.

**Source.** Weng et al., "Beware of Fragmentation", USENIX ATC 2023, as its published program
computes it. Without the rounding it is ``fragmentation``.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

FGD = Heuristic(
    name="fgd",
    weights={"fgd": 1.0},
    devices="score",
    doc="The machine whose fragmentation grows least, in whole percents as published (FGD).",
    source="Weng et al., USENIX ATC 2023",
)

"""GPU clustering: put tasks of one GPU kind together.

**Formula.** Whole numbers. Kinds are: part of a GPU, 1, 2, 4, 8 GPUs (a count in between belongs to
the next larger). With ``F`` the free milli-GPU of the machine and ``G`` the largest GPU capacity of
any machine, ``b = floor(25 (G - F) / G)``; the score is ``b + 75`` where residents are of the
task's kind only, ``b + 50`` where of that kind among others, ``b + 25`` where no resident uses a
GPU, ``b`` where all are of other kinds. A task without GPUs scores 0 everywhere.

**Ties.** Lowest row; common, the scores being whole numbers. Devices: smallest sufficient free
share, lowest index on ties.

**Source.** Weng et al., "Beware of Fragmentation", USENIX ATC 2023, as its published program
computes it. ``G`` is the same for small machines, so these fill first.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

GPU_CLUSTERING = Heuristic(
    name="gpu_clustering",
    weights={"gpu_clustering": 1.0},
    doc="Tasks of one GPU kind (part of one, 1, 2, 4, 8) together.",
    source="Weng et al., USENIX ATC 2023",
)

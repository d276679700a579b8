"""GPU packing: first GPUs in use, then idle GPUs of machines in use, then idle machines.

**Formula.** Whole percents. Let ``e`` be the fully free devices of the machine.

* All devices free: ``max(33 - e, e)``.
* Else take the devices the task would get; ``w`` of them are fully free. If ``w > 0``:
  ``max(50 - w, 33)``. If not, with ``q`` the sum of their free percents (each rounded down):
  ``max(100 - floor(q / 10), 50)``.
* A task without GPUs scores 0 everywhere.

**Ties.** Lowest row; common, the scores being whole numbers. Devices: smallest sufficient free
share, lowest index on ties.

**Source.** Weng et al., "Beware of Fragmentation", USENIX ATC 2023, as its published program
computes it.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

GPU_PACKING = Heuristic(
    name="gpu_packing",
    weights={"gpu_packing": 1.0},
    doc="First GPUs in use, then idle GPUs of machines in use, then idle machines.",
    source="Weng et al., USENIX ATC 2023",
)
